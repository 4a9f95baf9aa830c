"""Ranking of documents by a topic or a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.interpret._labelling import select_largest
from codebooks.interpret._queries import compute_component_shares, vectorize_query
from codebooks.interpret.assignments import check_given_codes
from codebooks.interpret.model_access import (
    apply_preparation,
    compute_codes,
    count_rows,
    get_components,
    sort_by_cosine,
    split_pipeline,
)
from codebooks.validation.arrays import check_count, check_matrix

__all__ = ["Ranking", "find_non_empty_rows", "rank_documents", "rank_rows"]

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]


class Ranking(NamedTuple):
    """Ranked rows, the best first.

    Attributes
    ----------
    rows : int array
        Row indices; rows with equal scores are in ascending order.
    scores : float64 array of the same length
        Their scores, descending.
    """

    rows: Ints
    scores: Floats


def rank_documents(
    model: Any,
    X: Any,
    query: Any,
    *,
    n_documents: int = 10,
    n_topics: int = 3,
    feature_names: Sequence[str] | NDArray[Any] | None = None,
    codes: Any = None,
) -> Ranking:
    """Rank all documents by their code for a topic, for a mixture of topics, or for the topics of a query.

    The score of row i is the sum over components k of w_k a_ik, with a_i its code: w_k is 1 for one topic, the given
    weight for a mixture, or the share of component k in a query (see `expand`). Unlike `representative_documents`, it
    also ranks rows assigned to other components.

    Parameters
    ----------
    model : fitted estimator or fitted Pipeline
        As for `topic_words`, with a `transform`. For KMeans the code is minus the distance.
    X : array or sparse matrix of shape (n_samples, n_features), or raw documents for a Pipeline
        The documents; None if `codes` are given.
    query : int, mapping of int to float, or a query
        The number of a component; weights by number, such as {3: 1, 7: -0.5} for topic 3 without topic 7; or a query
        as for `expand`.
    n_documents : int, default=10
        The largest number of rows.
    n_topics : int, default=3
        The largest number of components used for a query.
    feature_names : sequence of str, length n_features, optional
        The word of each column, needed for a query of words to a model without a Pipeline.
    codes : array of shape (n_samples, n_components), optional
        The codes of the documents as `transform` returns them, to avoid computing them again.

    Returns
    -------
    Ranking
        Rows and scores. Rows that are empty or share no feature with any component are left out. Equal scores, such as
        shares of 1, are ordered by the cosine with the query, or with the mean of the documents weighted by their
        scores; with `codes` by row index.

    Raises
    ------
    sklearn.exceptions.NotFittedError, TypeError
        The model is not fitted; it has no components.
    ValueError
        The model does not have the component, the mixture is empty or has weights that are not finite, `n_documents` is
        below 1, neither X nor codes are passed, codes do not match the model, or the query is invalid as for `expand`.

    See Also
    --------
    representative_documents : The best documents among those assigned to a component.
    suggest : Rows similar to chosen rows.

    Examples
    --------
    >>> from codebooks import KrotovHopfield
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> texts = ["goal match", "goal match team", "loan bank", "loan bank rate"]
    >>> model = make_pipeline(CountVectorizer(), KrotovHopfield(2, random_state=0)).fit(texts)
    >>> rank_documents(model, texts, "team", n_documents=2).rows.tolist()
    [1, 0]
    """
    check_count("n_documents", n_documents)
    preparation, learner = split_pipeline(model)
    n_components, n_features = get_components(learner).shape
    if isinstance(query, Integral | Mapping):
        row, weights = None, _check_component_weights(query, n_components)
    else:
        row = vectorize_query(preparation, learner, query, feature_names, n_features)
        weights = compute_component_shares(learner, row, n_components, n_topics)
    if codes is not None:
        strength = check_given_codes(learner, codes, n_components, count_rows(X))
        non_empty = np.asarray(strength.any(axis=1))
    elif X is not None:
        X = apply_preparation(preparation, X, n_features)
        strength = compute_codes(learner, X)
        non_empty = find_non_empty_rows(X) & strength.any(axis=1)
    else:
        raise ValueError("`X` or `codes` must be given, got neither. Pass the documents as X=, or their codes=.")
    scores = _weight_codes(strength, weights)
    rows = None if codes is not None else sort_by_cosine(X, np.arange(len(scores)), row, scores.clip(0, None))
    return rank_rows(scores, non_empty, n_documents, rows)


def _check_component_weights(query: Any, n_components: int) -> Floats:
    """Return the weight of each component for a component or a mixture, shape (n_components,)."""
    mixture = query if isinstance(query, Mapping) else {query: 1.0}
    unknown = [k for k in mixture if not isinstance(k, Integral) or int(k) not in range(n_components)]
    if unknown:
        raise ValueError(
            f"`query` must be a component from 0 to {n_components - 1}, a mixture of them or words, got "
            f"{short_repr(unknown[0])}. Use the id of a topic."
        )
    weights = np.zeros(n_components)
    weights[list(mixture)] = list(mixture.values())
    if not np.isfinite(weights).all() or not weights.any():
        raise ValueError(
            f"`query` as a mixture must give components finite weights, at least one of them not 0, got "
            f"{short_repr(dict(mixture))}. Pass for example {{3: 1, 7: -0.5}}."
        )
    return weights


def _weight_codes(codes: NDArray[Any], weights: Floats) -> NDArray[Any]:
    """Return weighted sums of the codes of each row, in float64 and rounded to the precision of the codes."""
    return np.einsum("ik,k->i", codes, weights).astype(np.result_type(codes.dtype, np.float32), copy=False)


def find_non_empty_rows(X: Any) -> NDArray[np.bool_]:
    """Return which rows have an entry that is not zero."""
    X = check_matrix("rank_documents", ops.to_host(X))
    return np.asarray(abs(X).sum(axis=1)).ravel() > 0


def rank_rows(
    scores: NDArray[Any], is_candidate: NDArray[np.bool_], n: int, order: NDArray[Any] | None = None
) -> Ranking:
    """Rank the candidate rows; scores that differ by rounding only are ties, by their place in `order` or by index."""
    rows = np.flatnonzero(is_candidate) if order is None else order[is_candidate[order]]
    rows = rows[select_largest(scores[rows], n)]
    return Ranking(rows, np.minimum.accumulate(np.asarray(scores[rows], dtype=np.float64)))
