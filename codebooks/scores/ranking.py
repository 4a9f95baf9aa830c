"""How good rankings are, judged by the documents that are known to be relevant.

All functions take the same two arguments and follow the same conventions, those of trec_eval where it has one:

- `ranked` holds a ranking for each query, the best first: an int array of shape (n_queries, depth), or a sequence of
  sequences of ids (numbers or strings, of any lengths). -1 stands for nothing: its rank stays empty. A document that
  stands twice in one ranking is an error.
- `relevant` says for each query, in the same order, what is relevant: a dict from id to grade, or ids alone, which have
  grade 1 then. Grades of 0 and below, and ids that are not mentioned, are not relevant.
- A query without a relevant document cannot be judged: it is nan with `per_query=True`, and left out of the mean
  (trec_eval counts it 0). `ranking_scores` says how many queries were left in; none is an error.
- Rankings are judged as deep as they are. What did not make it into a ranking is missed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codebooks import ops

__all__ = [
    "accuracy_at",
    "average_precision",
    "bootstrap_interval",
    "ndcg",
    "precision_at",
    "ranking_scores",
    "recall_at",
    "reciprocal_rank",
]

Floats = NDArray[np.float64]
Relevant = Sequence[Mapping[Any, float] | Collection[Any]]

_BLOCK = 2_000_000  # draws of a bootstrap held at once


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
        A ranking for each query; -1 is nothing.
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
        raise ValueError(f"gains must be 'linear' or 'exponential'; {gains!r} came.")
    judged = _judge(ranked, relevant)
    return _given_back(judged, _ndcg(judged, _rank(k), gains), per_query)


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
    judged = _judge(ranked, relevant)
    return _given_back(judged, _average_precision(judged, _rank(k)), per_query)


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
    judged = _judge(ranked, relevant)
    return _given_back(judged, _reciprocal_rank(judged, _rank(k)), per_query)


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
    judged = _judge(ranked, relevant)
    return _given_back(judged, _recall(judged, _ranks(ks)), per_query)


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
    judged = _judge(ranked, relevant)
    return _given_back(judged, _accuracy(judged, _ranks(ks)), per_query)


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
    judged = _judge(ranked, relevant)
    return _given_back(judged, _precision(judged, _ranks(ks)), per_query)


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
    judged = _judge(ranked, relevant)
    depth = judged.grades.shape[1]
    found = {
        "nDCG@10": _ndcg(judged, 10, "linear"),
        "MAP": _average_precision(judged, None),
        "MRR": _reciprocal_rank(judged, None),
        "precision@10": _precision(judged, 10),
        "recall@10": _recall(judged, 10),
    }
    if depth > 10:
        found[f"recall@{depth}"] = _recall(judged, depth)
    accuracies = _accuracy(judged, np.arange(1, 11))
    found |= {f"accuracy@{k}": accuracies[:, k - 1] for k in range(1, 11)}
    known = judged.n_relevant > 0
    return {name: float(values[known].mean()) for name, values in found.items()} | {"n_queries": int(known.sum())}


def bootstrap_interval(
    values: ArrayLike, *, level: float = 0.95, n_resamples: int = 10_000, random_state: Any = 0
) -> tuple[float, float]:
    """Where the mean over queries would lie with other queries of their kind: the percentile bootstrap (Efron 1979).

    To compare two rankings of the same queries give it the differences of their values, `a - b`: their interval says
    more than whether the intervals of each overlap.

    Parameters
    ----------
    values : array of shape (n_queries,)
        What a score gives with `per_query=True`; nan is left out.
    level : float, default=0.95
        How many of the resampled means lie in the interval.
    n_resamples : int, default=10000
        How often queries are drawn, as many as there are, with replacement.
    random_state : int, Generator or None, default=0
        Seed of the draws.

    Returns
    -------
    tuple of two floats
        The lower and the upper end.

    Raises
    ------
    ValueError
        Values are not one row, none is left, level is not between 0 and 1, or n_resamples is below 1.

    Examples
    --------
    >>> low, high = bootstrap_interval([0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    >>> print(low, high)
    0.25 0.875
    """
    given = np.asarray(ops.to_host(values), dtype=np.float64)
    if given.ndim != 1:
        raise ValueError(f"one value a query is wanted; an array of shape {given.shape} came. Give one column of it.")
    given = given[~np.isnan(given)]
    if not len(given):
        raise ValueError("at least one value that is not nan is wanted; none came.")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, for example 0.95; {level!r} came.")
    n_resamples = _rank(n_resamples, "n_resamples")
    rng = np.random.default_rng(random_state)
    means = np.empty(n_resamples)
    block = max(1, _BLOCK // len(given))
    for start in range(0, n_resamples, block):
        part = means[start : start + block]
        part[:] = given[rng.integers(len(given), size=(len(part), len(given)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


class _Judged(NamedTuple):
    """Rankings as grades; 0 for what is not relevant."""

    grades: Floats  # (n_queries, depth) of what stands at each rank
    ideal: Floats  # (n_queries, most relevant documents) of all relevant documents, descending, filled up with 0
    n_relevant: NDArray[np.intp]  # (n_queries,)


def _ndcg(judged: _Judged, k: int | None, gains: str) -> Floats:
    def dcg(grades: Floats) -> Floats:
        grades = grades[:, :k]
        gained = grades if gains == "linear" else np.exp2(grades) - 1
        return (gained / np.log2(np.arange(2, grades.shape[1] + 2))).sum(axis=1)

    return _share(dcg(judged.grades), dcg(judged.ideal))


def _average_precision(judged: _Judged, k: int | None) -> Floats:
    hits = judged.grades[:, :k] > 0
    precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return _share((precision * hits).sum(axis=1), judged.n_relevant)


def _reciprocal_rank(judged: _Judged, k: int | None) -> Floats:
    hits = judged.grades[:, :k] > 0
    first = (hits / np.arange(1, hits.shape[1] + 1)).max(axis=1, initial=0.0)
    return np.where(judged.n_relevant > 0, first, np.nan)


def _recall(judged: _Judged, ks: Any) -> Floats:
    return _share(_hits_within(judged, ks), judged.n_relevant)


def _accuracy(judged: _Judged, ks: Any) -> Floats:
    return _share(_hits_within(judged, ks) > 0, judged.n_relevant > 0)


def _precision(judged: _Judged, ks: Any) -> Floats:
    return _share(_hits_within(judged, ks) / ks, judged.n_relevant > 0)


def _hits_within(judged: _Judged, ks: Any) -> NDArray[np.intp]:
    """Relevant documents among the first k, shape (n_queries,) for one k, (n_queries, n_ks) for several."""
    counts = np.pad((judged.grades > 0).cumsum(axis=1), ((0, 0), (1, 0)))
    return counts[:, np.minimum(ks, judged.grades.shape[1])]


def _share(part: Any, whole: Any) -> Floats:
    """Divide `part` by `whole`, which has a value a query; nan where that is 0."""
    whole = np.where(whole > 0, whole, np.nan)
    return part / (whole if np.ndim(part) == 1 else whole[:, None])


def _given_back(judged: _Judged, values: Floats, per_query: bool) -> float | Floats:
    if per_query:
        return values
    mean = values[judged.n_relevant > 0].mean(axis=0)
    return float(mean) if np.ndim(mean) == 0 else mean


def _judge(ranked: Any, relevant: Relevant) -> _Judged:
    rankings = _rankings(ranked)
    judgements = [_grades(q, given) for q, given in enumerate(relevant)]
    if len(rankings) != len(judgements):
        raise ValueError(
            f"rankings and judgements must be of the same queries; {len(rankings)} rankings and {len(judgements)} "
            f"judgements came. Give an empty list or dict for a query that has none."
        )
    if not any(judgements):
        raise ValueError("at least one query with a relevant document is wanted; none came.")
    _refuse_two_kinds_of_ids(rankings, judgements)
    grades = np.zeros((len(rankings), max(map(len, rankings))))
    ideal = np.zeros((len(rankings), max(map(len, judgements))))
    for q, (ranking, graded) in enumerate(zip(rankings, judgements, strict=True)):
        grades[q, : len(ranking)] = [graded.get(document, 0.0) for document in ranking]
        ideal[q, : len(graded)] = sorted(graded.values(), reverse=True)
    return _Judged(grades, ideal, (ideal > 0).sum(axis=1))


def _rankings(ranked: Any) -> list[list[Any]]:
    """Each ranking as a list, None where it has nothing."""
    ranked = ops.to_host(ranked)
    if isinstance(ranked, np.ndarray) and (ranked.ndim != 2 or ranked.dtype.kind not in "iuUSO"):
        raise TypeError(
            f"ranked must be a matrix of ids, one ranking a row; an array of shape {ranked.shape} and type "
            f"{ranked.dtype} came."
        )
    found = []
    for q, ranking in enumerate(ranked):
        if isinstance(ranking, str) or not isinstance(ranking, Iterable):
            raise TypeError(f"each ranking must be a sequence of ids; {ranking!r} came for query {q}.")
        documents = ranking.tolist() if isinstance(ranking, np.ndarray) else list(ranking)
        documents = [None if isinstance(d, Integral) and d == -1 else d for d in documents]
        present = [document for document in documents if document is not None]
        if len(set(present)) < len(present):
            twice = next(document for i, document in enumerate(present) if document in present[:i])
            raise ValueError(f"a ranking must hold each document once; {twice!r} came twice for query {q}.")
        found.append(documents)
    return found


def _grades(q: int, given: Any) -> dict[Any, float]:
    """The grade of each relevant document of query q."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(
            f"judgements must be a dict from id to grade, or a collection of ids, for each query; {given!r} came for "
            f"query {q}."
        )
    if not isinstance(given, Mapping):
        given = dict.fromkeys(given.tolist() if isinstance(given, np.ndarray) else given, 1.0)
    grades = {document: float(grade) for document, grade in given.items()}
    if not np.isfinite(list(grades.values())).all():
        raise ValueError(f"grades must be finite numbers; those of query {q} are {list(grades.values())!r}.")
    return {document: grade for document, grade in grades.items() if grade > 0}


def _refuse_two_kinds_of_ids(rankings: list[list[Any]], judgements: list[dict[Any, float]]) -> None:
    """Row numbers against names, 7 against "7", would score 0 and nobody would know why."""
    ranked = {isinstance(d, str) for ranking in rankings for d in ranking if d is not None}
    judged = {isinstance(d, str) for graded in judgements for d in graded}
    if ranked and ranked.isdisjoint(judged):
        raise TypeError(
            f"ids must be of one kind; rankings have {'strings' if True in ranked else 'numbers'} and judgements "
            f"{'strings' if True in judged else 'numbers'}. Translate one of them."
        )


def _rank(k: Any, name: str = "k") -> Any:
    if k is not None and (not isinstance(k, Integral) or k < 1):
        raise ValueError(f"{name} must be a whole number, 1 or more; {k!r} came.")
    return k


def _ranks(ks: Any) -> Any:
    """One k, or an array of several."""
    if isinstance(ks, Integral):
        return _rank(ks, "ks")
    return np.array([_rank(k, "ks") for k in ks], dtype=np.intp)
