"""`cupy.ndarray` and the functions of `cupy`, computed by NumPy, with the errors of CuPy.

A device array contains a NumPy array and is not a subclass, so that the two cannot be confused. If CuPy and NumPy
differ without an error, such as for indices out of bounds, which CuPy wraps around, the simulation raises.
"""

from __future__ import annotations

import functools
import inspect
import operator
import re
from typing import Any

import numpy as np

from simulated import cupy_api, memory
from simulated.memory import counts

# -- conversion between device arrays and NumPy arrays -----------------------------------------------------------------


def unsupported(a: Any) -> TypeError:
    return TypeError(f"Unsupported type {type(a)}")


def wrap(host: np.ndarray) -> ndarray:
    """Wrap an array of device memory as a device array."""
    found = object.__new__(ndarray)
    found._host = host
    return found


def adopt(result: Any, order: str = "C") -> Any:
    """Convert a result of NumPy to that of CuPy: views stay views, others are copied to device memory in this order."""
    if isinstance(result, (np.ndarray, np.generic, bool, int, float, complex)):
        if type(result) is np.ndarray and memory.is_device_memory(result):
            return wrap(result)
        return wrap(memory.upload(result, order))
    if isinstance(result, (tuple, list)):
        return tuple(adopt(part, order) for part in result)
    return result


def unwrap(a: Any) -> Any:
    """Return the NumPy array of a device array; refuse host arrays, as CuPy does."""
    if isinstance(a, ndarray):
        return a._host
    if isinstance(a, np.ndarray):
        raise unsupported(a)
    if isinstance(a, (tuple, list)):
        return type(a)(unwrap(part) for part in a) if not hasattr(a, "_fields") else tuple(map(unwrap, a))
    return a


def lenient(a: Any) -> Any:
    """Return the NumPy array of a device array, or a host array, which CuPy copies to the device."""
    if isinstance(a, np.ndarray):
        counts.transfers += 1
        return a
    if isinstance(a, (tuple, list)):
        return type(a)(lenient(part) for part in a)
    return a._host if isinstance(a, ndarray) else a


@functools.cache
def _signature(text: str) -> inspect.Signature:
    scope: dict[str, Any] = {}
    text = re.sub(r"<class .(\w+).>", r"\1", text)
    exec(f"def f{text}: pass", scope)  # the text is from our own table
    return inspect.signature(scope["f"])


def check_call(name: str, text: str | None, args: tuple, kwargs: dict) -> None:
    """Raise `TypeError` if the function of CuPy does not accept these arguments."""
    if text is None:
        return
    try:
        _signature(text).bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}{text}: {error}") from None


def _named(kwargs: dict) -> dict:
    """Return keywords that are not None, which NumPy does not accept for some of them."""
    return {name: value for name, value in kwargs.items() if value is not None or name == "axis"}


def _sorted_kind(kind: Any) -> None:
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")


# -- arrays ----------------------------------------------------------------------------------------------------------


class MemoryPointer:
    """The address of an array."""

    __module__ = "cupy.cuda.memory"
    device_id = 0

    def __init__(self, ptr: int):
        self.ptr = ptr

    @property
    def device(self) -> Any:
        from simulated.cuda import Device

        return Device()


class Flags:
    """The memory layout of an array."""

    __module__ = "cupy._core.flags"

    def __init__(self, host: np.ndarray):
        self.c_contiguous, self.f_contiguous = host.flags.c_contiguous, host.flags.f_contiguous
        self.owndata = isinstance(host.base, memory.Memory)
        self.fnc = self.f_contiguous and not self.c_contiguous
        self.forc = self.f_contiguous or self.c_contiguous

    def __getitem__(self, name: str) -> bool:
        names = {"C_CONTIGUOUS": "c_contiguous", "F_CONTIGUOUS": "f_contiguous", "OWNDATA": "owndata"}
        return getattr(self, names[name])


