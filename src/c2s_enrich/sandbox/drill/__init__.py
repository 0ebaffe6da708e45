"""The drill: real processes, a seeded schedule of trouble, and an audit of three independent
records.
"""
