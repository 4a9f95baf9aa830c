"""Measured claims: `python -m benchmarks quality|speed|memory` writes results/*.json and prints the tables."""
