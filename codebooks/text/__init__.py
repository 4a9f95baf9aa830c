"""Text analysis: tokenization, languages, stop words, and vocabularies."""
