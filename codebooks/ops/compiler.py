"""Compilation of the CPU kernels with Numba."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numba
import numpy as np

# Input contains no NaN, so comparisons may ignore it.
_FASTMATH = frozenset({"contract", "nnan", "nsz"})


def compile_kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` as a kernel that releases the GIL and sums in the order of the source code."""
    return _compile_with_cache(function, _FASTMATH)


def compile_reordered_kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` as a kernel whose sums may be reordered.

    Use it only where one thread computes each result, so that the number of threads does not change the order.
    """
    return _compile_with_cache(function, _FASTMATH | {"reassoc"})


def view_read_only(a: Any) -> Any:
    """View an array as read-only.

    Numba compiles a kernel again for read-only arrays, so kernels whose input may be read-only always get such views.
    """
    view = np.asarray(a).view()
    view.flags.writeable = False
    return view


def _compile_with_cache(function: Callable[..., Any], fastmath: frozenset[str]) -> Any:
    """Compile lazily, and keep the machine code on disk if a folder can be written."""
    options: dict[str, Any] = {"nogil": True, "fastmath": set(fastmath)}
    try:
        kernel = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # Numba found no folder for its cache
        return numba.njit(**options)(function)
    cache = getattr(kernel, "_cache", None)
    if cache is not None:  # Numba ignores file errors on Windows only; a full disk must not stop a computation
        cache._guard_against_spurious_io_errors = partial(suppress, OSError)
    return kernel
