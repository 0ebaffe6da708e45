"""HTTP out: one policy (`http`), one set of shared limits (`limits`), one small client per
upstream. Diretrix is the one to copy.
"""
