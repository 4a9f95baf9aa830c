"""Judging a head by ranking: where the first other row of a group stands, in folds over groups; and collapse."""

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
    "Look",
    "Verdict",
    "choose_epoch",
    "compute_chance_level",
    "compute_first_ranks",
    "decide",
    "describe_collapse",
    "evaluate_fold",
    "split_groups",
    "summarize_epoch",
]

_FOLDS = 5
# Groups whose held-out rows are queries: a fold asks at most so many rows among so many.
_MOST_QUERIES, _MOST_ROWS = 2_000, 20_000
# A head that has learned something ranks held-out groups above chance by so many standard errors.
_ABOVE_CHANCE = 4.0
# Effective rank below which all outputs lie in one direction, and the smallest share of the input's rank.
_ONE_DIRECTION, _RANK_KEPT = 1.5, 0.5
# Spread relative to length below which all outputs are one point.
_ONE_POINT = 1e-4


class Fold(NamedTuple):
    """Rows to learn from, and rows of other groups to ask for."""

    learned: NDArray[np.intp]
    queries: NDArray[np.intp]  # each has another row in its group
    among: NDArray[np.intp]  # where they are looked for


class Look(NamedTuple):
    """What held-out rows look like behind a head."""

    ranks: NDArray[np.float64]  # of the first other row of each query's group
    distance: float  # mean distance of unit rows to the centroid of their group
    isoscore: float

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank."""
        return float(np.mean(1 / self.ranks))


class Verdict(NamedTuple):
    """Whether a head is kept, and why not."""

    improved: bool
    gain: float  # mean over folds of its MRR less that of the rows as they are
    error: float  # standard error of that mean
    complaint: str


def compute_first_ranks(Z: NDArray, groups: Groups, queries: NDArray[np.intp] | None = None) -> Floats:
    """The rank, by cosine, of the first other row of the same group; 1 is best.

    Strangers win ties, and cosines that differ by rounding alone are equal.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_features)
    groups : ndarray of shape (n_samples,) of int
    queries : ndarray of int, optional
        Row numbers to ask for, each with another row in its group; default: all that have one.

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
        asked = queries[rows]
        scores = Z[asked] @ Z.T
        scores[np.arange(len(asked)), asked] = -np.inf
        friends = groups[asked][:, None] == groups[None]
        best = np.where(friends, scores, -np.inf).max(axis=1)
        ranks[rows] = 1 + ((scores >= best[:, None] - ops.rounding_tolerance(Z.dtype)) & ~friends).sum(axis=1)
    return ranks


def compute_chance_level(n_friends: int, n_rows: int) -> float:
    """The expected reciprocal rank of the first of `n_friends` among `n_rows` in random order.

    The first stands at rank r with probability C(n_rows - r, n_friends - 1) / C(n_rows, n_friends).

    Examples
    --------
    >>> round(compute_chance_level(1, 4), 4)  # (1 + 1/2 + 1/3 + 1/4) / 4
    0.5208
    """
    ranks = np.arange(1, n_rows - n_friends + 2)
    # Not first so far, times first now: products of shares, in logarithms.
    later = np.cumsum(np.log1p(-n_friends / (n_rows - ranks[:-1] + 1)))
    so_far = np.exp(np.concatenate([[0.0], later]))
    return float((so_far * n_friends / (n_rows - ranks + 1) / ranks).sum())


