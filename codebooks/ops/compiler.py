"""Numba's compiler, set up as our kernels want it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numba
import numpy as np

# Input holds no NaN, so comparisons need not heed it.
_FASTMATH = frozenset({"contract", "nnan", "nsz"})


def compile_kernel(function: Callable[..., Any]) -> Any:
    """`function` as a kernel that releases the GIL; its sums keep the order in which they are written."""
    return _compile_with_cache(function, _FASTMATH)


def compile_reordered_kernel(function: Callable[..., Any]) -> Any:
    """`function` as a kernel whose sums may be reordered: no other thread does a part of its work differently."""
    return _compile_with_cache(function, _FASTMATH | {"reassoc"})


def view_read_only(a: Any) -> Any:
    """A view that nobody writes through: to Numba a type of its own, and so the only one that a kernel comes to see."""
    view = np.asarray(a).view()
    view.flags.writeable = False
    return view


def _compile_with_cache(function: Callable[..., Any], fastmath: frozenset[str]) -> Any:
    """The result of compiling is kept on disk where a folder can be written, and else made anew."""
    options: dict[str, Any] = {"nogil": True, "fastmath": set(fastmath)}
    try:
        kernel = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # Numba found no place for its cache
        return numba.njit(**options)(function)
    cache = getattr(kernel, "_cache", None)
    if cache is not None:  # Numba passes over some errors of files on Windows; we over all, as of a full disk
        cache._guard_against_spurious_io_errors = partial(suppress, OSError)
    return kernel
