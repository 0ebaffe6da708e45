"""Proofs about the tests: what they would notice."""
