"""Cross-validation of the head of `PairedHead` by ranking in folds over groups, and detection of collapse."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codebooks import ops
from codebooks.base import iterate_row_blocks
from codebooks.embeddings._head_closed_form import Floats, Groups, compute_centroids
from codebooks.metrics import isoscore
from codebooks.models.cosine import normalize_rows

__all__ = [
    "Fold",
    "FoldMetrics",
    "Improvement",
    "choose_epoch",
    "compute_chance_level",
    "compute_first_ranks",
    "describe_collapse",
    "evaluate_fold",
    "evaluate_improvement",
    "split_groups",
    "summarize_epoch",
]

_FOLDS = 5
# Largest number of queries of a fold, and about the largest number of rows of other groups that they are ranked among.
_MOST_QUERIES, _MOST_ROWS = 2_000, 20_000
# Number of standard errors by which the ranking of held-out groups must exceed chance.
_ABOVE_CHANCE = 4.0
# Effective rank below which all outputs lie in one direction, and smallest accepted share of the rank of the input.
_ONE_DIRECTION, _RANK_KEPT = 1.5, 0.5
# Spread relative to length below which all outputs are one point.
_ONE_POINT = 1e-4


class Fold(NamedTuple):
    """Training rows, queries of held-out groups, and the rows that are ranked for each query."""

    train: NDArray[np.intp]
    queries: NDArray[np.intp]  # each has another row in its group
    candidates: NDArray[np.intp]


class FoldMetrics(NamedTuple):
    """Metrics of the transformed queries of a fold."""

    ranks: NDArray[np.float64]  # of the first other row of each query's group
    distance: float  # mean distance of rows of length 1 to the centroid of their group
    isoscore: float

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank."""
        return float(np.mean(1 / self.ranks))


class Improvement(NamedTuple):
    """Whether to keep a head, and the reason if not."""

    improved: bool
    gain: float  # mean over folds of the MRR with the head minus the MRR of the input
    error: float  # standard error of that mean
    reason: str


def compute_first_ranks(Z: NDArray, groups: Groups, queries: NDArray[np.intp] | None = None) -> Floats:
    """Compute the rank, by cosine, of the first other row of the same group; 1 is best.

    Rows of other groups come first in ties. Cosines that differ by rounding only are ties.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_features)
    groups : ndarray of shape (n_samples,) of int
    queries : ndarray of int, optional
        Indices of the query rows, each with another row in its group; default: all such rows.

    Returns
    -------
    ndarray of shape (n_queries,), float64

    Examples
    --------
    >>> Z = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.8, 0.6]])
    >>> compute_first_ranks(Z, np.array([0, 0, 1, 1]))
    array([1., 1., 1., 3.])
    """
    if queries is None:
        queries = np.flatnonzero(np.bincount(groups)[groups] > 1)
    Z = normalize_rows(Z)
    ranks = np.empty(len(queries))
    for rows in iterate_row_blocks(queries, 4 * Z.itemsize * len(Z)):
        query = queries[rows]
        scores = Z[query] @ Z.T
        scores[np.arange(len(query)), query] = -np.inf
        same_group = groups[query][:, None] == groups[None]
        best = np.where(same_group, scores, -np.inf).max(axis=1)
        ranks[rows] = 1 + ((scores >= best[:, None] - ops.rounding_tolerance(Z.dtype)) & ~same_group).sum(axis=1)
    return ranks


def compute_chance_level(n_relevant: int, n_rows: int) -> float:
    """Compute the expected reciprocal rank of the first of `n_relevant` rows among `n_rows` in random order.

    The first has rank r with probability C(n_rows - r, n_relevant - 1) / C(n_rows, n_relevant).

    Examples
    --------
    >>> round(compute_chance_level(1, 4), 4)  # (1 + 1/2 + 1/3 + 1/4) / 4
    0.5208
    """
    ranks = np.arange(1, n_rows - n_relevant + 2)
    # Probability of none at earlier ranks, as a sum of logarithms, times that of one at this rank.
    log_none = np.cumsum(np.log1p(-n_relevant / (n_rows - ranks[:-1] + 1)))
    none_before = np.exp(np.concatenate([[0.0], log_none]))
    return float((none_before * n_relevant / (n_rows - ranks + 1) / ranks).sum())


