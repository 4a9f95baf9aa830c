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
from codebooks.errors import short_repr


def check_input(estimator: BaseEstimator, X: Any, *, reset: bool, like: Any = None, allow_nan: bool = False) -> Any:
    """Check `X` for `estimator` and bring it into the one form that `codebooks.ops` takes.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose input it is; its `n_features_in_` and `feature_names_in_` are set or compared.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Dense input of any order, any SciPy sparse format, int32 or int64 indices, read-only or memory-mapped. Or a CuPy
        array or sparse matrix, which stays where it is. Entries of a sparse matrix that come twice are added. Numbers
        of any type that are written as strings or held as Python objects are converted to float64.
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
        `X` is a Dask collection, text, a masked array, a matrix of dates or of other things than real numbers, or a
        tensor that NumPy cannot read, or lies on another device than the model.
    ValueError
        `X` is a sparse matrix whose index arrays do not fit its shape, is empty, holds NaN, infinity or numbers whose
        squares overflow or all underflow to 0, has other features than the model, or (with `reset`) holds nothing but
        zeros. What the estimator knew before is kept.

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
    X = _convert_to_numbers(name, X)
    # Who only asks sets nothing, and must put nothing back that another thread has learned meanwhile.
    with restore_on_error(estimator) if reset else nullcontext():
        if ops.is_on_gpu(X):
            X = _check_matrix_on_gpu(name, X)
            validate_data(estimator, X, reset=reset, skip_check_array=True)  # how many features there are
        else:
            how = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "order": None}
            if allow_nan:
                how["ensure_all_finite"] = "allow-nan"
            X = validate_data(estimator, X, reset=reset, **how)
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


def check_matrix(
    name: str, X: Any, advice: str | None = None, *, accept_sparse: bool = True, least_rows: int = 1
) -> Any:
    """Check a matrix that no model has to know: finite numbers, on any device.

    `name` says who wants it, and `advice` what to do with text, where that is not to put a vectorizer before.

    Raises
    ------
    TypeError
        It is what `check_input` refuses with a TypeError, or sparse without `accept_sparse`.
    ValueError
        It is not a matrix of finite numbers, or has fewer rows than `least_rows`.
    """
    _refuse_foreign_kinds(name, X, advice)
    X = _convert_to_numbers(name, X)
    if not ops.is_on_gpu(X):
        formats = "csr" if accept_sparse else False
        how = {"accept_sparse": formats, "dtype": [np.float64, np.float32], "ensure_min_samples": least_rows}
        X = check_array(X, ensure_all_finite=False, estimator=name, **how)
    else:
        X = _check_matrix_on_gpu(name, X)
    _check_finite(name, X)
    return X


def check_structure(name: str, X: Any) -> None:
    """Refuse a sparse matrix whose index arrays do not fit its shape: nothing can be done with it safely.

    `check_input` and `check_matrix` do so. This is for a matrix that others read first.

    Raises
    ------
    ValueError
        Indices lie outside of the shape, pointers fall, or arrays have other lengths.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> X = csr_matrix([[1.0, 0.0]])
    >>> X.indices[0] = 7
    >>> check_structure("topics", X)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: topics expected a sparse matrix with valid indices, got csr_matrix ... 7 lies outside ...
    """
    if getattr(X, "format", None) is None or not ops.is_sparse(X):
        return
    if X.ndim != 2:
        raise ValueError(f"{name} expected a matrix with 2 dimensions, got {_describe(X)}. Use X.reshape(1, -1).")
    try:
        fault = ops.find_sparse_fault(X)
    except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:  # no arrays, or none of numbers
        fault = str(error)
    if fault:
        raise ValueError(
            f"{name} expected a sparse matrix with valid indices, got {_describe(X)} in which {fault}. Build it again "
            f"from valid row and column numbers, with its whole shape."
        )


def check_embeddings(estimator: BaseEstimator, X: Any) -> Any:
    """Check embeddings that no model has to know: a dense matrix of finite numbers on any device, as float32.

    Raises
    ------
    TypeError
        It is sparse.
    ValueError
        It is not a matrix of finite numbers.
    """
    name = type(estimator).__name__
    if not ops.is_on_gpu(X):
        _refuse_foreign_kinds(name, X)
        X = X if ops.is_sparse(X) else _convert_to_numbers(name, X)
        with np.errstate(over="ignore"):  # what is too large becomes infinity, and that is refused
            return check_array(X, dtype=np.float32, estimator=estimator, input_name="X")
    refuse_sparse(estimator, X)
    return ops.cast(check_matrix(name, X), np.float32)


def check_counts(estimator: BaseEstimator, X: Any) -> Any:
    """Return the checked matrix `X` as it is, unless it has negative values, for a model of words.

    Raises
    ------
    ValueError
        A value is negative.
    """
    values = ops.entries(X)
    if values.size and bool(values.min() < 0):
        name = type(estimator).__name__
        raise ValueError(
            f"Negative values in data passed to {name}: it expected counts or weights of words, which are never "
            f"negative, got {float(values.min()):g}. Use KrotovHopfield for embeddings and other signed data."
        )
    return X


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
    """Check that the parameter `name` is an integer, `least` or more.

    Raises
    ------
    ValueError
        It is not.

    Examples
    --------
    >>> check_count("n", 2.5)
    Traceback (most recent call last):
    ValueError: `n` must be an integer >= 1, got 2.5.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"`{name}` must be an integer >= {least}, got {short_repr(value)}.")


