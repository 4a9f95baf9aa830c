"""One associative step: which documents complete a query, and the query completed by them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from codebooks import ops
from codebooks.retrieval.index import Weighted

__all__ = ["complete", "complete_for", "compute_scores", "compute_shares", "expand", "search"]

# The best documents without added words that stay first, and how many times what the best of them has by the query
# itself added words may give. Both were found on other collections than those reported on.
_N_KEPT_FIRST, _MOST_ADDED = 2, 3
# Documents that are ranked beyond those asked for, at first, and by how much a score may come out otherwise.
_MARGIN, _ROUNDING = 24, 1e-5


def compute_shares(queries: Any, weighted: Weighted, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the documents that complete each query, and their shares: a sparsemax that reaches n of them.

    With the scores in descending order, sparsemax at the inverse temperature `1 / sum(s_i - s_(n+1))`, the sum over the
    first n, is `[s_i - s_(n+1)]_+` divided by its sum: the threshold of sparsemax falls on the first one left out.
    """
    return _compute_shares_of(*ops.search_postings(queries, weighted.postings, n + 1), n)


def _compute_shares_of(position: np.ndarray, score: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """`compute_shares` of the n + 1 best documents."""
    score = score.clip(0, None)
    left_out = score[:, n:] if score.shape[1] > n else np.zeros((len(score), 1), score.dtype)
    position, above = position[:, :n], (score - left_out)[:, :n]
    tied = ~above.any(axis=1)
    above[tied] = score[tied, :n] > 0  # as many as these share one score
    total = above.sum(axis=1, keepdims=True)
    return position, above / np.where(total > 0, total, 1)


def search(counts: Any, weighted: Weighted, k: int, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Find the `k` best documents for each query and the words that the memory adds to it.

    The score of a document is what the query itself gives to it, and what the added words give, up to a limit: three
    times what the query gives to its best document, and no more than the added words give to its two best documents.
    These two therefore stay first, whatever other documents have of the added words.

    Parameters
    ----------
    counts : CSR matrix of shape (n_queries, n_terms)
    weighted : Weighted
    k : int
    **settings
        `steps`, and what `expand` takes.

    Returns
    -------
    position, score : arrays of shape (n_queries, at most k)
        Descending, ties in the order of the scores without added words; -1 and 0 where no more are found.
    """
    if settings["steps"] == 0:
        return _drop_misses(*ops.search_postings(counts, weighted.postings, k))
    query = expand(counts, weighted, **settings)
    n_queries, n_all = counts.shape[0], weighted.rows.shape[0]
    k = min(k, n_all)
    position, score = np.full((n_queries, k), -1, np.int64), np.zeros((n_queries, k), np.float32)
    depth, open_ = min(max(2 * k, k + _MARGIN), n_all), np.arange(n_queries if k else 0)
    while len(open_):
        found = _rank(query if len(open_) == n_queries else query.of(open_), weighted, depth)
        position[open_], score[open_] = found.position[:, :k], found.score[:, :k]
        # A document that was not looked at scores no more than the last one that was, without the limit.
        is_open = (found.score[:, k - 1] < found.least) if depth < n_all else np.zeros(len(open_), bool)
        open_, depth = open_[is_open], min(4 * depth, n_all)
    return _drop_misses(position, score)


def compute_scores(position: np.ndarray, counts: Any, weighted: Weighted, **settings: Any) -> np.ndarray:
    """Scores of chosen documents as `search` gives them, over the largest that any document could have.

    They lie between 0 and 1 for every query, so that those of different queries can be compared.
    """
    most = abs(weighted.rows).max(axis=0)
    if settings["steps"] == 0:
        score, largest = ops.chosen_products(counts, weighted.rows, position), counts @ most.T
    else:
        query = expand(counts, weighted, **settings)
        _, score = query.scores(weighted, position)
        largest = (1 + _MOST_ADDED) * (query.own @ most.T)
    largest = largest.toarray()
    return score.clip(0, None) / np.where(largest > 0, largest, 1)


def complete(counts: Any, weighted: Weighted, **settings: Any) -> Any:
    """Queries with the terms that the memory adds to them; as they are without any step."""
    if settings["steps"] == 0:
        return csr_matrix(counts, dtype=np.float32)
    query = expand(counts, weighted, **settings)
    return csr_matrix(query.own + query.added, dtype=np.float32)


def complete_for(counts: Any, row: Any, weighted: Weighted, **settings: Any) -> Any:
    """A query completed so that its product with the `row` of a document is the score of that document."""
    if settings["steps"] == 0:
        return counts
    query = expand(counts, weighted, **settings)
    brought = float((query.added @ row.T).toarray()[0, 0])
    return csr_matrix(query.own + query.added * min(1.0, float(query.limit[0]) / brought if brought > 0 else 1.0))


class Expanded(NamedTuple):
    """Queries and the terms that the memory adds to them."""

    own: Any  # CSR (n_queries, n_terms), of length 1
    added: Any  # CSR (n_queries, n_terms), of length `weight`
    first: np.ndarray  # (n_queries, 2) positions of the best documents for the query itself, -1 for none
    limit: np.ndarray  # (n_queries,) what added terms may give to a document

    def of(self, rows: np.ndarray) -> Expanded:
        """Some of the queries."""
        return Expanded(*(part[rows] for part in self))

    def scores(self, weighted: Weighted, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the queries themselves give to chosen documents, and their scores."""
        given, brought = (ops.chosen_products(part, weighted.rows, position) for part in (self.own, self.added))
        return given, given + np.minimum(brought, self.limit[:, None])


def expand(
    counts: Any, weighted: Weighted, *, steps: int, n_documents: int, n_terms: int, weight: float, excluded: Any
) -> Expanded:
    """Add terms to queries, in one step or more; none of the columns `excluded` is added."""
    own = state = _normalize(counts)
    for step in range(steps):
        position, score = ops.search_postings(state, weighted.postings, max(n_documents, _N_KEPT_FIRST) + 1)
        if step == 0:
            first = np.where(score[:, :_N_KEPT_FIRST] > 0, position[:, :_N_KEPT_FIRST], -1)
            best = score[:, :1].max(axis=1, initial=0)
        position, share = _compute_shares_of(position[:, : n_documents + 1], score[:, : n_documents + 1], n_documents)
        terms = ops.gather_largest(position, share * weighted.reciprocals[position], weighted.rows, n_terms)
        if len(excluded):
            terms.data[np.isin(terms.indices, excluded)] = 0
            terms.eliminate_zeros()
        added = csr_matrix(weight * _normalize(terms), dtype=np.float32)
        state = csr_matrix(own + added)
    brought = np.where(first >= 0, ops.chosen_products(added, weighted.rows, first), np.inf).min(axis=1, initial=np.inf)
    return Expanded(own, added, first, np.minimum(brought, _MOST_ADDED * best.clip(0, None)))


class _Ranked(NamedTuple):
    position: np.ndarray  # (n_queries, n_candidates) best first, -1 behind the last
    score: np.ndarray  # with the limit
    least: np.ndarray  # (n_queries,) score without the limit of the last candidate


def _rank(query: Expanded, weighted: Weighted, depth: int) -> _Ranked:
    """The best documents without the limit, and the first ones, ranked by scores with it."""
    position, unlimited = ops.search_postings(csr_matrix(query.own + query.added), weighted.postings, depth)
    is_first = (position[:, :, None] == query.first[:, None, :]).any(axis=2)
    position = np.concatenate([query.first, np.where(is_first, -1, position)], axis=1)
    given, score = query.scores(weighted, position)
    score = np.where(position >= 0, score, -np.inf)
    rank = np.lexsort((position, -given, -score), axis=1)
    position, score = (np.take_along_axis(part, rank, axis=1) for part in (position, score))
    return _Ranked(position, score, (1 + _ROUNDING) * unlimited[:, -1])


def _drop_misses(position: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = (position >= 0) & (score > 0)
    return np.where(found, position, -1), np.where(found, score, 0)


def _normalize(X: Any) -> Any:
    """Rows scaled to length 1."""
    return ops.scale_rows(X, ops.reciprocal(ops.row_norms(X)))
