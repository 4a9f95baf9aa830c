"""Validation of rankings and relevance judgements, and their conversion to grades by rank."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codebooks import ops
from codebooks.errors import short_repr

__all__ = ["RankedGrades", "Relevant", "grade_rankings"]

Floats = NDArray[np.float64]
Relevant = Sequence[Mapping[Any, float] | Collection[Any]]


class RankedGrades(NamedTuple):
    """Grades of the ranked documents; 0 for documents that are not relevant."""

    grades: Floats  # (n_queries, depth), the grade of the document at each rank
    ideal: Floats  # (n_queries, largest n_relevant), the grades of all relevant documents, descending, padded with 0
    n_relevant: NDArray[np.intp]  # (n_queries,)


def grade_rankings(ranked: Any, relevant: Relevant) -> RankedGrades:
    """Return the grades of ranked documents, with the conventions and errors of `codebooks.metrics.ranking`.

    Examples
    --------
    >>> grade_rankings([[7, 3, -1]], [{3: 2, 4: 1}]).grades.tolist()
    [[0.0, 2.0, 0.0]]
    """
    rankings = _split_rankings(ranked)
    judgements = [_check_grades(q, judgement) for q, judgement in enumerate(relevant)]
    if len(rankings) != len(judgements):
        raise ValueError(
            f"`ranked` and `relevant` must have one entry for each query, got {len(rankings)} rankings and "
            f"{len(judgements)} judgements. Use an empty list or dict for a query without any."
        )
    if not any(judgements):
        raise ValueError("`relevant` must have a relevant document for at least one query, got none. Add grades > 0.")
    _refuse_mixed_id_types(rankings, judgements)
    grades = np.zeros((len(rankings), max(map(len, rankings))))
    ideal = np.zeros((len(rankings), max(map(len, judgements))))
    for q, (ranking, graded) in enumerate(zip(rankings, judgements, strict=True)):
        grades[q, : len(ranking)] = [graded.get(document, 0.0) for document in ranking]
        ideal[q, : len(graded)] = sorted(graded.values(), reverse=True)
    return RankedGrades(grades, ideal, (ideal > 0).sum(axis=1))


def _split_rankings(ranked: Any) -> list[list[Any]]:
    """Return each ranking as a list, with None for an empty rank."""
    ranked = ops.to_host(ranked)
    if isinstance(ranked, np.ndarray) and (ranked.ndim != 2 or ranked.dtype.kind not in "iuUSO"):
        raise TypeError(
            f"`ranked` must be a matrix of ids with a row for each query, got an array of {ranked.dtype}, shape "
            f"{ranked.shape}. Use [ranking] for a single query."
        )
    rankings = []
    for q, ranking in enumerate(ranked):
        if isinstance(ranking, str) or not isinstance(ranking, Iterable):
            raise TypeError(
                f"`ranked` must have a sequence of ids for each query, got {short_repr(ranking)} for query {q}. Use "
                f"[ranking] for a single query."
            )
        documents = ranking.tolist() if isinstance(ranking, np.ndarray) else list(ranking)
        documents = [None if _is_empty_rank(document) else document for document in documents]
        present = [document for document in documents if document is not None]
        if len(set(present)) < len(present):
            duplicate = next(document for i, document in enumerate(present) if document in present[:i])
            raise ValueError(
                f"`ranked` must have each document once, got {short_repr(duplicate)} twice for query {q}. Keep the "
                f"better rank."
            )
        rankings.append(documents)
    return rankings


def _is_empty_rank(document: Any) -> bool:
    """Whether an id marks an empty rank: -1 for numbers, "" for strings."""
    return document == "" if isinstance(document, str) else isinstance(document, Integral) and document == -1


def _check_grades(q: int, judgement: Any) -> dict[Any, float]:
    """Return the grade of each relevant document of query `q`."""
    if isinstance(judgement, str) or not isinstance(judgement, Iterable):
        raise TypeError(
            f"`relevant` must have a dict from id to grade, or a collection of ids, for each query, got "
            f"{short_repr(judgement)} for query {q}. Use [id] for a single document."
        )
    if not isinstance(judgement, Mapping):
        judgement = dict.fromkeys(judgement.tolist() if isinstance(judgement, np.ndarray) else judgement, 1.0)
    grades = {document: float(grade) for document, grade in judgement.items()}
    if not np.isfinite(list(grades.values())).all():
        raise ValueError(
            f"`relevant` must have finite grades, got {short_repr(list(grades.values()))} for query {q}. Use 0 for "
            f"documents that are not relevant."
        )
    return {document: grade for document, grade in grades.items() if grade > 0}


def _refuse_mixed_id_types(rankings: list[list[Any]], judgements: list[dict[Any, float]]) -> None:
    """Raise an error if one side has strings and the other numbers, because 7 and "7" would never match."""
    ranked = {isinstance(document, str) for ranking in rankings for document in ranking if document is not None}
    judged = {isinstance(document, str) for grades in judgements for document in grades}
    if ranked and ranked.isdisjoint(judged):
        raise TypeError(
            f"`ranked` and `relevant` must have ids of one type, got {'strings' if True in ranked else 'numbers'} in "
            f"`ranked` and {'strings' if True in judged else 'numbers'} in `relevant`. Convert one of them."
        )
