"""What exists for speed alone. Each file opens with its measured gain and can be removed."""
