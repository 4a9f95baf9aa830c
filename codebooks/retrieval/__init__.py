"""Full-text and hybrid search over documents: BM25, the index, feedback, saving."""
