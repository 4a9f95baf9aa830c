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

# Largest number of rows of the past, and the smallest number of these and of recent rows.
_N_PAST, _FEWEST = 5_000, 100
# The share of recent rows that is clustered, the number of clusters, and the smallest mean number of rows of each.
_MOST_NOVEL, _N_CLUSTERS, _ROWS_EACH = 0.15, 4, 10
# A new component wins at least this share of recent rows, and this times the share of past ones, whose number is
# raised by this number of standard deviations.
_LEAST_SHARE, _LEAST_RATIO, _N_DEVIATIONS = 0.02, 2.5, 3.0
# New components at most, passes over past rows before the comparison, and refinements of a new component.
_N_COMPONENTS, _N_EPOCHS, _N_REFINEMENTS = 5, 3, 2
# Words are smoothed by the counts of this number of words for each feature.
_SMOOTHING = 0.1


def find_new_components(learner: Any, recent: Any, past: Any, seed: list[int]) -> Any:
    """Return a state with a component for each group of recent rows that past rows do not have, or None.

    A component is found in one half of the recent rows. It is new if its share of the other half is larger than that
    of the past rows. All three sets of rows are new to the components that it is compared with: these have learned
    again from the other half of the past rows.
    """
    rng = np.random.default_rng(seed)
    if min(past.shape[0], recent.shape[0]) < _FEWEST:
        return None
    past = ops.take_rows(past, np.sort(rng.permutation(past.shape[0])[:_N_PAST]))
    (first, second), (learned, past) = (_halve(rows, rng) for rows in (recent, past))
    state, reference = learner._get_state(), learn(learner, learned, learner._get_state(), _N_EPOCHS)._get_state()
    novelty = _compute_novelty(learner, reference, first, past)
    found = None
    for _ in range(_N_COMPONENTS):
        known = reference if found is None else append_components(reference, found)
        rows = np.flatnonzero(novelty > np.quantile(novelty, 1 - _MOST_NOVEL))
        rows = rows[learner._find_winners(ops.take_rows(first, rows), known) < len(reference.usage)]
        new = None
        for group in _cluster(learner, first, rows, rng):
            component = _describe(learner, first, group, reference)
            excess = _compute_excess(learner, append_components(known, component), second, past)
            if excess > 0 and (new is None or excess > new[0]):
                new = excess, component
        if new is None:
            break
        component = new[1]
        for _ in range(_N_REFINEMENTS):
            winners = learner._find_winners(recent, append_components(known, component))
            rows = np.flatnonzero(winners == len(known.usage))
            if len(rows):
                component = _describe(learner, recent, rows, state)
        found = component if found is None else append_components(found, component)
    return found


def _halve(X: Any, rng: Any) -> list[Any]:
    is_first = rng.permutation(X.shape[0]) % 2 == 0
    return [ops.take_rows(X, np.flatnonzero(part)) for part in (is_first, ~is_first)]


def _compute_novelty(learner: Any, state: Any, recent: Any, past: Any) -> NDArray[Any]:
    """Compute how much more probable each recent row is by the other recent rows than by past ones.

    It is the logarithm of the ratio of the probabilities of its words; for dense rows minus the largest cosine.
    """
    if not ops.is_sparse(recent):
        codes, _ = learner._encode(recent, state)
        return -ops.to_host(learner._compute_confidence(recent, codes, codes.argmax(axis=1), state))
    counts, before = (np.asarray(X.sum(axis=0), dtype=np.float64).ravel() for X in (recent, past))
    added = _SMOOTHING * len(counts) * (counts + before) / (counts.sum() + before.sum())
    others = np.maximum(counts[recent.indices] - recent.data, 0)
    ratios = (others + added[recent.indices]) / (before + added)[recent.indices]
    ratios *= (before.sum() + added.sum()) / (counts.sum() + added.sum())
    rows = np.repeat(np.arange(recent.shape[0]), np.diff(recent.indptr))
    return np.bincount(rows, recent.data * np.log(np.maximum(ratios, 1e-12)), recent.shape[0])


def _cluster(learner: Any, X: Any, rows: NDArray[Any], rng: Any) -> list[NDArray[Any]]:
    """Return groups of these rows of `X`."""
    n_clusters = min(_N_CLUSTERS, len(rows) // _ROWS_EACH)
    if n_clusters < 2:
        return [rows] if n_clusters else []
    part = clone(learner).set_params(n_components=n_clusters, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # components without rows are left out
        labels = part.fit_predict(ops.take_rows(X, rows))
    groups = (rows[labels == k] for k in range(n_clusters))
    return [group for group in groups if len(group) >= _ROWS_EACH // 2]


def _compute_excess(learner: Any, state: Any, recent: Any, past: Any) -> float:
    """Compute how much larger the share of recent rows is that the last component wins; negative if not enough."""
    n_recent, n_past = (int((learner._find_winners(X, state) == len(state.usage) - 1).sum()) for X in (recent, past))
    share, before = n_recent / recent.shape[0], (n_past + _N_DEVIATIONS * n_past**0.5 + 1) / past.shape[0]
    return share - before if share >= max(_LEAST_SHARE, _LEAST_RATIO * before) else -1.0


def _describe(learner: Any, X: Any, rows: NDArray[Any], state: Any) -> Any:
    """Return a state with one component, that of these rows of `X`."""
    n_samples = max(X.shape[0], int(state.n_rows.sum()) if "n_rows" in state._fields else 0)
    new = learner._describe_groups(ops.take_rows(X, rows), np.zeros(len(rows), np.int64), 1, state, n_samples)
    new = new._replace(usage=new.usage * new.usage.dtype.type(len(rows) / X.shape[0]))
    if "n_rows" not in state._fields:  # inhibition is a mean score, and a new component has none yet
        new = new._replace(inhibition=new.inhibition + state.inhibition.mean())
    return new
