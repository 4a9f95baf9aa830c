"""Base class of all estimators on arrays, parameter constraints and callbacks.

Private helpers of scikit-learn are imported here and in `codebooks.validation` only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils._param_validation import Interval as AnyInterval
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks._documentation_link import DocumentationLink
from codebooks.errors import shorten_errors
from codebooks.validation.arrays import check_input

try:  # scikit-learn >= 1.9
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in for scikit-learn's mixin class, without callbacks."""

    def with_callbacks(method: Any) -> Any:
        """Return the method unchanged."""
        return method


__all__ = [
    "ArrayTransformer",
    "CallbackSupportMixin",
    "FitTasks",
    "Interval",
    "OneToOneFeatureMixin",
    "StrOptions",
    "check_random_state",
    "fit_context",
    "iterate_row_blocks",
    "with_callbacks",
]

fit_context = _fit_context


class FitTasks:
    """Calls of the hooks of scikit-learn's callbacks. They have no effect before scikit-learn 1.9.

    Parameters
    ----------
    estimator : CallbackSupportMixin
        Its method that creates the tasks has the decorator `with_callbacks`.
    n_epochs : int
        The largest number of epochs.
    """

    def __init__(self, estimator: Any, n_epochs: int) -> None:
        self.estimator, self.data = estimator, {}  # type: ignore[var-annotated]
        create = getattr(estimator, "_init_callback_context", None)
        self.root = create(max_subtasks=n_epochs) if create else None
        self.epoch: Any = None

    def begin(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Call the hooks at the beginning of `fit`."""
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"estimator": self.estimator, "X": X, "y": y, "metadata": metadata}
        if self.root is not None:
            self.root.call_on_fit_task_begin(**self.data)

    def begin_epoch(self) -> None:
        """Call the hooks at the beginning of an epoch."""
        if self.root is not None:
            self.epoch = self.root.subcontext("epoch").call_on_fit_task_begin(**self.data)

    def end_epoch(self, get_attributes: Any) -> bool:
        """Call the hooks at the end of an epoch, and return whether a callback requests to stop.

        `get_attributes` returns the attributes of an estimator that is fitted up to this epoch.
        """
        if self.root is None:
            return False
        return self.epoch.call_on_fit_task_end(**self.data, reconstruction_attributes=get_attributes)

    def end(self, get_attributes: Any) -> None:
        """Call the hooks at the end of `fit`."""
        if self.root is not None:
            self.root.call_on_fit_task_end(**self.data, reconstruction_attributes=get_attributes)


class Interval(AnyInterval):
    """Range of numbers. True and False are not numbers."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Return whether a value is in the range."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)


def iterate_row_blocks(X: Any, row_bytes: int) -> Iterator[slice]:
    """Iterate over slices of the rows of `X`, within scikit-learn's `working_memory` at `row_bytes` bytes a row."""
    memory = int(min(get_config()["working_memory"] * 2**20, ops.block_bytes(X)))
    if X.shape[0]:
        yield from gen_batches(X.shape[0], max(1, memory // max(row_bytes, 1)))


class ArrayTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DocumentationLink, BaseEstimator):
    """Transformer of dense and sparse arrays that preserves the dtype and pickles device arrays as host arrays."""

    def _validate_params(self) -> None:
        with shorten_errors():
            super()._validate_params()

    def _check(self, X: Any, *, reset: bool = False) -> Any:
        if not reset:
            check_is_fitted(self)
        return check_input(self, X, reset=reset, like=None if reset else self._get_learned_array())

    def _get_learned_array(self) -> Any:
        """Return a fitted array on the GPU if there is one, else a host array."""
        return next(filter(ops.is_on_gpu, vars(self).values()), np.empty(0))

    def _check_fitted(self) -> None:
        check_is_fitted(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        return {name: ops.to_host(value) for name, value in super().__getstate__().items()}

    def __sklearn_is_fitted__(self) -> bool:
        return "components_" in vars(self)

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])
