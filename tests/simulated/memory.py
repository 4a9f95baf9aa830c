"""Simulated device memory: every allocation is between guards, filled with invalid values, and counted."""

from __future__ import annotations

import math
import weakref
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

GUARD_BYTES = 256
# As float32 and as float64, this pattern is NaN.
GUARD = np.full(GUARD_BYTES // 4, 0x7FF8DEAD, np.uint32).view(np.uint8)
ALIGNMENT = 256
TOTAL_BYTES = 8 << 30


class OutOfMemoryError(MemoryError):
    """Error of CuPy if the device has not enough memory."""

    __module__ = "cupy.cuda.memory"


@dataclass
class Counts:
    """Numbers of operations on the device."""

    synchronizations: int = 0  # number of times that the host waited for a result
    launches: int = 0  # launches of our kernels, without those inside CuPy's functions
    transfers: int = 0  # arrays copied from host to device or back

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, field.name) - getattr(other, field.name) for field in fields(self)))

    def copy(self) -> Counts:
        return self - Counts()


counts = Counts()


@contextmanager
def counting():
    """Count operations inside the block; the result is complete at its end."""
    before, found = counts.copy(), Counts()
    try:
        yield found
    finally:
        found.__dict__.update((counts - before).__dict__)


class Memory(np.ndarray):
    """The bytes of one allocation with its guards; device arrays are views of it."""


class _Table:
    """Addresses and sizes of the live allocations, which are checked after each launch."""

    def __init__(self):
        self.rows = np.zeros((1024, 2), np.uint64)
        self.n = 0
        self.free: list[int] = []
        self.alive: dict[int, Any] = {}
        self.used_bytes = 0
        self.limit = TOTAL_BYTES

    def add(self, memory: Memory, address: int, n_bytes: int) -> None:
        if self.free:
            slot = self.free.pop()
        else:
            slot, self.n = self.n, self.n + 1
            if slot == len(self.rows):
                self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
        self.rows[slot] = address, n_bytes
        self.used_bytes += n_bytes

        def remove(_, self=self, slot=slot, n_bytes=n_bytes):
            self.rows[slot] = 0
            self.used_bytes -= n_bytes
            self.free.append(slot)
            del self.alive[slot]

        self.alive[slot] = weakref.ref(memory, remove)


table = _Table()


def allocate(shape: tuple[int, ...] | int, dtype: Any, order: str = "C") -> np.ndarray:
    """Allocate an array of device memory, filled with NaN (floats) or -1 (integers)."""
    dtype = np.dtype(dtype)
    shape = (shape,) if np.ndim(shape) == 0 else tuple(shape)
    n_bytes = math.prod(shape) * dtype.itemsize
    if table.used_bytes + n_bytes > table.limit:
        raise OutOfMemoryError(
            f"Out of memory allocating {n_bytes:,} bytes (allocated so far: {table.used_bytes:,} bytes)"
        )
    # It owns its bytes, so that NumPy makes it the base of every view.
    memory = Memory(n_bytes + 2 * GUARD_BYTES + ALIGNMENT, np.uint8)
    start = address_of(memory)
    first = GUARD_BYTES + -(start + GUARD_BYTES) % ALIGNMENT
    raw = memory.view(np.ndarray)
    raw[first - GUARD_BYTES : first] = GUARD
    raw[first : first + n_bytes] = 0xFF
    raw[first + n_bytes : first + n_bytes + GUARD_BYTES] = GUARD
    table.add(memory, start + first, n_bytes)
    return np.ndarray(shape, dtype, memory, first, order=order)


def address_of(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]


def is_device_memory(a: np.ndarray) -> bool:
    """Return whether the array is a view of an allocation."""
    while a is not None:
        if type(a) is Memory:
            return True
        a = getattr(a, "base", None)
    return False


def upload(a: Any, order: str = "C") -> np.ndarray:
    """Copy to device memory, in C order, Fortran order, or the order of `a` (K)."""
    a = np.asarray(a)
    if order in "KA":
        order = "F" if a.flags.f_contiguous and not a.flags.c_contiguous else order
    if order == "K" and not a.flags.c_contiguous and a.ndim > 2:
        # The order of axes in memory is kept.
        axes = sorted(range(a.ndim), key=lambda axis: -abs(a.strides[axis]))
        out = allocate(tuple(a.shape[axis] for axis in axes), a.dtype).transpose(np.argsort(axes))
    else:
        if order == "K" and a.ndim == 2 and abs(a.strides[0]) < abs(a.strides[1]):
            order = "F"
        out = allocate(a.shape, a.dtype, "F" if order == "F" else "C")
    out[...] = a
    return out
