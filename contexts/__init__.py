"""Bounded contexts, one folder each. None imports another."""
