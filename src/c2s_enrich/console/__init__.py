"""The console: the operators' functions as pages, for people who would rather look."""