def split_groups(groups: Groups) -> list[Fold]:
    """Five folds over groups, the same whatever the order of the rows; none where there are too few groups.

    Each fold asks for the rows of the groups held out, among all rows: those of the groups learned from are the
    strangers that they meet in use, and a head may have drawn them anywhere.
    """
    sizes = np.bincount(groups)
    shared = np.flatnonzero(sizes > 1)
    n_folds = min(_FOLDS, len(shared) // 2)
    if n_folds < 2:
        return []
    rng = np.random.default_rng(0)
    fold_of = rng.permutation(np.arange(len(sizes)) % n_folds)
    fold_of[shared] = rng.permutation(np.arange(len(shared)) % n_folds)
    folds = []
    for fold in range(n_folds):
        held_out = fold_of[groups] == fold
        queries = np.flatnonzero(held_out & (sizes[groups] > 1))
        order = np.argsort(groups[queries], kind="stable")  # by group, then evenly thinned
        queries = queries[order[:: max(-(-len(queries) // _MOST_QUERIES), 1)]]
        among = np.arange(len(groups))
        if len(among) > _MOST_ROWS:
            friends = np.isin(groups, groups[queries])
            others = np.flatnonzero(~friends)
            among = np.union1d(np.flatnonzero(friends), others[:: max(-(-len(others) // _MOST_ROWS), 1)])
        folds.append(Fold(np.flatnonzero(~held_out), queries, among))
    return folds


def evaluate_fold(Z: NDArray, groups: Groups, fold: Fold) -> Look:
    """How the held-out rows of a fold look behind a head; `Z` holds all rows."""
    found = compute_first_ranks(Z[fold.among], groups[fold.among], np.searchsorted(fold.among, fold.queries))
    held_out = normalize_rows(Z[fold.queries])
    numbers = np.unique(groups[fold.queries], return_inverse=True)[1]
    inside = held_out - compute_centroids(held_out, numbers)[numbers]
    return Look(found, float(np.linalg.norm(inside, axis=1).mean()), float(isoscore(Z[fold.queries])))


def choose_epoch(raw: list[Look], epochs: list[list[Look]]) -> int:
    """The last epoch that may be kept, and whose mean MRR is within one standard error of the best; else the best."""
    gains, errors = np.array([_compute_gain(raw, looks) for looks in epochs]).T
    best = int(gains.argmax())
    good = np.flatnonzero((gains >= gains[best] - errors[best]) & (gains > errors))
    return int(good[-1]) if len(good) else best


def _compute_gain(raw: list[Look], learned: list[Look]) -> tuple[float, float]:
    """Mean gain in MRR over folds, and its standard error."""
    gains = np.array([after.mrr - before.mrr for before, after in zip(raw, learned, strict=True)])
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))


def decide(raw: list[Look], learned: list[Look], groups: Groups, folds: list[Fold]) -> Verdict:
    """Keep a head whose mean gain in MRR exceeds its standard error, and which ranks above chance at all."""
    gain, error = _compute_gain(raw, learned)
    sizes = np.bincount(groups)
    over = []
    for look, fold in zip(learned, folds, strict=True):
        asked = groups[fold.queries]
        chance = {size: compute_chance_level(size - 1, len(fold.among) - 1) for size in np.unique(sizes[asked])}
        expected = np.array([chance[size] for size in sizes[asked]])
        over.append(
            compute_centroids((1 / look.ranks - expected)[:, None], np.unique(asked, return_inverse=True)[1])[:, 0]
        )
    per_group = np.concatenate(over)
    noise = per_group.std(ddof=1) / np.sqrt(len(per_group))
    before, after = (float(np.mean([look.mrr for look in looks])) for looks in (raw, learned))
    told = f"MRR {before:.4f} as they are, {after:.4f} behind it"
    if per_group.mean() <= _ABOVE_CHANCE * noise:
        lost = f"held-out rows are no nearer to their own group than by chance ({told}). Look whether y belongs to X"
        return Verdict(False, gain, error, lost)
    if not gain > error:
        complaint = f"it does not rank held-out groups better than no head ({told}; gain {gain:+.4f} ± {error:.4f})"
        return Verdict(False, gain, error, complaint)
    return Verdict(True, gain, error, "")


def describe_collapse(X: NDArray, Z: NDArray) -> str:
    """What collapsed in `Z`, the rows `X` behind a head; empty where nothing did.

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
    rank, possible = _compute_effective_rank(spectrum), min(_compute_effective_rank(before), Z.shape[1])
    if rank < _RANK_KEPT * possible:
        return f"outputs lost rank ({rank} of {possible} dimensions are left)"
    return ""


def _compute_spectrum(Z: NDArray) -> Floats:
    around = np.asarray(Z, dtype=np.float64)
    around = around - around.mean(axis=0)
    return np.maximum(np.linalg.eigvalsh(around.T @ around / len(around)), 0)


def _compute_effective_rank(spectrum: Floats) -> int:
    return int((spectrum > 1e-6 * spectrum.max()).sum()) if spectrum.size and spectrum.max() > 0 else 0


def summarize_epoch(epoch: int, loss: float, looks: list[Look]) -> dict[str, Any]:
    """One entry of `history_`."""
    return {
        "epoch": epoch,
        "loss": loss,
        "distance": float(np.mean([look.distance for look in looks])),
        "mrr": float(np.mean([look.mrr for look in looks])),
        "isoscore": float(np.mean([look.isoscore for look in looks])),
    }
