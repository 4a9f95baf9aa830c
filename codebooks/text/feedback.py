"""One associative step: which documents complete a query, and the query completed by them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from codebooks import ops
from codebooks.text.term_index import Weighted

__all__ = ["completed", "shares"]


def shares(queries: Any, weighted: Weighted, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the documents that complete each query, and their shares: a sparsemax that reaches n of them.

    With the scores in descending order, sparsemax at the inverse temperature `1 / sum(s_i - s_(n+1))`, the sum over the
    first n, is `[s_i - s_(n+1)]_+` divided by its sum: the threshold of sparsemax falls on the first one left out.
    """
    position, score = ops.best(queries, weighted.postings, n + 1)
    score = score.clip(0, None)
    left_out = score[:, n:] if score.shape[1] > n else np.zeros((len(score), 1), score.dtype)
    position, above = position[:, :n], (score - left_out)[:, :n]
    tied = ~above.any(axis=1)
    above[tied] = score[tied, :n] > 0  # as many as these share one score
    total = above.sum(axis=1, keepdims=True)
    return position, above / np.where(total > 0, total, 1)


def completed(counts: Any, weighted: Weighted, *, steps: int, n_documents: int, n_terms: int, weight: float) -> Any:
    """Queries with the terms that the memory adds to them; as they are without any step."""
    state = counts
    for _ in range(steps):
        position, share = shares(state, weighted, n_documents)
        added = ops.gather_largest(position, share * weighted.reciprocals[position], weighted.rows, n_terms)
        state = _unit(counts) + weight * _unit(added)
    return csr_matrix(state, dtype=np.float32)


def _unit(X: Any) -> Any:
    """Rows scaled to length 1."""
    return ops.scale_rows(X, ops.reciprocal(ops.row_norms(X)))
