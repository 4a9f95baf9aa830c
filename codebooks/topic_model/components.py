"""Components of a learner: selection, replacement by groups of documents, and learning from a given state."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codebooks import ops
from codebooks.models.base import CodebookLearner
from codebooks.models.statistics import compute_win_shares

__all__ = [
    "append_components",
    "compute_shares",
    "is_editable",
    "learn",
    "require_editable",
    "select_components",
    "store_labels",
    "store_state",
]

# Fields of a state with an entry or a row for each component.
_FIELDS = ("components", "mass", "n_rows", "usage", "inhibition")


def is_editable(learner: Any) -> bool:
    """Whether components of this learner can be replaced."""
    return isinstance(learner, CodebookLearner) and set(learner._State._fields) <= {
        *_FIELDS,
        *("log_scale", "scale_counts", "mean_saliency", "unexplained", "reservoir", "seed", "n_updates"),
    }


def require_editable(learner: Any, subject: str, advice: str) -> None:
    """Raise an error, which begins and ends with these words, if components of this learner cannot be replaced."""
    if not is_editable(learner):
        raise TypeError(
            f"{subject} is MultinomialMixture, KrotovHopfield or InhibitedMixture, got {type(learner).__name__}. "
            f"{advice}."
        )


def select_components(state: Any, index: NDArray[Any]) -> Any:
    """Return the state of these components."""
    fields = {name: getattr(state, name)[index] for name in _FIELDS if name in state._fields}
    fields["components"] = ops.xp(fields["usage"]).asfortranarray(fields["components"])
    return state._replace(**fields)


def append_components(state: Any, other: Any) -> Any:
    """Return a state with the components of both, and the other fields of the first."""
    xp = ops.xp(state.components)
    fields = {
        name: xp.concatenate([getattr(state, name), getattr(other, name)]) for name in _FIELDS if name in state._fields
    }
    fields["components"] = xp.asfortranarray(fields["components"])
    return state._replace(**fields)


def store_state(learner: Any, state: Any) -> Any:
    """Return a copy of a learner with another state."""
    learner = copy(learner)
    learner._store_state(state)
    learner.n_components = len(state.usage)
    return learner


def store_labels(learner: Any, labels: NDArray[Any]) -> Any:
    """Return a copy of a learner with these labels of its rows, and the usage that follows from them."""
    learner = copy(learner)
    learner.labels_ = ops.to_device_of(labels, learner.usage_)
    learner.usage_ = compute_win_shares(labels, learner.usage_)
    return learner


def learn(learner: Any, X: Any, state: Any, n_epochs: int, constrain: Callable[[Any], Any] | None = None) -> Any:
    """Return a copy of a learner that has learned from `X` for some epochs, starting from a state.

    Each epoch is one minibatch, because the noise of smaller ones moves documents between topics.
    """
    learner = copy(learner)
    batch_size, learner.batch_size = learner.batch_size, X.shape[0]
    learner.n_components, learner.n_iter_, learner._constrain = len(state.usage), n_epochs, constrain
    rng = np.random.RandomState(state.seed)
    for epoch in range(n_epochs):
        state, _, _ = learner._run_epoch(X, state, epoch, rng, revive=False)
    del learner._constrain
    learner.batch_size = batch_size
    learner._store_state(state)
    return learner


def compute_shares(learner: Any, X: Any) -> NDArray[Any]:
    """Compute the shares of the components of any learner in each row: they are at least 0 and sum to 1.

    A row without a positive code has even shares. The codes of a learner with `cluster_centers_` are distances; its
    shares are proportional to the inverse squares of these, as in fuzzy c-means.
    """
    codes = ops.to_host(learner.transform(X))
    codes = np.maximum(codes.toarray() if hasattr(codes, "toarray") else np.asarray(codes), 0)
    if hasattr(learner, "cluster_centers_"):
        distances = np.maximum(codes, np.finfo(codes.dtype).eps)
        codes = (distances.min(axis=1, keepdims=True) / distances) ** 2
    totals = codes.sum(axis=1, keepdims=True)
    return np.where(totals > 0, codes / np.where(totals > 0, totals, 1), codes.dtype.type(1 / codes.shape[1]))
