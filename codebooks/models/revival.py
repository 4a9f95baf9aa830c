"""Revival of idle components: each takes a part of the samples of a component that explains its samples poorly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from codebooks import ops
from codebooks.models.cosine import normalize_rows
from codebooks.models.statistics import multiply_weights

__all__ = ["SMALLEST_ERROR", "compute_idle_threshold", "find_widest_directions", "pair_by_error", "revive_idle"]

_IDLE = 0.02  # a component is idle if its running share of wins is below this part of an even share
# The distance of the two halves of a divided component from it, relative to the spread of its samples.
_HALF_WIDTH = 0.3
SMALLEST_ERROR = 1e-6  # a mean unexplained energy below this is rounding
_FEWEST = 3  # samples of which a direction is computed
_N_POWER_STEPS = 3  # more steps of the power method change no result
_ROUNDING = 1e-6  # squared sines below this are rounding


def compute_idle_threshold(state: Any) -> float:
    """Compute the share of wins below which a component is idle."""
    return _IDLE / len(state.usage)


def revive_idle(
    X: Any,
    state: Any,
    halved: tuple[str, ...],
    turned: tuple[str, ...],
    compute_lengths: Callable[[Any], Any],
    sample_weight: Any = None,
) -> Any:
    """Return the state in which each idle component has taken a part of the samples of a poorly explaining one.

    Parameters
    ----------
    X : array, CSR matrix or view of its rows
        The minibatch with these samples.
    state : NamedTuple
    halved, turned : tuples of str
        Fields of the state that are divided between the two components: numbers by half, and directions as the
        components are.
    compute_lengths : callable
        Computes the norms that the learner keeps.
    sample_weight : array of shape (n_rows,), optional
    """
    usage = ops.to_host(state.usage)
    idle = np.flatnonzero(usage < compute_idle_threshold(state))
    if len(idle) == 0:
        return state
    rng = np.random.default_rng([state.seed, state.n_updates])
    nearest = ops.find_nearest(X, normalize_rows(state.components), state.inhibition, 1)
    errors, mean = _compute_errors(nearest, usage, sample_weight)
    owner = np.where(ops.to_host(nearest.norms) > 0, ops.to_host(nearest.index[:, 0]), -1)
    arrays = {name: value for name, value in state._asdict().items() if getattr(value, "ndim", 0) > 0}
    state = state._replace(**{name: value.copy(order="K") for name, value in arrays.items()})
    while pairs := pair_by_error(errors, idle):
        parents, partners = np.array(pairs).T
        place = np.full(len(usage), -1)
        place[parents] = np.arange(len(parents))
        rows = np.flatnonzero((owner >= 0) & (place[owner] >= 0))
        parent_directions = normalize_rows(state.components[ops.to_device_of(parents, state.components)])
        noise = rng.standard_normal(parent_directions.shape).astype(parent_directions.dtype)
        noise = ops.to_device_of(noise, parent_directions)
        numbers = place[owner[rows]]
        n_owned = np.bincount(numbers, minlength=len(pairs))
        directions, widths, side = find_widest_directions(
            ops.view_rows(X, rows),
            parent_directions,
            ops.to_device_of(numbers, noise),
            noise * parent_directions,
            None if sample_weight is None else sample_weight[ops.to_device_of(rows, sample_weight)],
        )
        for pair, (parent, partner) in enumerate(pairs):
            width = widths[pair] if n_owned[pair] else math.sqrt(mean)
            _split_component(state, parent, partner, _HALF_WIDTH * width * directions[pair], compute_lengths)
            for name in halved:
                field = getattr(state, name)
                field[partner] = field[parent] = field[parent] / 2
            for name in turned:
                _split_direction(getattr(state, name), parent, partner, _HALF_WIDTH * width * directions[pair])
        moving = ops.to_host(side) > 0
        owner[rows[moving]] = partners[place[owner[rows[moving]]]]
        errors[parents] /= 2
        errors[partners] = errors[parents]
        idle = idle[len(pairs) :]
    return state


def _split_component(state: Any, parent: int, idle: int, offset: Any, compute_lengths: Callable[[Any], Any]) -> None:
    """Place two components on either side of the first one, in place."""
    components = state.components
    row = components[parent : parent + 1]
    length = compute_lengths(row)
    halves = normalize_rows(normalize_rows(row) + ops.xp(offset).stack([offset, -offset]))
    halves *= (length / compute_lengths(halves))[:, None]
    components[idle], components[parent] = halves[0], halves[1]
    state.inhibition[idle] = state.inhibition[parent]


def _split_direction(field: Any, parent: int, idle: int, offset: Any) -> None:
    """Divide a row of sums into two, turned as the components are, in place."""
    half, turned = field[parent] / 2, ops.row_norms(field[parent : parent + 1]) / 2 * offset
    field[idle], field[parent] = half + turned, half - turned


def _compute_errors(nearest: ops.Nearest, usage: np.ndarray, sample_weight: Any) -> tuple[np.ndarray, float]:
    """Compute for each component the energy that it leaves unexplained, per sample of all, and the mean over samples.

    Both are on the host. The first is the usage of a component times the mean error of the samples that it wins in a
    minibatch, with the mean over all samples counted as one more of them, because a minibatch may contain none of its
    samples.
    """
    filled = multiply_weights(nearest.norms > 0, sample_weight)
    errors = (1 - nearest.score[:, 0] ** 2).clip(0, 1) * filled
    sums = (ops.sum_by_index(nearest.index[:, 0], values, len(usage)) for values in (errors, filled))
    total, count = map(ops.to_host, sums)
    mean = float(total.sum() / (count.sum() or 1))
    return usage * (total + mean) / (count + 1) * (mean > SMALLEST_ERROR), mean


def pair_by_error(errors: np.ndarray, idle: np.ndarray) -> list[tuple[int, int]]:
    """Pair each idle component with the component that has the largest error, and give it half of that error.

    The list of pairs (parent, idle) ends if the parent is already in it, because that component has no samples of its
    own yet, or if no error is left.

    Examples
    --------
    >>> pair_by_error(np.array([8.0, 3.0, 0.0, 0.0, 0.0]), np.array([2, 3, 4]))
    [(0, 2)]
    >>> pair_by_error(np.array([8.0, 6.0, 0.0, 0.0, 0.0]), np.array([2, 3, 4]))
    [(0, 2), (1, 3)]
    """
    errors = errors.copy()
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    for component in idle.tolist():
        parent = int(errors.argmax())
        if parent in taken or errors[parent] <= 0:
            break
        errors[parent] = errors[component] = errors[parent] / 2
        taken |= {parent, component}
        pairs.append((parent, component))
    return pairs


def find_widest_directions(
    X: Any, components: Any, owner: Any, noise: Any, sample_weight: Any = None
) -> tuple[Any, Any, Any]:
    """Find for each component the direction in which its samples differ most, orthogonal to the component.

    Three steps of the power method on the samples scaled to length 1, less their mean [1]_. A random direction, in
    contrast, is orthogonal to nearly all differences between samples, and divides nothing.

    Parameters
    ----------
    X : array, CSR matrix or view of its rows, of shape (n_rows, n_features)
        No row is empty.
    components : array of shape (n_components, n_features)
        Rows of length 1.
    owner : int array of shape (n_rows,)
        The component to which each row belongs.
    noise : array of shape (n_components, n_features)
        Where the search begins. It is also the answer for a component with fewer than three rows, or equal ones.
    sample_weight : array of shape (n_rows,), optional

    Returns
    -------
    directions : array of shape (n_components, n_features)
        Rows of length 1.
    widths : array of shape (n_components,)
        Sine of the angle between a component and its samples, by the mean of their cosines.
    side : array of shape (n_rows,)
        Projection of each row on the direction of its component, less the mean of these projections.

    References
    ----------
    .. [1] D. Boley, "Principal direction divisive partitioning", Data Mining and Knowledge Discovery 2 (1998), 325-344.
    """
    xp, n = ops.xp(components), len(components)
    scale = ops.reciprocal(ops.row_norms(X))
    counts = ops.sum_by_index(owner, multiply_weights(scale > 0, sample_weight), n)
    share = 1 / xp.where(counts > 0, counts, 1)

    def project(directions: Any) -> Any:
        return scale * xp.take_along_axis(ops.similarity(X, directions), owner[:, None], axis=1)[:, 0]

    def average(values: Any) -> Any:
        return (share * ops.sum_by_index(owner, multiply_weights(values, sample_weight), n)).astype(components.dtype)

    def orthogonalize(directions: Any) -> Any:
        return normalize_rows(directions - (directions * components).sum(axis=1)[:, None] * components)

    first = directions = orthogonalize(noise)
    for _ in range(_N_POWER_STEPS):
        side = project(directions)
        side -= average(side)[owner]
        weight = multiply_weights(side * scale, sample_weight)
        spread = ops.scatter_rows(xp.zeros_like(components), owner[:, None], weight[:, None], X)
        directions = orthogonalize(spread)
    is_certain = (counts >= _FEWEST) & (ops.row_norms(spread) > _ROUNDING * counts)
    directions = xp.where(is_certain[:, None], directions, first)
    side = project(directions)
    cosines = xp.where(counts > 0, average(project(components)), 1)
    widths = xp.sqrt(xp.maximum(1 - cosines**2, _ROUNDING))
    return directions, widths, side - average(side)[owner]
