"""Benchmarks: `python -m benchmarks COMMAND` writes results/*.json and prints tables."""
