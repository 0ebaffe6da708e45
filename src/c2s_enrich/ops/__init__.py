"""For operators: is it well, what waits, do it again."""
