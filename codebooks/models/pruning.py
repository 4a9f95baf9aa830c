"""Removal of superfluous components by strong rival-penalised competition, for `KrotovHopfield(prune=True)`."""

from __future__ import annotations

from typing import Any

import numpy as np

from codebooks import ops
from codebooks.models.convergence import Reporter
from codebooks.models.cosine import normalize_rows
from codebooks.models.statistics import multiply_weights, sum_weights

__all__ = ["PRUNING_SETTINGS", "prune_components", "select_components"]

# A weaker repulsion leaves two components in a group; a stronger one drives away the components of small groups too.
PRUNING_SETTINGS = {
    "algorithm": "batch",
    "rival_rank": 2,
    "repulsion": 0.8,
    "annealing_updates": 0,
    "inhibition": None,
    "revive": False,
}
_SUPERFLUOUS = 0.1  # part of an even share of wins that a component needs to stay; single outliers do not keep one
_LEAST_GAIN = 1 / 3  # part of what many components explain beyond a single one that the remaining ones must explain
# Pruning ends after this number of passes without a removal; much later even a needed component may be driven away.
_QUIET_PASSES = 5


def prune_components(learner: Any, X: Any, rng: Any, reporter: Reporter, sample_weight: Any = None) -> tuple[Any, int]:
    """Return the state of a learner after superfluous components are removed, and the number of passes.

    `learner` is the learner with the settings `PRUNING_SETTINGS`.
    """
    state: Any = None
    sound: Any = None  # the last state in which every group had a component
    floor, n_quiet = 0.0, 0
    for epoch in reporter.epochs():
        state, score, n_idle = learner._run_epoch(X, state, epoch, rng, sample_weight=sample_weight)
        reporter.report(epoch, score, n_idle)
        usage = ops.to_host(state.usage)
        is_needed = usage >= _SUPERFLUOUS / len(usage)
        if sound is None or not is_needed.all():
            state = select_components(state, is_needed)
            energy, single = _compute_explained_by_centres(X, state, learner._get_directions(state), sample_weight)
            if sound is None:
                floor = single + _LEAST_GAIN * (energy - single)
            elif energy < floor:
                break  # without the components removed last, whole groups have none
        sound = state
        # The running share of an idle component falls slowly, so an idle component is a removal to come.
        n_quiet = n_quiet + 1 if is_needed.all() and n_idle == 0 else 0
        if n_quiet == _QUIET_PASSES:
            break
    return sound, epoch + 1


def select_components(state: Any, mask: np.ndarray) -> Any:
    """Return the state of the components for which the host array `mask` is true."""
    if mask.all():
        return state
    index = ops.to_device_of(np.flatnonzero(mask), state.components)
    # Fields with an entry or a row for each component differ between learners.
    names = [name for name, value in state._asdict().items() if np.shape(value)[:1] == mask.shape]
    fields = {name: getattr(state, name)[index] for name in names}
    fields["components"] = ops.xp(index).asfortranarray(fields["components"])
    return state._replace(**fields)


def _compute_explained_by_centres(X: Any, state: Any, directions: Any, sample_weight: Any) -> tuple[float, float]:
    """Compute the energy explained by the means of the rows that components win, and by the mean of all rows."""
    xp = ops.xp(state.components)
    found = ops.find_nearest(X, directions, state.inhibition, 1)
    weight = multiply_weights(ops.reciprocal(found.norms)[:, None], sample_weight)
    sums = ops.scatter_rows(xp.zeros(state.components.shape, weight.dtype), found.index, weight, X)
    n_rows = float(ops.to_host(sum_weights(found.norms > 0, sample_weight))) or 1.0
    energies = []
    for centres in (sums, sums.sum(axis=0, keepdims=True)):
        handicap = xp.zeros(len(centres), centres.dtype)
        score = ops.find_nearest(X, xp.asfortranarray(normalize_rows(centres)), handicap, 1).score
        energies.append(float(ops.to_host(multiply_weights(score**2, sample_weight).sum())) / n_rows)
    return energies[0], energies[1]
