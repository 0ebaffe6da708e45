"""HTTP in: authenticate a delivery, read its events, store them. Nothing calls out."""
