"""Relocation of redundant components: one of two components in the same group moves to poorly explained samples.

Learning that explains as much energy as possible puts two components into a large group before one into a small group,
because half of many small gains outweighs a few large ones. Hence the explained energy does not show that a
component is redundant; its similarity to another component does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from codebooks import ops
from codebooks.models.cosine import compute_cosines, extract_directions, normalize_rows
from codebooks.models.statistics import multiply_weights, sum_weights

__all__ = ["LARGEST_LOSS", "Move", "Standstill", "find_moves", "relocate"]

# Two components are redundant if the directions of the samples that they win, less the mean direction, have a larger
# cosine than this: halves of one group, and parts of a large group among many small ones.
_LEAST_COSINE = 0.5
_N_CANDIDATES = 100  # worst explained samples that are tried as a new component
_N_SAMPLES = 50_000  # samples that are used, drawn at random if there are more
_BLOCK = 8192  # rows whose cosines with the candidates are computed at a time
_FEWEST = 3  # samples nearer to a new component than to any other; fewer are outliers, not a group
# Each relocation may raise the unexplained energy by this share, and all together may lower the explained energy by
# this much.
_LOSS_BY_RELOCATION, LARGEST_LOSS = 0.05, 0.01


class Move(NamedTuple):
    """Relocation of a component."""

    component: int  # the component that moves
    partner: int  # the similar component that stays
    common_direction: Any  # (n_features,) direction of the samples of both
    new_direction: Any  # (n_features,) direction of the samples that the moved component will win
    n_rows: float  # the number of these samples


class Standstill(NamedTuple):
    """State at which learning has converged."""

    state: Any
    score: float
    n_idle: int
    n_redundant: int

    def is_acceptable_after(self, before: Standstill, best: float) -> bool:
        """Return whether to keep a relocation: fewer components are idle, or none and nearly as much is explained."""
        if before.state is None:
            return True
        if self.n_idle or before.n_idle:
            return self.n_idle < before.n_idle
        loss = max(before.score - self.score, 0)
        if len(self.state.usage) == 2:
            return loss == 0  # the mean direction of two components is not the part that all rows have in common
        return loss <= _LOSS_BY_RELOCATION * (1 - before.score) and best - self.score <= LARGEST_LOSS


def relocate(
    state: Any, moves: list[Move], n_rows: float, halved: tuple[str, ...], compute_lengths: Callable[[Any], Any]
) -> Any:
    """Return the state after the moves.

    Parameters
    ----------
    state : NamedTuple
    moves : list of Move
    n_rows : float
        The number of rows, or the sum of their weights.
    halved : tuple of str
        Fields of the state that are sums over the samples of a component; "usage" among them.
    compute_lengths : callable
        Computes the norms that the learner keeps at 1.
    """
    if not moves:
        return state
    sums = tuple(name for name in halved if name != "usage")
    fields = {name: getattr(state, name).copy() for name in ("components", "usage", "inhibition", *sums)}
    for move in moves:
        for k, direction in ((move.partner, move.common_direction), (move.component, move.new_direction)):
            fields["components"][k] = direction / compute_lengths(direction[None])[0]
        for name in ("usage", *sums):
            fields[name][move.partner] += fields[name][move.component]
        for name in sums:
            fields[name][move.component] = 0  # it has no samples yet
        fields["usage"][move.component] = move.n_rows / n_rows
        fields["inhibition"][move.component] = fields["inhibition"].min()
    return state._replace(**fields)


def find_moves(X: Any, components: Any, labels: Any, sample_weight: Any = None) -> list[Move]:
    """Find the moves after which no two components are redundant, as long as there are groups to move to.

    Parameters
    ----------
    X : array or CSR matrix of shape (n_rows, n_features)
    components : array of shape (n_components, n_features)
    labels : int array of shape (n_rows,)
        The component that wins each row, -1 for none.
    sample_weight : array of shape (n_rows,), optional
    """
    xp = ops.xp(components)
    n_rows = X.shape[0] if sample_weight is None else float(ops.to_host(sample_weight.sum()))
    if X.shape[0] > _N_SAMPLES:
        drawn = np.sort(np.random.default_rng(X.shape[0]).choice(X.shape[0], _N_SAMPLES, replace=False))
        X, on_device = ops.take_rows(X, drawn), ops.to_device_of(drawn, labels)
        labels, sample_weight = labels[on_device], None if sample_weight is None else sample_weight[on_device]
    n_drawn = X.shape[0] if sample_weight is None else float(ops.to_host(sample_weight.sum()))
    sums, counts = _sum_directions(X, labels, components, sample_weight)
    centres = normalize_rows(sums)
    cosines_of_centres = _compute_centred_cosines(ops.to_host(centres @ centres.T).astype(np.float64))
    pairs = _pair_redundant(cosines_of_centres, ops.to_host(counts))
    if not pairs:
        return []
    handicap = xp.zeros(len(components), components.dtype)
    covered = ops.find_nearest(X, xp.asfortranarray(normalize_rows(components)), handicap, 1).score[:, 0]
    gainers, cosines = _find_gainers(X, extract_directions(X, _find_worst_explained(X, covered)), covered)
    rows, covered = ops.take_rows(X, gainers), covered[gainers]
    weight = None if sample_weight is None else sample_weight[ops.to_device_of(gainers, sample_weight)]
    moves = []
    for redundant, partner in pairs:
        gain = xp.maximum(cosines - covered[:, None] - ops.rounding_tolerance(cosines.dtype), 0)
        best = int(ops.to_host(multiply_weights(gain, weight).sum(axis=0).argmax()))
        is_won = gain[:, best] > 0
        n_won = ops.to_host(sum_weights(is_won, weight)).item()
        if n_won < _FEWEST:
            break
        new, _ = _sum_directions(rows, xp.where(is_won, 0, -1), components[:1], weight)
        common = normalize_rows((sums[redundant] + sums[partner])[None])[0]
        moves.append(Move(redundant, partner, common, normalize_rows(new)[0], n_won * n_rows // n_drawn))
        covered = xp.maximum(covered, cosines[:, best])
    return moves


def _find_gainers(X: Any, candidates: Any, covered: Any) -> tuple[np.ndarray, Any]:
    """Find the rows that are nearer to some candidate than to any component, and their cosines with all candidates."""
    rows, cosines = [], []
    for start in range(0, X.shape[0], _BLOCK):
        near, _ = compute_cosines(ops.take_rows(X, slice(start, start + _BLOCK)), candidates)
        gains = (near > covered[start : start + _BLOCK, None] + ops.rounding_tolerance(near.dtype)).any(axis=1)
        rows.append(start + np.flatnonzero(ops.to_host(gains)))
        cosines.append(near[gains])
    return np.concatenate(rows), ops.xp(covered).concatenate(cosines)


def _compute_centred_cosines(gram: np.ndarray) -> np.ndarray:
    """Compute the cosines of centres less the mean of all, from their dot products; of two centres, as they are.

    In embeddings, images and counts all rows, and so all centres, have a direction in common, which does not make
    components redundant. Two centres less their mean always have opposite directions.
    """
    if len(gram) > 2:
        mean = gram.mean(axis=1)
        gram = gram - mean - mean[:, None] + mean.mean()
    lengths = np.sqrt(np.maximum(np.diagonal(gram), np.finfo(np.float64).tiny))
    return gram / (lengths * lengths[:, None])


def _pair_redundant(cosines: np.ndarray, counts: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs (lighter, heavier) of redundant components, the most similar first, no component in two pairs."""
    np.fill_diagonal(cosines, 0)
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    for place in np.argsort(-cosines, axis=None, kind="stable"):
        a, b = divmod(int(place), len(cosines))
        if cosines[a, b] <= _LEAST_COSINE:
            break
        if not {a, b} & taken and counts[a] and counts[b]:  # a component without samples is idle, not redundant
            taken |= {a, b}
            pairs.append((a, b) if counts[a] < counts[b] else (b, a))
    return pairs


def _sum_directions(X: Any, labels: Any, like: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Sum the rows with each label, scaled to length 1, and count them."""
    xp = ops.xp(like)
    weight = multiply_weights(ops.reciprocal(ops.row_norms(X)) * (labels >= 0), sample_weight)
    index = xp.maximum(labels, 0)
    sums = ops.scatter_rows(xp.zeros(like.shape, like.dtype), index[:, None], weight[:, None], X)
    return sums, ops.sum_by_index(index, multiply_weights(weight > 0, sample_weight), len(like))


def _find_worst_explained(X: Any, covered: Any) -> np.ndarray:
    """Return the numbers of the rows with the smallest cosine with their component; empty rows are left out."""
    order = np.argsort(ops.to_host(covered), kind="stable")
    return order[ops.to_host(ops.row_norms(X))[order] > 0][:_N_CANDIDATES]
