"""The one door: raw input in, checked input out. Below it, arrays are trusted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from codebooks import ops


def check_input(estimator: BaseEstimator, X: Any, *, reset: bool) -> Any:
    """Check `X` for `estimator` and bring it into the one form that `codebooks.ops` takes.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose input it is; its `n_features_in_` and `feature_names_in_` are set or compared.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Dense input of any order, any SciPy sparse format, int32 or int64 indices, read-only or memory-mapped.
    reset : bool
        True where a model begins (its features are learned from `X`), False where `X` must fit the model.

    Returns
    -------
    ndarray or CSR matrix of float32 or float64
        The same memory as `X` where its form allows; other numbers become float64.

    Raises
    ------
    TypeError
        `X` is a Dask collection or text.
    ValueError
        `X` is empty, holds NaN, infinity or numbers whose squares overflow, has other features than the model, or
        (with `reset`) holds nothing but zeros. What the estimator knew before is kept.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> check_input(PCA(), [[1, 2], [3, 4]], reset=True)
    array([[1., 2.],
           [3., 4.]])
    """
    name = type(estimator).__name__
    _refuse_foreign_kinds(name, X)
    with unharmed(estimator):
        X = validate_data(estimator, X, accept_sparse="csr", dtype=[np.float64, np.float32], order=None, reset=reset)
        if issparse(X) and not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        _check_size(name, X, reset)
    return X


def check_codes(estimator: BaseEstimator, codes: Any, n_components: int) -> Any:
    """Check codes that come back to `estimator`: finite numbers, a column for each of its units.

    Raises
    ------
    ValueError
        They are not a matrix of finite numbers, or have another number of columns.
    """
    if ops.is_on_gpu(codes):
        ops.xp(codes)  # the seam, as below
    codes = check_array(codes, accept_sparse="csr", dtype=[np.float64, np.float32])
    if codes.shape[1] != n_components:
        raise ValueError(
            f"{type(estimator).__name__} wants codes of shape (n_samples, {n_components}) and got {codes.shape}. "
            f"Give inverse_transform what transform returned."
        )
    return codes


def check_targets(estimator: BaseEstimator, y: Any, n_rows: int) -> Any:
    """Check what belongs to the rows of a matrix: a label each, a number each or a row of numbers each; None stays.

    Raises
    ------
    ValueError
        There are not as many as rows, or numbers among them are not finite.
    """
    if y is None:
        return None
    name, y = type(estimator).__name__, np.asarray(y)
    if y.ndim not in (1, 2) or (y.ndim == 2 and y.dtype.kind not in "biuf"):
        raise ValueError(f"{name} wants a label or a row of numbers for each row of X and got y of shape {y.shape}.")
    if len(y) != n_rows:
        raise ValueError(f"{name} wants as many targets as rows and got {len(y)} of them for {n_rows} rows of X.")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{name} wants finite targets and got NaN or infinity in y.")
    return y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y.copy()


@contextmanager
def unharmed(estimator: BaseEstimator) -> Iterator[None]:
    """All or nothing: what `estimator` knew before comes back unless the block ends well."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        for name in vars(estimator).keys() - before.keys():
            del vars(estimator)[name]
        vars(estimator).update(before)  # and nothing is missing at any time, for other threads
        raise


def _refuse_foreign_kinds(name: str, X: Any) -> None:
    """Say what to do with input that scikit-learn's checks would misread or explain badly."""
    if type(X).__module__.startswith("dask."):
        raise TypeError(
            f"{name} wants an array in memory and got a Dask collection. Call X.compute() if it fits, or "
            f"partial_fit on one block after another."
        )
    if ops.is_on_gpu(X):
        ops.xp(X)  # the seam: there is no GPU body yet, and it says so
    if isinstance(X, str) or (isinstance(X, list | tuple) and X and isinstance(X[0], str)):
        raise TypeError(
            f"{name} wants a matrix of numbers and got text. Put a vectorizer before it: "
            f"make_pipeline(TfidfVectorizer(), {name}())."
        )


def _check_size(name: str, X: Any, reset: bool) -> None:
    """Refuse numbers whose squares overflow, and a matrix of nothing but zeros to learn from."""
    values = X.data if issparse(X) else X
    largest = max(values.max(), -values.min()) if values.size else 0.0
    limit = np.sqrt(np.finfo(X.dtype).max / max(X.size, 1)) / 4
    if largest > limit:
        raise ValueError(
            f"{name} wants numbers below {limit:.1e} and got {largest:.1e}: squares would overflow "
            f"{X.dtype}. Scale the data, for instance with sklearn.preprocessing.MaxAbsScaler."
        )
    if reset and largest == 0:
        raise ValueError(
            f"{name} got a matrix of shape {X.shape} that holds nothing but zeros, and there is nothing to learn from "
            f"zeros. Look at the step before: a vectorizer may have dropped every term (min_df, stop_words)."
        )
