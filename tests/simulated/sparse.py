"""`cupyx.scipy.sparse`: CSR, CSC and COO matrices of device arrays, computed by SciPy.

As in CuPy, a matrix remembers whether it is in canonical form, and does not notice when its arrays are replaced.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as scipy_sparse

from simulated import arrays, cupy_api, memory
from simulated.arrays import adopt, ndarray, wrap
from simulated.memory import counts

# Dtypes of the data of a sparse matrix.
KINDS = "?fdFD"


def is_scalar(a: Any) -> bool:
    return isinstance(a, (bool, int, float, complex, np.generic)) or (isinstance(a, ndarray) and a.ndim == 0)


def _upload(a: np.ndarray) -> ndarray:
    return wrap(memory.upload(a))


class spmatrix:  # noqa: N801
    """Base class of the formats."""

    __module__ = "cupyx.scipy.sparse"
    __array_priority__ = 101
    __hash__ = None  # type: ignore[assignment]
    format = ""
    _names: ClassVar[dict[str, str | None]] = {}
    _parts: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in self._parts:
            raise AttributeError(name)
        why = "the simulation has none, though cupyx has" if name in self._names else "cupyx has none"
        raise AttributeError(f"'{type(self).__name__}' object has no attribute {name!r}: {why}")

    # -- to and from SciPy

    def _scipy(self) -> Any:
        """Return a SciPy matrix with the same arrays, not a copy."""
        raise NotImplementedError

    @classmethod
    def _adopt(cls, host: Any) -> Any:
        """Make a matrix of this class with copies of these arrays."""
        raise NotImplementedError

    def _of(self, host: Any) -> Any:
        """Convert a result of SciPy to a matrix in its format, or to an array."""
        if scipy_sparse.issparse(host):
            return CLASSES[host.format]._adopt(host)
        return adopt(np.asarray(host))

    def _with_data(self, data: ndarray) -> Any:
        raise NotImplementedError

    def get(self, stream: Any = None) -> Any:
        counts.synchronizations += 1
        counts.transfers += 3
        return self._scipy().copy()

    # -- properties

    ndim = 2
    shape = property(lambda self: self._shape)
    dtype = property(lambda self: self.data.dtype)
    nnz = property(lambda self: self.data.size)  # includes stored zeros and ignores `indptr`
    size = property(lambda self: self.data.size)
    device = property(lambda self: self.data.device)
    T = property(lambda self: self.transpose())

    def get_shape(self) -> tuple[int, int]:
        return self._shape

    def getnnz(self, axis: Any = None) -> int:
        if axis is not None:
            raise NotImplementedError("getnnz over an axis is not implemented")
        return self.nnz

    def getformat(self) -> str:
        return self.format

    def __len__(self) -> int:
        raise TypeError("sparse matrix length is ambiguous; use getnnz() or shape[0] or .shape[0]")

    def __bool__(self) -> bool:
        if self.shape == (1, 1):
            return self.nnz != 0
        raise ValueError("The truth value of an array with more than one element is ambiguous.")

    def __repr__(self) -> str:
        return f"<simulated {type(self).__name__} {self.shape} of {self.dtype}, {self.nnz} stored>"

    # -- elementwise

    def __abs__(self) -> Any:
        return self._with_data(abs(self.data))

    def __neg__(self) -> Any:
        if self.dtype.kind == "b":
            raise NotImplementedError("negating a boolean sparse array is not supported")
        return self._with_data(-self.data)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        dtype = np.dtype(dtype)
        if self.dtype != dtype:
            return self._with_data(self.data.astype(dtype, copy=copy))
        return self.copy() if copy else self

    def copy(self) -> Any:
        return self._with_data(self.data.copy())

    def power(self, n: Any, dtype: Any = None) -> Any:
        if not is_scalar(n):
            raise NotImplementedError("input is not scalar")
        if n == 0:
            raise NotImplementedError("zero power is not supported as it would densify the matrix.")
        data = self.data.copy() if dtype is None else self.data.astype(dtype, copy=True)
        data **= n
        return self._with_data(data)

    def conj(self, copy: bool = True) -> Any:
        return self._with_data(self.data.conj())

    # -- reductions

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> ndarray:
        found = np.asarray(self._scipy().sum(axis=axis))
        if self.dtype.kind != "b":
            found = found.astype(self.dtype)
        return arrays._into(out, found if dtype is None else found.astype(dtype))

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None) -> ndarray:
        found = np.asarray(self._scipy().mean(axis=axis))
        return arrays._into(out, found.astype(dtype or (self.dtype if self.dtype.kind != "b" else float)))

    def count_nonzero(self, axis: Any = None) -> Any:
        counts.synchronizations += 1
        found = self._scipy().count_nonzero(axis) if axis is not None else self._scipy().count_nonzero()
        return int(found) if axis is None else adopt(np.asarray(found))

    def diagonal(self, k: int = 0) -> ndarray:
        return adopt(self._scipy().diagonal(k))

    def trace(self, offset: int = 0) -> ndarray:
        return adopt(self._scipy().trace(offset))

    # -- formats

    def asformat(self, format: str | None) -> Any:
        return self if format in (None, self.format) else getattr(self, f"to{format}")()

    def toarray(self, order: str | None = None, out: Any = None) -> ndarray:
        if out is not None:
            raise TypeError("the simulation takes no `out` here")
        host = self._scipy()
        return wrap(memory.upload(host.toarray(), order or "C"))

    todense = toarray

    def dot(self, other: Any) -> Any:
        return self * other if is_scalar(other) else self @ other

    def __mul__(self, other: Any) -> Any:
        return self._times(other) if is_scalar(other) else self @ other

    def __rmul__(self, other: Any) -> Any:
        return self._times(other) if is_scalar(other) else self.__rmatmul__(other)

    def _times(self, other: Any) -> Any:
        return self._with_data(self.data * other)

    def __matmul__(self, other: Any) -> Any:
        if is_scalar(other):
            raise ValueError("Scalar operands are not allowed, use '*' instead")
        return self.tocsr() @ other

    def __rmatmul__(self, other: Any) -> Any:
        if is_scalar(other):
            raise ValueError("Scalar operands are not allowed, use '*' instead")
        if isinstance(other, np.ndarray):
            raise arrays.unsupported(other)
        return (self.T @ other.T).T

    def __add__(self, other: Any) -> Any:
        return self.tocsr() + other

    def __sub__(self, other: Any) -> Any:
        return self.tocsr() - other


class _Compressed(spmatrix):
    """CSR and CSC."""

    _parts = ("data", "indices", "indptr")
    _class_of_scipy: Any = None

    def __init__(self, arg1: Any, shape: Any = None, dtype: Any = None, copy: bool = False, *, maxprint: Any = None):
        shape = None if shape is None else tuple(int(n) for n in shape)
        if isinstance(arg1, spmatrix):
            source = arg1.asformat(self.format)
            parts, shape = tuple(getattr(source, name) for name in self._parts), shape or arg1.shape
            index_dtype, copy = parts[1].dtype, copy and source is arg1
        elif scipy_sparse.issparse(arg1):
            host = arg1.asformat(self.format)
            counts.transfers += 3
            parts, shape = (_upload(host.data), _upload(host.indices), _upload(host.indptr)), shape or arg1.shape
            index_dtype, copy = host.indices.dtype, False
            parts = parts[0], parts[1], parts[2].astype(index_dtype, copy=False)
        elif isinstance(arg1, tuple) and len(arg1) == 2 and all(isinstance(n, (int, np.integer)) for n in arg1):
            shape, copy = (int(arg1[0]), int(arg1[1])), False
            index_dtype = np.dtype(np.int32 if max(shape) <= np.iinfo(np.int32).max else np.int64)
            n_major = shape[0] if self.format == "csr" else shape[1]
            parts = (
                arrays.zeros(0, dtype or "d"),
                arrays.zeros(0, index_dtype),
                arrays.zeros(n_major + 1, index_dtype),
            )
        elif isinstance(arg1, tuple) and len(arg1) == 2:
            source = coo_matrix(arg1, shape=shape, dtype=dtype).asformat(self.format)
            parts, shape = tuple(getattr(source, name) for name in self._parts), source.shape
            index_dtype = parts[1].dtype
        elif isinstance(arg1, tuple) and len(arg1) == 3:
            parts, index_dtype = self._checked(*arg1, shape)
        elif isinstance(arg1, ndarray):
            if arg1.ndim > 2:
                raise ValueError("expected dimension <= 2 array or matrix")
            host = self._class_of_scipy(np.atleast_2d(arg1._host))
            counts.synchronizations += 1
            parts, shape, copy = (_upload(host.data), _upload(host.indices), _upload(host.indptr)), host.shape, False
            index_dtype = np.dtype(np.int32)
        else:
            raise ValueError("Unsupported initializer format")
        data, indices, indptr = parts
        if shape is None:
            counts.synchronizations += 1
            shape = (len(indptr) - 1, int(indices._host.max()) + 1)
            shape = shape if self.format == "csr" else shape[::-1]
        dtype = np.dtype(dtype or data.dtype)
        if dtype.char not in KINDS:
            raise ValueError("Only bool, float32, float64, complex64 and complex128 are supported")
        self.data = data.astype(dtype, copy=copy)
        self.indices = indices.astype(index_dtype, copy=copy)
        self.indptr = indptr.astype(index_dtype, copy=copy)
        n_major = shape[0] if self.format == "csr" else shape[1]
        if len(indptr) != n_major + 1:
            raise ValueError(f"index pointer size ({len(indptr)}) should be ({n_major + 1})")
        self._shape = shape

    def _checked(self, data: Any, indices: Any, indptr: Any, shape: Any) -> tuple:
        """Check the given arrays and return them with the dtype of their indices."""
        if not all(isinstance(a, ndarray) and a.ndim == 1 for a in (data, indices, indptr)):
            raise ValueError("data, indices, and indptr must be 1-D cupy arrays")
        if len(data) != len(indices):
            raise ValueError("indices and data should have the same size")
        counts.synchronizations += 1
        first, last = int(indptr._host[0]), int(indptr._host[-1])
        if first != 0:
            raise ValueError(f"index pointer should start with 0 (got {first})")
        if last > data.size:
            raise ValueError(f"last index pointer ({last}) exceeds the size of data/indices ({data.size})")
        if data.size > last:
            data, indices = data[:last], indices[:last]
        most = np.iinfo(np.int32).max
        wide = shape is not None and max(shape) > most
        for a in (indices, indptr):
            if a.dtype.itemsize > 4 and a.size:
                counts.synchronizations += 2  # needs the largest and the smallest index
                wide = wide or int(a._host.max()) > most
        return (data, indices, indptr), np.dtype(np.int64 if wide else np.int32)

    def _scipy(self) -> Any:
        host = self._class_of_scipy(self.shape, dtype=self.dtype)
        # SciPy's constructor would change the dtype of indices.
        host.data, host.indices, host.indptr = self.data._host, self.indices._host, self.indptr._host
        return host

    @classmethod
    def _adopt(cls, host: Any, index_dtype: Any = np.int32) -> Any:
        found = cls.__new__(cls)
        found.data = _upload(host.data)
        found.indices = _upload(host.indices.astype(index_dtype))
        found.indptr = _upload(host.indptr.astype(index_dtype))
        found._shape = tuple(map(int, host.shape))
        return found

    def _of(self, host: Any) -> Any:
        if scipy_sparse.issparse(host) and host.format in ("csr", "csc"):
            return CLASSES[host.format]._adopt(host, self.indices.dtype)
        return super()._of(host)

    @classmethod
    def _from_parts(
        cls,
        data: ndarray,
        indices: ndarray,
        indptr: ndarray,
        shape: Any,
        has_canonical_format: bool | None = None,
        has_sorted_indices: bool | None = None,
    ) -> Any:
        n_major = shape[0] if cls.format == "csr" else shape[1]
        if indices.dtype != indptr.dtype:
            raise ValueError(f"indices and indptr must have the same dtype, got {indices.dtype} and {indptr.dtype}")
        if data.size != indices.size:
            raise ValueError(f"data and indices must have the same length, got {data.size} and {indices.size}")
        if indptr.size != n_major + 1:
            raise ValueError(f"indptr has length {indptr.size}, expected {n_major + 1} (major axis + 1)")
        found = cls.__new__(cls)
        found.data, found.indices, found.indptr, found._shape = data, indices, indptr, tuple(map(int, shape))
        if has_canonical_format is not None:
            found.has_canonical_format = has_canonical_format
        if has_sorted_indices is not None:
            found._sorted = has_sorted_indices
        return found

    def _with_data(self, data: ndarray) -> Any:
        found = self._from_parts(data, self.indices.copy(), self.indptr.copy(), self.shape)
        found.__dict__.update(
            {name: self.__dict__[name] for name in ("_canonical", "_sorted") if name in self.__dict__}
        )
        return found

    def _replace(self, host: Any) -> None:
        """Replace the arrays and reset the flags of their order."""
        other = self._adopt(host, self.indices.dtype)
        self.data, self.indices, self.indptr = other.data, other.indices, other.indptr
        self.__dict__.pop("_canonical", None)
        self.__dict__.pop("_sorted", None)

    # -- order

    @property
    def has_canonical_format(self) -> bool:
        if self.data.size == 0:
            self._canonical = self._sorted = True
        elif not self.__dict__.get("_sorted", True):
            self._canonical = False
        elif "_canonical" not in self.__dict__:
            counts.synchronizations += 1
            self._canonical = self._rises(strictly=True)
            if self._canonical:
                self._sorted = True
        return self._canonical

    @has_canonical_format.setter
    def has_canonical_format(self, value: bool) -> None:
        self._canonical = bool(value)
        if value:
            self._sorted = True

    @property
    def has_sorted_indices(self) -> bool:
        if "_sorted" not in self.__dict__:
            counts.synchronizations += 1
            self._sorted = self.data.size == 0 or self._rises(strictly=False)
        return self._sorted

    @has_sorted_indices.setter
    def has_sorted_indices(self, value: bool) -> None:
        self._sorted = bool(value)

    def _rises(self, strictly: bool) -> bool:
        steps = np.diff(self.indices._host)
        within = np.ones(len(steps), bool)
        starts = self.indptr._host[1:-1]
        within[starts[(starts > 0) & (starts <= len(steps))] - 1] = False
        return bool((steps[within] > 0).all() if strictly else (steps[within] >= 0).all())

    def sort_indices(self) -> None:
        if self.has_sorted_indices:
            return
        host = self._scipy().sorted_indices()
        self._replace(host)
        self._sorted = True

    def sorted_indices(self) -> Any:
        found = self.copy()
        found.sort_indices()
        return found

    def sum_duplicates(self) -> None:
        if self.has_canonical_format:
            return
        counts.synchronizations += 1
        host = self._scipy().copy()
        host.has_canonical_format = False
        host.sum_duplicates()
        self._replace(host)
        self.has_canonical_format = True

    def eliminate_zeros(self) -> None:
        counts.synchronizations += 1
        known = {name: self.__dict__[name] for name in ("_canonical", "_sorted") if name in self.__dict__}
        host = self._scipy().copy()
        host.eliminate_zeros()
        self._replace(host)
        self.__dict__.update(known)

    # -- formats

    def transpose(self, axes: Any = None, copy: bool = False) -> Any:
        other = CLASSES["csc" if self.format == "csr" else "csr"]
        parts = [getattr(self, name) for name in self._parts]
        found = other._from_parts(*(p.copy() if copy else p for p in parts), self.shape[::-1])
        found.__dict__.update(
            {name: self.__dict__[name] for name in ("_canonical", "_sorted") if name in self.__dict__}
        )
        return found

    def tocoo(self, copy: bool = False) -> Any:
        return coo_matrix._adopt(self._scipy().tocoo())

    # -- indexing

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        host_key = []
        counts.synchronizations += 1  # needs the number of stored entries
        for part in parts:
            if isinstance(part, ndarray):
                counts.synchronizations += part.dtype.kind == "b" or part.ndim == 0
                host_key.append(part._host)
            elif isinstance(part, (np.ndarray, list)):
                counts.transfers += 1
                host_key.append(np.asarray(part))
            else:
                host_key.append(part)
        return self._of(self._scipy()[tuple(host_key)])

    def getrow(self, i: int) -> Any:
        return self[i, :]

    def getcol(self, j: int) -> Any:
        return self[:, j]

    # -- arithmetic

    def _in_order(self, other: Any) -> None:
        for matrix in (self, other):
            if isinstance(matrix, _Compressed):
                matrix.sum_duplicates()
                matrix._check_inside()

    def _check_inside(self) -> None:
        """Check indices; a device would read and write outside of its arrays without an error."""
        n_minor = self.shape[1] if self.format == "csr" else self.shape[0]
        outside = (self.indices._host < 0) | (self.indices._host >= n_minor)
        if outside.any():
            raise IndexError(f"index {self.indices._host[outside][0]} is out of bounds for size {n_minor}")

    def __matmul__(self, other: Any) -> Any:
        if is_scalar(other):
            raise ValueError("Scalar operands are not allowed, use '*' instead")
        if isinstance(other, spmatrix):
            self._in_order(other)
            counts.synchronizations += 1
            return csr_matrix._adopt(scipy_sparse.csr_matrix(self._scipy() @ other._scipy()))
        if not isinstance(other, ndarray):
            raise arrays.unsupported(other)
        self._in_order(other)
        if other.shape[0] != self.shape[1]:
            raise ValueError("dimension mismatch")
        dtype = np.promote_types(self.dtype, other.dtype)
        return wrap(memory.upload((self._scipy() @ other._host).astype(dtype), "F"))

    def _joined(self, other: Any, sign: int) -> Any:
        """Add two matrices; entries stored in either are stored in the sum, even if they are 0."""
        if self.shape != other.shape:
            raise ValueError("inconsistent shapes")
        self._in_order(other)
        counts.synchronizations += 1
        a, b = self._scipy().tocoo(), other.asformat(self.format)._scipy().tocoo()
        dtype = np.promote_types(a.dtype, b.dtype)
        keys = np.concatenate([h.row.astype(np.int64) * self.shape[1] + h.col for h in (a, b)])
        places, whose = np.unique(keys, return_inverse=True)
        values = np.zeros(len(places), dtype)
        np.add.at(values, whose, np.concatenate([a.data.astype(dtype), sign * b.data.astype(dtype)]))
        row, col = np.divmod(places, max(self.shape[1], 1))
        host = scipy_sparse.coo_matrix((values, (row, col)), shape=self.shape).asformat(self.format)
        found = self._adopt(host)
        found.has_canonical_format = True
        return found

    def __add__(self, other: Any) -> Any:
        return self._plus(other, 1, 1)

    def __radd__(self, other: Any) -> Any:
        return self._plus(other, 1, 1)

    def __sub__(self, other: Any) -> Any:
        return self._plus(other, 1, -1)

    def __rsub__(self, other: Any) -> Any:
        return self._plus(other, -1, 1)

    def _plus(self, other: Any, sign: int, other_sign: int) -> Any:
        if isinstance(other, spmatrix):
            return (self if sign > 0 else -self)._joined(other, other_sign)
        if isinstance(other, ndarray) and other.ndim:
            dense = self.toarray()
            return (dense if sign > 0 else -dense) + (other if other_sign > 0 else -other)
        if is_scalar(other):
            if other == 0:
                return self.copy() if sign > 0 else -self
            raise NotImplementedError("adding a nonzero scalar to a sparse matrix is not supported")
        raise arrays.unsupported(other)

    def __truediv__(self, other: Any) -> Any:
        if is_scalar(other):
            dtype = np.result_type(np.float64 if self.dtype == np.float32 else self.dtype, arrays.unwrap(other))
            dtype = dtype if dtype.char in KINDS else np.dtype(np.float64)  # float32 becomes float64 in CuPy
            return self._with_data(self.data.astype(dtype) * (1 / np.asarray(arrays.unwrap(other), dtype))[()])
        if isinstance(other, ndarray):
            return self.tocoo()._with_data(adopt(self._scipy().tocoo().multiply(1 / other._host).tocoo().data))
        raise NotImplementedError

    def __imul__(self, other: Any) -> Any:
        if not is_scalar(other):
            return NotImplemented
        self.data *= other
        return self

    def __itruediv__(self, other: Any) -> Any:
        if not is_scalar(other):
            return NotImplemented
        self.data *= 1.0 / other
        return self

    def multiply(self, other: Any) -> Any:
        if is_scalar(other):
            return self._with_data(self.data * other)
        if not isinstance(other, (ndarray, spmatrix)):
            raise TypeError("expected scalar, dense matrix/vector or csr matrix")
        self._in_order(other)
        if isinstance(other, spmatrix):
            counts.synchronizations += 1
            found = self._scipy().multiply(other._scipy())
        else:
            found = scipy_sparse.coo_matrix(self._scipy())
            factor = np.broadcast_to(other._host, self.shape)
            found.data = found.data * factor[found.row, found.col]
        return csr_matrix._adopt(scipy_sparse.csr_matrix(found))

    def maximum(self, other: Any) -> Any:
        return self._of(self._scipy().maximum(other._scipy() if isinstance(other, spmatrix) else arrays.unwrap(other)))

    def minimum(self, other: Any) -> Any:
        return self._of(self._scipy().minimum(other._scipy() if isinstance(other, spmatrix) else arrays.unwrap(other)))

    def max(self, axis: Any = None, out: Any = None, *, explicit: bool = False) -> Any:
        return self._of(self._scipy().max(axis=axis))

    def min(self, axis: Any = None, out: Any = None, *, explicit: bool = False) -> Any:
        return self._of(self._scipy().min(axis=axis))

    def argmax(self, axis: Any = None, out: Any = None) -> Any:
        return self._of(np.asarray(self._scipy().argmax(axis=axis)))

    def argmin(self, axis: Any = None, out: Any = None) -> Any:
        return self._of(np.asarray(self._scipy().argmin(axis=axis)))


def _elementwise(name: str) -> Any:
    def method(self):
        return self._with_data(adopt(getattr(np, name)(self.data._host)))

    method.__name__ = name
    return method


for _name in ("ceil", "expm1", "floor", "log1p", "rint", "sign", "sqrt", "tanh", "trunc"):
    setattr(spmatrix, _name, _elementwise(_name))


class csr_matrix(_Compressed):  # noqa: N801
    """See `cupyx.scipy.sparse.csr_matrix`."""

    __module__ = "cupyx.scipy.sparse"
    format = "csr"
    _names = cupy_api.CSR
    _class_of_scipy = scipy_sparse.csr_matrix

    def tocsr(self, copy: bool = False) -> csr_matrix:
        return self.copy() if copy else self

    def tocsc(self, copy: bool = False) -> csc_matrix:
        return csc_matrix._adopt(self._scipy().tocsc(), self.indices.dtype)


class csc_matrix(_Compressed):  # noqa: N801
    """See `cupyx.scipy.sparse.csc_matrix`."""

    __module__ = "cupyx.scipy.sparse"
    format = "csc"
    _names = cupy_api.CSC
    _class_of_scipy = scipy_sparse.csc_matrix

    def tocsr(self, copy: bool = False) -> csr_matrix:
        return csr_matrix._adopt(self._scipy().tocsr(), self.indices.dtype)

    def tocsc(self, copy: Any = None) -> csc_matrix:
        return self.copy() if copy else self


class coo_matrix(spmatrix):  # noqa: N801
    """See `cupyx.scipy.sparse.coo_matrix`."""

    __module__ = "cupyx.scipy.sparse"
    format = "coo"
    _names = cupy_api.COO
    _parts = ("data", "row", "col")

    def __init__(self, arg1: Any, shape: Any = None, dtype: Any = None, copy: bool = False):
        if isinstance(arg1, tuple) and len(arg1) == 2 and isinstance(arg1[1], tuple):
            data, (row, col) = arg1
            if not all(isinstance(a, ndarray) and a.ndim == 1 for a in (data, row, col)):
                raise ValueError("data, row and col must be 1-D cupy arrays")
            if shape is None:
                counts.synchronizations += 2
                shape = (int(row._host.max()) + 1, int(col._host.max()) + 1)
        else:
            source = arg1 if isinstance(arg1, spmatrix) else csr_matrix(arg1, shape=shape)
            source = source.tocoo()
            data, row, col, shape = source.data, source.row, source.col, source.shape
        dtype = np.dtype(dtype or data.dtype)
        if dtype.char not in KINDS:
            raise ValueError("Only bool, float32, float64, complex64 and complex128 are supported")
        self.data = data.astype(dtype, copy=copy)
        self.row, self.col = row.astype(np.int32, copy=copy), col.astype(np.int32, copy=copy)
        self._shape = tuple(map(int, shape))

    def _scipy(self) -> Any:
        parts = self.data._host, (self.row._host, self.col._host)
        return scipy_sparse.coo_matrix(parts, shape=self.shape)

    @classmethod
    def _adopt(cls, host: Any) -> Any:
        found = cls.__new__(cls)
        found.data, found._shape = _upload(host.data), tuple(map(int, host.shape))
        found.row, found.col = _upload(host.row.astype(np.int32)), _upload(host.col.astype(np.int32))
        return found

    def _with_data(self, data: ndarray) -> Any:
        return coo_matrix((data, (self.row.copy(), self.col.copy())), shape=self.shape)

    def transpose(self, axes: Any = None, copy: bool = False) -> Any:
        return coo_matrix((self.data, (self.col, self.row)), shape=self.shape[::-1], copy=copy)

    def tocoo(self, copy: bool = False) -> Any:
        return self.copy() if copy else self

    def tocsr(self, copy: bool = False) -> csr_matrix:
        counts.synchronizations += 1
        return csr_matrix._adopt(self._scipy().tocsr())

    def tocsc(self, copy: bool = False) -> csc_matrix:
        counts.synchronizations += 1
        return csc_matrix._adopt(self._scipy().tocsc())

    def sum_duplicates(self) -> None:
        counts.synchronizations += 1
        host = self._scipy().copy()
        host.sum_duplicates()
        other = self._adopt(host)
        self.data, self.row, self.col = other.data, other.row, other.col


CLASSES: dict[str, Any] = {"csr": csr_matrix, "csc": csc_matrix, "coo": coo_matrix}


def _stacked(of_host: Any) -> Any:
    def stack(blocks: Any, format: Any = None, dtype: Any = None) -> Any:
        blocks = list(blocks)
        for block in blocks:
            if not isinstance(block, (spmatrix, ndarray)):
                raise arrays.unsupported(block)
        hosts = [b._scipy() if isinstance(b, spmatrix) else scipy_sparse.coo_matrix(b._host) for b in blocks]
        first = next((b.format for b in blocks if isinstance(b, spmatrix)), "coo")
        same = all(isinstance(b, spmatrix) and b.format == first for b in blocks)
        found = of_host(hosts, format=format or (first if same else "coo"), dtype=dtype)
        found = found if found.format in CLASSES else found.tocsr()
        counts.synchronizations += 1
        return CLASSES[found.format]._adopt(found)

    return stack


def issparse(x: Any) -> bool:
    return isinstance(x, spmatrix)


def make_modules() -> dict[str, ModuleType]:
    module = ModuleType("cupyx.scipy.sparse")
    module.__dict__.update(
        spmatrix=spmatrix,
        csr_matrix=csr_matrix,
        csc_matrix=csc_matrix,
        coo_matrix=coo_matrix,
        issparse=issparse,
        isspmatrix=issparse,
        isspmatrix_csr=lambda x: isinstance(x, csr_matrix),
        isspmatrix_csc=lambda x: isinstance(x, csc_matrix),
        isspmatrix_coo=lambda x: isinstance(x, coo_matrix),
        vstack=_stacked(scipy_sparse.vstack),
        hstack=_stacked(scipy_sparse.hstack),
        eye=lambda m, n=None, k=0, dtype="d", format=None: csr_matrix._adopt(
            scipy_sparse.eye(m, n, k, dtype, format="csr")
        ),
    )
    return {"cupyx.scipy.sparse": module}
