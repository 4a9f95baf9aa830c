"""What the learners give and cost, against what a user would pick otherwise: `python -m benchmarks`."""
