"""Validation of matrices, counts, labels and targets; other modules assume validated arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from numbers import Integral, Number
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, check_array, validate_data

from codebooks import ops
from codebooks.errors import short_repr, shorten

# Numbers of rows up to this one are exact as float64.
_LARGEST_WEIGHT_SUM = 2.0**53


def check_input(estimator: BaseEstimator, X: Any, *, reset: bool, like: Any = None, allow_nan: bool = False) -> Any:
    """Validate the input of `estimator` and convert it to the form that `codebooks.ops` expects.

    Parameters
    ----------
    estimator : BaseEstimator
        The estimator that receives `X`. Its `n_features_in_` and `feature_names_in_` are set if `reset`, else compared.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Dense input of any memory order, any SciPy sparse format, int32 or int64 indices, read-only or memory-mapped. A
        CuPy array or sparse matrix stays on its device. Duplicate entries of a sparse matrix are added. Numbers given
        as strings or as Python objects are converted to float64.
    reset : bool
        If True, set the number and names of features from `X`. If False, `X` must have the features of the model.
    like : array, optional
        An attribute of the fitted model. `X` must be on the same device.
    allow_nan : bool, default=False
        Whether to accept NaN, for estimators that treat it as a missing value. Infinity is never accepted.

    Returns
    -------
    ndarray or CSR matrix of float32 or float64
        A view of `X` if no conversion is needed. Other number types become float64.

    Raises
    ------
    TypeError
        `X` is a Dask collection, text, a masked array, a matrix of dates or of other values that are not real numbers,
        or a tensor that NumPy cannot read, or it is on another device than the model.
    ValueError
        `X` is a sparse matrix whose index arrays do not match its shape, is empty, contains NaN, infinity or numbers
        whose squares overflow or all underflow to 0, has other features than the model, or (with `reset`) contains
        only zeros. The attributes of the estimator are restored.

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
    # Without `reset` nothing is set, and restoring could overwrite attributes that another thread has fitted meanwhile.
    with restore_on_error(estimator) if reset else nullcontext():
        if ops.is_on_gpu(X):
            X = _check_matrix_on_gpu(name, X)
            validate_data(estimator, X, reset=reset, skip_check_array=True)  # set or compare the features
        else:
            options = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "order": None}
            if allow_nan:
                options["ensure_all_finite"] = "allow-nan"
            X = validate_data(estimator, X, reset=reset, **options)
        _check_size(name, X, reset, allow_nan)
    return X


def check_codes(estimator: BaseEstimator, codes: Any, n_components: int, like: Any) -> Any:
    """Validate the input of `inverse_transform`: finite numbers, one column for each component, the device of `like`.

    Raises
    ------
    TypeError
        The codes are on another device than the model.
    ValueError
        The codes are not a matrix of finite numbers, or have another number of columns.
    """
    name = type(estimator).__name__
    _refuse_other_device(name, codes, like)
    codes = check_matrix(name, codes)
    if codes.shape[1] != n_components:
        raise ValueError(
            f"{name} expected codes of shape (n_samples, {n_components}), got {codes.shape}. "
            f"Use the matrix that transform returned."
        )
    return codes


def check_matrix(
    name: str, X: Any, advice: str | None = None, *, accept_sparse: bool = True, least_rows: int = 1
) -> Any:
    """Validate a matrix without reference to a fitted model: finite numbers, on any device.

    `name` is the subject of the error messages. `advice` says what to do with text, if not to add a vectorizer.

    Raises
    ------
    TypeError
        `X` is of a type for which `check_input` raises a TypeError, or sparse although `accept_sparse` is False.
    ValueError
        `X` is not a matrix of finite numbers, or has fewer rows than `least_rows`.
    """
    _refuse_foreign_kinds(name, X, advice)
    X = _convert_to_numbers(name, X)
    if not ops.is_on_gpu(X):
        formats = "csr" if accept_sparse else False
        options = {"accept_sparse": formats, "dtype": [np.float64, np.float32], "ensure_min_samples": least_rows}
        X = check_array(X, ensure_all_finite=False, estimator=name, **options)
    else:
        X = _check_matrix_on_gpu(name, X)
    _check_finite(name, X)
    return X


