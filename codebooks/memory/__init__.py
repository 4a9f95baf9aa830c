"""Associative memory: stored patterns, completed from a part."""
