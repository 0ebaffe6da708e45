"""Personal data: erasure, retention, and where such data can be."""
