"""Scorers of fitted topic models on held-out data, for `scoring=` of GridSearchCV."""

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

N_WORDS = 10  # number of words per topic in the two scorers, as in most published tables


def npmi_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Score the coherence of topics on held-out documents, with a penalty for divided and mixed topics.

    Use it as `scoring=` of GridSearchCV, for example to choose `n_components`.

    Take the ten words of largest weight of each component k. Let npmi(k) be the mean NPMI over pairs of its words,
    npmi(k, j) the mean over all pairs of a word of k with a word of j (1 for a word with itself), and c_k the share
    of the documents of k that contain one of its words. The score is the mean over components of

        c_k max(-1, npmi(k) - max(0, max over j of npmi(k, j))) - (1 - c_k).

    With a share w of non-empty documents assigned to a component, the result is w * score - (1 - w). It equals plain
    NPMI if topics are unrelated and each document contains a word of its topic. With too many components, parts of one
    topic are coherent, but also coherent with each other, which is subtracted. With too few, a component mixes words
    that do not occur together, or gets documents without its words, which count -1. A component without documents
    counts -1 too.

    Plain NPMI measures none of this. NPMI x diversity ("topic quality") counts repeated words only, and prefers
    them if NPMI is negative.

    Parameters
    ----------
    estimator : fitted estimator or fitted Pipeline
        In a Pipeline, `X` passes through all steps but the last, so that raw text can be scored.
    X : array or sparse matrix of shape (n_samples, n_features), or raw documents for a Pipeline
        The held-out fold. Co-occurrence is counted in it, so it needs enough documents. Shuffle the folds if documents
        are sorted: `GridSearchCV(..., cv=KFold(3, shuffle=True, random_state=0))`.
    y : ignored

    Returns
    -------
    float
        In [-1, 1]; higher is better.

    Raises
    ------
    ValueError
        The matrix has negative values: its columns are not words.

    See Also
    --------
    npmi : Plain coherence of topics.
    codebooks.choose_n_components : Choose the number of components without cross-validation.

    References
    ----------
    P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", 1987: the
    idea of comparing a cluster with the nearest other one.

    A. B. Dieng, F. J. R. Ruiz, D. M. Blei, "Topic modeling in embedding spaces", TACL 2020: topic quality.

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
            "npmi_scorer expected a matrix of word counts or weights >= 0, got negative values. Use the score method "
            "of the model for embeddings and SVD features."
        )
    non_empty = np.asarray(X.sum(axis=1)).ravel() > 0
    labels = np.where(non_empty, labels, -1)
    covered = _compute_coverage(columns, X, labels)
    score = (covered * _compute_distinct_coherence(columns, X) - (1.0 - covered)).mean()
    assigned = (labels >= 0).sum() / np.maximum(non_empty.sum(), 1)
    return float(assigned * score - (1.0 - assigned))


def diversity_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Score the diversity of the ten words of largest weight of each component.

    Use it as `scoring=` of GridSearchCV, together with another score: a single component scores 1.

    The score is the number of distinct words divided by 10 n_components, or by n_features n_components if there are
    fewer than 10 features. Words of a component that no row of `X` is assigned to are not counted.

    Parameters
    ----------
    estimator, X, y
        As for `npmi_scorer`. Negative values are accepted.

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
    """Compute npmi(k) - max(0, max over j of npmi(k, j)), at least -1, and -1 for fewer than two words."""
    sizes = [len(words) for words in columns]
    all_words, owner = np.concatenate(columns), np.repeat(np.arange(len(columns)), sizes)
    cooccurrences = count_cooccurrences(columns, X)
    coherence = np.full(len(columns), -1.0)
    for k, words in enumerate(columns):
        if len(words) > 1:
            pairwise = cooccurrences.compute_npmi(words, all_words)
            similarity = np.bincount(owner, pairwise.mean(axis=0), len(columns)) / np.maximum(sizes, 1)
            similarity[k] = 0.0  # exclude k itself; 0 is also the minimum, so that unrelated topics add nothing
            coherence[k] = max(average_over_pairs(pairwise[:, owner == k]) - similarity.max(), -1.0)
    return coherence


def _compute_coverage(columns: list[NDArray[np.intp]], X: Any, labels: NDArray[np.intp]) -> NDArray[np.float64]:
    """Compute the share of the rows of each component that contain one of its words; 0 without rows. X >= 0."""
    all_words, owner = np.concatenate(columns), np.repeat(np.arange(len(columns)), [len(words) for words in columns])
    in_topic = sparse.csr_matrix((np.ones(len(all_words)), (all_words, owner)), shape=(X.shape[1], len(columns)))
    rows = np.flatnonzero(labels >= 0)
    assigned = sparse.csr_matrix((np.ones(len(rows)), (rows, labels[rows])), shape=(X.shape[0], len(columns)))
    covered = sparse.csr_matrix(assigned.multiply(X @ in_topic)) > 0
    return np.asarray(covered.sum(axis=0)).ravel() / np.maximum(count_wins(labels, len(columns)), 1)


def _describe_used_components(estimator: Any, X: Any) -> tuple[Any, Any, list[NDArray[np.intp]]]:
    """Return the input matrix of the model, the labels, and the top columns of each component that has rows."""
    preparation, learner = split_pipeline(estimator)
    if preparation is not None:
        X = preparation.transform(X)
    check_structure("The scorer", X)
    labels = predict_components(learner, X)
    columns = select_top_columns(get_components(learner), N_WORDS)
    count = count_wins(labels, len(columns))
    return X, labels, [words if n_rows else words[:0] for words, n_rows in zip(columns, count, strict=True)]
