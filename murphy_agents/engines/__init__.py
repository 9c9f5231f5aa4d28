"""Generators behind one protocol: each is imported from its own module."""
