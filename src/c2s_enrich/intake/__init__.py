"""HTTP in: authenticate a delivery, read its events, store them. Nothing else happens before the
answer, and nothing calls out.
"""
