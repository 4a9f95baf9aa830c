"""Which words describe a component: by its weights, or chosen jointly from the documents that it wins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from codebooks import ops

__all__ = ["Name", "choose_words_by_documents", "choose_words_by_weights", "score_words_by_documents", "select_largest"]

Ints = NDArray[np.intp]

# The candidates for n words are the n + 50 of highest score.
_SPARE = 50
# Pairs of higher NPMI count as this one: words of repeated boilerplate, which always occur together, gain no more.
_CEILING = 0.5
# What a word with a tenth of the highest score loses, in units of mean NPMI, and what a word that another topic lists.
_WEAKNESS, _REPETITION = 0.5, 0.65
# Passes over the components: the third changes few words.
_N_ROUNDS = 3
# Longer lists hold the words of highest score: time and memory of the choice grow with the square of their length.
_LONGEST = 200


class Name(NamedTuple):
    """The words of one component."""

    scores: NDArray[Any]  # (n_words,) how well each word describes it, descending
    columns: Ints  # (n_words,) the words


def choose_words_by_weights(weights: NDArray[Any], n: int) -> list[Name]:
    """For each component, its `n` largest positive weights, descending, ties to the lower column."""
    columns = [_select_positive(row, n) for row in weights]
    return [Name(row[chosen], chosen) for row, chosen in zip(weights, columns, strict=True)]


def choose_words_by_documents(X: Any, labels: Ints, n_components: int, n: int) -> list[Name | None]:
    """Choose words for all components jointly: words that occur together and that other components do not list.

    The objective is in the docstring of `codebooks.interpret.topics`.

    Parameters
    ----------
    X : sparse matrix or array of shape (n_documents, n_features)
        Never below zero; what counts is which words a document has.
    labels : int array of shape (n_documents,)
        The component that wins each document, -1 for none.
    n_components : int
    n : int
        At most so many words a component.

    Returns
    -------
    list of (Name or None), length n_components
        None for a component that wins no document.
    """
    has, starts = _group_documents(X, labels, n_components)
    is_joint = n <= _LONGEST
    columns = np.full((n_components, min(n + _SPARE * is_joint, has.shape[1])), -1)
    scores = np.zeros(columns.shape)
    for k, (words, values) in enumerate(_compute_scores(has, starts)):
        best = select_largest(values, columns.shape[1])
        columns[k, : len(best)], scores[k, : len(best)] = words[best], values[best]
    chosen = columns >= 0
    if is_joint:
        counts, objective = ops.count_pairs(has, columns), (_CEILING, _WEAKNESS, _REPETITION)
        chosen = ops.choose_subsets(columns, scores, counts, has.shape[0], n, objective=objective, n_rounds=_N_ROUNDS)
    kept = [np.flatnonzero(row) for row in chosen]
    named = [Name(scores[k, places], columns[k, places]) for k, places in enumerate(kept)]
    return [name if n_won else None for name, n_won in zip(named, np.diff(starts), strict=True)]


def score_words_by_documents(X: Any, labels: Ints, n_components: int) -> NDArray[np.float64]:
    """How well each word describes the documents that each component wins, shape (n_components, n_features)."""
    has, starts = _group_documents(X, labels, n_components)
    out = np.zeros((n_components, has.shape[1]))
    for row, (words, values) in zip(out, _compute_scores(has, starts), strict=True):
        row[words] = values
    return out


def select_largest(values: NDArray[Any], n: int) -> Ints:
    """Where the n largest values stand, descending, ties to the lower place.

    A value that differs by rounding alone from the largest that is left is equal to it: equal rows or columns come out
    of BLAS with other last digits, by where they stand and by the processor.
    """
    margin = ops.rounding_tolerance(values.dtype) if values.dtype.kind == "f" else 0
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


def _select_positive(row: NDArray[Any], n: int) -> Ints:
    places = np.flatnonzero(row > 0)
    return places[select_largest(row[places], n)]


def _group_documents(X: Any, labels: Ints, n_components: int) -> tuple[Any, Ints]:
    """The incidence of words in documents, which are sorted by component, and where those of each component begin."""
    has = sparse.csr_matrix(X, dtype=bool, copy=True)
    has.sum_duplicates()
    has.eliminate_zeros()
    order = np.argsort(labels, kind="stable")
    return has[order], np.searchsorted(labels[order], np.arange(n_components + 1))


def _compute_scores(has: Any, starts: Ints) -> Iterator[tuple[Ints, NDArray[np.float64]]]:
    """For each component, the words of positive score and their scores."""
    n_documents, n_features = has.shape
    frequency = np.bincount(has.indices, minlength=n_features)
    for first, last in pairwise(starts):
        inside = np.bincount(has.indices[has.indptr[first] : has.indptr[last]], minlength=n_features)
        words = np.flatnonzero(inside)
        share = inside[words] / max(last - first, 1)
        # Products of whole numbers, so that equal shares have a ratio of exactly 1.
        lift = np.log((inside[words] * n_documents) / (frequency[words] * (last - first)))
        prefers = lift > 0
        if prefers.any():
            words, share = words[prefers], share[prefers] * lift[prefers]
        yield words, share  # a component that wins everything prefers nothing