def check_structure(name: str, X: Any) -> None:
    """Raise an error if the index arrays of a sparse matrix do not match its shape.

    `check_input` and `check_matrix` call this. Call it directly for a matrix that other code reads first, because
    compiled code could read outside of the arrays.

    Raises
    ------
    ValueError
        An index is outside of the shape, the index pointer decreases, or the arrays differ in length.

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
    except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:  # arrays missing, or no numbers
        fault = str(error)
    if fault:
        raise ValueError(
            f"{name} expected a sparse matrix with valid indices, got {_describe(X)} in which {fault}. Build the "
            f"matrix again from valid row and column indices and its full shape."
        )


def check_embeddings(estimator: BaseEstimator, X: Any) -> Any:
    """Validate embeddings without reference to a fitted model: a dense matrix of finite numbers, returned as float32.

    Raises
    ------
    TypeError
        `X` is sparse.
    ValueError
        `X` is not a matrix of finite numbers.
    """
    name = type(estimator).__name__
    if not ops.is_on_gpu(X):
        _refuse_foreign_kinds(name, X)
        X = X if ops.is_sparse(X) else _convert_to_numbers(name, X)
        with np.errstate(over="ignore"):  # values beyond float32 become infinity, which check_array rejects
            return check_array(X, dtype=np.float32, estimator=estimator, input_name="X")
    refuse_sparse(estimator, X)
    return ops.cast(check_matrix(name, X), np.float32)


def check_counts(estimator: BaseEstimator, X: Any) -> Any:
    """Return `X` unchanged, or raise an error if it has negative values. Used by models of word counts.

    Raises
    ------
    ValueError
        A value is negative.
    """
    values = ops.entries(X)
    if values.size and bool(values.min() < 0):
        name = type(estimator).__name__
        raise ValueError(
            f"Negative values in data passed to {name}: expected counts or term weights >= 0, got "
            f"{float(values.min()):g}. Use KrotovHopfield for embeddings and other signed data."
        )
    return X


def refuse_sparse(estimator: BaseEstimator, X: Any) -> None:
    """Raise a TypeError if `X` is sparse, for estimators that need dense embeddings."""
    if ops.is_sparse(X):
        raise TypeError(
            f"{type(estimator).__name__} expected dense embeddings, got a sparse matrix of shape {X.shape}. Add "
            f"sklearn.decomposition.TruncatedSVD(n_components=...) before it."
        )


def refuse_device(estimator: BaseEstimator, X: Any) -> None:
    """Raise a TypeError if `X` is a CuPy array, for estimators that run on the CPU only."""
    if ops.is_on_gpu(X):
        raise TypeError(f"{type(estimator).__name__} expected counts in host memory, got a CuPy array. Use X.get().")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raise an error unless the parameter `name` is an integer >= `least`.

    Raises
    ------
    ValueError
        The value is not an integer, or less than `least`.

    Examples
    --------
    >>> check_count("n", 2.5)
    Traceback (most recent call last):
    ValueError: `n` must be an integer >= 1, got 2.5.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"`{name}` must be an integer >= {least}, got {short_repr(value)}.")


def check_labels(name: str, y: Any) -> Any:
    """Validate labels, one for each sample: none is missing, and all are of one type.

    `name` is the subject of the error messages.

    Returns
    -------
    ndarray
        The labels on the host, in the shape given. Rows of numbers are accepted too.

    Raises
    ------
    TypeError
        The labels are of several types, such as numbers and strings, or in a masked array.
    ValueError
        A label is None, NaN, NaT or pandas.NA.
    """
    y = ops.to_host(y)
    if isinstance(y, np.ma.MaskedArray):
        raise TypeError(f"{name} expected labels, got {_describe(y)}. Remove the masked rows.")
    labels = np.asarray(y)
    # NumPy converts the other entries of a list to strings if one is a string. The original entries are compared.
    as_strings = labels.dtype.kind in "US" and not isinstance(y, np.ndarray)
    entries = np.atleast_1d(np.asarray(y, dtype=object) if as_strings else labels)
    has_objects = entries.dtype.kind == "O"
    missing = np.vectorize(is_missing, otypes=[bool])(entries) if has_objects else entries != entries
    if missing.any():
        raise ValueError(
            f"{name} expected a label or a number for each row, got {entries[missing][0]} in row "
            f"{np.argwhere(missing)[0, 0]}. Remove the rows without a label."
        )
    kinds = {_name_kind(label) for label in entries.ravel()} if has_objects else set()
    if len(kinds) > 1:
        raise TypeError(
            f"{name} expected labels of one type, all numbers or all strings, got {' and '.join(sorted(kinds))}. "
            f"Convert all labels to strings."
        )
    return labels


def check_targets(estimator: BaseEstimator, y: Any, n_rows: int) -> Any:
    """Validate targets: a label, a number or a row of numbers for each row of the matrix. None is returned as None.

    Raises
    ------
    TypeError
        The labels are of several types.
    ValueError
        The number of targets differs from the number of rows, a target is missing, or a number is not finite.
    """
    if y is None:
        return None
    name = type(estimator).__name__
    y = check_labels(name, y)
    if y.ndim not in (1, 2) or (y.ndim == 2 and y.dtype.kind not in "biuf"):
        raise ValueError(
            f"{name} expected a label, a number or a row of numbers for each row of X, got y of shape {y.shape}. "
            f"Pass a list or an array with {n_rows} entries."
        )
    if len(y) != n_rows:
        raise ValueError(
            f"{name} expected {n_rows} targets, one for each row of X, got {len(y)}. Pass X and y of the same samples."
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{name} expected finite targets, got infinity in y. Remove these rows.")
    return y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y.copy()


def check_sample_weight(estimator: BaseEstimator, sample_weight: Any, X: Any, *, reset: bool = False) -> Any:
    """Check the weights of the rows of the checked matrix `X`, and convert them to its dtype and device.

    The result is None if all weights are 1.

    Raises
    ------
    ValueError
        A weight is missing, negative or not finite, all are zero, or (with `reset`) all rows with a weight above zero
        contain nothing but zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> check_sample_weight(PCA(), [1, 2], np.eye(2))
    array([1., 2.])
    """
    if sample_weight is None:
        return None
    n_rows = X.shape[0]
    how = {"dtype": np.float64, "ensure_non_negative": True}
    try:
        weight = _check_sample_weight(ops.to_host(sample_weight), np.broadcast_to(0.0, (n_rows, 1)), **how)
        if not weight.any():
            raise ValueError("all weights are zero.")
        with np.errstate(over="ignore"):
            if not weight.sum() <= _LARGEST_WEIGHT_SUM:
                raise ValueError(f"their sum is {weight.sum():g}. Divide the weights by a constant.")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`sample_weight` must be a number >= 0 for each of the {n_rows} rows of X, not all zero, or None, got "
            f"{short_repr(sample_weight)}: {shorten(str(error), 200)}"
        ) from error
    if (weight == 1).all():
        return None
    if reset and not bool((ops.row_norms(X) * ops.to_device_of(weight, X)).any()):
        raise ValueError(
            f"{type(estimator).__name__} expected a row that is not empty and has a weight above zero, got "
            f"`sample_weight` that is zero for all rows with entries. Raise the weights of some."
        )
    return ops.to_device_of(weight.astype(X.dtype), X)


@contextmanager
def restore_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Restore the attributes of `estimator` if the block raises an error."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        for name in vars(estimator).keys() - before.keys():
            del vars(estimator)[name]
        vars(estimator).update(before)  # no attribute is missing at any time, so that other threads can use the model
        raise


def _refuse_foreign_kinds(name: str, X: Any, advice: str | None = None) -> None:
    """Raise an error for input types that scikit-learn would misread, or for which its message does not help."""
    if type(X).__module__.startswith("dask."):
        raise TypeError(
            f"{name} expected an array in memory, got a Dask collection. Use X.compute() if it fits into memory, or "
            f"call partial_fit on each block."
        )
    if _is_text(X):
        is_class = name.isidentifier() and name[0].isupper()
        vectorizer = f"Add a vectorizer before it: make_pipeline(TfidfVectorizer(), {name}())." if is_class else ""
        advice = advice or vectorizer or "Use the matrix that a vectorizer returns, such as TfidfVectorizer."
        raise TypeError(f"{name} expected a matrix of numbers, got text. {advice}")
    rows = X if isinstance(X, list | tuple) else ()
    entries = getattr(X, "data", None) if ops.is_sparse(X) else X
    if any(isinstance(part, np.ma.MaskedArray) for part in (entries, *rows)):
        raise _build_type_error(
            name, X, "NumPy would ignore the mask. Fill the masked entries, for example with X.filled(0)."
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
    """Return the type, dtype and shape of `X`, leaving out what it does not have."""
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
    """Raise an error for a tensor that NumPy cannot read without moving or converting it."""
    device = X.device.type
    if device == "meta":
        raise _build_type_error(name, X, "It is on the device 'meta' and contains no numbers. Compute it first.")
    if device != "cpu":
        raise _build_type_error(
            name, X, f"It is on the device {short_repr(device)}. Use X.cpu(), or cupy.from_dlpack(X) on a GPU."
        )
    if str(X.layout) != "torch.strided":
        raise _build_type_error(name, X, "Use X.to_dense(), or a SciPy sparse matrix.")
    if X.requires_grad:
        raise _build_type_error(name, X, "It requires grad. Use X.detach().")
    try:
        X.numpy()
    except (RuntimeError, TypeError) as error:
        raise _build_type_error(name, X, f"NumPy cannot read it: {error}. Use X.float().") from error


def _convert_to_numbers(name: str, X: Any) -> Any:
    """Convert `X` to real numbers that scikit-learn reads without loss, and a sparse `X` by `ops.as_matrix`.

    A data frame is returned unchanged, so that scikit-learn can read its column names.
    """
    if ops.is_on_gpu(X):
        return X
    if ops.is_sparse(X):
        return _convert_sparse_to_numbers(name, X)
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        if not len(X.columns):
            raise ValueError(f"{name} expected at least one column, got {_describe(X)}. Check the previous step.")
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
        with np.errstate(over="ignore", under="ignore"):  # values beyond float64 become infinity, which is rejected
            array = array.astype(np.float64)
    return X if hasattr(X, "columns") else array  # data frames of other libraries keep their column names too


def _convert_sparse_to_numbers(name: str, X: Any) -> Any:
    """Convert a sparse matrix by `ops.as_matrix`. Duplicate entries are added in float64, to avoid overflow."""
    check_structure(name, X)
    if X.dtype.kind in "cmM":
        raise _build_number_error(name, X, X)
    try:
        if X.dtype != bool and X.dtype not in (np.float32, np.float64):  # SciPy joins boolean duplicates by "or"
            X = X.tocsr() if X.format in ("lil", "dok") else X.copy()
            X.data = X.data.astype(np.float64)  # `X.astype` of some versions adds duplicates before the conversion
    except (OverflowError, TypeError, ValueError) as error:
        raise _build_conversion_error(name, X, error) from error
    return ops.as_matrix(X)


def _convert_to_float64(name: str, X: Any, array: Any) -> Any:
    """Convert an array of strings or Python objects to float64."""
    if array.dtype.kind == "O":
        refused = (complex, np.complexfloating, np.datetime64, np.timedelta64, np.ma.core.MaskedConstant)
        types = [entry_type for entry_type in set(map(type, array.ravel())) if issubclass(entry_type, refused)]
        if types:
            raise _build_type_error(
                name, X, f"An entry is of the type {types[0].__name__}. Convert all entries to numbers."
            )
    try:
        return array.astype(np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise _build_conversion_error(name, X, error) from error


def _build_number_error(name: str, X: Any, array: Any) -> Exception:
    """Return the error for an array whose dtype is not a real number."""
    kind = array.dtype.kind
    if kind == "c":
        return ValueError(  # scikit-learn's estimator checks require this type and "Complex data not supported"
            f"{name} expected a matrix of real numbers, got {_describe(X)}: Complex data not supported. Use "
            f"X.real, or abs(X)."
        )
    if kind in "mM":
        advice = "Use the number of days since a date, for example (X - X.min()) / numpy.timedelta64(1, 'D')."
        return _build_type_error(name, X, f"Its entries are of {array.dtype}. {advice}")
    if array.dtype.names:
        return _build_type_error(name, X, "Use numpy.lib.recfunctions.structured_to_unstructured(X).")
    return _build_type_error(name, X, f"Its entries are of {array.dtype}. Use X.astype(numpy.float32).")


def _build_conversion_error(name: str, X: Any, error: Exception) -> Exception:
    """Return an error of the same type, with the expected input and NumPy's message."""
    error_type = ValueError if isinstance(error, ValueError | OverflowError) else TypeError
    return error_type(
        f"{name} expected a matrix of real numbers, got {_describe(X)}: {shorten(str(error), 200)}. Convert all "
        f"entries to numbers."
    )


