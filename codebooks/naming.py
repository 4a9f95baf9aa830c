"""Which words name a unit: those that keep each other company in the documents that it wins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from codebooks import ops

__all__ = ["Name", "largest", "name_by_documents", "name_by_weights"]

Ints = NDArray[np.intp]

# Steps of the power iteration: more change few words.
_N_STEPS = 3
# A word is passed over unless it shares a document of the unit with this part of the words listed before it.
_COMPANY = 0.8
# So many words are looked at for each one that is wanted.
_POOL = 4


class Name(NamedTuple):
    """The words of one unit."""

    scores: NDArray[Any]  # (n_features,) how well each word names it
    columns: Ints  # the words chosen, the best first


def name_by_weights(weights: NDArray[Any], n: int) -> list[Name]:
    """For each unit, its `n` largest positive weights, descending, ties to the lower column."""
    return [Name(row, _positive(row, n)) for row in weights]


def name_by_documents(X: Any, labels: Ints, weights: NDArray[Any], n: int) -> list[Name]:
    """For each unit, words of the documents that it wins; by weights where it wins none.

    Parameters
    ----------
    X : sparse matrix or array of shape (n_documents, n_features)
        Never below zero; what counts is which words a document has.
    labels : int array of shape (n_documents,)
        The unit that wins each document, -1 for none.
    weights : array of shape (n_units, n_features)
    n : int
        At most so many words a unit.

    Returns
    -------
    list of Name, length n_units
    """
    has = sparse.csr_matrix(X, dtype=np.float64, copy=True)
    has.sum_duplicates()
    has.eliminate_zeros()
    has.data[:] = 1.0
    overall = _share_of_rows(has)
    named = []
    for row, won in zip(weights, _documents_by_unit(has, labels, len(weights)), strict=True):
        if won.shape[0] == 0:
            named.append(Name(row, _positive(row, n)))
            continue
        scores = _fellowship(won, overall)
        named.append(Name(scores, _companions(won, _positive(scores, _POOL * n), n)))
    return named


def largest(values: NDArray[Any], n: int) -> Ints:
    """Where the n largest values stand, descending, ties to the lower place.

    A value that differs by rounding alone from the largest that is left is equal to it: equal rows or columns come out
    of BLAS with other last digits, by where they stand and by the processor.
    """
    margin = ops.rounding(values.dtype) if values.dtype.kind == "f" else 0
    places = np.arange(len(values))
    if n < len(values):
        least = np.partition(values, -n)[-n]
        places = np.flatnonzero(values >= least - margin * abs(least))
    places = places[np.argsort(-values[places], kind="stable")]
    falling, first = -values[places], 0
    while first < min(n, len(places)):
        last = int(np.searchsorted(falling, falling[first] + margin * abs(falling[first]), side="right"))
        if last - first > 1:
            places[first:last] = np.sort(places[first:last])
        first = last
    return places[:n]


def _positive(row: NDArray[Any], n: int) -> Ints:
    places = np.flatnonzero(row > 0)
    return places[largest(row[places], n)]


def _documents_by_unit(has: Any, labels: Ints, n_units: int) -> Iterator[Any]:
    """For each unit, the rows that it wins."""
    order = np.argsort(labels, kind="stable")
    sorted_rows, sorted_labels = has[order], labels[order]
    for unit in range(n_units):
        start, stop = np.searchsorted(sorted_labels, [unit, unit + 1])
        yield sorted_rows[start:stop]


def _fellowship(won: Any, overall: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each word belongs to the words that meet in these documents, times how much they prefer it, squared.

    The first factor is the leading eigenvector of the words' co-occurrence `won' won`, by power iteration.
    """
    share = _share_of_rows(won)
    centrality = share
    for _ in range(_N_STEPS):
        centrality = won.T @ (won @ centrality)
        centrality /= np.linalg.norm(centrality) or 1.0
    preference = np.log(np.maximum(np.divide(share, overall, out=np.ones_like(share), where=share > 0), 1.0))
    return centrality * preference**2 if preference.any() else centrality  # a unit that wins everything prefers nothing


def _companions(won: Any, candidates: Ints, n: int) -> Ints:
    """The first `n` candidates of which each meets most of those before it; then others, where these are too few."""
    occurs = won[:, candidates]
    meets = (occurs.T @ occurs).toarray() > 0
    chosen: list[int] = []
    for word in range(len(candidates)):
        if len(chosen) < n and meets[word, chosen].sum() >= _COMPANY * len(chosen):
            chosen.append(word)
    others = [word for word in range(len(candidates)) if word not in chosen]
    return candidates[(chosen + others)[:n]]


def _share_of_rows(has: Any) -> NDArray[np.float64]:
    return np.asarray(has.mean(axis=0)).ravel()