def split_groups(groups: Groups) -> list[Fold]:
    """Split the groups into five folds, independent of the order of the rows; no folds if there are too few groups.

    The queries of a fold are rows of the held-out groups. They are ranked among all rows, also those of the training
    groups, because these are the competing rows in use.
    """
    sizes = np.bincount(groups)
    multiple = np.flatnonzero(sizes > 1)
    n_folds = min(_FOLDS, len(multiple) // 2)
    if n_folds < 2:
        return []
    rng = np.random.default_rng(0)
    fold_of = rng.permutation(np.arange(len(sizes)) % n_folds)
    fold_of[multiple] = rng.permutation(np.arange(len(multiple)) % n_folds)
    folds = []
    for fold in range(n_folds):
        held_out = fold_of[groups] == fold
        queries = np.flatnonzero(held_out & (sizes[groups] > 1))
        order = np.argsort(groups[queries], kind="stable")  # sorted by group, so that every n-th is an even sample
        queries = queries[order[:: max(-(-len(queries) // _MOST_QUERIES), 1)]]
        candidates = np.arange(len(groups))
        if len(candidates) > _MOST_ROWS:
            has_query = np.isin(groups, groups[queries])
            others = np.flatnonzero(~has_query)
            candidates = np.union1d(np.flatnonzero(has_query), others[:: max(-(-len(others) // _MOST_ROWS), 1)])
        folds.append(Fold(np.flatnonzero(~held_out), queries, candidates))
    return folds


def evaluate_fold(Z: NDArray, groups: Groups, fold: Fold) -> FoldMetrics:
    """Compute the metrics of a fold; `Z` contains all transformed rows."""
    queries = np.searchsorted(fold.candidates, fold.queries)
    ranks = compute_first_ranks(Z[fold.candidates], groups[fold.candidates], queries)
    held_out = normalize_rows(Z[fold.queries])
    group_of = np.unique(groups[fold.queries], return_inverse=True)[1]
    inside = held_out - compute_centroids(held_out, group_of)[group_of]
    return FoldMetrics(ranks, float(np.linalg.norm(inside, axis=1).mean()), float(isoscore(Z[fold.queries])))


def choose_epoch(raw: list[FoldMetrics], epochs: list[list[FoldMetrics]]) -> int:
    """Return the last epoch whose mean MRR is within one standard error of the best and improves; else the best."""
    gains, errors = np.array([_compute_gain(raw, metrics) for metrics in epochs]).T
    best = int(gains.argmax())
    good = np.flatnonzero((gains >= gains[best] - errors[best]) & (gains > errors))
    return int(good[-1]) if len(good) else best


def _compute_gain(raw: list[FoldMetrics], learned: list[FoldMetrics]) -> tuple[float, float]:
    """Compute the mean gain in MRR over folds, and its standard error."""
    gains = np.array([after.mrr - before.mrr for before, after in zip(raw, learned, strict=True)])
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))


def evaluate_improvement(
    raw: list[FoldMetrics], learned: list[FoldMetrics], groups: Groups, folds: list[Fold]
) -> Improvement:
    """Accept a head if its mean gain in MRR exceeds the standard error of the gain, and its MRR exceeds chance."""
    gain, error = _compute_gain(raw, learned)
    sizes = np.bincount(groups)
    above_chance = []
    for metrics, fold in zip(learned, folds, strict=True):
        query_groups = groups[fold.queries]
        query_sizes = sizes[query_groups]
        chance = {size: compute_chance_level(size - 1, len(fold.candidates) - 1) for size in np.unique(query_sizes)}
        expected = np.array([chance[size] for size in query_sizes])
        group_of = np.unique(query_groups, return_inverse=True)[1]
        above_chance.append(compute_centroids((1 / metrics.ranks - expected)[:, None], group_of)[:, 0])
    per_group = np.concatenate(above_chance)
    noise = per_group.std(ddof=1) / np.sqrt(len(per_group))
    before, after = (float(np.mean([metrics.mrr for metrics in fold_metrics])) for fold_metrics in (raw, learned))
    mrr = f"MRR {before:.4f} without it, {after:.4f} with it"
    if per_group.mean() <= _ABOVE_CHANCE * noise:
        reason = (
            f"it ranks rows of held-out groups no better than chance ({mrr}). Check that y belongs to the rows of X"
        )
        return Improvement(False, gain, error, reason)
    if not gain > error:
        reason = f"it does not rank held-out groups better than no head ({mrr}; gain {gain:+.4f} ± {error:.4f})"
        return Improvement(False, gain, error, reason)
    return Improvement(True, gain, error, "")


def describe_collapse(X: NDArray, Z: NDArray) -> str:
    """Describe a collapse of the outputs `Z` of the input `X`; return an empty string if there is none.

    The effective rank is the participation ratio of the covariance's eigenvalues, `sum(s)^2 / sum(s^2)`.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((50, 4))
    >>> describe_collapse(X, X)
    ''
    >>> describe_collapse(X, X @ np.outer([1, 2, 3, 4], [1, 1, 1, 1]))
    'all outputs lie along one direction (effective rank 1.0 of 4)'
    """
    spectrum, before = _compute_spectrum(Z), _compute_spectrum(X)
    length = float(np.mean(np.asarray(Z, dtype=np.float64) ** 2) * Z.shape[1])
    if spectrum.sum() <= _ONE_POINT**2 * length or length == 0:
        return "" if before.sum() == 0 else "all outputs are one point"
    effective = spectrum.sum() ** 2 / (spectrum**2).sum()
    if effective < _ONE_DIRECTION and before.sum() ** 2 / (before**2).sum() >= 2:
        return f"all outputs lie along one direction (effective rank {effective:.1f} of {Z.shape[1]})"
    rank, largest = _compute_effective_rank(spectrum), min(_compute_effective_rank(before), Z.shape[1])
    if rank < _RANK_KEPT * largest:
        return f"outputs lost rank ({rank} of {largest} dimensions are left)"
    return ""


def _compute_spectrum(Z: NDArray) -> Floats:
    centered = np.asarray(Z, dtype=np.float64)
    centered = centered - centered.mean(axis=0)
    return np.maximum(np.linalg.eigvalsh(centered.T @ centered / len(centered)), 0)


def _compute_effective_rank(spectrum: Floats) -> int:
    return int((spectrum > 1e-6 * spectrum.max()).sum()) if spectrum.size and spectrum.max() > 0 else 0


def summarize_epoch(epoch: int, loss: float, metrics: list[FoldMetrics]) -> dict[str, Any]:
    """Return one entry of `history_`."""
    return {
        "epoch": epoch,
        "loss": loss,
        "distance": float(np.mean([fold.distance for fold in metrics])),
        "mrr": float(np.mean([fold.mrr for fold in metrics])),
        "isoscore": float(np.mean([fold.isoscore for fold in metrics])),
    }