class ndarray:  # noqa: N801
    """See `cupy.ndarray`."""

    __module__ = "cupy"
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]
    _host: np.ndarray

    def __init__(self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"):
        if memptr is not None or strides is not None:
            raise NotImplementedError("the simulation only makes arrays of its own memory")
        self._host = memory.allocate(shape, dtype, order)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")

    # -- to the host

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        counts.synchronizations += 1
        counts.transfers += 1
        if out is None:
            return np.array(self._host, order=order)
        out[...] = self._host
        return out

    def _value(self) -> Any:
        """Return the only element, which waits for the device."""
        counts.synchronizations += 1
        counts.transfers += 1
        return self._host

    def item(self) -> Any:
        return self._value().item()

    def tolist(self) -> Any:
        return self._value().tolist()

    def tobytes(self, order: str = "C") -> bytes:
        return self._value().tobytes(order)

    def __int__(self) -> int:
        return int(self._value())

    def __float__(self) -> float:
        return float(self._value())

    def __complex__(self) -> complex:
        return complex(self._value())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                "The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()"
            )
        return bool(self._value())

    def __repr__(self) -> str:
        return repr(self._value())

    def __str__(self) -> str:
        return str(self._value())

    def __format__(self, how: str) -> str:
        return format(self._value() if self.ndim else self._value()[()], how)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __reduce__(self) -> Any:
        return array, (self.get(order="A"),)

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> ndarray:
        return self.copy()

    def set(self, arr: Any, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        counts.transfers += 1
        self._host[...] = arr

    # -- properties

    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: Flags(self._host))
    T = property(lambda self: wrap(self._host.T))
    mT = property(lambda self: wrap(np.swapaxes(self._host, -1, -2)))  # noqa: N815
    base = property(lambda self: None if isinstance(self._host.base, memory.Memory) else wrap(self._host.base))

    @property
    def shape(self) -> tuple[int, ...]:
        return self._host.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        self._host = self._host.view()
        self._host.shape = shape

    @property
    def data(self) -> MemoryPointer:
        return MemoryPointer(memory.address_of(self._host) if self._host.size else 0)

    @property
    def device(self) -> Any:
        return self.data.device

    @property
    def real(self) -> ndarray:
        return adopt(self._host.real)

    @property
    def imag(self) -> ndarray:
        return adopt(self._host.imag)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    # -- indexing

    def _key(self, key: Any) -> tuple[Any, bool]:
        """Convert an index for NumPy, and return whether it selects elements instead of a view."""
        parts = list(key) if isinstance(key, tuple) else [key]
        fancy = False
        for i, part in enumerate(parts):
            if isinstance(part, ndarray):
                fancy = True
                if part.dtype.kind == "b":
                    counts.synchronizations += 1  # the host needs the number of true elements
                elif part.dtype.kind not in "iu":
                    raise IndexError(
                        f"arrays used as indices must be of integer or boolean type. (actual: {part.dtype.type})"
                    )
                parts[i] = part._host
            elif isinstance(part, (np.ndarray, list, tuple, bool, np.bool_)):
                fancy = True
                counts.transfers += 1  # CuPy copies it to the device silently
                parts[i] = np.asarray(lenient(part))
                if parts[i].size == 0 and isinstance(part, (list, tuple)):
                    parts[i] = parts[i].astype(np.int32)
                counts.synchronizations += parts[i].dtype.kind == "b"
        if not any(part is Ellipsis for part in parts):
            parts.append(Ellipsis)  # one element is an array without axes
        return tuple(parts), fancy

    def __getitem__(self, key: Any) -> ndarray:
        return adopt(self._host[self._key(key)[0]])

    def __setitem__(self, key: Any, value: Any) -> None:
        index, fancy = self._key(key)
        if isinstance(value, ndarray):
            value = value._host
        elif fancy:
            counts.transfers += np.ndim(value) > 0
            value = np.asarray(lenient(value)).astype(self.dtype)
        elif np.ndim(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        with np.errstate(all="ignore"):
            self._host[index] = value
            if fancy and not _same(self._host[index], np.asarray(value).astype(self.dtype)):
                raise ValueError("one element was assigned several values, so that the result is not defined")

    def scatter_add(self, slices: Any, value: Any) -> None:
        if self.dtype.name not in ("int32", "float16", "float32", "float64", "uint32", "uint64"):
            raise TypeError("scatter_add only supports int32, float16, float32, float64, uint32, uint64, as data type")
        np.add.at(self._host, self._key(slices)[0], unwrap(value))

    def scatter_max(self, slices: Any, value: Any) -> None:
        np.maximum.at(self._host, self._key(slices)[0], unwrap(value))

    def scatter_min(self, slices: Any, value: Any) -> None:
        np.minimum.at(self._host, self._key(slices)[0], unwrap(value))

    # -- copies and views

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> ndarray:
        if casting is not None or subok is not None:
            raise TypeError("the simulation has neither casting nor subok, which CuPy ignores or refuses")
        dtype, flags = np.dtype(dtype), self._host.flags
        right_order = order in "KA" or (flags.f_contiguous if order == "F" else flags.c_contiguous)
        if not copy and dtype == self.dtype and right_order:
            return self
        with np.errstate(all="ignore"):
            return wrap(memory.upload(_converted(self._host, dtype), order))

    def copy(self, order: str = "C") -> ndarray:
        return wrap(memory.upload(self._host, order))

    def fill(self, value: Any) -> None:
        value = unwrap(value) if isinstance(value, ndarray) else np.asarray(value, self.dtype)
        if value.shape != ():
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self._host.fill(value)

    def view(self, dtype: Any = None, type: Any = None) -> ndarray:
        return wrap(self._host.view() if dtype is None else self._host.view(dtype))

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> ndarray:
        found = self._host.reshape(*shape, order=order)
        if copy is False and not np.shares_memory(found, self._host):
            raise ValueError("Unable to avoid creating a copy while reshaping.")
        return adopt(found.copy() if copy else found)

    def flatten(self, order: str = "C") -> ndarray:
        return adopt(self._host.flatten(order))

    # -- order

    def sort(self, axis: int = -1, kind: Any = None) -> None:
        _sorted_kind(kind)
        self._host.sort(axis=axis, kind="stable")

    def argsort(self, axis: Any = -1, kind: Any = None) -> ndarray:
        _sorted_kind(kind)
        return adopt(self._host.argsort(axis=axis, kind="stable"))

    def partition(self, kth: Any, axis: int = -1) -> None:
        self._host.sort(axis=axis, kind="stable")

    def argpartition(self, kth: Any, axis: Any = -1) -> ndarray:
        return adopt(self._host.argsort(axis=axis, kind="stable"))

    def ptp(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return _module_function("ptp")(self, axis=axis, out=out, keepdims=keepdims)

    def nonzero(self) -> tuple:
        counts.synchronizations += 1
        return adopt(self._host.nonzero())

    def take(self, indices: Any, axis: Any = None, out: Any = None) -> ndarray:
        return _module_function("take")(self, indices, axis=axis, out=out)

    def compress(self, condition: Any, axis: Any = None, out: Any = None) -> ndarray:
        counts.synchronizations += 1
        return _into(out, self._host.compress(lenient(condition), axis=axis))

    def dot(self, b: Any, out: Any = None) -> ndarray:
        if not isinstance(b, ndarray):
            raise TypeError(f"Argument 'b' has incorrect type (expected cupy.ndarray, got {type(b).__name__})")
        return _into(out, self._host.dot(b._host))

    # -- NumPy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        import cupy

        out = kwargs.get("out")
        if out is not None:
            if len(out) != 1:
                raise ValueError("The 'out' parameter must have exactly one array value")
            kwargs["out"] = out[0]
        function = getattr(cupy, ufunc.__name__, None)
        if function is None:
            return NotImplemented
        if method != "__call__":
            function = getattr(function, method)
        for x in (*inputs, *(out or ())):
            if not isinstance(x, (ndarray, np.ndarray, np.generic, bool, int, float, complex)):
                return NotImplemented
        if ufunc.__name__ in ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal"):
            inputs = tuple(x.item() if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in inputs)
        return function(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: tuple, kwargs: dict) -> Any:
        import cupy

        place: Any = cupy
        try:
            for name in [*function.__module__.split(".")[1:], function.__name__]:
                place = getattr(place, name)
        except AttributeError:
            return NotImplemented
        if place is function or not all(issubclass(t, (ndarray, np.ndarray)) for t in types):
            return NotImplemented
        return place(*args, **kwargs)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    b = np.broadcast_to(b, a.shape) if b.size != a.size else b.reshape(a.shape)
    return bool(((a == b) | ((a != a) & (b != b))).all())


def _converted(host: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return host if host.dtype == dtype else host.astype(dtype)


def _into(out: Any, result: Any) -> ndarray:
    if out is None:
        return adopt(result)
    out._host[...] = result
    return out


def _operand(other: Any) -> Any:
    """Convert the other operand, or return NotImplemented for types that define the operation."""
    if isinstance(other, ndarray):
        return other._host
    if isinstance(other, np.ndarray):
        raise unsupported(other)
    if isinstance(other, (np.generic, bool, int, float, complex)):
        return other
    if getattr(other, "__array_priority__", 0) > ndarray.__array_priority__:
        return NotImplemented
    raise unsupported(other)


def _add_operators() -> None:
    def binary(name: str, compares: bool) -> Any:
        of_host = getattr(np.ndarray, name)

        def method(self, other):
            if compares and isinstance(other, np.ndarray) and other.ndim == 0:
                other = other.item()
            if compares and other is None:
                return full(self.shape, name == "__ne__")
            other = _operand(other)
            if other is NotImplemented:
                return other
            with np.errstate(all="ignore"):
                return adopt(of_host(self._host, other))

        method.__name__ = name
        return method

    def in_place(name: str) -> Any:
        change = getattr(operator, name)

        def method(self, other):
            other = _operand(other)
            if other is NotImplemented:
                return other
            with np.errstate(all="ignore"):
                change(self._host, other)  # CuPy refuses the same casts as NumPy
            return self

        method.__name__ = name
        return method

    def unary(name: str) -> Any:
        of_host = getattr(np.ndarray, name)
        return lambda self: adopt(of_host(self._host))

    for name in ("lt", "le", "eq", "ne", "gt", "ge"):
        setattr(ndarray, f"__{name}__", binary(f"__{name}__", compares=True))
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and", "or", "xor"):
        setattr(ndarray, f"__{name}__", binary(f"__{name}__", compares=False))
        setattr(ndarray, f"__r{name}__", binary(f"__r{name}__", compares=False))
        setattr(ndarray, f"__i{name}__", in_place(f"__i{name}__"))
    for name in ("matmul", "rmatmul", "divmod", "rdivmod"):
        setattr(ndarray, f"__{name}__", binary(f"__{name}__", compares=False))
    for name in ("neg", "pos", "abs", "invert"):
        setattr(ndarray, f"__{name}__", unary(f"__{name}__"))


def _add_methods() -> None:
    """Add the methods that arrays of CuPy and NumPy have in common."""

    def method_of(name: str, text: str) -> Any:
        of_host = getattr(np.ndarray, name)

        def method(self, *args, **kwargs):
            check_call(f"ndarray.{name}", text, (self, *args), kwargs)
            out = kwargs.get("out")
            kwargs = {key: unwrap(value) for key, value in _named(kwargs).items()}
            args = tuple(unwrap(a) for a in args)
            with np.errstate(all="ignore"):
                result = of_host(self._host, *args, **kwargs)
            return adopt(result) if out is None else out

        method.__name__ = name
        return method

    for name, text in cupy_api.ARRAY.items():
        if text is not None and name not in ndarray.__dict__ and hasattr(np.ndarray, name):
            setattr(ndarray, name, method_of(name, text))


_add_operators()
_add_methods()


# -- the functions of the module ---------------------------------------------------------------------------------------

# Functions whose results are not arrays.
HOST_RESULTS = {
    *(
        "ndim",
        "shape",
        "size",
        "isscalar",
        "result_type",
        "can_cast",
        "promote_types",
        "min_scalar_type",
        "common_type",
    ),
    *("may_share_memory", "shares_memory", "issubdtype", "iscomplexobj", "isrealobj", "isfortran", "broadcast_shapes"),
    *("iscomplex_", "get_printoptions", "set_printoptions", "array_repr", "array_str", "array2string", "typename"),
    *("base_repr", "binary_repr", "printoptions", "mintypecode", "issctype", "show_config"),
}
# Functions that need a number of elements or a largest value on the host.
SYNCHRONIZING = {
    *("nonzero", "flatnonzero", "argwhere", "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values"),
    *("bincount", "extract", "compress", "histogram", "union1d", "intersect1d", "setdiff1d", "setxor1d", "trim_zeros"),
    *("place", "delete", "digitize_", "quantile", "percentile"),
}
KEEPS_LAYOUT = {"empty_like", "zeros_like", "ones_like", "full_like"}


@functools.cache
def _module_function(name: str) -> Any:
    """Make a function that CuPy and NumPy have in common."""
    if name in SPECIAL:
        return SPECIAL[name]
    function, text = getattr(np, name), cupy_api.FUNCTIONS[name]
    return make_function(name, function, text, "K" if name in KEEPS_LAYOUT else "C", name in SYNCHRONIZING,
                         name in HOST_RESULTS)  # fmt: skip


def make_function(
    name: str, function: Any, text: str | None, order: str = "C", synchronizes: bool = False, tells: bool = False
) -> Any:
    def call(*args, **kwargs):
        check_call(name, text, args, kwargs)
        out = kwargs.get("out")
        if synchronizes:
            counts.synchronizations += 1
        args = tuple(unwrap(a) for a in args)
        kwargs = {key: unwrap(value) for key, value in _named(kwargs).items()}
        with np.errstate(all="ignore"):
            result = function(*args, **kwargs)
        if tells:
            return result
        return adopt(result, order) if out is None else out

    call.__name__ = call.__qualname__ = name
    call.__module__ = "cupy"
    return call


class ufunc:  # noqa: N801
    """See `cupy.ufunc`: results are in C order for any order of the arguments."""

    __module__ = "cupy"

    def __init__(self, name: str):
        # Some names in CuPy differ from those in NumPy.
        self.name, self._host, self.__name__ = f"cupy_{name}", getattr(np, name), name

    def _checked(self, name: str, args: tuple, kwargs: dict) -> Any:
        out = kwargs.pop("out", None)
        if isinstance(out, tuple):
            (out,) = out
        if out is not None and not isinstance(out, ndarray):
            raise TypeError("Output arguments type must be cupy.ndarray")
        args = tuple(unwrap(a) for a in args)
        for a in args:
            if isinstance(a, (list, tuple)) or a is None:
                raise unsupported(a)
        kwargs = {key: unwrap(value) for key, value in _named(kwargs).items()}
        if out is not None:
            kwargs["out"] = out._host
        with np.errstate(all="ignore"):
            result = (self._host if name == "__call__" else getattr(self._host, name))(*args, **kwargs)
        return adopt(result) if out is None else out

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        check_call(self.__name__, "(*args, out=None, where=None, casting='same_kind', dtype=None)", args, kwargs)
        if len(args) > getattr(self._host, "nin", 2):
            *args, out = args
            kwargs["out"] = out
        return self._checked("__call__", tuple(args), kwargs)

    def outer(self, a: Any, b: Any, **kwargs: Any) -> Any:
        return self._checked("outer", (a, b), kwargs)

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        if self.__name__ not in ("add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"):
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        self._host.at(a._host, a._key(indices)[0], *(() if b is None else (unwrap(b),)))

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        self._only("reduce", "add", "multiply")
        return self._checked("reduce", (array,), {"axis": axis, "dtype": dtype, "out": out, "keepdims": keepdims})

    def accumulate(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        self._only("accumulate", "add", "multiply")
        return self._checked("accumulate", (array,), {"axis": axis, "dtype": dtype, "out": out})

    def reduceat(self, array: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        self._only("reduceat", "add")
        return self._checked("reduceat", (array, indices), {"axis": axis, "dtype": dtype, "out": out})

    def _only(self, method: str, *names: str) -> None:
        if self.__name__ not in names:
            raise NotImplementedError(f"`{self.name}.{method}` is not supported yet")


def _lengths(shape: Any) -> Any:
    """Check a shape, which must not contain CuPy arrays."""
    for n in shape if isinstance(shape, (tuple, list)) else (shape,):
        if isinstance(n, ndarray):
            raise TypeError("'cupy.ndarray' object cannot be interpreted as an integer")
        operator.index(n)
    return shape


def _supported(dtype: Any) -> np.dtype:
    dtype = np.dtype(dtype)
    if dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return wrap(memory.allocate(_lengths(shape), _supported(dtype), order))


def zeros(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return full(shape, 0, dtype, order)


def ones(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return full(shape, 1, dtype, order)


def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> ndarray:
    if dtype is None:
        dtype = fill_value.dtype if isinstance(fill_value, ndarray) else np.array(fill_value).dtype
    found = empty(shape, dtype, order)
    found.fill(fill_value)
    return found


def empty_like(prototype: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> ndarray:
    host = prototype._host if isinstance(prototype, ndarray) else prototype
    if shape is not None:
        return empty(shape, dtype or host.dtype)
    pattern = np.empty_like(host, dtype=dtype, order=order)
    found = memory.upload(pattern, "K")
    found.view(np.ndarray)[...] = _garbage(found.dtype)
    return wrap(found)


def _garbage(dtype: np.dtype) -> Any:
    return np.frombuffer(b"\xff" * dtype.itemsize, dtype)[0] if dtype.kind != "b" else True


def arange(*args: Any, **kwargs: Any) -> ndarray:
    check_call("arange", cupy_api.FUNCTIONS["arange"], args, kwargs)
    if any(isinstance(a, ndarray) for a in (*args, *kwargs.values())):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")
    return adopt(np.arange(*args, **_named(kwargs)))


def array(
    obj: Any, dtype: Any = None, copy: bool | None = True, order: str = "K", subok: bool = False, ndmin: int = 0,
    *, blocking: bool = False,
) -> ndarray:  # fmt: skip
    if isinstance(obj, ndarray):
        found = obj.astype(obj.dtype if dtype is None else dtype, order=order, copy=bool(copy))
    else:
        if hasattr(obj, "tocsr"):
            raise unsupported(obj)
        host = np.asarray(_nested(obj), dtype)
        _supported(host.dtype)
        counts.transfers += 1
        found = wrap(memory.upload(host, order))
    return found if found.ndim >= ndmin else adopt(found._host.reshape((1,) * (ndmin - found.ndim) + found.shape))


def _nested(obj: Any) -> Any:
    if isinstance(obj, (list, tuple)):
        return [_nested(part) for part in obj]
    return obj._host if isinstance(obj, ndarray) else obj


def asarray(
    a: Any, dtype: Any = None, order: Any = None, *, copy: bool | None = None, blocking: bool = False
) -> ndarray:
    return array(a, dtype, copy=bool(copy), order=order or "K")


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    return array(a, dtype, copy=False, order="C", ndmin=1)


def asfortranarray(a: Any, dtype: Any = None) -> ndarray:
    return array(a, dtype, copy=False, order="F", ndmin=1)


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> np.ndarray:
    if hasattr(a, "get"):
        return a.get(stream=stream) if not isinstance(a, ndarray) else a.get(stream, order, out, blocking)
    return np.asarray(a, order=order) if order != "K" else np.asarray(a)


def copy(a: Any, order: str = "K") -> ndarray:
    if not isinstance(a, ndarray):
        a = array(a)
    return a.copy(order=order)


def take(a: Any, indices: Any, axis: Any = None, out: Any = None) -> ndarray:
    return _into(out, np.take(unwrap(a), lenient(indices), axis=axis))


def sort(a: Any, axis: Any = -1, kind: Any = None) -> ndarray:
    _sorted_kind(kind)
    return adopt(np.sort(unwrap(a), axis=axis, kind="stable"))


def argsort(a: Any, axis: Any = -1, kind: Any = None) -> ndarray:
    return a.argsort(axis=axis, kind=kind)


def partition(a: Any, kth: Any, axis: Any = -1) -> ndarray:
    return sort(a, axis)


def argpartition(a: Any, kth: Any, axis: Any = -1) -> ndarray:
    return a.argpartition(kth, axis)


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if (x is None) != (y is None):
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    if x is None:
        return condition.nonzero()
    condition = unwrap(condition)
    with np.errstate(all="ignore"):
        return adopt(np.where(condition, unwrap(x), unwrap(y)))


def put_along_axis(arr: ndarray, indices: ndarray, values: Any, axis: Any) -> None:
    np.put_along_axis(arr._host, indices._host, unwrap(values), axis)


def get_array_module(*args: Any) -> Any:
    import cupy

    on_device = any(type(a).__module__.partition(".")[0] in ("cupy", "cupyx") for a in args)
    return cupy if on_device else np


def _fails_on_device_arrays(name: str) -> Any:
    """Make a function whose arguments must be host numbers."""
    of_host, text = getattr(np, name), cupy_api.FUNCTIONS[name]

    def call(*args, **kwargs):
        check_call(name, text, args, kwargs)
        for a in (*args, *kwargs.values()):
            _lengths(a) if isinstance(a, ndarray) else None
        return adopt(of_host(*args, **_named(kwargs)))

    call.__name__ = name
    return call


SPECIAL = {
    f.__name__: f
    for f in (
        *(empty, zeros, ones, full, empty_like, arange, array, asarray, ascontiguousarray, asfortranarray, asnumpy),
        *(copy, take, sort, argsort, partition, argpartition, where, put_along_axis, get_array_module),
        *(_fails_on_device_arrays(name) for name in ("eye", "identity", "tri")),
    )
} | {"asanyarray": asarray}


# -- linear algebra ----------------------------------------------------------------------------------------------------


def _to_fortran(a: ndarray) -> ndarray:
    return wrap(memory.upload(a._host, "F"))


def _linalg(name: str) -> Any:
    plain = make_function(f"linalg.{name}", getattr(np.linalg, name), cupy_api.LINALG[name])

    def call(*args, **kwargs):
        for a in args:
            if isinstance(a, ndarray) and a.dtype == np.float16:
                raise TypeError("Array must be of float32, float64, complex64 or complex128")
            if isinstance(a, np.ndarray):
                raise unsupported(a)
        found = plain(*args, **kwargs)
        # The libraries of CuPy use Fortran order.
        if name == "eigh" and args[0].ndim == 2:
            return found[0], _to_fortran(found[1])
        if name == "qr" and isinstance(found, tuple):
            return _to_fortran(found[0]), _to_fortran(found[1])
        if name == "svd" and isinstance(found, tuple) and args[0].ndim == 2 and args[0].shape[0] > args[0].shape[1]:
            return _to_fortran(found[0]), found[1], _to_fortran(found[2])
        return found

    call.__name__ = name
    return call


def linalg_contents() -> dict[str, Any]:
    found = {name: _linalg(name) for name in cupy_api.LINALG if hasattr(np.linalg, name)}
    return found | {"LinAlgError": np.linalg.LinAlgError}


# -- random numbers ----------------------------------------------------------------------------------------------------


class Generator:
    """Random numbers of a few distributions, which differ from those of CuPy."""

    __module__ = "cupy.random"

    def __init__(self, seed: Any = None):
        self._host = np.random.default_rng(seed)

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> ndarray:
        return adopt(self._host.random(size, dtype))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> ndarray:
        return adopt(self._host.standard_normal(size, dtype))

    def integers(
        self, low: Any, high: Any = None, size: Any = None, dtype: Any = np.int64, endpoint: bool = False
    ) -> ndarray:
        return adopt(self._host.integers(low, high, size, dtype, endpoint))


def random_contents() -> dict[str, Any]:
    state = np.random.RandomState(0)

    def drawn(name: str) -> Any:
        return lambda *args, **kwargs: adopt(getattr(state, name)(*args, **kwargs))

    names = ("rand", "randn", "randint", "random", "standard_normal", "permutation", "normal", "uniform")
    return {name: drawn(name) for name in names} | {
        "default_rng": Generator,
        "Generator": Generator,
        "seed": lambda seed=None: state.seed(seed),
    }


def find(name: str) -> Any:
    """Return `cupy.<name>`; raise `AttributeError` if CuPy or the simulation does not have the name."""
    if name in SPECIAL:
        return SPECIAL[name]
    if name in cupy_api.UFUNCS and hasattr(np, name):
        return ufunc(name)
    if name in cupy_api.FUNCTIONS and hasattr(np, name):
        return _module_function(name)
    if (name in cupy_api.TYPES or name in cupy_api.CONSTANTS) and hasattr(np, name):
        return getattr(np, name)
    known = name in cupy_api.UFUNCS or name in cupy_api.FUNCTIONS or name in cupy_api.TYPES
    why = "the simulation has none, though CuPy has" if known else "CuPy has none"
    raise AttributeError(f"module 'cupy' has no attribute {name!r}: {why}")
