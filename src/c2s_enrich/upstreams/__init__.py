"""HTTP out: one policy, shared limits, a small client per upstream. Copy Diretrix for a new one."""
