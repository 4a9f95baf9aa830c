"""Rankings beside what is known to be relevant: checked, and turned into grades by rank."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codebooks import ops
from codebooks.errors import short_repr

__all__ = ["Judged", "Relevant", "judge"]

Floats = NDArray[np.float64]
Relevant = Sequence[Mapping[Any, float] | Collection[Any]]


class Judged(NamedTuple):
    """Rankings as grades; 0 for what is not relevant."""

    grades: Floats  # (n_queries, depth) of what stands at each rank
    ideal: Floats  # (n_queries, most relevant documents) of all relevant documents, descending, filled up with 0
    n_relevant: NDArray[np.intp]  # (n_queries,)


def judge(ranked: Any, relevant: Relevant) -> Judged:
    """Grades for rankings, with the conventions and the errors that `codebooks.metrics.ranking` tells.

    Examples
    --------
    >>> judge([[7, 3, -1]], [{3: 2, 4: 1}]).grades.tolist()
    [[0.0, 2.0, 0.0]]
    """
    rankings = _split_rankings(ranked)
    judgements = [_check_grades(q, given) for q, given in enumerate(relevant)]
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
    return Judged(grades, ideal, (ideal > 0).sum(axis=1))


def _split_rankings(ranked: Any) -> list[list[Any]]:
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
            raise TypeError(f"each ranking must be a sequence of ids; {short_repr(ranking)} came for query {q}.")
        documents = ranking.tolist() if isinstance(ranking, np.ndarray) else list(ranking)
        documents = [None if _is_nothing(document) else document for document in documents]
        present = [document for document in documents if document is not None]
        if len(set(present)) < len(present):
            twice = next(document for i, document in enumerate(present) if document in present[:i])
            raise ValueError(f"a ranking must hold each document once; {short_repr(twice)} came twice for query {q}.")
        found.append(documents)
    return found


def _is_nothing(document: Any) -> bool:
    """Whether an id is what searches write where they found too few: -1 among numbers, "" among names."""
    return document == "" if isinstance(document, str) else isinstance(document, Integral) and document == -1


def _check_grades(q: int, given: Any) -> dict[Any, float]:
    """The grade of each relevant document of query q."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(
            f"judgements must be a dict from id to grade, or a collection of ids, for each query; "
            f"{short_repr(given)} came for query {q}."
        )
    if not isinstance(given, Mapping):
        given = dict.fromkeys(given.tolist() if isinstance(given, np.ndarray) else given, 1.0)
    grades = {document: float(grade) for document, grade in given.items()}
    if not np.isfinite(list(grades.values())).all():
        raise ValueError(f"grades must be finite numbers; those of query {q} are {short_repr(list(grades.values()))}.")
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
