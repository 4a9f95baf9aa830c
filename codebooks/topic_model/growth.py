"""Search for new themes in the last documents of a stream."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from codebooks import ops
from codebooks.topic_model.components import append_components, learn

__all__ = ["find_new_components"]

# Rows of the past that recent ones are compared with, and the fewest.
_N_PAST, _FEWEST_PAST = 5_000, 100
# Clusters, and rows of each on average at least.
N_CLUSTERS, _ROWS_EACH = 4, 20
# A new group has at least this number of rows and this share of recent ones, and this times the share of past ones.
_FEWEST_ROWS, LEAST_SHARE, LEAST_RATIO = 10, 0.02, 3.0
N_ROUNDS = 5
N_EPOCHS = 3
SMOOTH = 1.0
N_REFINE = 2
LOG = []
MARGIN = 0.0


def find_new_components(learner: Any, recent: Any, past: Any, seed: list[int]) -> Any:
    """Return a state with a component for each group of recent rows that past rows do not have, and their number."""
    rng = np.random.default_rng(seed)
    state = learner._get_state()
    found: Any = None
    if past.shape[0] < _FEWEST_PAST:
        return None
    # The components have learned from past rows, but not from recent ones. To compare them, components that have
    # learned from one half of the past rows are used with the other half.
    part = rng.permutation(recent.shape[0]) % 2
    first, second = (ops.take_rows(recent, np.flatnonzero(part == h)) for h in (0, 1))
    novelty = _compute_novelty(first, past)
    shuffled = rng.permutation(past.shape[0])[:_N_PAST]
    halves = [ops.take_rows(past, np.sort(part)) for part in np.array_split(shuffled, 2)]
    reference, past = learn(learner, halves[0], state, N_EPOCHS)._get_state(), halves[1]
    for _ in range(N_ROUNDS):
        new = _find_group(learner, reference, found, first, second, past, novelty, rng)
        if new is None:
            break
        for _ in range(N_REFINE):
            both = append_components(reference if found is None else append_components(reference, found), new)
            rows = np.flatnonzero(learner._find_winners(recent, both) == len(both.usage) - 1)
            if len(rows) < _FEWEST_ROWS:
                break
            new = _describe(learner, recent, rows, state)
        if len(rows) < _FEWEST_ROWS:
            break
        found = new if found is None else append_components(found, new)
    return found


def _compute_novelty(recent, past):
    """Log likelihood ratio of each recent row under words of the other recent rows and of past rows."""
    c_recent = np.asarray(recent.sum(axis=0), float).ravel()
    c_past = np.asarray(past.sum(axis=0), float).ravel()
    p = (c_recent + c_past); p = p / p.sum()
    a = SMOOTH * len(p)/10
    log_past = np.log((c_past + a * p + 1e-12) / (c_past.sum() + a))
    X = recent.tocsr()
    rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    own = c_recent[X.indices] - X.data
    value = np.log((own + a * p[X.indices] + 1e-12) / (c_recent.sum() + a)) - log_past[X.indices]
    return np.bincount(rows, weights=X.data * value, minlength=X.shape[0])


def _find_group(learner: Any, reference, found, first: Any, second, past: Any, novelty, rng: Any) -> NDArray[Any] | None:
    """Return the component of the recent group whose share has risen most, or None."""
    state = reference if found is None else append_components(reference, found)
    selected = novelty > MARGIN
    if found is not None:
        selected &= learner._find_winners(first, state) < len(reference.usage)
    poor = np.flatnonzero(selected)
    n_clusters = min(N_CLUSTERS, len(poor) // _ROWS_EACH)
    if len(poor) < _FEWEST_ROWS or n_clusters < 1:
        return None
    labels = np.zeros(len(poor), np.int64)
    if n_clusters > 1:
        part = clone(learner).set_params(n_components=n_clusters, random_state=int(rng.integers(2**31)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            labels = part.fit_predict(ops.take_rows(first, poor))
    best, best_excess = None, 0.0
    for k in np.unique(labels[labels >= 0]):
        rows = poor[labels == k]
        if len(rows) < _FEWEST_ROWS // 2:
            continue
        new = _describe(learner, first, rows, reference)
        one = append_components(state, new)
        n_recent = int((learner._find_winners(second, one) == len(state.usage)).sum())
        n_past = int((learner._find_winners(past, one) == len(state.usage)).sum())
        share, share_of_past = n_recent / second.shape[0], (n_past + PSEUDO) / past.shape[0]
        LOG.append((int(k), len(rows), n_recent, n_past, rows, second.shape[0], past.shape[0]))
        if n_recent < _FEWEST_ROWS / 2 or share < LEAST_SHARE or share < LEAST_RATIO * share_of_past:
            continue
        excess = share - share_of_past
        if excess > best_excess:
            best, best_excess = new, excess
    return best


PSEUDO = 1


def _describe(learner: Any, X: Any, rows: NDArray[Any], state: Any) -> Any:
    n_samples = max(X.shape[0], int(state.n_rows.sum()) if "n_rows" in state._fields else 0)
    new = learner._describe_groups(ops.take_rows(X, rows), np.zeros(len(rows), np.int64), 1, state, n_samples)
    new = new._replace(usage=new.usage * new.usage.dtype.type(len(rows) / X.shape[0]))
    if "n_rows" not in state._fields:  # inhibition is a mean score, which a new component does not have yet
        new = new._replace(inhibition=new.inhibition + state.inhibition.mean())
    return new
