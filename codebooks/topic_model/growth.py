"""Search for new themes in the last documents of a stream."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from codebooks import ops
from codebooks.topic_model.components import append_components

__all__ = ["find_new_groups"]

# Rows of the past that recent ones are compared with, and the fewest.
_N_PAST, _FEWEST_PAST = 5_000, 100
# Recent rows whose fit is below this quantile of the fit of past rows are clustered.
_QUANTILE = 0.25
# Clusters, and rows of each on average at least.
_N_CLUSTERS, _ROWS_EACH = 8, 20
# A new group has at least this number of rows and this share of recent ones, and this times the share of past ones.
_FEWEST_ROWS, _LEAST_SHARE, _LEAST_RATIO = 10, 0.02, 4.0
_N_ROUNDS = 5


def find_new_groups(learner: Any, recent: Any, past: Any, seed: list[int]) -> tuple[Any, int]:
    """Return a state with a component for each group of recent rows that past rows do not have, and their number."""
    rng = np.random.default_rng(seed)
    state, n_groups = learner._get_state(), 0
    found: Any = None
    if past.shape[0] < _FEWEST_PAST:
        return None, 0
    past = ops.take_rows(past, np.sort(rng.permutation(past.shape[0])[:_N_PAST]))
    for _ in range(_N_ROUNDS):
        rows = _find_group(learner, state if found is None else append_components(state, found), recent, past, rng)
        if rows is None:
            break
        new = _describe(learner, recent, [rows], state)
        found = new if found is None else append_components(found, new)
        n_groups += 1
    return found, n_groups


def _find_group(learner: Any, state: Any, recent: Any, past: Any, rng: Any) -> NDArray[Any] | None:
    """Return the rows of the recent group whose share has risen most, or None."""
    fit, fit_of_past = _compute_fit(learner, recent, state), _compute_fit(learner, past, state)
    poor = np.flatnonzero(fit < np.quantile(fit_of_past, _QUANTILE))
    n_clusters = min(_N_CLUSTERS, len(poor) // _ROWS_EACH)
    if len(poor) < _FEWEST_ROWS or n_clusters < 1:
        return None
    labels = np.zeros(len(poor), np.int64)
    if n_clusters > 1:
        part = clone(learner).set_params(n_components=n_clusters, random_state=int(rng.integers(2**31)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            labels = part.fit_predict(ops.take_rows(poor_rows(recent, poor), np.arange(len(poor))))
    half = rng.permutation(len(poor)) % 2
    best, best_excess = None, 0.0
    for k in np.unique(labels[labels >= 0]):
        rows = poor[labels == k]
        halves = [rows[half[labels == k] == h] for h in (0, 1)]
        if min(map(len, halves)) < _FEWEST_ROWS // 2:
            continue
        n_recent = n_past = 0
        for own, other in (halves, halves[::-1]):
            one = append_components(state, _describe(learner, recent, [own], state))
            rest = np.setdiff1d(np.arange(recent.shape[0]), own)
            n_recent += int((learner._find_winners(ops.take_rows(recent, other), one) == len(state.usage)).sum())
            n_past += int((learner._find_winners(past, one) == len(state.usage)).sum()) / 2
        share, share_of_past = n_recent / recent.shape[0], n_past / past.shape[0]
        LOG.append((int(k), len(rows), n_recent, n_past, rows))
        if n_recent < _FEWEST_ROWS or share < _LEAST_SHARE or share < _LEAST_RATIO * share_of_past:
            continue
        excess = n_recent - share_of_past * recent.shape[0]
        if excess > best_excess:
            best, best_excess = rows, excess
    return best

LOG = []
def poor_rows(recent, poor):
    return ops.take_rows(recent, poor)


def _describe(learner: Any, X: Any, groups: list[NDArray[Any]], state: Any) -> Any:
    rows = np.concatenate(groups)
    labels = np.repeat(np.arange(len(groups)), list(map(len, groups)))
    n_samples = max(X.shape[0], int(state.n_rows.sum()) if "n_rows" in state._fields else 0)
    new = learner._describe_groups(ops.take_rows(X, rows), labels, len(groups), state, n_samples)
    new = new._replace(usage=new.usage * new.usage.dtype.type(len(rows) / X.shape[0]))
    if "n_rows" not in state._fields:  # inhibition is a mean score, which a new component does not have yet
        new = new._replace(inhibition=new.inhibition + state.inhibition.mean())
    return new


def _compute_fit(learner: Any, X: Any, state: Any) -> NDArray[Any]:
    """Compute how well the components fit each row: the log likelihood per word, or the largest cosine."""
    if hasattr(learner, "_score_rows"):
        from codebooks.models.multinomial_mixture import _ROW_NORM
        _, likelihood = learner._score_rows(X, state)
        xp = ops.xp(state.components)
        words = ops.weigh_entries(X, xp.exp(-state.log_scale), _ROW_NORM)
        return ops.to_host(likelihood) / np.maximum(np.asarray(words.sum(axis=1)).ravel(), 1e-9)
    codes, _ = learner._encode(X, state)
    return ops.to_host(learner._compute_confidence(X, codes, codes.argmax(axis=1), state))