def check_labels(name: str, y: Any) -> Any:
    """Check labels, one for each row: none is missing, and all are of one kind. `name` says who wants them.

    Returns
    -------
    ndarray
        On the host, of the shape that came: rows of numbers pass too.

    Raises
    ------
    TypeError
        They are of several kinds, such as numbers and strings, or in a masked array.
    ValueError
        One is None, NaN, NaT or pandas.NA.
    """
    given = ops.to_host(y)
    if isinstance(given, np.ma.MaskedArray):
        raise TypeError(f"{name} expected labels, got {_describe(given)}. Leave out the rows that are masked.")
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
    kinds = {_name_kind(label) for label in found.ravel()} if objects else set()
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
def restore_on_error(estimator: BaseEstimator) -> Iterator[None]:
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
    rows = X if isinstance(X, list | tuple) else ()
    entries = getattr(X, "data", None) if ops.is_sparse(X) else X
    if any(isinstance(part, np.ma.MaskedArray) for part in (entries, *rows)):
        raise _build_type_error(
            name, X, "NumPy would ignore the mask. Fill masked entries, for instance with X.filled(0)."
        )
    if isinstance(X, np.matrix):
        raise _build_type_error(name, X, "Use numpy.asarray(X).")
    if _is_from_torch(X):
        _refuse_hidden_tensor(name, X)
    elif any(_is_from_torch(row) for row in rows[:1]):
        raise _build_type_error(name, X, "Use torch.stack(X).")


def _build_type_error(name: str, X: Any, advice: str) -> TypeError:
    return TypeError(f"{name} expected a matrix of real numbers, got {_describe(X)}. {advice}")


def _describe(X: Any) -> str:
    """The type, dtype and shape of what came, as far as it has them."""
    shape, dtype = getattr(X, "shape", None), getattr(X, "dtype", None)
    of = " of" if shape is not None or dtype is not None else ""
    return (
        type(X).__name__
        + of
        + (f" {dtype}" if dtype is not None else "")
        + (f" shape {tuple(shape)}" if shape is not None else "")
    )


def _is_from_torch(X: Any) -> bool:
    return type(X).__module__.partition(".")[0] == "torch" and hasattr(X, "detach")


def _refuse_hidden_tensor(name: str, X: Any) -> None:
    """Refuse a tensor that NumPy cannot read without moving or converting it."""
    kind = X.device.type
    if kind == "meta":
        raise _build_type_error(name, X, "It is on the device 'meta' and holds no numbers. Compute it first.")
    if kind != "cpu":
        advice = f"It is on the device {short_repr(kind)}. Use X.cpu(), or cupy.from_dlpack(X) on a GPU."
        raise _build_type_error(name, X, advice)
    if str(X.layout) != "torch.strided":
        raise _build_type_error(name, X, "Use X.to_dense(), or a SciPy sparse matrix.")
    if X.requires_grad:
        raise _build_type_error(name, X, "It requires grad. Use X.detach().")
    try:
        X.numpy()
    except (RuntimeError, TypeError) as error:
        raise _build_type_error(name, X, f"NumPy cannot read it: {error}. Use X.float().") from error


