"""How many components a mixture of word distributions should have: the criterion of `choose_n_components` for it."""

from __future__ import annotations

from itertools import combinations
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone
from sklearn.metrics import adjusted_mutual_info_score

from codebooks import ops

__all__ = ["DOUBTFUL", "choose", "compute_agreement", "count_found", "is_doubtful", "select_rows", "tabulate"]

_LADDER = (2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 29, 38, 50, 65, 85, 110, 145, 190, 250, 330)  # numbers tried
_FEWEST_ROWS = 8  # for each component of these
_MOST_ROWS = 20_000  # looked at
# Models are fitted quickly: one start, this number of passes at most, and this number of rows in a minibatch for each
# component, as many as the mixture remembers.
_N_PASSES, _BATCH_ROWS, _SMALLEST_BATCH = 12, 25, 500
_OVERFIT = 0.75  # what overfitting weighs beside the score of unseen rows
# The ladder ends where two numbers in a row above the first have less than this part of the best merit.
_FIRST_END, _FALLEN, _LEAST_USED = 8, 0.93, 0.6
# Merits that differ by these parts are equal, where the number of components is chosen, and that of broad ones.
_EQUAL, _NEARLY = 0.005, 0.03
DOUBTFUL = 0.3  # agreement below which the answer comes with a warning
_SAME = 0.4  # components of two models are the same if the F1 of their rows is larger


class _Model(NamedTuple):
    """What one model shows."""

    labels: NDArray[Any]  # (n_samples,) components of all rows, also of those that it has not seen
    score: float  # mean log likelihood of the rows that it has not seen
    overfit: float  # by how much that of the others is larger


def select_rows(X: Any, seed: int) -> Any:
    """Return the rows that are not empty, or a random sample of them if there are many."""
    filled = np.flatnonzero(ops.to_host(ops.row_norms(X)) > 0)
    if len(filled) > _MOST_ROWS:
        filled = np.sort(np.random.RandomState(seed).choice(filled, _MOST_ROWS, replace=False))
    return ops.take_rows(X, filled)


def tabulate(learner: Any, X: Any, numbers: list[int] | None, splits: Any, seed: int) -> list[dict[str, Any]]:
    """Return a row for each number of components: means over models, one for each split into training and test rows.

    Parameters
    ----------
    learner : MultinomialMixture
        It is not changed.
    X : array or CSR matrix of shape (n_samples, n_features)
        No row is empty.
    numbers : list of int or None
        None tries a ladder of numbers until the merit has fallen.
    splits : list of (train, test)
        Row numbers.
    seed : int
    """
    learner = clone(learner)
    learner._validate_params()
    X = learner._check(X, reset=True)
    table: list[dict[str, Any]] = []
    for number in numbers or [k for k in _LADDER if k <= max(2, X.shape[0] // _FEWEST_ROWS)]:
        models = [_fit(learner, X, number, train, test, seed + i) for i, (train, test) in enumerate(splits)]
        table.append(_summarize(number, models))
        if numbers is None and _has_fallen(table):
            break
    return table


def choose(table: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rows of the table that speak for the number of components, and for a smaller number of broad ones.

    Each is the first whose merit is about the largest. The numbers are `count_found` of these rows. Where nothing
    speaks for any number, both are the first row.
    """
    fine = _find_first_best(table, "merit", _EQUAL)
    if is_doubtful(fine):
        return table[0], table[0]
    return fine, min(_find_first_best(table, "broad", _NEARLY), fine, key=lambda row: row["n_components"])


def is_doubtful(row: dict[str, Any]) -> bool:
    """Whether models of this number of components learn nothing that other rows have, too."""
    return bool(row["agreement"] < DOUBTFUL or row["merit"] == 0)


def count_found(row: dict[str, Any]) -> int:
    """Return the number of components that were found again by models fitted on other rows, at least 2."""
    return max(row["repeated"], 2)


def _fit(learner: Any, X: Any, number: int, train: Any, test: Any, seed: int) -> _Model:
    learner = clone(learner).set_params(n_components=number, max_iter=min(learner.max_iter, _N_PASSES), verbose=0)
    if learner.batch_size == "auto":
        learner.set_params(batch_size=max(len(train) // 4, _SMALLEST_BATCH, _BATCH_ROWS * number))
    learner._n_starts = 1
    state, _ = learner._run_epochs(ops.take_rows(X, np.sort(train)), np.random.RandomState(seed))
    found = [learner._score_rows(block, state) for block in learner._iterate_blocks(X)]
    labels, scores = (np.concatenate([ops.to_host(part) for part in parts]) for parts in zip(*found, strict=True))
    unseen = float(scores[test].mean())
    return _Model(labels, unseen, float(scores[train].mean()) - unseen)


def _summarize(number: int, models: list[_Model]) -> dict[str, Any]:
    """Return a row of the table: means over models, and over pairs of models."""
    n = len(models)
    agreement, matching, repeated = np.zeros((n, n)), np.zeros((n, n)), 0
    for i, j in combinations(range(n), 2):
        some, others = models[i].labels, models[j].labels
        agreement[i, j] = agreement[j, i] = max(compute_agreement(some, others), 0)
        matching[i, j], n_same = _match(some, others, number)
        matching[j, i], repeated = matching[i, j], max(repeated, n_same)
    agreements, matchings = agreement.sum(axis=1) / (n - 1), matching.sum(axis=1) / (n - 1)
    evidence = np.array([max(model.score - _OVERFIT * model.overfit, 0) for model in models])
    merit = evidence * np.sqrt(agreements * matchings)
    return {
        "n_components": number,
        "score": float(np.mean([model.score for model in models])),
        "overfit": float(np.mean([model.overfit for model in models])),
        "used": min(len(np.unique(model.labels)) for model in models),
        "agreement": float(agreements.mean()),
        "matching": float(matchings.mean()),
        "repeated": repeated,
        "merit": float(merit.mean()),
        "error": float(merit.std(ddof=1) / sqrt(n)),
        "broad": float((evidence * matchings).mean()),
    }


def compute_agreement(some: NDArray[Any], others: NDArray[Any]) -> float:
    """Mutual information of two labellings, adjusted for chance; 0 where one of them tells nothing apart."""
    if len(np.unique(some)) < 2 or len(np.unique(others)) < 2:
        return 0.0
    return float(adjusted_mutual_info_score(some, others))


def _match(some: NDArray[Any], others: NDArray[Any], number: int) -> tuple[float, int]:
    """Match components of two models one to one by F1; return its mean and how many pairs share most of their rows.

    A component without a match counts 0 in the mean.
    """
    shared = np.zeros((number, number))
    np.add.at(shared, (some, others), 1)
    sizes = shared.sum(axis=1), shared.sum(axis=0)
    f1 = 2 * shared / np.maximum(np.add.outer(*sizes), 1)
    matched = f1[linear_sum_assignment(-f1)]
    return float(matched.sum() / max((size > 0).sum() for size in sizes)), int((matched > _SAME).sum())


def _has_fallen(table: list[dict[str, Any]]) -> bool:
    """Whether the last two numbers are so large that larger ones need not be tried.

    Their merits are much below the best, or many components remain empty.
    """
    best = max(row["merit"] for row in table)
    return all(
        row["n_components"] > _FIRST_END
        and (row["merit"] <= _FALLEN * best or row["used"] < _LEAST_USED * row["n_components"])
        for row in table[-2:]
    )


def _find_first_best(table: list[dict[str, Any]], column: str, tolerance: float) -> dict[str, Any]:
    best = max(row[column] for row in table)
    return next(row for row in table if row[column] >= (1 - tolerance) * best)
