"""Documents in the order of how strongly they show a concept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from codebooks import ops
from codebooks.codes import codes_given
from codebooks.concepts.queries import query_row, shares_of
from codebooks.errors import short_repr
from codebooks.inputs import check_count, check_matrix
from codebooks.topics import codebook, codes_of, largest, n_rows, prepared, split

__all__ = ["Ranking", "filled_rows", "rank_documents", "ranked"]

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]


class Ranking(NamedTuple):
    """Rows in order, the best first.

    Attributes
    ----------
    rows : int array
        Row numbers; equal scores stand by row number.
    scores : float64 array of the same length
        Their scores, falling.
    """

    rows: Ints
    scores: Floats


def rank_documents(
    model: Any,
    X: Any,
    concept: Any,
    n: int = 10,
    *,
    terms: Sequence[str] | NDArray[Any] | None = None,
    n_concepts: int = 3,
    codes: Any = None,
) -> Ranking:
    """Rank all documents by how strongly they show a concept, a mixture of concepts, or a query's concepts.

    The score of row i is sum over units k of w_k a_ik, with a_i its code: w_k is 1 for the one unit asked for,
    what a mixture says, or the share of unit k in a query (see `expand`). Unlike `top_documents` this also
    ranks rows that another unit wins.

    Parameters
    ----------
    model : fitted estimator or fitted Pipeline
        As for `topics`, with a `transform`. For a KMeans the code is minus the distance.
    X : array or sparse matrix of shape (n_samples, n_features), or raw documents for a Pipeline
        The documents; None will do with codes.
    concept : int, mapping of int to float, or a query
        A unit's index; weights by index, such as {3: 1, 7: -0.5} for unit 3 without unit 7; or a query as for
        `expand`.
    n : int, default=10
        At most so many rows.
    terms : sequence of str, length n_features, optional
        The name of each column, wanted where words are asked of a model without a Pipeline.
    n_concepts : int, default=3
        At most so many concepts of a query.
    codes : array of shape (n_samples, n_components), optional
        The codes of the documents, as `transform` gives them, where they are known: embeddings are not made again.

    Returns
    -------
    Ranking
        (rows, scores). Rows that are empty or share nothing with any unit show no concept and are left out.

    Raises
    ------
    sklearn.exceptions.NotFittedError, TypeError
        The model has not been fitted; it has no codebook.
    ValueError
        A unit that the model has not, an empty mixture or one of weights that are not finite, n < 1, neither X nor
        codes or codes that do not fit, or anything in a query that `expand` refuses.

    Examples
    --------
    >>> from codebooks import KrotovHopfield
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> texts = ["goal match", "goal match team", "loan bank", "loan bank rate"]
    >>> model = make_pipeline(CountVectorizer(), KrotovHopfield(2, random_state=0)).fit(texts)
    >>> rank_documents(model, texts, "team", n=2).rows.tolist()
    [1, 0]
    """
    check_count("n", n)
    preparation, learner = split(model)
    weights = _weights(preparation, learner, concept, terms, n_concepts)
    n_components, n_features = codebook(learner).shape
    if codes is not None:
        strength = codes_given(learner, codes, n_components, n_rows(X))
        filled = np.asarray(strength.any(axis=1))
    elif X is not None:
        X = prepared(preparation, X, n_features)
        strength = codes_of(learner, X)
        filled = filled_rows(X) & strength.any(axis=1)
    else:
        raise ValueError("documents are wanted and none came. Pass X=, or their codes=.")
    return ranked(_weighed(strength, weights), filled, n)


def _weights(preparation: Pipeline | None, learner: Any, concept: Any, terms: Any, n_concepts: int) -> Floats:
    """How much each unit counts, shape (n_components,)."""
    n_components, n_features = codebook(learner).shape
    if not isinstance(concept, Integral | Mapping):
        return shares_of(learner, query_row(preparation, learner, concept, terms, n_features), n_components, n_concepts)
    mixture = concept if isinstance(concept, Mapping) else {concept: 1.0}
    unknown = [k for k in mixture if not isinstance(k, Integral) or int(k) not in range(n_components)]
    if unknown:
        raise ValueError(
            f"a concept is a unit from 0 to {n_components - 1}; {short_repr(unknown[0])} came. Ask for one of these."
        )
    weights = np.zeros(n_components)
    weights[list(mixture)] = list(mixture.values())
    if not np.isfinite(weights).all() or not weights.any():
        raise ValueError(
            f"a mixture wants a finite weight for each of its units, and one that is not 0; {dict(mixture)} came. "
            "Give for example {3: 1, 7: -0.5}."
        )
    return weights


def _weighed(codes: NDArray[Any], weights: Floats) -> NDArray[Any]:
    """Each row's codes, weighed and summed in float64, and as exact as the codes are: equal rows tie."""
    return np.einsum("ik,k->i", codes, weights).astype(np.result_type(codes.dtype, np.float32), copy=False)


def filled_rows(X: Any) -> NDArray[np.bool_]:
    """Which rows have anything in them."""
    X = check_matrix("rank_documents", ops.to_host(X))
    return np.asarray(abs(X).sum(axis=1)).ravel() > 0


def ranked(scores: NDArray[Any], wanted: NDArray[np.bool_], n: int) -> Ranking:
    """The best of the wanted rows, equal scores by row number; those that differ by rounding alone are equal."""
    rows = np.flatnonzero(wanted)
    rows = rows[largest(scores[rows], n)]
    return Ranking(rows, np.minimum.accumulate(np.asarray(scores[rows], dtype=np.float64)))