def _convert_to_numbers(name: str, X: Any) -> Any:
    """Real numbers, of a type that scikit-learn reads as they are meant; sparse ones as `ops.as_matrix` gives them.

    A table keeps its form, for the names of its columns.
    """
    if ops.is_on_gpu(X):
        return X
    if ops.is_sparse(X):
        return _convert_sparse_to_numbers(name, X)
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        if not len(X.columns):
            raise ValueError(f"{name} expected at least one column, got {_describe(X)}. Look at the step before.")
        for position, dtype in enumerate(X.dtypes):
            _refuse_column(name, X, position, getattr(getattr(dtype, "categories", None), "dtype", dtype))
        return X
    try:
        array = X if isinstance(X, np.ndarray) else np.asarray(X)
    except (OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise _build_conversion_error(name, X, error) from error
    if array.dtype.kind in "OUST":
        array = _convert_to_float64(name, X, array)
    elif array.dtype.kind not in "biuf":
        raise _build_number_error(name, X, array)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        with np.errstate(over="ignore", under="ignore"):  # what is too large becomes infinity, and that is refused
            array = array.astype(np.float64)
    return X if hasattr(X, "columns") else array  # other tables too


def _convert_sparse_to_numbers(name: str, X: Any) -> Any:
    """A sparse matrix as `ops.as_matrix` gives it. Entries that come twice are added in float64, as more may fit in."""
    check_structure(name, X)
    if X.dtype.kind in "cmM":
        raise _build_number_error(name, X, X)
    try:
        if X.dtype != bool and X.dtype not in (np.float32, np.float64):  # those of bool are joined by "or" in SciPy
            X = X.tocsr() if X.format in ("lil", "dok") else X.copy()
            X.data = X.data.astype(np.float64)  # `X.astype` adds before that, in some versions
    except (OverflowError, TypeError, ValueError) as error:
        raise _build_conversion_error(name, X, error) from error
    return ops.as_matrix(X)


def _convert_to_float64(name: str, X: Any, array: Any) -> Any:
    """Numbers that are written as strings, or are Python objects."""
    if array.dtype.kind == "O":
        foreign = (complex, np.complexfloating, np.datetime64, np.timedelta64, np.ma.core.MaskedConstant)
        kinds = [kind for kind in set(map(type, array.ravel())) if issubclass(kind, foreign)]
        if kinds:
            raise _build_type_error(
                name, X, f"Among its entries is one of the type {kinds[0].__name__}. Make all numbers."
            )
    try:
        return array.astype(np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise _build_conversion_error(name, X, error) from error


def _build_number_error(name: str, X: Any, array: Any) -> Exception:
    """Why numbers of another kind are refused."""
    kind = array.dtype.kind
    if kind == "c":
        return ValueError(  # which scikit-learn's checks want, and these words
            f"{name} expected a matrix of real numbers, got {_describe(X)}: Complex data not supported. Use "
            f"X.real, or abs(X)."
        )
    if kind in "mM":
        advice = "Count from some day on, for instance (X - X.min()) / numpy.timedelta64(1, 'D')."
        return _build_type_error(name, X, f"It holds {array.dtype}. {advice}")
    if array.dtype.names:
        return _build_type_error(name, X, "Use numpy.lib.recfunctions.structured_to_unstructured(X).")
    return _build_type_error(name, X, f"It holds {array.dtype}. Use X.astype(numpy.float32).")


def _build_conversion_error(name: str, X: Any, error: Exception) -> Exception:
    """The same kind of error, with what was wanted, and what NumPy says."""
    kind = ValueError if isinstance(error, ValueError | OverflowError) else TypeError
    return kind(f"{name} expected a matrix of real numbers, got {_describe(X)}: {error}. Make all entries numbers.")


def _refuse_column(name: str, X: Any, position: int, dtype: Any) -> None:
    """Refuse a column of a table that holds dates, complex numbers or other things than numbers."""
    kind = getattr(dtype, "kind", "O")
    if kind in "biuf":
        return
    what = f"Its column {short_repr(X.columns[position])} holds {dtype}."
    if kind == "c":
        raise ValueError(f"{name} expected a matrix of real numbers, got a table: Complex data not supported. {what}")
    if kind in "mM":
        raise _build_type_error(name, X, f"{what} Leave it out, or count days from some day on.")
    try:
        np.asarray(X.iloc[:, position], dtype=np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        error_of = ValueError if isinstance(error, ValueError | OverflowError) else TypeError
        raise error_of(
            f"{name} expected a matrix of real numbers, got {_describe(X)}: {error}. {what} Leave it out, or encode "
            f"it, for instance with sklearn.preprocessing.OneHotEncoder."
        ) from error


def _is_text(X: Any) -> bool:
    """Whether texts came where rows of numbers are wanted: one, a sequence, or a column or table of pandas."""
    rows = X.iloc[:1].to_numpy() if hasattr(X, "iloc") else np.atleast_1d(X) if isinstance(X, np.ndarray) else X
    if not isinstance(rows, list | tuple | np.ndarray):
        return isinstance(rows, str | bytes)
    first = rows[0] if len(rows) else None
    if hasattr(X, "columns") and first is not None:  # a table may have numbers that are written as strings
        return len(first) > 0 and all(isinstance(entry, str) and not _is_number(entry) for entry in first)
    return isinstance(first, str | bytes)


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


def _name_kind(label: Any) -> str:
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


def _check_matrix_on_gpu(name: str, X: Any) -> Any:
    """A CuPy matrix in the form that `codebooks.ops` takes; what scikit-learn checks of others is checked here."""
    check_structure(name, X)
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
    """Refuse NaN and infinity where scikit-learn has not done so."""
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
