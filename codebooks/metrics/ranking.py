"""How good rankings are, judged by the documents that are known to be relevant.

All functions take the same two arguments and follow the same conventions, those of trec_eval where it has one:

- `ranked` holds a ranking for each query, the best first: an int array of shape (n_queries, depth), or a sequence of
  sequences of ids (numbers or strings, of any lengths). -1 stands for nothing, and so does "": its rank stays empty. A
  document that stands twice in one ranking is an error.
- `relevant` says for each query, in the same order, what is relevant: a dict from id to grade, or ids alone, which have
  grade 1 then. Grades of 0 and below, and ids that are not mentioned, are not relevant.
- A query without a relevant document cannot be judged: it is nan with `per_query=True`, and left out of the mean
  (trec_eval counts it 0). `ranking_scores` says how many queries were left in; none is an error.
- Rankings are judged as deep as they are. What did not make it into a ranking is missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codebooks.errors import short_repr
from codebooks.metrics._relevance import Judged, Relevant, judge
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
    """Normalised discounted cumulative gain (Järvelin & Kekäläinen 2002) of the first k ranks.

    With g_i the gain of the document at rank i,

        DCG = sum over ranks i <= k of g_i / log2(i + 1),

    divided by the DCG of the best ranking that could be, of all relevant documents.

    Parameters
    ----------
    ranked : int array of shape (n_queries, depth), or sequence of sequences of ids
        A ranking for each query; -1 is nothing, and "" among strings.
    relevant : sequence of dicts from id to grade, or of collections of ids
        What is relevant to each query.
    k : int or None, default=10
        How many ranks count; None takes all.
    gains : {"linear", "exponential"}, default="linear"
        The gain of grade g is g, as in trec_eval, or 2^g - 1 (Burges et al. 2005), which tells grades further apart.
    per_query : bool, default=False
        Whether each query's value comes instead of their mean.

    Returns
    -------
    float, or float64 array of shape (n_queries,)
        0 to 1; nan for a query without relevant documents.

    Raises
    ------
    TypeError
        Ids are strings on one side and numbers on the other, or a ranking is no sequence of ids.
    ValueError
        A document is ranked twice, the two arguments differ in length, a grade is no finite number, no query has a
        relevant document, k is below 1, or gains is neither word.

    Examples
    --------
    >>> round(ndcg([[7, 3, 5], [4, 1, -1]], [{3: 1}, {4: 2, 1: 1}]), 3)
    0.815
    >>> ndcg([[7, 3, 5], [4, 1, -1]], [{3: 1}, {4: 2, 1: 1}], per_query=True).round(3).tolist()
    [0.631, 1.0]
    """
    if gains not in ("linear", "exponential"):
        raise ValueError(f"gains must be 'linear' or 'exponential'; {short_repr(gains)} came.")
    judged = judge(ranked, relevant)
    return _aggregate(judged, _compute_ndcg(judged, _check_rank(k), gains), per_query)


def average_precision(
    ranked: Any, relevant: Relevant, k: int | None = None, *, per_query: bool = False
) -> float | Floats:
    """Precision at the rank of each relevant document, averaged; the mean over queries is MAP.

        AP = sum over ranks i <= k that hold a relevant document of (relevant ones among the first i) / i,

    divided by the number of all relevant documents, also with k (as trec_eval's map_cut).

    Parameters
    ----------
    ranked, relevant, per_query
        As for `ndcg`, with the same errors.
    k : int or None, default=None
        How many ranks count; None takes all.

    Returns
    -------
    float, or float64 array of shape (n_queries,)
        0 to 1; nan for a query without relevant documents.

    Examples
    --------
    >>> round(average_precision([["a", "b", "c"]], [{"a": 1, "c": 1}]), 3)
    0.833
    """
    judged = judge(ranked, relevant)
    return _aggregate(judged, _compute_average_precision(judged, _check_rank(k)), per_query)


def reciprocal_rank(
    ranked: Any, relevant: Relevant, k: int | None = None, *, per_query: bool = False
) -> float | Floats:
    """1 / rank of the first relevant document, 0 where there is none; the mean over queries is MRR.

    Parameters
    ----------
    ranked, relevant, per_query
        As for `ndcg`, with the same errors.
    k : int or None, default=None
        How many ranks count; None takes all.

    Returns
    -------
    float, or float64 array of shape (n_queries,)
        0 to 1; nan for a query without relevant documents.

    Examples
    --------
    >>> reciprocal_rank([[7, 3, 5], [4, 1, -1]], [[3], [4]])
    0.75
    """
    judged = judge(ranked, relevant)
    return _aggregate(judged, _compute_reciprocal_rank(judged, _check_rank(k)), per_query)


def recall_at(
    ranked: Any, relevant: Relevant, ks: int | Iterable[int] = range(1, 11), *, per_query: bool = False
) -> float | Floats:
    """Share of the relevant documents that stand among the first k.

    Parameters
    ----------
    ranked, relevant, per_query
        As for `ndcg`, with the same errors.
    ks : int or iterable of ints, default=1, 2, ..., 10
        How many ranks count.

    Returns
    -------
    float64 array of shape (n_ks,), or (n_queries, n_ks) per query
        0 to 1; nan for a query without relevant documents. Without the last axis where ks is an int.

    Examples
    --------
    >>> recall_at([[7, 3, 5], [4, 1, -1]], [{3: 1}, {4: 2, 1: 1}], ks=[1, 2]).tolist()
    [0.25, 1.0]
    """
    judged = judge(ranked, relevant)
    return _aggregate(judged, _compute_recall(judged, _check_ranks(ks)), per_query)


def accuracy_at(
    ranked: Any, relevant: Relevant, ks: int | Iterable[int] = range(1, 11), *, per_query: bool = False
) -> float | Floats:
    """Share of the queries whose first k hold a relevant document: top-k accuracy, "success" in trec_eval.

    Parameters
    ----------
    ranked, relevant, per_query
        As for `ndcg`, with the same errors.
    ks : int or iterable of ints, default=1, 2, ..., 10
        How many ranks count.

    Returns
    -------
    float64 array of shape (n_ks,), or (n_queries, n_ks) per query
        0 to 1, never falling with k; nan for a query without relevant documents. Without the last axis where ks is an
        int.

    Examples
    --------
    >>> accuracy_at([[7, 3, 5], [4, 1, -1]], [[3], [4]], ks=[1, 2]).tolist()
    [0.5, 1.0]
    """
    judged = judge(ranked, relevant)
    return _aggregate(judged, _compute_accuracy(judged, _check_ranks(ks)), per_query)


def precision_at(
    ranked: Any, relevant: Relevant, ks: int | Iterable[int] = range(1, 11), *, per_query: bool = False
) -> float | Floats:
    """Relevant documents among the first k, over k, also where a ranking is shorter.

    Parameters
    ----------
    ranked, relevant, per_query
        As for `ndcg`, with the same errors.
    ks : int or iterable of ints, default=1, 2, ..., 10
        How many ranks count.

    Returns
    -------
    float64 array of shape (n_ks,), or (n_queries, n_ks) per query
        0 to 1; nan for a query without relevant documents. Without the last axis where ks is an int.

    Examples
    --------
    >>> precision_at([[7, 3, 5], [4, 1, -1]], [{3: 1}, {4: 2, 1: 1}], ks=2)
    0.75
    """
    judged = judge(ranked, relevant)
    return _aggregate(judged, _compute_precision(judged, _check_ranks(ks)), per_query)


def ranking_scores(ranked: Any, relevant: Relevant) -> dict[str, float]:
    """Everything usual about rankings at once, each a mean over the queries that have relevant documents.

    Parameters
    ----------
    ranked, relevant
        As for `ndcg`, with the same errors.

    Returns
    -------
    dict from str to float
        "nDCG@10" (linear gains), "MAP", "MRR", "precision@10", "recall@10", "recall@<depth>" where rankings are deeper,
        "accuracy@1" to "accuracy@10", and "n_queries", how many queries the means are over. MAP and MRR are over whole
        rankings.

    Examples
    --------
    >>> scores = ranking_scores([[7, 3, 5], [4, 1, -1], [2, 3, 4]], [{3: 1}, {4: 2, 1: 1}, {}])
    >>> scores["MRR"], scores["accuracy@1"], scores["n_queries"]
    (0.75, 0.5, 2)
    """
    judged = judge(ranked, relevant)
    depth = judged.grades.shape[1]
    found = {
        "nDCG@10": _compute_ndcg(judged, 10, "linear"),
        "MAP": _compute_average_precision(judged, None),
        "MRR": _compute_reciprocal_rank(judged, None),
        "precision@10": _compute_precision(judged, 10),
        "recall@10": _compute_recall(judged, 10),
    }
    if depth > 10:
        found[f"recall@{depth}"] = _compute_recall(judged, depth)
    accuracies = _compute_accuracy(judged, np.arange(1, 11))
    found |= {f"accuracy@{k}": accuracies[:, k - 1] for k in range(1, 11)}
    known = judged.n_relevant > 0
    return {name: float(values[known].mean()) for name, values in found.items()} | {"n_queries": int(known.sum())}


def _compute_ndcg(judged: Judged, k: int | None, gains: str) -> Floats:
    def dcg(grades: Floats) -> Floats:
        grades = grades[:, :k]
        gained = grades if gains == "linear" else np.exp2(grades) - 1
        return (gained / np.log2(np.arange(2, grades.shape[1] + 2))).sum(axis=1)

    return _divide(dcg(judged.grades), dcg(judged.ideal))


def _compute_average_precision(judged: Judged, k: int | None) -> Floats:
    hits = judged.grades[:, :k] > 0
    precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return _divide((precision * hits).sum(axis=1), judged.n_relevant)


def _compute_reciprocal_rank(judged: Judged, k: int | None) -> Floats:
    hits = judged.grades[:, :k] > 0
    first = (hits / np.arange(1, hits.shape[1] + 1)).max(axis=1, initial=0.0)
    return np.where(judged.n_relevant > 0, first, np.nan)


def _compute_recall(judged: Judged, ks: Any) -> Floats:
    return _divide(_count_hits(judged, ks), judged.n_relevant)


def _compute_accuracy(judged: Judged, ks: Any) -> Floats:
    return _divide(_count_hits(judged, ks) > 0, judged.n_relevant > 0)


def _compute_precision(judged: Judged, ks: Any) -> Floats:
    return _divide(_count_hits(judged, ks) / ks, judged.n_relevant > 0)


def _count_hits(judged: Judged, ks: Any) -> NDArray[np.intp]:
    """Relevant documents among the first k, shape (n_queries,) for one k, (n_queries, n_ks) for several."""
    counts = np.pad((judged.grades > 0).cumsum(axis=1), ((0, 0), (1, 0)))
    return counts[:, np.minimum(ks, judged.grades.shape[1])]


def _divide(part: Any, whole: Any) -> Floats:
    """Divide `part` by `whole`, which has a value a query; nan where that is 0."""
    whole = np.where(whole > 0, whole, np.nan)
    return part / (whole if np.ndim(part) == 1 else whole[:, None])


def _aggregate(judged: Judged, values: Floats, per_query: bool) -> float | Floats:
    if per_query:
        return values
    mean = values[judged.n_relevant > 0].mean(axis=0)
    return float(mean) if np.ndim(mean) == 0 else mean


def _check_rank(k: Any) -> Any:
    """A number of ranks; None is all."""
    if k is not None:
        check_count("k", k)
    return k


def _check_ranks(ks: Any) -> Any:
    """One k, or an array of several."""
    if not isinstance(ks, Iterable):
        check_count("ks", ks)
        return ks
    several = list(ks)
    for k in several:
        check_count("ks", k)
    return np.array(several, dtype=np.intp)
