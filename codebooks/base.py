"""The base class of all estimators on arrays, and parameter constraints. Private helpers of scikit-learn: only here."""

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

__all__ = [
    "ArrayTransformer",
    "Interval",
    "OneToOneFeatureMixin",
    "StrOptions",
    "check_random_state",
    "fit_context",
    "iterate_row_blocks",
]

fit_context = _fit_context


class Interval(AnyInterval):
    """A range of numbers, of which True and False are none."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether a value lies in the range."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)


def iterate_row_blocks(X: Any, row_bytes: int) -> Iterator[slice]:
    """Slices of the rows of `X` of which each needs so many bytes, within scikit-learn's `working_memory`."""
    memory = int(min(get_config()["working_memory"] * 2**20, ops.block_bytes(X)))
    if X.shape[0]:
        yield from gen_batches(X.shape[0], max(1, memory // max(row_bytes, 1)))


class ArrayTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DocumentationLink, BaseEstimator):
    """A transformer of arrays: one door, sparse input, dtype preserved, names for its output, host pickles."""

    def _validate_params(self) -> None:
        with shorten_errors():
            super()._validate_params()

    def _check(self, X: Any, *, reset: bool = False) -> Any:
        if not reset:
            check_is_fitted(self)
        return check_input(self, X, reset=reset, like=None if reset else self._get_learned_array())

    def _get_learned_array(self) -> Any:
        """An array that shows on which device this has learned."""
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
