"""Scores of fitted models on held-out data: what `scoring=` of GridSearchCV takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from codebooks import ops
from codebooks.interpret.model_access import (
    count_wins,
    get_components,
    predict_components,
    select_top_columns,
    split_pipeline,
)
from codebooks.metrics.coherence import average_over_pairs, count_cooccurrences
from codebooks.validation.arrays import check_matrix, check_structure

N_WORDS = 10  # words a topic in the two scorers, as in most published tables


def npmi_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Coherence on held-out documents that neither splits nor skips topics: a `scoring=` for GridSearchCV.

    A unit k is its ten strongest words by weight. Let npmi(k) be the mean over its pairs, npmi(k, j) that
    over all pairs of a word of k with a word of j (1 for a word with itself), and c_k the share of the rows
    that k wins which have a word of k at all. The score is the mean over units of

        c_k max(-1, npmi(k) - max(0, max over j of npmi(k, j))) - (1 - c_k),

    and rows that no unit wins pull it to -1 by their share; empty rows do not count. So it is plain NPMI
    where topics are unrelated and each row has a word of its topic. Too many units: the halves of a topic
    cohere as well as the whole, but with each other too, and that is taken away. Too few: a unit mixes words
    that never meet, or it names one topic and wins the rows of others, which count -1, as an idle unit does.
    (Ours, in the spirit of the silhouette. Plain NPMI sees none of this; NPMI x diversity, "topic quality"
    in Dieng et al. 2020, sees repeated words alone, and rewards them where NPMI is negative.)

    Parameters
    ----------
    estimator : fitted estimator or fitted Pipeline
        In a Pipeline X goes through all steps but the last, so that raw text can be scored.
    X : array or sparse matrix of shape (n_samples, n_features), or raw documents for a Pipeline
        The held-out fold; co-occurrence is counted here, so it must hold enough documents for words to meet. Shuffle
        the folds where documents are sorted: `GridSearchCV(..., cv=KFold(3, shuffle=True, random_state=0))`.
    y : ignored

    Returns
    -------
    float
        In [-1, 1]; higher is better.

    Raises
    ------
    ValueError
        The matrix has negative values: its columns are not words.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import NMF
    >>> X = np.repeat(np.eye(2), [2, 2], axis=1)[[0, 1, 0, 1]]
    >>> round(npmi_scorer(NMF(2, random_state=0).fit(X), X), 6)
    1.0
    """
    X, labels, columns = _describe_used_components(estimator, X)
    X = check_matrix("npmi_scorer", ops.to_host(X))
    if np.any((X.data if sparse.issparse(X) else X) < 0):
        raise ValueError(
            "NPMI wants a matrix of words, never below zero; negative values reach the model. "
            "Score embeddings and SVD features by the model's own score instead."
        )
    filled = np.asarray(X.sum(axis=1)).ravel() > 0
    labels = np.where(filled, labels, -1)
    covered = _compute_coverage(columns, X, labels)
    score = (covered * _compute_distinct_coherence(columns, X) - (1.0 - covered)).mean()
    won = (labels >= 0).sum() / np.maximum(filled.sum(), 1)
    return float(won * score - (1.0 - won))


def diversity_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Diversity of the units' ten strongest words by weight: a `scoring=` for GridSearchCV.

    Distinct words over places, 10 a unit or n_features where that is less. The places of an idle unit, one
    that wins no row of X, stay empty. A single unit scores 1: do not choose how many units by this alone.

    Parameters
    ----------
    estimator, X, y
        As for `npmi_scorer`; negative values are welcome.

    Returns
    -------
    float
        In [0, 1]; higher is better.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import NMF
    >>> X = np.repeat(np.eye(2), [2, 2], axis=1)[[0, 1, 0, 1]]
    >>> diversity_scorer(NMF(2, random_state=0).fit(X), X)
    0.5
    """
    _, _, columns = _describe_used_components(estimator, X)
    n_features = get_components(split_pipeline(estimator)[1]).shape[1]
    return len(np.unique(np.concatenate(columns))) / (len(columns) * min(N_WORDS, n_features))


def _compute_distinct_coherence(columns: list[NDArray[np.intp]], X: Any) -> NDArray[np.float64]:
    """npmi(k) - max(0, max over j of npmi(k, j)), at least -1, and -1 for fewer than two words."""
    sizes = [len(words) for words in columns]
    listed, owner = np.concatenate(columns), np.repeat(np.arange(len(columns)), sizes)
    meetings = count_cooccurrences(columns, X)
    coherence = np.full(len(columns), -1.0)
    for k, words in enumerate(columns):
        if len(words) > 1:
            meet = meetings.npmi(words, listed)
            nearness = np.bincount(owner, meet.mean(axis=0), len(columns)) / np.maximum(sizes, 1)
            nearness[k] = 0.0  # not its own neighbour; and the floor, since an unrelated topic earns nothing
            coherence[k] = max(average_over_pairs(meet[:, owner == k]) - nearness.max(), -1.0)
    return coherence


def _compute_coverage(columns: list[NDArray[np.intp]], X: Any, labels: NDArray[np.intp]) -> NDArray[np.float64]:
    """Share of the rows a unit wins that have a word of its list; 0 for a unit that wins none. X >= 0."""
    listed, owner = np.concatenate(columns), np.repeat(np.arange(len(columns)), [len(c) for c in columns])
    lists = sparse.csr_matrix((np.ones(len(listed)), (listed, owner)), shape=(X.shape[1], len(columns)))
    rows = np.flatnonzero(labels >= 0)
    won = sparse.csr_matrix((np.ones(len(rows)), (rows, labels[rows])), shape=(X.shape[0], len(columns)))
    named = sparse.csr_matrix(won.multiply(X @ lists)) > 0
    return np.asarray(named.sum(axis=0)).ravel() / np.maximum(count_wins(labels, len(columns)), 1)


def _describe_used_components(estimator: Any, X: Any) -> tuple[Any, Any, list[NDArray[np.intp]]]:
    """The matrix that reaches the model, its winners, and each unit's top columns: none for an idle unit."""
    preparation, learner = split_pipeline(estimator)
    if preparation is not None:
        X = preparation.transform(X)
    check_structure("the scorer", X)
    labels = predict_components(learner, X)
    columns = select_top_columns(get_components(learner), N_WORDS)
    count = count_wins(labels, len(columns))
    return X, labels, [words if won else words[:0] for words, won in zip(columns, count, strict=True)]
