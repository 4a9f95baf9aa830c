"""The one door: raw input in, checked input out. Below it, arrays are trusted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from codebooks import ops


def check_input(estimator: BaseEstimator, X: Any, *, reset: bool, like: Any = None) -> Any:
    """Check `X` for `estimator` and bring it into the one form that `codebooks.ops` takes.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose input it is; its `n_features_in_` and `feature_names_in_` are set or compared.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Dense input of any order, any SciPy sparse format, int32 or int64 indices, read-only or memory-mapped. Or a CuPy
        array or sparse matrix, which stays where it is.
    reset : bool
        True where a model begins (its features are learned from `X`), False where `X` must fit the model.
    like : array, optional
        Something that the model has learned: `X` has to be on the same device.

    Returns
    -------
    ndarray or CSR matrix of float32 or float64
        The same memory as `X` where its form allows; other numbers become float64.

    Raises
    ------
    TypeError
        `X` is a Dask collection or text, or lies on another device than the model.
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
    if like is not None:
        _refuse_other_device(name, X, like)
    with unharmed(estimator):
        if ops.is_on_gpu(X):
            X = _matrix_on_device(name, X)
            validate_data(estimator, X, reset=reset, skip_check_array=True)  # how many features there are
        else:
            how = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "order": None}
            X = ops.as_matrix(validate_data(estimator, X, reset=reset, **how))
        _check_size(name, X, reset)
    return X


def check_codes(estimator: BaseEstimator, codes: Any, n_components: int, like: Any) -> Any:
    """Check codes that come back to `estimator`: finite numbers, a column for each of its units, its device (`like`).

    Raises
    ------
    TypeError
        They lie on another device than the model.
    ValueError
        They are not a matrix of finite numbers, or have another number of columns.
    """
    name = type(estimator).__name__
    _refuse_other_device(name, codes, like)
    codes = check_matrix(name, codes)
    if codes.shape[1] != n_components:
        raise ValueError(
            f"{name} wants codes of shape (n_samples, {n_components}) and got {codes.shape}. "
            f"Give inverse_transform what transform returned."
        )
    return codes


def check_matrix(name: str, X: Any) -> Any:
    """Check a matrix that no model has to know: finite numbers, on any device.

    Raises
    ------
    ValueError
        It is not a matrix of finite numbers; `name` says who wanted one.
    """
    if not ops.is_on_gpu(X):
        return check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32])
    X = _matrix_on_device(name, X)
    _check_finite(name, X)
    return X


def check_embeddings(estimator: BaseEstimator, X: Any) -> Any:
    """Check embeddings that no model has to know: a dense matrix of finite numbers on any device, as float32.

    Raises
    ------
    TypeError
        It is sparse.
    ValueError
        It is not a matrix of finite numbers.
    """
    if not ops.is_on_gpu(X):
        with np.errstate(over="ignore"):  # what is too large becomes infinity, and that is refused
            return check_array(X, dtype=np.float32, estimator=estimator, input_name="X")
    refuse_sparse(estimator, X)
    return ops.cast(check_matrix(type(estimator).__name__, X), np.float32)


def refuse_sparse(estimator: BaseEstimator, X: Any) -> None:
    """Say what to do with a sparse matrix where `estimator` wants embeddings."""
    if ops.is_sparse(X):
        raise TypeError(
            f"{type(estimator).__name__} wants dense embeddings and got a sparse matrix. Put "
            f"TruncatedSVD(n_components=...) of sklearn.decomposition before it."
        )


def refuse_device(estimator: BaseEstimator, X: Any) -> None:
    """Say what to do with a CuPy array where `estimator` computes on the host alone."""
    if ops.is_on_gpu(X):
        raise TypeError(
            f"{type(estimator).__name__} weighs counts in host memory and got a CuPy array. Move them there: X.get()."
        )


def check_targets(estimator: BaseEstimator, y: Any, n_rows: int) -> Any:
    """Check what belongs to the rows of a matrix: a label each, a number each or a row of numbers each; None stays.

    Raises
    ------
    ValueError
        There are not as many as rows, or numbers among them are not finite.
    """
    if y is None:
        return None
    name, y = type(estimator).__name__, np.asarray(ops.to_host(y))
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
    if isinstance(X, str) or (isinstance(X, list | tuple) and X and isinstance(X[0], str)):
        raise TypeError(
            f"{name} wants a matrix of numbers and got text. Put a vectorizer before it: "
            f"make_pipeline(TfidfVectorizer(), {name}())."
        )


def _refuse_other_device(name: str, X: Any, like: Any) -> None:
    """A model computes where it has learned; nothing is moved behind its user's back."""
    if ops.is_on_gpu(X) and not ops.is_on_gpu(like):
        raise TypeError(
            f"This {name} has learned on the CPU and got a CuPy array. Move that to the host, with X.get(), or fit the "
            f"model on CuPy arrays."
        )
    if ops.is_on_gpu(like) and not ops.is_on_gpu(X):
        there = "cupyx.scipy.sparse.csr_matrix(X)" if ops.is_sparse(X) else "cupy.asarray(X)"
        raise TypeError(
            f"This {name} has learned on the GPU and got {type(X).__name__}, which is on the host. Move that to the "
            f"GPU, with {there}, or the model to the host, with codebooks.to_host(model)."
        )


def _matrix_on_device(name: str, X: Any) -> Any:
    """A CuPy matrix in the form that `codebooks.ops` takes; what scikit-learn checks of others is checked here."""
    if X.ndim != 2:
        raise ValueError(
            f"{name} wants a matrix, an array with 2 dimensions, and got one of shape {X.shape}. Reshape a single row "
            f"with X.reshape(1, -1)."
        )
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{name} wants real numbers and got {X.dtype}. Use X.astype(cupy.float32).")
    for what, n in zip(("row", "feature"), X.shape, strict=True):
        if n == 0:
            raise ValueError(f"{name} wants at least one {what} and got an array of shape {X.shape}.")
    return ops.as_matrix(X)


def _check_finite(name: str, X: Any) -> None:
    """Refuse NaN and infinity on a device; on the host, scikit-learn has done so."""
    if not bool(ops.xp(X).isfinite(ops.entries(X)).all()):
        raise ValueError(f"{name} wants finite numbers and got NaN or infinity. Look at the step before.")


def _check_size(name: str, X: Any, reset: bool) -> None:
    """Refuse numbers whose squares overflow, and a matrix of nothing but zeros to learn from."""
    if ops.is_on_gpu(X):
        _check_finite(name, X)
    values = ops.entries(X)
    largest = float(max(values.max(), -values.min())) if values.size else 0.0
    limit = np.sqrt(np.finfo(X.dtype).max / max(values.size, 1)) / 4
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
