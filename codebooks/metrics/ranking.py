"""Ranking metrics of retrieval: nDCG, MAP, MRR, recall, precision, accuracy at k.

All functions take the same two arguments and follow the same conventions, those of trec_eval if not said otherwise:

- `ranked` has a ranking for each query, the best document first: an int array of shape (n_queries, depth), or a
  sequence of sequences of ids (numbers or strings, of any lengths). -1 and "" mark an empty rank. A document that
  occurs twice in a ranking is an error.
- `relevant` has the relevant documents of each query, in the same order: a dict from id to grade, or a collection of
  ids, which then have grade 1. Documents with grades <= 0, and documents that are not listed, are not relevant.
- A query without relevant documents has the value nan with `per_query=True`, and is left out of the mean (trec_eval
  counts it as 0). `ranking_scores` returns the number of remaining queries; it is an error if there are none.
- Relevant documents that a ranking does not contain count as not retrieved.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codebooks.errors import short_repr
from codebooks.metrics._relevance import RankedGrades, Relevant, grade_rankings
from codebooks.validation.arrays import check_count

__all__ = [
    "accuracy_at",
    "average_precision",
    "ndcg",
    "precision_at",
    "ranking_scores",
    "recall_at",
    "reciprocal_rank",
]

Floats = NDArray[np.float64]


def ndcg(
    ranked: Any, relevant: Relevant, k: int | None = 10, *, gains: str = "linear", per_query: bool = False
) -> float | Floats:
    """Compute the normalised discounted cumulative gain (nDCG) of the first k ranks.

    With g_i the gain of the document at rank i,

        DCG = sum over ranks i <= k of g_i / log2(i + 1),

    divided by the DCG of the best possible ranking of all relevant documents.

    Parameters
    ----------
    ranked : int array of shape (n_queries, depth), or sequence of sequences of ids
        A ranking for each query. -1, or "" for ids that are strings, is an empty rank.
    relevant : sequence of dicts from id to grade, or of collections of ids
        The relevant documents of each query.
    k : int or None, default=10
        Number of ranks; None uses all.
    gains : {"linear", "exponential"}, default="linear"
        The gain of grade g: g, as in trec_eval, or 2^g - 1, which emphasises high grades.
    per_query : bool, default=False
        Return the value of each query instead of the mean.

    Returns
    -------
    float, or float64 array of shape (n_queries,)
        0 to 1; nan for a query without relevant documents.

    Raises
    ------
    TypeError
        Ids are strings in one argument and numbers in the other, or a ranking is not a sequence of ids.
    ValueError
        A document is ranked twice, the two arguments differ in length, a grade is not a finite number, no query has a
        relevant document, `k` is below 1, or `gains` is another string.

    References
    ----------
    K. Järvelin, J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002; exponential gains: C. Burges
    et al., "Learning to rank using gradient descent", 2005.

    Examples
    --------
    >>> round(ndcg([[7, 3, 5], [4, 1, -1]], [{3: 1}, {4: 2, 1: 1}]), 3)
    0.815
    >>> ndcg([[7, 3, 5], [4, 1, -1]], [{3: 1}, {4: 2, 1: 1}], per_query=True).round(3).tolist()
    [0.631, 1.0]
    """
    if gains not in ("linear", "exponential"):
        raise ValueError(f"`gains` must be 'linear' or 'exponential', got {short_repr(gains)}.")
    graded = grade_rankings(ranked, relevant)
    return _aggregate(graded, _compute_ndcg(graded, _check_rank(k), gains), per_query)


def average_precision(
    ranked: Any, relevant: Relevant, k: int | None = None, *, per_query: bool = False
) -> float | Floats:
    """Compute the average precision; its mean over queries is MAP.

        AP = sum over ranks i <= k with a relevant document of (number of relevant documents among the first i) / i,

    divided by the number of all relevant documents, also with `k` (as map_cut of trec_eval).

    Parameters
    ----------
    ranked, relevant, per_query
        As for `ndcg`, with the same errors.
    k : int or None, default=None
        Number of ranks; None uses all.

    Returns
    -------
    float, or float64 array of shape (n_queries,)
        0 to 1; nan for a query without relevant documents.

    Examples
    --------
    >>> round(average_precision([["a", "b", "c"]], [{"a": 1, "c": 1}]), 3)
    0.833
    """
    graded = grade_rankings(ranked, relevant)
    return _aggregate(graded, _compute_average_precision(graded, _check_rank(k)), per_query)


def reciprocal_rank(
    ranked: Any, relevant: Relevant, k: int | None = None, *, per_query: bool = False
) -> float | Floats:
    """Compute 1 / rank of the first relevant document, 0 if none is ranked; the mean over queries is MRR.

    Parameters
    ----------
    ranked, relevant, per_query
        As for `ndcg`, with the same errors.
    k : int or None, default=None
        Number of ranks; None uses all.

    Returns
    -------
    float, or float64 array of shape (n_queries,)
        0 to 1; nan for a query without relevant documents.

    Examples
    --------
    >>> reciprocal_rank([[7, 3, 5], [4, 1, -1]], [[3], [4]])
    0.75
    """
    graded = grade_rankings(ranked, relevant)
    return _aggregate(graded, _compute_reciprocal_rank(graded, _check_rank(k)), per_query)


def recall_at(
    ranked: Any, relevant: Relevant, ks: int | Iterable[int] = range(1, 11), *, per_query: bool = False
) -> float | Floats:
    """Compute the share of the relevant documents that are among the first k.

    Parameters
    ----------
    ranked, relevant, per_query
        As for `ndcg`, with the same errors.
    ks : int or iterable of ints, default=1, 2, ..., 10
        One or several numbers of ranks.

    Returns
    -------
    float64 array of shape (n_ks,), or (n_queries, n_ks) per query
        0 to 1; nan for a query without relevant documents. Without the last axis if `ks` is an int.

    Examples
    --------
    >>> recall_at([[7, 3, 5], [4, 1, -1]], [{3: 1}, {4: 2, 1: 1}], ks=[1, 2]).tolist()
    [0.25, 1.0]
    """
    graded = grade_rankings(ranked, relevant)
    return _aggregate(graded, _compute_recall(graded, _check_ranks(ks)), per_query)


def accuracy_at(
    ranked: Any, relevant: Relevant, ks: int | Iterable[int] = range(1, 11), *, per_query: bool = False
) -> float | Floats:
    """Compute the share of queries with a relevant document among the first k (top-k accuracy, hit rate).

    trec_eval calls it "success".

    Parameters
    ----------
    ranked, relevant, per_query
        As for `ndcg`, with the same errors.
    ks : int or iterable of ints, default=1, 2, ..., 10
        One or several numbers of ranks.

    Returns
    -------
    float64 array of shape (n_ks,), or (n_queries, n_ks) per query
        0 to 1, not decreasing with k; nan for a query without relevant documents. Without the last axis if `ks` is an
        int.

    Examples
    --------
    >>> accuracy_at([[7, 3, 5], [4, 1, -1]], [[3], [4]], ks=[1, 2]).tolist()
    [0.5, 1.0]
    """
    graded = grade_rankings(ranked, relevant)
    return _aggregate(graded, _compute_accuracy(graded, _check_ranks(ks)), per_query)


def precision_at(
    ranked: Any, relevant: Relevant, ks: int | Iterable[int] = range(1, 11), *, per_query: bool = False
) -> float | Floats:
    """Compute the number of relevant documents among the first k, divided by k, also if a ranking is shorter.

    Parameters
    ----------
    ranked, relevant, per_query
        As for `ndcg`, with the same errors.
    ks : int or iterable of ints, default=1, 2, ..., 10
        One or several numbers of ranks.

    Returns
    -------
    float64 array of shape (n_ks,), or (n_queries, n_ks) per query
        0 to 1; nan for a query without relevant documents. Without the last axis if `ks` is an int.

    Examples
    --------
    >>> precision_at([[7, 3, 5], [4, 1, -1]], [{3: 1}, {4: 2, 1: 1}], ks=2)
    0.75
    """
    graded = grade_rankings(ranked, relevant)
    return _aggregate(graded, _compute_precision(graded, _check_ranks(ks)), per_query)


def ranking_scores(ranked: Any, relevant: Relevant) -> dict[str, float]:
    """Compute the usual ranking metrics, each a mean over the queries that have relevant documents.

    Parameters
    ----------
    ranked, relevant
        As for `ndcg`, with the same errors.

    Returns
    -------
    dict from str to float
        "nDCG@10" (linear gains), "MAP", "MRR", "precision@10", "recall@10", "recall@<depth>" if rankings are longer
        than 10, "accuracy@1" to "accuracy@10", and "n_queries", the number of queries with relevant documents. MAP and
        MRR use whole rankings.

    See Also
    --------
    bootstrap_interval : Confidence interval of such a mean.

    Examples
    --------
    >>> scores = ranking_scores([[7, 3, 5], [4, 1, -1], [2, 3, 4]], [{3: 1}, {4: 2, 1: 1}, {}])
    >>> scores["MRR"], scores["accuracy@1"], scores["n_queries"]
    (0.75, 0.5, 2)
    """
    graded = grade_rankings(ranked, relevant)
    depth = graded.grades.shape[1]
    values = {
        "nDCG@10": _compute_ndcg(graded, 10, "linear"),
        "MAP": _compute_average_precision(graded, None),
        "MRR": _compute_reciprocal_rank(graded, None),
        "precision@10": _compute_precision(graded, 10),
        "recall@10": _compute_recall(graded, 10),
    }
    if depth > 10:
        values[f"recall@{depth}"] = _compute_recall(graded, depth)
    accuracies = _compute_accuracy(graded, np.arange(1, 11))
    values |= {f"accuracy@{k}": accuracies[:, k - 1] for k in range(1, 11)}
    has_relevant = graded.n_relevant > 0
    means = {name: float(per_query[has_relevant].mean()) for name, per_query in values.items()}
    return means | {"n_queries": int(has_relevant.sum())}


def _compute_ndcg(graded: RankedGrades, k: int | None, gains: str) -> Floats:
    def dcg(grades: Floats) -> Floats:
        grades = grades[:, :k]
        gain = grades if gains == "linear" else np.exp2(grades) - 1
        return (gain / np.log2(np.arange(2, grades.shape[1] + 2))).sum(axis=1)

    return _divide(dcg(graded.grades), dcg(graded.ideal))


def _compute_average_precision(graded: RankedGrades, k: int | None) -> Floats:
    is_relevant = graded.grades[:, :k] > 0
    precision = is_relevant.cumsum(axis=1) / np.arange(1, is_relevant.shape[1] + 1)
    return _divide((precision * is_relevant).sum(axis=1), graded.n_relevant)


def _compute_reciprocal_rank(graded: RankedGrades, k: int | None) -> Floats:
    is_relevant = graded.grades[:, :k] > 0
    first = (is_relevant / np.arange(1, is_relevant.shape[1] + 1)).max(axis=1, initial=0.0)
    return np.where(graded.n_relevant > 0, first, np.nan)


def _compute_recall(graded: RankedGrades, ks: Any) -> Floats:
    return _divide(_count_hits(graded, ks), graded.n_relevant)


def _compute_accuracy(graded: RankedGrades, ks: Any) -> Floats:
    return _divide(_count_hits(graded, ks) > 0, graded.n_relevant > 0)


def _compute_precision(graded: RankedGrades, ks: Any) -> Floats:
    return _divide(_count_hits(graded, ks) / ks, graded.n_relevant > 0)


def _count_hits(graded: RankedGrades, ks: Any) -> NDArray[np.intp]:
    """Count the relevant documents among the first k: shape (n_queries,) for one k, (n_queries, n_ks) for several."""
    counts = np.pad((graded.grades > 0).cumsum(axis=1), ((0, 0), (1, 0)))
    return counts[:, np.minimum(ks, graded.grades.shape[1])]


def _divide(part: Any, whole: Any) -> Floats:
    """Divide `part` by `whole`, which has a value for each query; nan for a value of 0."""
    whole = np.where(whole > 0, whole, np.nan)
    return part / (whole if np.ndim(part) == 1 else whole[:, None])


def _aggregate(graded: RankedGrades, values: Floats, per_query: bool) -> float | Floats:
    if per_query:
        return values
    mean = values[graded.n_relevant > 0].mean(axis=0)
    return float(mean) if np.ndim(mean) == 0 else mean


def _check_rank(k: Any) -> Any:
    """Return the number of ranks if it is valid; None means all."""
    if k is not None:
        check_count("k", k)
    return k


def _check_ranks(ks: Any) -> Any:
    """Return one k unchanged, and several as an array."""
    if not isinstance(ks, Iterable):
        check_count("ks", ks)
        return ks
    ks = list(ks)
    for k in ks:
        check_count("ks", k)
    return np.array(ks, dtype=np.intp)
