"""One associative step: which documents complete a query, and the query completed by them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from codebooks import ops
from codebooks.text.term_index import Weighted

__all__ = ["completed", "completed_for", "scores_of", "search", "shares"]

# The best documents without added words that stay first, and how many times what the best of them has by the query
# itself added words may give. Both were found on other collections than those reported on.
_N_KEPT_FIRST, _MOST_ADDED = 2, 3
# Documents that are ranked beyond those asked for, at first.
_MARGIN = 24


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


def search(
    counts: Any, weighted: Weighted, k: int, *, steps: int, n_documents: int, n_terms: int, weight: float, excluded: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Find the `k` best documents for each query and the words that the memory adds to it.

    The score of a document is what the query itself gives to it, and what the added words give, up to a limit: three
    times what the query gives to its best document, and no more than the added words give to its two best documents.
    These two therefore stay first, whatever other documents have of the added words.

    Returns
    -------
    position, score : arrays of shape (n_queries, at most k)
        Descending, ties in the order of the scores without added words; -1 and 0 where no more are found.
    """
    if steps == 0:
        return _without_misses(*ops.best(counts, weighted.postings, k))
    settings: dict[str, Any] = {
        "steps": steps,
        "n_documents": n_documents,
        "n_terms": n_terms,
        "weight": weight,
        "excluded": excluded,
    }
    own, added = _unit(counts), expansion(counts, weighted, **settings)
    first, limit = _first_and_limit(own, added, weighted)
    n_all = weighted.rows.shape[0]
    k = min(k, n_all)
    position, score = np.full((len(first), k), -1, np.int64), np.zeros((len(first), k), np.float32)
    depth, open_ = min(max(2 * k, k + _MARGIN), n_all), np.arange(len(first) if k else 0)
    while len(open_):
        found = _ranked(own[open_], added[open_], weighted, first[open_], limit[open_], depth)
        position[open_], score[open_] = found.position[:, :k], found.score[:, :k]
        # A document that was not looked at scores no more than the last one that was, without the limit.
        is_open = (found.score[:, k - 1] < found.least) if depth < n_all else np.zeros(len(open_), bool)
        open_, depth = open_[is_open], min(4 * depth, n_all)
    return _without_misses(position, score)


def scores_of(position: np.ndarray, counts: Any, weighted: Weighted, **settings: Any) -> np.ndarray:
    """Scores of chosen documents as `search` gives them, over the largest that any document could have.

    They lie between 0 and 1 for every query, so that those of different queries can be compared.
    """
    most = abs(weighted.rows).max(axis=0)
    if settings["steps"] == 0:
        score, largest = ops.chosen_products(counts, weighted.rows, position), counts @ most.T
    else:
        own, added = _unit(counts), expansion(counts, weighted, **settings)
        _, limit = _first_and_limit(own, added, weighted)
        given, brought = (ops.chosen_products(part, weighted.rows, position) for part in (own, added))
        score, largest = given + np.minimum(brought, limit[:, None]), (1 + _MOST_ADDED) * (own @ most.T)
    largest = largest.toarray()
    return score.clip(0, None) / np.where(largest > 0, largest, 1)


def completed_for(counts: Any, row: Any, weighted: Weighted, **settings: Any) -> Any:
    """A query completed so that its product with the `row` of a document is the score of that document."""
    if settings["steps"] == 0:
        return counts
    own, added = _unit(counts), expansion(counts, weighted, **settings)
    _, limit = _first_and_limit(own, added, weighted)
    brought = float((added @ row.T).toarray()[0, 0])
    return csr_matrix(own + added * min(1.0, float(limit[0]) / brought if brought > 0 else 1.0))


def _first_and_limit(own: Any, added: Any, weighted: Weighted) -> tuple[np.ndarray, np.ndarray]:
    """The documents that stay first, -1 for none, and the limit of what added words may give."""
    first, score = ops.best(own, weighted.postings, _N_KEPT_FIRST)
    first[score <= 0] = -1
    brought = np.where(first >= 0, ops.chosen_products(added, weighted.rows, first), np.inf).min(axis=1, initial=np.inf)
    return first, np.minimum(brought, _MOST_ADDED * score[:, :1].max(axis=1, initial=0))


class _Ranked(NamedTuple):
    position: np.ndarray  # (n_queries, n_candidates) best first, -1 behind the last
    score: np.ndarray  # with the limit
    least: np.ndarray  # (n_queries,) score without the limit of the last candidate


def _ranked(own: Any, added: Any, weighted: Weighted, first: np.ndarray, limit: np.ndarray, depth: int) -> _Ranked:
    """The best documents without the limit, and the first ones, ranked by scores with it."""
    position, _ = ops.best(csr_matrix(own + added), weighted.postings, depth)
    given, brought = (ops.chosen_products(part, weighted.rows, position) for part in (own, added))
    least = (given + brought)[:, -1]
    position = np.where((position[:, :, None] == first[:, None, :]).any(axis=2), -1, position)
    position = np.concatenate([first, position], axis=1)
    given, brought = (ops.chosen_products(part, weighted.rows, position) for part in (own, added))
    score = np.where(position >= 0, given + np.minimum(brought, limit[:, None]), -np.inf)
    rank = np.lexsort((position, -given, -score), axis=1)
    return _Ranked(np.take_along_axis(position, rank, axis=1), np.take_along_axis(score, rank, axis=1), least)


def _without_misses(position: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = (position >= 0) & (score > 0)
    return np.where(found, position, -1), np.where(found, score, 0)


def expansion(
    counts: Any, weighted: Weighted, *, steps: int, n_documents: int, n_terms: int, weight: float, excluded: Any
) -> Any:
    """The terms that the memory adds to queries of length 1, with their weights; none of the columns `excluded`."""
    state, added = counts, csr_matrix(counts.shape, dtype=counts.dtype)
    for _ in range(steps):
        position, share = shares(state, weighted, n_documents)
        terms = ops.gather_largest(position, share * weighted.reciprocals[position], weighted.rows, n_terms)
        if len(excluded):
            terms.data[np.isin(terms.indices, excluded)] = 0
            terms.eliminate_zeros()
        added = weight * _unit(terms)
        state = _unit(counts) + added
    return csr_matrix(added, dtype=np.float32)


def completed(
    counts: Any, weighted: Weighted, *, steps: int, n_documents: int, n_terms: int, weight: float, excluded: Any
) -> Any:
    """Queries with the terms that the memory adds to them; as they are without any step."""
    if steps == 0:
        return csr_matrix(counts, dtype=np.float32)
    settings: dict[str, Any] = {"n_documents": n_documents, "n_terms": n_terms, "weight": weight, "excluded": excluded}
    added = expansion(counts, weighted, steps=steps, **settings)
    return csr_matrix(_unit(counts) + added, dtype=np.float32)


def _unit(X: Any) -> Any:
    """Rows scaled to length 1."""
    return ops.scale_rows(X, ops.reciprocal(ops.row_norms(X)))
