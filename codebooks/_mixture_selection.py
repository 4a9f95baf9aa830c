"""The criterion of `choose_n_components` for `MultinomialMixture`."""

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

__all__ = [
    "DOUBTFUL",
    "choose",
    "compute_label_agreement",
    "compute_table",
    "count_reproducible",
    "is_doubtful",
    "select_entries",
]

_LADDER = (2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 29, 38, 50, 65, 85, 110, 145, 190, 250, 330)  # numbers tried
_FEWEST_ROWS = 8  # smallest number of rows for each component
_MOST_ROWS, _MOST_COLUMNS = 20_000, 5_000  # largest numbers of rows and columns used
# To save time, models are fitted from one start in at most this number of passes, with minibatches of this number of
# rows for each component, the memory of the mixture.
_N_PASSES, _BATCH_ROWS, _SMALLEST_BATCH = 12, 25, 500
_OVERFIT = 0.75  # weight of overfitting relative to the score of held-out rows
# Larger numbers are not tried after two numbers above _FIRST_END have less than _FALLEN of the best merit, or less than
# _LEAST_USED of their components are used.
_FIRST_END, _FALLEN, _LEAST_USED = 8, 0.93, 0.6
# Relative differences of merit that count as equal: for the number of components, and for that of broad components.
_EQUAL, _NEARLY = 0.005, 0.03
DOUBTFUL = 0.3  # agreement below which the reason has a warning
_SAME = 0.2  # two components are the same if the F1 of their rows is larger


class _Model(NamedTuple):
    """Labels and scores of one model."""

    labels: NDArray[Any]  # (n_samples,) labels of all rows, training and held-out
    score: float  # mean log likelihood of the held-out rows
    overfit: float  # mean log likelihood of the training rows minus score


def select_entries(X: Any, seed: int) -> Any:
    """Return the columns that have the most positive entries, at most 5,000, and rows that are not empty.

    If there are more than 20,000 rows, 20,000 are drawn at random.
    """
    if X.shape[1] > _MOST_COLUMNS:
        xp = ops.xp(X)
        _, counts = ops.sum_column_logs(X, xp.zeros(X.shape[1]), xp.ones(X.shape[1], bool))
        most = np.argsort(-ops.to_host(counts), kind="stable")[:_MOST_COLUMNS]
        X = X[:, ops.to_device_of(np.sort(most), X)]
    non_empty = np.flatnonzero(ops.to_host(ops.row_norms(X)) > 0)
    if len(non_empty) > _MOST_ROWS:
        non_empty = np.sort(np.random.RandomState(seed).choice(non_empty, _MOST_ROWS, replace=False))
    return ops.take_rows(X, non_empty)


def compute_table(learner: Any, X: Any, numbers: list[int] | None, splits: Any, seed: int) -> list[dict[str, Any]]:
    """Compute a row for each number of components: means over models, one for each split into training and test rows.

    Parameters
    ----------
    learner : MultinomialMixture
        It is not modified.
    X : array or CSR matrix of shape (n_samples, n_features)
        Rows that are not empty.
    numbers : list of int or None
        None tries increasing numbers until the merit has fallen.
    splits : list of (train, test)
        Row indices.
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
    """Choose the row of the table with the best merit, and that with the best merit of broad components.

    Each is the first row whose value is close to the largest. The recommended numbers are `count_reproducible` of these
    rows. If the best row is doubtful, both are the first row.
    """
    fine = _find_first_best(table, "merit", _EQUAL)
    if is_doubtful(fine):
        return table[0], table[0]
    return fine, min(_find_first_best(table, "broad", _NEARLY), fine, key=lambda row: row["n_components"])


def is_doubtful(row: dict[str, Any]) -> bool:
    """Whether models with this number of components do not generalise to other rows."""
    return bool(row["agreement"] < DOUBTFUL or row["merit"] == 0)


def count_reproducible(row: dict[str, Any]) -> int:
    """Return the number of components that occur in models fitted on different rows, at least 2."""
    return max(row["repeated"], 2)


def _fit(learner: Any, X: Any, number: int, train: Any, test: Any, seed: int) -> _Model:
    learner = clone(learner).set_params(n_components=number, max_iter=min(learner.max_iter, _N_PASSES), verbose=0)
    if learner.batch_size == "auto":
        learner.set_params(batch_size=max(len(train) // 4, _SMALLEST_BATCH, _BATCH_ROWS * number))
    learner._n_starts = 1
    state, _ = learner._run_epochs(ops.take_rows(X, np.sort(train)), np.random.RandomState(seed))
    blocks = [learner._score_rows(block, state) for block in learner._iterate_blocks(X)]
    labels, scores = (np.concatenate([ops.to_host(part) for part in parts]) for parts in zip(*blocks, strict=True))
    held_out = float(scores[test].mean())
    return _Model(labels, held_out, float(scores[train].mean()) - held_out)


def _summarize(number: int, models: list[_Model]) -> dict[str, Any]:
    """Compute a row of the table: means over models, and over pairs of models."""
    n = len(models)
    agreement, matching, repeated = np.zeros((n, n)), np.zeros((n, n)), 0
    for i, j in combinations(range(n), 2):
        labels, other_labels = models[i].labels, models[j].labels
        agreement[i, j] = agreement[j, i] = max(compute_label_agreement(labels, other_labels), 0)
        matching[i, j], n_same = _match(labels, other_labels, number)
        matching[j, i], repeated = matching[i, j], max(repeated, n_same)
    agreements, matchings = agreement.sum(axis=1) / (n - 1), matching.sum(axis=1) / (n - 1)
    evidence = np.array([max(model.score - _OVERFIT * model.overfit, 0) for model in models])
    merit = evidence * agreements
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


def compute_label_agreement(labels: NDArray[Any], other_labels: NDArray[Any]) -> float:
    """Compute the adjusted mutual information of the labels of two models; 0 if one of them has a single label."""
    if len(np.unique(labels)) < 2 or len(np.unique(other_labels)) < 2:
        return 0.0
    return float(adjusted_mutual_info_score(labels, other_labels))


def _match(labels: NDArray[Any], other_labels: NDArray[Any], number: int) -> tuple[float, int]:
    """Match the components of two models one to one by F1; return the mean F1 and the number of equal components.

    A component without a match counts 0 in the mean.
    """
    shared = np.zeros((number, number))
    np.add.at(shared, (labels, other_labels), 1)
    sizes = shared.sum(axis=1), shared.sum(axis=0)
    f1 = 2 * shared / np.maximum(np.add.outer(*sizes), 1)
    matched = f1[linear_sum_assignment(-f1)]
    return float(matched.sum() / max((size > 0).sum() for size in sizes)), int((matched > _SAME).sum())


def _has_fallen(table: list[dict[str, Any]]) -> bool:
    """Whether to try no larger numbers, because the merits of the last two are low or many components are empty."""
    best = max(row["merit"] for row in table)
    return all(
        row["n_components"] > _FIRST_END
        and (row["merit"] <= _FALLEN * best or row["used"] < _LEAST_USED * row["n_components"])
        for row in table[-2:]
    )


def _find_first_best(table: list[dict[str, Any]], column: str, tolerance: float) -> dict[str, Any]:
    best = max(row[column] for row in table)
    return next(row for row in table if row[column] >= (1 - tolerance) * best)
