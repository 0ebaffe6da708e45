"""What happens to one lead. Read `pipeline.py` first."""
