"""Pseudo-relevance feedback by an associative step: selection of feedback documents, and expansion of queries."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from codebooks import ops
from codebooks.retrieval.index import WeightedDocuments

__all__ = ["complete", "complete_for_document", "compute_scores", "compute_shares", "expand", "search"]

# The number of best documents of the original query that keep their ranks, and the limit of the score by added terms
# in multiples of the best score by the original query. Both were chosen on other collections than those reported on.
_N_KEPT_FIRST, _LIMIT_FACTOR = 2, 3
# The number of candidates beyond k in the first round, and the relative rounding error of a score.
_MARGIN, _ROUNDING = 24, 1e-5


def compute_shares(queries: Any, weighted: WeightedDocuments, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute positions and shares of the documents that complete each query: a sparsemax with n nonzero shares.

    With the scores in descending order, sparsemax at the inverse temperature `1 / sum(s_i - s_(n+1))`, the sum over the
    first n, is `[s_i - s_(n+1)]_+` divided by its sum: its threshold is the score of the first excluded document.
    """
    return _compute_shares(*ops.search_postings(queries, weighted.postings, n + 1), n)


def _compute_shares(position: np.ndarray, score: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute the shares from the scores of the n + 1 best documents."""
    score = score.clip(0, None)
    excluded = score[:, n:] if score.shape[1] > n else np.zeros((len(score), 1), score.dtype)
    position, above = position[:, :n], (score - excluded)[:, :n]
    tied = ~above.any(axis=1)
    above[tied] = score[tied, :n] > 0  # all of these have the same score
    total = above.sum(axis=1, keepdims=True)
    return position, above / np.where(total > 0, total, 1)


def search(counts: Any, weighted: WeightedDocuments, k: int, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Find the `k` best documents for each query with the terms that feedback adds to it.

    The score of a document is the sum of its score by the original query and its score by the added terms. The latter
    is limited to three times the best score by the original query, and to the score by the added terms of its two best
    documents. These two therefore keep their ranks.

    Parameters
    ----------
    counts : CSR matrix of shape (n_queries, n_terms)
    weighted : WeightedDocuments
    k : int
    **settings
        `steps` and the other parameters of `expand`.

    Returns
    -------
    position, score : arrays of shape (n_queries, at most k)
        Descending, ties by the score without added terms; padded with -1 and 0.
    """
    if settings["steps"] == 0:
        return _drop_misses(*ops.search_postings(counts, weighted.postings, k))
    query = expand(counts, weighted, **settings)
    n_queries, n_all = counts.shape[0], weighted.rows.shape[0]
    k = min(k, n_all)
    position, score = np.full((n_queries, k), -1, np.int64), np.zeros((n_queries, k), np.float32)
    depth, pending = min(max(2 * k, k + _MARGIN), n_all), np.arange(n_queries if k else 0)
    while len(pending):
        ranking = _rank(query if len(pending) == n_queries else query.select_rows(pending), weighted, depth)
        position[pending], score[pending] = ranking.position[:, :k], ranking.score[:, :k]
        # The score of a document that is no candidate is at most the unlimited score of the last candidate.
        is_pending = (ranking.score[:, k - 1] < ranking.bound) if depth < n_all else np.zeros(len(pending), bool)
        pending, depth = pending[is_pending], min(4 * depth, n_all)
    return _drop_misses(position, score)


def compute_scores(position: np.ndarray, counts: Any, weighted: WeightedDocuments, **settings: Any) -> np.ndarray:
    """Compute the scores of `search` for selected documents, relative to the largest possible score.

    They are between 0 and 1 for every query, so scores of different queries can be compared.
    """
    maximum = abs(weighted.rows).max(axis=0)
    if settings["steps"] == 0:
        score, largest = ops.chosen_products(counts, weighted.rows, position), counts @ maximum.T
    else:
        query = expand(counts, weighted, **settings)
        _, score = query.compute_scores(weighted, position)
        largest = (1 + _LIMIT_FACTOR) * (query.own @ maximum.T)
    largest = largest.toarray()
    return score.clip(0, None) / np.where(largest > 0, largest, 1)


def complete(counts: Any, weighted: WeightedDocuments, **settings: Any) -> Any:
    """Return queries with the terms that feedback adds; unchanged if there are no steps."""
    if settings["steps"] == 0:
        return csr_matrix(counts, dtype=np.float32)
    query = expand(counts, weighted, **settings)
    return csr_matrix(query.own + query.added, dtype=np.float32)


def complete_for_document(counts: Any, row: Any, weighted: WeightedDocuments, **settings: Any) -> Any:
    """Return a completed query whose product with the `row` of a document is the score of that document."""
    if settings["steps"] == 0:
        return counts
    query = expand(counts, weighted, **settings)
    score = float((query.added @ row.T).toarray()[0, 0])
    scale = min(1.0, float(query.limit[0]) / score if score > 0 else 1.0)
    return csr_matrix(query.own + query.added * scale)


class ExpandedQueries(NamedTuple):
    """Queries and the terms that feedback adds to them."""

    own: Any  # CSR (n_queries, n_terms), of length 1
    added: Any  # CSR (n_queries, n_terms), of length `weight`
    first: np.ndarray  # (n_queries, 2) positions of the best documents of the original query, -1 for none
    limit: np.ndarray  # (n_queries,) largest score of a document by added terms

    def select_rows(self, rows: np.ndarray) -> ExpandedQueries:
        """Return some of the queries."""
        return ExpandedQueries(*(part[rows] for part in self))

    def compute_scores(self, weighted: WeightedDocuments, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the scores of selected documents by the original queries, and by the expanded ones."""
        original, added = (ops.chosen_products(part, weighted.rows, position) for part in (self.own, self.added))
        return original, original + np.minimum(added, self.limit[:, None])


def expand(
    counts: Any,
    weighted: WeightedDocuments,
    *,
    steps: int,
    n_documents: int,
    n_terms: int,
    weight: float,
    excluded: Any,
) -> ExpandedQueries:
    """Add terms to queries in at least one step, except those of the columns `excluded`."""
    own = state = _normalize(counts)
    for step in range(steps):
        position, score = ops.search_postings(state, weighted.postings, max(n_documents, _N_KEPT_FIRST) + 1)
        if step == 0:
            first = np.where(score[:, :_N_KEPT_FIRST] > 0, position[:, :_N_KEPT_FIRST], -1)
            best = score[:, :1].max(axis=1, initial=0)
        position, share = _compute_shares(position[:, : n_documents + 1], score[:, : n_documents + 1], n_documents)
        terms = ops.gather_largest(position, share * weighted.reciprocals[position], weighted.rows, n_terms)
        if len(excluded):
            terms.data[np.isin(terms.indices, excluded)] = 0
            terms.eliminate_zeros()
        added = csr_matrix(weight * _normalize(terms), dtype=np.float32)
        state = csr_matrix(own + added)
    of_first = np.where(first >= 0, ops.chosen_products(added, weighted.rows, first), np.inf)
    limit = of_first.min(axis=1, initial=np.inf)
    return ExpandedQueries(own, added, first, np.minimum(limit, _LIMIT_FACTOR * best.clip(0, None)))


class _Ranking(NamedTuple):
    position: np.ndarray  # (n_queries, n_candidates) best first, padded with -1
    score: np.ndarray  # with the limit
    bound: np.ndarray  # (n_queries,) unlimited score of the last candidate


def _rank(query: ExpandedQueries, weighted: WeightedDocuments, depth: int) -> _Ranking:
    """Rank the best documents by unlimited scores, and those of the original query, by their limited scores."""
    position, unlimited = ops.search_postings(csr_matrix(query.own + query.added), weighted.postings, depth)
    is_first = (position[:, :, None] == query.first[:, None, :]).any(axis=2)
    position = np.concatenate([query.first, np.where(is_first, -1, position)], axis=1)
    original, score = query.compute_scores(weighted, position)
    score = np.where(position >= 0, score, -np.inf)
    rank = np.lexsort((position, -original, -score), axis=1)
    position, score = (np.take_along_axis(part, rank, axis=1) for part in (position, score))
    return _Ranking(position, score, (1 + _ROUNDING) * unlimited[:, -1])


def _drop_misses(position: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    is_match = (position >= 0) & (score > 0)
    return np.where(is_match, position, -1), np.where(is_match, score, 0)


def _normalize(X: Any) -> Any:
    """Scale rows to length 1."""
    return ops.scale_rows(X, ops.reciprocal(ops.row_norms(X)))
