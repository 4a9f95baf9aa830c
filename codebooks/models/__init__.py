"""What is learned: one file per learning rule, and the base that they share."""
