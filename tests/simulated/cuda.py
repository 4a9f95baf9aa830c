"""Kernels in CUDA C++ on a CPU: `RawModule`, `RawKernel`, `ElementwiseKernel` and the module `cupy.cuda`.

A source is compiled by g++ with `cuda_on_cpu.h`, and the library is cached in the temporary folder under its hash.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from simulated import arrays, memory
from simulated.arrays import MemoryPointer, ndarray
from simulated.memory import counts

HEADER = Path(__file__).with_name("cuda_on_cpu.h")
FLAGS = (
    *("-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", "-shared", "-fno-gnu-unique", "-fcf-protection=none"),
    *("-Wall", "-Werror"),
    # Common in CUDA: `#pragma unroll`, integers compared with threadIdx.x.
    *("-Wno-unknown-pragmas", "-Wno-sign-compare", "-Wno-unused-function"),
    *("-Wno-builtin-macro-redefined", "-Wno-maybe-uninitialized"),
)
MOST_THREADS, MOST_SHARED, MOST_SHARED_ON_DEMAND = 1024, 48 << 10, 227 << 10
BLOCK_LIMITS = (1024, 1024, 64)
GRID_LIMITS = (2**31 - 1, 65535, 65535)


class CUDADriverError(RuntimeError):
    """Error of CuPy for kernels that cannot be launched or fail."""

    __module__ = "cupy_backends.cuda.api.driver"


class CompileException(Exception):  # noqa: N818
    """Error of CuPy for a source that does not compile."""

    __module__ = "cupy.cuda.compiler"


def has_compiler() -> bool:
    return shutil.which("g++") is not None


# -- compiling -------------------------------------------------------------------------------------------------------


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"codebooks-simulated-{os.getuid()}"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


@functools.cache
def _compiler_and_header() -> str:
    version = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout
    return version + " ".join(FLAGS) + HEADER.read_text()


def _launchers(names: tuple[str, ...]) -> str:
    return "".join(
        f'extern "C" int simulated_launch_{i}(void** a, const unsigned* size, unsigned shared, int backwards) {{\n'
        f"    auto* kernel = {name};\n    return simulated::launch(kernel, a, size, shared, backwards);\n}}\n"
        f'extern "C" int simulated_describe_{i}(int* out) {{\n'
        f"    auto* kernel = {name};\n    return simulated::describe(kernel, out);\n}}\n"
        for i, name in enumerate(names)
    )


@functools.cache
def compile_source(code: str, names: tuple[str, ...], options: tuple[str, ...]) -> ctypes.PyDLL:
    """Compile a source to a library with a launcher for each name."""
    dynamic = r"extern\s+__shared__\s+(?:__align__\(\w+\)\s*)?([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;"
    body = re.sub(dynamic, r"\1* \2 = static_cast<\1*>(simulated_dynamic_shared());", code)
    source = f'#include "{HEADER}"\n#line 1 "kernels.cu"\n{body}\n#line 1 "launchers"\n{_launchers(names)}'
    defines = tuple(option for option in options if option.startswith("-D"))
    key = hashlib.sha256("\0".join([_compiler_and_header(), source, *defines]).encode()).hexdigest()[:32]
    library = _folder() / f"{key}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=_folder()) as place:
            text, made = Path(place, "kernels.cpp"), Path(place, "kernels.so")
            text.write_text(source)
            command = ["g++", *FLAGS, *defines, str(text), "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CompileException(done.stderr)
            os.replace(made, library)
    loaded = ctypes.PyDLL(str(library))
    loaded.simulated_message.restype = ctypes.c_char_p
    loaded.simulated_switches.restype = ctypes.c_ulonglong
    loaded.simulated_damaged.restype = ctypes.c_longlong
    loaded.simulated_damaged.argtypes = [ctypes.c_void_p, ctypes.c_longlong]
    return loaded


# -- launching -------------------------------------------------------------------------------------------------------


class Function:
    """One kernel of a module, called as in CuPy: `f(grid, block, arguments, shared_mem=0)`.

    The first and every second further launch run blocks, warps and threads in reverse order.
    """

    __module__ = "cupy"

    def __init__(self, library: ctypes.PyDLL, number: int, name: str):
        self.name = self.__name__ = name
        self.max_dynamic_shared_size_bytes = MOST_SHARED
        self._library = library
        self._launch = getattr(library, f"simulated_launch_{number}")
        self._launch.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
        described = (ctypes.c_int * (3 * 64))()
        n = getattr(library, f"simulated_describe_{number}")(described)
        self._parameters = [(bool(described[3 * i]), described[3 * i + 1], chr(described[3 * i + 2])) for i in range(n)]
        self._values = ctypes.create_string_buffer(8 * max(n, 1))
        first = ctypes.addressof(self._values)
        self._pointers = (ctypes.c_void_p * max(n, 1))(*(first + 8 * i for i in range(max(n, 1))))
        self._size = (ctypes.c_uint * 6)()
        self._backwards = False

    def __call__(self, grid: tuple, block: tuple, args: tuple, *, shared_mem: int = 0, stream: Any = None) -> None:
        self._check_size(grid, block, shared_mem)
        if len(args) != len(self._parameters):
            raise CUDADriverError(f"{self.name} takes {len(self._parameters)} arguments and got {len(args)}")
        for i, (value, parameter) in enumerate(zip(args, self._parameters, strict=True)):
            self._values[8 * i : 8 * i + 8] = self._bytes_of(i, value, *parameter)
        self._backwards = not self._backwards
        counts.launches += 1
        failed = self._launch(self._pointers, self._size, shared_mem, self._backwards)
        if failed:
            raise CUDADriverError(f"{self.name}: {self._library.simulated_message().decode()}")
        damaged = self._library.simulated_damaged(memory.address_of(memory.table.rows), memory.table.n)
        if damaged >= 0:
            self._report_damage(damaged, args)

    def _check_size(self, grid: tuple, block: tuple, shared_mem: int) -> None:
        grid, block = (*grid, 1, 1)[:3], (*block, 1, 1)[:3]
        # CuPy runs one block for a grid of 0, which no kernel expects.
        possible = all(0 < n <= most for n, most in zip(grid + block, GRID_LIMITS + BLOCK_LIMITS, strict=True))
        if not possible or block[0] * block[1] * block[2] > MOST_THREADS:
            raise CUDADriverError(f"{self.name}: CUDA_ERROR_INVALID_VALUE: a grid of {grid} with blocks of {block}")
        if shared_mem > self.max_dynamic_shared_size_bytes or shared_mem > MOST_SHARED_ON_DEMAND:
            raise CUDADriverError(f"{self.name}: CUDA_ERROR_INVALID_VALUE: {shared_mem} bytes of shared memory")
        for i, n in enumerate(grid + block):
            self._size[i] = int(n)

    def _bytes_of(self, i: int, value: Any, is_pointer: bool, size: int, kind: str) -> bytes:
        if isinstance(value, ndarray):
            host = value._host
            if not is_pointer:
                raise self._make_error(i, f"an array came, and a value of {size} bytes is wanted")
            itemsize, code = host.dtype.itemsize, host.dtype.kind
            fits = itemsize == size and (kind == code or {kind, code} <= {"i", "u"} or (size == 1 and code in "biu"))
            if kind == "V":  # for example float4
                fits = size % itemsize == 0
            if kind != "v" and not fits:
                raise self._make_error(
                    i, f"an array of {host.dtype} came, and the pointer is to {_describe_type(size, kind)}"
                )
            # Empty arrays have no address in CuPy.
            return struct.pack("<Q", memory.address_of(host) if host.size else 0)
        if isinstance(value, MemoryPointer):
            return struct.pack("<Q", value.ptr)
        if value is None:
            if not is_pointer:
                raise self._make_error(i, f"None came, and a value of {size} bytes is wanted")
            return bytes(8)
        if isinstance(value, np.ndarray):
            if value.size != 1:
                raise TypeError(
                    f"You are trying to pass a numpy.ndarray of shape {value.shape} as a kernel parameter. Only "
                    "numpy.ndarrays of size one can be passed by value."
                )
            value = value.reshape(())[()]
        if type(value) in (bool, int, float, complex):
            value = np.dtype(type(value)).type(value)  # integers and floats have 8 bytes
        if not isinstance(value, np.generic):
            raise TypeError(f"Unsupported type {type(value)}")
        if is_pointer:
            raise self._make_error(i, f"{value.dtype} came, and a pointer is wanted")
        code = value.dtype.kind
        if value.dtype.itemsize != size or not (kind == code or {kind, code} <= {"i", "u"}):
            raise self._make_error(i, f"{value.dtype} came, and {_describe_type(size, kind)} is wanted")
        return value.tobytes().ljust(8, b"\0")

    def _make_error(self, i: int, what: str) -> TypeError:
        return TypeError(f"{self.name}, argument {i}: {what}")

    def _report_damage(self, slot: int, args: tuple) -> None:
        """Report the array near which the kernel wrote, and restore its guards, so that it is reported once."""
        address, n_bytes = map(int, memory.table.rows[slot])
        whose = next(
            (f"argument {i}" for i, a in enumerate(args) if _contains_address(a, address, n_bytes)),
            "an array that is no argument of it",
        )
        for start in (address - memory.GUARD_BYTES, address + n_bytes):
            ctypes.memmove(start, memory.GUARD.tobytes(), memory.GUARD_BYTES)
        raise CUDADriverError(f"{self.name} wrote in front of or behind {whose}, which has {n_bytes} bytes")


def _contains_address(a: Any, address: int, n_bytes: int) -> bool:
    host = getattr(a, "_host", None)
    return host is not None and address <= memory.address_of(host) < max(address + n_bytes, address + 1)


def _describe_type(size: int, kind: str) -> str:
    kinds = {"f": "a float", "i": "a whole number", "u": "an unsigned number", "b": "a bool", "V": "a struct"}
    return f"{kinds.get(kind, 'something')} of {size} bytes"


def n_switches(function: Function) -> int:
    """Return the number of switches between threads of the module of this kernel."""
    return function._library.simulated_switches()


class RawModule:
    """See `cupy.RawModule`."""

    __module__ = "cupy"

    def __init__(
        self,
        *,
        code: str | None = None,
        path: str | None = None,
        options: tuple[str, ...] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        enable_cooperative_groups: bool = False,
        name_expressions: Any = None,
        jitify: Any = None,
    ):
        if code is None or path is not None:
            raise NotImplementedError("the simulation needs the source of a module as `code`")
        if not isinstance(options, tuple):
            raise TypeError(f"Argument 'options' has incorrect type (expected tuple, got {type(options).__name__})")
        self.code, self.options = code, options
        self.name_expressions = None if name_expressions is None else tuple(name_expressions)
        plain = re.findall(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)', code)
        self._names = tuple(dict.fromkeys([*(self.name_expressions or ()), *plain]))
        self._functions: dict[str, Function] = {}

    def compile(self, log_stream: Any = None) -> None:
        compile_source(self.code, self._names, self.options)

    def get_function(self, name: str) -> Function:
        if name not in self._functions:
            if name not in self._names:
                raise CUDADriverError(f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name}")
            library = compile_source(self.code, self._names, self.options)
            self._functions[name] = Function(library, self._names.index(name), name)
        return self._functions[name]


class RawKernel:
    """See `cupy.RawKernel`."""

    __module__ = "cupy"

    def __init__(self, code: str, name: str, options: tuple[str, ...] = (), backend: str = "nvrtc"):
        self.code, self.name, self.options = code, name, options
        self._module = RawModule(code=code, options=options, name_expressions=None if '"C"' in code else (name,))

    def __call__(self, grid: tuple, block: tuple, args: tuple, *, shared_mem: int = 0) -> None:
        self._module.get_function(self.name)(grid, block, args, shared_mem=shared_mem)


class ElementwiseKernel:
    """See `cupy.ElementwiseKernel`: parameters with a type, or a letter for a type of the arguments; also `raw`."""

    __module__ = "cupy"

    TYPES: ClassVar = {
        "bool": "bool",
        **{f"{sign}int{bits}": f"{'unsigned ' if sign else ''}{c}"
           for sign in ("", "u")
           for bits, c in ((8, "char"), (16, "short"), (32, "int"), (64, "long long"))},
        "float32": "float",
        "float64": "double",
    }  # fmt: skip

    def __init__(
        self,
        in_params: str,
        out_params: str,
        operation: str,
        name: str = "kernel",
        *,
        preamble: str = "",
        **kwargs: Any,
    ):
        if kwargs:
            raise NotImplementedError(f"the simulation has no {', '.join(kwargs)}")
        self.name, self.operation, self.preamble = name, operation, preamble
        self._in, self._out = self._parse(in_params), self._parse(out_params)

    @staticmethod
    def _parse(params: str) -> list[tuple[bool, str, str]]:
        parts = [part.split() for part in params.split(",") if part.strip()]
        return [(part[0] == "raw", part[-2], part[-1]) for part in parts]

    def __call__(self, *args: Any, size: int | None = None, **kwargs: Any) -> Any:
        if kwargs:
            raise NotImplementedError(f"the simulation has no {', '.join(kwargs)}")
        params = self._in + self._out
        if len(args) not in (len(self._in), len(params)):
            raise TypeError(f"Wrong number of arguments for {self.name!r}")
        hosts = [arrays.unwrap(a) for a in args]
        types = self._types(params, hosts)
        shape = np.broadcast_shapes(*(np.shape(h) for h, (raw, *_) in zip(hosts, params, strict=False) if not raw))
        shape = (size,) if size is not None else shape
        outs = [*args[len(self._in) :]] or [arrays.empty(shape, types[t]) for _, t, _ in self._out]
        given = []
        for host, (raw, type_name, _) in zip(hosts[: len(self._in)], self._in, strict=True):
            dtype = types[type_name]
            host = np.asarray(host, dtype)
            given.append(arrays.wrap(memory.upload(host if raw or size is not None else np.broadcast_to(host, shape))))
        places = [out if out.flags.c_contiguous else arrays.ascontiguousarray(out) for out in outs]
        n = int(np.prod(shape, dtype=np.int64))
        if n:
            named = tuple((name, types[t].name, t, raw) for raw, t, name in params)
            _elementwise(self.name, self.operation, self.preamble, named)(
                (-(-n // 128),), (128,), (*given, *places, np.int64(n))
            )
            counts.launches -= 1  # as launches inside CuPy's functions
        for out, place in zip(outs, places, strict=True):
            if out is not place:
                out[...] = place
        return outs[0] if len(outs) == 1 else tuple(outs)

    def _types(self, params: list, hosts: list) -> dict[str, np.dtype]:
        found: dict[str, np.dtype] = {}
        for (_, name, _), host in zip(params, hosts, strict=False):
            if len(name) == 1 and isinstance(host, (np.ndarray, np.generic)):
                found.setdefault(name, host.dtype)
        for (_, name, _), host in zip(params, hosts, strict=False):
            if len(name) == 1:
                found.setdefault(name, np.asarray(host).dtype)
        return found | {name: np.dtype(name) for _, name, _ in params if len(name) > 1}


@functools.cache
def _elementwise(name: str, operation: str, preamble: str, params: tuple) -> Function:
    """Make an elementwise kernel; parameters are tuples of name, type, letter of the type, and whether raw."""
    types = {name: ElementwiseKernel.TYPES[dtype] for name, dtype, _, _ in params}
    letters = {letter: types[name] for name, _, letter, _ in params if len(letter) == 1}
    lines = [
        *(f"typedef {c} {letter};" for letter, c in letters.items()),
        *(
            f"{types[name]}{'*' if raw else '&'} {name} = _of_{name}{'' if raw else '[i]'}; (void){name};"
            for name, _, _, raw in params
        ),
    ]
    heads = ", ".join(f"{c}* _of_{name}" for name, c in types.items())
    code = (
        f'{preamble}\nextern "C" __global__ void {name}({heads}, long long _n) {{\n'
        "    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;\n    if (i >= _n) return;\n    "
        + "\n    ".join([*lines, f"{operation};"])
        + "\n}\n"
    )
    return RawModule(code=code).get_function(name)


# -- the module `cupy.cuda` --------------------------------------------------------------------------------------------


def synchronize() -> None:
    counts.synchronizations += 1


class Device:
    """The only device."""

    __module__ = "cupy.cuda"
    compute_capability = "90"

    def __init__(self, device: Any = None):
        self.id = 0 if device is None else int(device)
        if self.id:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def __int__(self) -> int:
        return self.id

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "<CUDA Device 0>"

    def use(self) -> None:
        pass

    def synchronize(self) -> None:
        synchronize()

    @property
    def mem_info(self) -> tuple[int, int]:
        return _memory_info()

    @property
    def attributes(self) -> dict[str, int]:
        return {
            "MultiProcessorCount": 4,
            "WarpSize": 32,
            "MaxThreadsPerBlock": MOST_THREADS,
            "MaxSharedMemoryPerBlock": MOST_SHARED,
            "MaxSharedMemoryPerBlockOptin": MOST_SHARED_ON_DEMAND,
        }


class Stream:
    """A queue whose work is done immediately."""

    __module__ = "cupy.cuda"
    null: Stream
    ptr = 0

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, *, priority: int = 0):
        pass

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def synchronize(self) -> None:
        synchronize()

    def use(self) -> Stream:
        return self


Stream.null = Stream()


class Event:
    """A point in a queue; times are 0, because work is done immediately."""

    __module__ = "cupy.cuda"

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False):
        pass

    def record(self, stream: Any = None) -> None:
        pass

    def synchronize(self) -> None:
        synchronize()


class MemoryPool:
    """The pool of device memory, without free blocks."""

    __module__ = "cupy.cuda.memory"

    def used_bytes(self) -> int:
        return memory.table.used_bytes

    def total_bytes(self) -> int:
        return memory.table.used_bytes

    def free_bytes(self) -> int:
        return 0

    def free_all_blocks(self, stream: Any = None) -> None:
        pass

    def n_free_blocks(self) -> int:
        return 0

    def get_limit(self) -> int:
        return memory.table.limit

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        limit = size if size is not None else int((fraction or 0) * memory.TOTAL_BYTES)
        memory.table.limit = min(limit, memory.TOTAL_BYTES) or memory.TOTAL_BYTES


_POOL = MemoryPool()


def get_default_memory_pool() -> MemoryPool:
    return _POOL


def get_default_pinned_memory_pool() -> MemoryPool:
    return _POOL


def _memory_info() -> tuple[int, int]:
    return memory.TOTAL_BYTES - memory.table.used_bytes, memory.TOTAL_BYTES


def make_modules() -> dict[str, ModuleType]:
    """Return `cupy.cuda` and its submodules, by name."""
    contents: dict[str, dict[str, Any]] = {
        "cupy.cuda.runtime": {
            "getDeviceCount": lambda: 1,
            "getDevice": lambda: 0,
            "memGetInfo": _memory_info,
            "deviceSynchronize": synchronize,
            "runtimeGetVersion": lambda: 13000,
            "driverGetVersion": lambda: 13000,
            "getDeviceProperties": lambda device: {"name": b"simulated", "totalGlobalMem": memory.TOTAL_BYTES,
                                                   "multiProcessorCount": 4, "warpSize": 32},
            "is_hip": False,
            "CUDARuntimeError": type("CUDARuntimeError", (RuntimeError,), {}),
        },
        "cupy.cuda.driver": {"CUDADriverError": CUDADriverError},
        "cupy.cuda.memory": {"OutOfMemoryError": memory.OutOfMemoryError, "MemoryPool": MemoryPool},
        "cupy.cuda.compiler": {"CompileException": CompileException},
        "cupy.cuda": {
            "Device": Device,
            "Stream": Stream,
            "Event": Event,
            "MemoryPool": MemoryPool,
            "OutOfMemoryError": memory.OutOfMemoryError,
            "get_current_stream": lambda device_id=-1: Stream.null,
            "is_available": lambda: True,
        },
    }  # fmt: skip
    modules = {name: ModuleType(name) for name in contents}
    for name, module in modules.items():
        module.__dict__.update(contents[name])
        if name != "cupy.cuda":
            setattr(modules["cupy.cuda"], name.rpartition(".")[2], module)
    return modules
