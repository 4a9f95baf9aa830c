"""The one door: raw input in, checked input out. Below it, arrays are trusted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from numbers import Integral, Number
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from codebooks import ops


def check_input(estimator: BaseEstimator, X: Any, *, reset: bool, like: Any = None, allow_nan: bool = False) -> Any:
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
    allow_nan : bool, default=False
        Whether NaN passes, for estimators to which it is a missing value. Infinity never does.

    Returns
    -------
    ndarray or CSR matrix of float32 or float64
        The same memory as `X` where its form allows; other numbers become float64.

    Raises
    ------
    TypeError
        `X` is a Dask collection or text, or lies on another device than the model.
    ValueError
        `X` is empty, holds NaN, infinity or numbers whose squares overflow or all underflow to 0, has other features
        than the model, or (with `reset`) holds nothing but zeros. What the estimator knew before is kept.

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
    # Who only asks sets nothing, and must put nothing back that another thread has learned meanwhile.
    with unharmed(estimator) if reset else nullcontext():
        if ops.is_on_gpu(X):
            X = _matrix_on_device(name, X)
            validate_data(estimator, X, reset=reset, skip_check_array=True)  # how many features there are
        else:
            how = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "order": None}
            if allow_nan:
                how["ensure_all_finite"] = "allow-nan"
            X = ops.as_matrix(validate_data(estimator, X, reset=reset, **how))
        _check_size(name, X, reset, allow_nan)
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


def check_matrix(name: str, X: Any, advice: str | None = None) -> Any:
    """Check a matrix that no model has to know: finite numbers, on any device.

    `name` says who wants it, and `advice` what to do with text, where that is not to put a vectorizer before.

    Raises
    ------
    TypeError
        It is a Dask collection or text.
    ValueError
        It is not a matrix of finite numbers.
    """
    _refuse_foreign_kinds(name, X, advice)
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


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Check that the setting `name` is a whole number, `least` or more.

    Raises
    ------
    ValueError
        It is another number, or none.

    Examples
    --------
    >>> check_count("n", 2.5)
    Traceback (most recent call last):
    ValueError: n must be a whole number, 1 or more; 2.5 came.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more; {value!r} came.")


def check_labels(name: str, y: Any) -> Any:
    """Check labels, one for each row: none is missing, and all are of one kind. `name` says who wants them.

    Returns
    -------
    ndarray
        On the host, of the shape that came: rows of numbers pass too.

    Raises
    ------
    TypeError
        They are of several kinds, such as numbers and strings.
    ValueError
        One is None, NaN, NaT or pandas.NA.
    """
    given = ops.to_host(y)
    labels = np.asarray(given)
    as_strings = labels.dtype.kind in "US" and not isinstance(given, np.ndarray)  # as NumPy does beside any string
    found = np.atleast_1d(np.asarray(given, dtype=object) if as_strings else labels)
    objects = found.dtype.kind == "O"
    missing = np.vectorize(_is_missing, otypes=[bool])(found) if objects else found != found
    if missing.any():
        raise ValueError(
            f"{name} wants a label or a number for each row, and row {np.argwhere(missing)[0, 0]} has none: "
            f"{found[missing][0]} came. Leave out such rows."
        )
    kinds = {_kind_of(label) for label in found.ravel()} if objects else set()
    if len(kinds) > 1:
        raise TypeError(
            f"{name} wants labels of one kind, all numbers or all strings, and got {' and '.join(sorted(kinds))}. "
            f"Make all of them strings."
        )
    return labels


def check_targets(estimator: BaseEstimator, y: Any, n_rows: int) -> Any:
    """Check what belongs to the rows of a matrix: a label each, a number each or a row of numbers each; None stays.

    Raises
    ------
    TypeError
        Labels are of several kinds.
    ValueError
        There are not as many as rows, one is missing, or numbers among them are not finite.
    """
    if y is None:
        return None
    name = type(estimator).__name__
    y = check_labels(name, y)
    if y.ndim not in (1, 2) or (y.ndim == 2 and y.dtype.kind not in "biuf"):
        raise ValueError(f"{name} wants a label or a row of numbers for each row of X and got y of shape {y.shape}.")
    if len(y) != n_rows:
        raise ValueError(f"{name} wants as many targets as rows and got {len(y)} of them for {n_rows} rows of X.")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{name} wants finite targets and got infinity in y.")
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


def _refuse_foreign_kinds(name: str, X: Any, advice: str | None = None) -> None:
    """Say what to do with input that scikit-learn's checks would misread or explain badly."""
    if type(X).__module__.startswith("dask."):
        raise TypeError(
            f"{name} wants an array in memory and got a Dask collection. Call X.compute() if it fits, or "
            f"partial_fit on one block after another."
        )
    if _is_text(X):
        advice = advice or f"Put a vectorizer before it: make_pipeline(TfidfVectorizer(), {name}())."
        raise TypeError(f"{name} wants a matrix of numbers and got text. {advice}")


def _is_text(X: Any) -> bool:
    """Whether texts came where rows of numbers are wanted: one, a sequence, or a column or table of pandas."""
    rows = X.iloc[:1].to_numpy() if hasattr(X, "iloc") else np.atleast_1d(X) if isinstance(X, np.ndarray) else X
    if not isinstance(rows, list | tuple | np.ndarray):
        return isinstance(rows, str)
    first = rows[0] if len(rows) else None
    if hasattr(X, "columns") and first is not None:  # a table may have numbers that are written as strings
        return len(first) > 0 and all(isinstance(entry, str) and not _is_number(entry) for entry in first)
    return isinstance(first, str)


def _is_number(entry: str) -> bool:
    try:
        float(entry)
    except ValueError:
        return False
    return True


def _is_missing(label: Any) -> bool:
    """Whether a label is None, pandas.NA, or unlike itself as NaN and NaT are."""
    if label is None or type(label).__name__ == "NAType":
        return True
    unlike = label != label
    return isinstance(unlike, bool | np.bool_) and bool(unlike)


def _kind_of(label: Any) -> str:
    """The kind of a label; within a kind, labels can be sorted."""
    if isinstance(label, str):
        return "strings"
    return "numbers" if isinstance(label, Number | np.bool_) else type(label).__name__


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


def _check_size(name: str, X: Any, reset: bool, allow_nan: bool = False) -> None:
    """Refuse numbers whose squares overflow, or all become 0, and a matrix of nothing but zeros to learn from."""
    values = ops.entries(X)
    missing = ops.xp(values).isnan(values) if allow_nan else None
    if missing is not None and missing.any():
        values = values[~missing]
    if ops.is_on_gpu(X):
        _check_finite(name, values)
    largest = float(max(values.max(), -values.min())) if values.size else 0.0
    limit = np.sqrt(np.finfo(X.dtype).max / max(values.size, 1)) / 4
    if largest > limit:
        raise ValueError(
            f"{name} wants numbers below {limit:.1e} and got {largest:.1e}: squares would overflow "
            f"{X.dtype}. Scale the data, for instance with sklearn.preprocessing.MaxAbsScaler."
        )
    least = np.sqrt(np.finfo(X.dtype).smallest_subnormal)
    if 0 < largest < least:
        raise ValueError(
            f"{name} wants numbers above {least:.1e} and got {largest:.1e} at most: squares would all underflow "
            f"{X.dtype} to 0. Scale the data, for instance X / abs(X).max()."
        )
    if reset and largest == 0:
        raise ValueError(
            f"{name} got a matrix of shape {X.shape} that holds nothing but zeros, and there is nothing to learn from "
            f"zeros. Look at the step before: a vectorizer may have dropped every term (min_df, stop_words)."
        )
