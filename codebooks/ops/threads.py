"""Host threads for compiled loops: pieces of work that own what they write, so their number never changes a bit.

Kernels release the GIL and run on our own small pool. Numba's parallel layers are not used: one of them ends the
process when two Python threads enter it, another when a process that used it forks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise

from numba.core import config
from threadpoolctl import ThreadpoolController

# Less work than this (in steps of a vectorised loop) is over before a second thread has woken up.
_WORTH_A_THREAD = 500_000


def run(kernel: Callable[..., None], n_items: int, steps: int, *arguments: object) -> None:
    """Call `kernel(start, stop, *arguments)` so that the calls cover `range(n_items)` once.

    Parameters
    ----------
    kernel : compiled function that releases the GIL
        It owns whatever it writes for the items from start to stop.
    n_items : int
        How many items there are to share.
    steps : int
        About how many steps of a vectorised loop all items take together; a scattered one counts several.
    *arguments : object
        Passed on.
    """
    allowed: int = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    n_threads = min(allowed, n_items, 1 + steps // _WORTH_A_THREAD)
    if n_threads < 2:
        kernel(0, n_items, *arguments)
        return
    edges = [n_items * piece // n_threads for piece in range(n_threads + 1)]
    first, *others = pairwise(edges)
    pool = _pool(n_threads - 1, os.getpid())
    pieces = [pool.submit(kernel, *edge, *arguments) for edge in others]
    kernel(*first, *arguments)  # this thread works too
    for piece in pieces:
        piece.result()


_changing_blas = threading.Lock()


@contextmanager
def blas_alone() -> Iterator[None]:
    """BLAS on one thread, for small dense algebra.

    Its threads meet some hundred times in a small decomposition, and where others use the machine every meeting may
    wait for the system's clock, for far longer than the work takes.
    """
    # The number of threads belongs to the process: who comes second would put back what the first has set.
    with _changing_blas, _blas().limit(limits=1):
        yield


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


@lru_cache(maxsize=4)
def _pool(n_threads: int, process: int) -> ThreadPoolExecutor:
    """One pool a process: threads do not survive a fork, so a child makes its own."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="codebooks")