def _refuse_column(name: str, X: Any, position: int, dtype: Any) -> None:
    """Raise an error for a column of a data frame that contains dates, complex numbers or other non-numbers."""
    kind = getattr(dtype, "kind", "O")
    if kind in "biuf":
        return
    column = f"The column {short_repr(X.columns[position])} is of {shorten(str(dtype), 100)}."
    if kind == "c":
        raise ValueError(
            f"{name} expected a matrix of real numbers, got {_describe(X)}: Complex data not supported. {column} Use "
            f"its real part or its absolute value."
        )
    if kind in "mM":
        raise _build_type_error(name, X, f"{column} Remove it, or use the number of days since a date.")
    try:
        np.asarray(X.iloc[:, position], dtype=np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        error_type = ValueError if isinstance(error, ValueError | OverflowError) else TypeError
        raise error_type(
            f"{name} expected a matrix of real numbers, got {_describe(X)}: {shorten(str(error), 100)}. {column} "
            f"Remove it, or encode it, for example with sklearn.preprocessing.OneHotEncoder."
        ) from error


def _is_text(X: Any) -> bool:
    """Whether `X` is text: one string, a sequence of strings, or a series or data frame of strings."""
    rows = X.iloc[:1].to_numpy() if hasattr(X, "iloc") else np.atleast_1d(X) if isinstance(X, np.ndarray) else X
    if not isinstance(rows, list | tuple | np.ndarray):
        return isinstance(rows, str | bytes)
    first = rows[0] if len(rows) else None
    if hasattr(X, "columns") and first is not None:  # a data frame may contain numbers as strings
        return len(first) > 0 and all(isinstance(entry, str) and not _is_number(entry) for entry in first)
    return isinstance(first, str | bytes)


def _is_number(entry: str) -> bool:
    try:
        float(entry)
    except ValueError:
        return False
    return True


def is_missing(label: Any) -> bool:
    """Whether a label is None, pandas.NA, or not equal to itself, as NaN and NaT are."""
    if label is None or type(label).__name__ == "NAType":
        return True
    differs = label != label
    return isinstance(differs, bool | np.bool_) and bool(differs)


def _name_kind(label: Any) -> str:
    """Return the kind of a label, for messages. Labels of one kind can be sorted."""
    if isinstance(label, str):
        return "strings"
    return "numbers" if isinstance(label, Number | np.bool_) else type(label).__name__


def _refuse_other_device(name: str, X: Any, like: Any) -> None:
    """Raise a TypeError if `X` and the fitted model are on different devices; data are never moved implicitly."""
    if ops.is_on_gpu(X) and not ops.is_on_gpu(like):
        raise TypeError(
            f"{name} was fitted on the CPU and expected an array in host memory, got a CuPy array. Use X.get(), or fit "
            f"the model on CuPy arrays."
        )
    if ops.is_on_gpu(like) and not ops.is_on_gpu(X):
        conversion = "cupyx.scipy.sparse.csr_matrix(X)" if ops.is_sparse(X) else "cupy.asarray(X)"
        raise TypeError(
            f"{name} was fitted on the GPU and expected a CuPy array, got {type(X).__name__}. Use {conversion}, or "
            f"move the model with codebooks.to_host(model)."
        )


def _check_matrix_on_gpu(name: str, X: Any) -> Any:
    """Validate a CuPy matrix, which scikit-learn does not, and convert it to the form that `codebooks.ops` expects."""
    check_structure(name, X)
    if X.ndim != 2:
        raise ValueError(
            f"{name} expected a matrix with 2 dimensions, got {_describe(X)}. Reshape a single row with "
            f"X.reshape(1, -1)."
        )
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{name} expected real numbers, got {_describe(X)}. Use X.astype(cupy.float32).")
    for axis, n in zip(("row", "feature"), X.shape, strict=True):
        if n == 0:
            raise ValueError(f"{name} expected at least one {axis}, got {_describe(X)}. Check the previous step.")
    return ops.as_matrix(X)


def _check_finite(name: str, X: Any) -> None:
    """Raise an error for NaN and infinity that scikit-learn has not checked."""
    if not bool(ops.xp(X).isfinite(ops.entries(X)).all()):
        raise ValueError(
            f"{name} expected finite numbers, got NaN or infinity. Check the previous step, or use "
            f"sklearn.impute.SimpleImputer."
        )


def _check_size(name: str, X: Any, reset: bool, allow_nan: bool = False) -> None:
    """Raise an error if squares overflow or all underflow to 0, or (with `reset`) if all values are 0."""
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
            f"{name} expected absolute values below {limit:.1e}, got {largest:.1e}: squares would overflow {X.dtype}. "
            f"Scale the data, for example with sklearn.preprocessing.MaxAbsScaler."
        )
    least = np.sqrt(np.finfo(X.dtype).smallest_subnormal)
    if 0 < largest < least:
        raise ValueError(
            f"{name} expected a largest absolute value of at least {least:.1e}, got {largest:.1e}: all squares would "
            f"underflow {X.dtype} to 0. Scale the data, for example X / abs(X).max()."
        )
    if reset and largest == 0:
        raise ValueError(
            f"{name} expected values other than 0, got a matrix of shape {X.shape} that contains only zeros. Check the "
            f"previous step: a vectorizer may have removed all terms (min_df, stop_words)."
        )
