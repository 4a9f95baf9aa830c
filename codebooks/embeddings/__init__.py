"""Sentence embeddings as input features: encoding, whitening, smoothing, heads learned from pairs."""
