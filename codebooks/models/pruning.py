"""Fewer units: fierce rivals drive each other away, and who holds its ground stays."""

from __future__ import annotations

from typing import Any

import numpy as np

from codebooks import ops
from codebooks.models.convergence import Reporter
from codebooks.models.cosine import normalize_rows

__all__ = ["FIERCE", "prune_components", "select_components"]

# Weaker rivals leave two units to a group; stronger ones drive away the units of small groups as well.
FIERCE = {
    "algorithm": "batch",
    "rival_rank": 2,
    "repulsion": 0.8,
    "annealing_updates": 0,
    "inhibition": None,
    "revive": False,
}
_SUPERFLUOUS = 0.1  # part of an even share of wins that a unit needs to stay; single odd rows do not keep one
_LEAST_GAIN = 1 / 3  # part of what many units explain beyond a single one that those left must explain
_QUIET_PASSES = 5  # without a loss, then pruning is over; long after that even a sound unit may be driven away


def prune_components(fierce: Any, X: Any, rng: Any, reporter: Reporter) -> tuple[Any, int]:
    """The state of the units of a learner that hold their ground against rivals, and the passes that this took."""
    state: Any = None
    sound: Any = None  # the last state in which every group had its unit
    floor, n_quiet = 0.0, 0
    for epoch in reporter.epochs():
        state, score, n_idle = fierce._run_epoch(X, state, epoch, rng)
        reporter.tell(epoch, score, n_idle)
        usage = ops.to_host(state.usage)
        held = usage >= _SUPERFLUOUS / len(usage)
        if sound is None or not held.all():
            state = select_components(state, held)
            energy, alone = _compute_explained_by_centres(X, state, fierce._get_directions(state))
            if sound is None:
                floor = alone + _LEAST_GAIN * (energy - alone)
            elif energy < floor:
                break  # without the units lost last, whole groups have nobody
        sound = state
        n_quiet = n_quiet + 1 if held.all() and n_idle == 0 else 0  # an idle unit's running share has yet to fade
        if n_quiet == _QUIET_PASSES:
            break
    return sound, epoch + 1


def select_components(state: Any, which: np.ndarray) -> Any:
    """The state of some of the units, those where the host array `which` is true."""
    if which.all():
        return state
    index = ops.to_device_of(np.flatnonzero(which), state.components)
    # Fields with an entry or a row for each unit, whichever a learner has.
    of_units = [name for name, value in state._asdict().items() if np.shape(value)[:1] == which.shape]
    fields = {name: getattr(state, name)[index] for name in of_units}
    fields["components"] = ops.xp(index).asfortranarray(fields["components"])
    return state._replace(**fields)


def _compute_explained_by_centres(X: Any, state: Any, directions: Any) -> tuple[float, float]:
    """Explained energy if each unit stood amid the rows that it wins, and if one unit stood amid all rows."""
    xp = ops.xp(state.components)
    found = ops.find_nearest(X, directions, state.inhibition, 1)
    weight = ops.reciprocal(found.norms)[:, None]
    sums = ops.scatter_rows(xp.zeros(state.components.shape, weight.dtype), found.index, weight, X)
    energies = []
    for centres in (sums, sums.sum(axis=0, keepdims=True)):
        nothing = xp.zeros(len(centres), centres.dtype)
        score = ops.find_nearest(X, xp.asfortranarray(normalize_rows(centres)), nothing, 1).score
        energies.append(float(ops.to_host((score**2).sum())) / max(float(ops.to_host((weight > 0).sum())), 1.0))
    return energies[0], energies[1]
