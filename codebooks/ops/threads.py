"""Host threads for kernels: each piece of work owns its results, so the number of threads never changes a bit.

Kernels release the GIL and run on a few threads of this module. Numba's threading layers are not used: one of them
aborts the process when two Python threads enter it, another when a process that used it forks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from itertools import pairwise, zip_longest

from numba.core import config
from threadpoolctl import ThreadpoolController

from codebooks._fork_safe_lock import ForkSafeLock

# Less work than this, in steps of a vectorised loop, ends before a second thread has started.
_WORTH_A_THREAD = 500_000


def run(kernel: Callable[..., None], n_items: int, steps: int, *arguments: object) -> None:
    """Run `kernel(start, stop, *arguments)` on several threads so that the calls cover `range(n_items)` once.

    Parameters
    ----------
    kernel : compiled function that releases the GIL
        It writes only results that belong to the items from start to stop.
    n_items : int
        Number of items.
    steps : int
        Estimated cost of all items in steps of a vectorised loop; a scattered memory access counts several.
    *arguments : object
        Further arguments of the kernel.
    """
    allowed: int = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    n_threads = min(allowed, n_items, 1 + steps // _WORTH_A_THREAD)
    if n_threads < 2:
        kernel(0, n_items, *arguments)
        return
    edges = [n_items * piece // n_threads for piece in range(n_threads + 1)]
    first, *others = pairwise(edges)
    jobs: list[Future[None]] = []
    with suppress(RuntimeError):  # no more threads can start, or the interpreter is shutting down
        for number, piece in enumerate(others):
            jobs.append(_start_worker(number, os.getpid()).submit(kernel, *piece, *arguments))
    kernel(*first, *arguments)  # the calling thread takes the first piece
    for piece, job in zip_longest(others, jobs):
        if job is None or job.cancel():  # not started, and now cancelled
            kernel(*piece, *arguments)
    for job in jobs:
        if not job.cancelled():
            job.result()


_changing_blas = ForkSafeLock(delays_forks=True)  # a child forked meanwhile would keep the limit


@contextmanager
def limit_blas_to_one_thread() -> Iterator[None]:
    """Limit BLAS to one thread, for small dense algebra.

    The threads of BLAS synchronise some hundred times in a small decomposition. On a busy machine each synchronisation
    may wait for the scheduler much longer than the work takes.
    """
    # The limit belongs to the process: without the lock, a second caller would restore the limit of the first.
    with _changing_blas, _get_blas_controller().limit(limits=1):
        yield


@cache
def _get_blas_controller() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _start_worker(number: int, process: int) -> ThreadPoolExecutor:
    """Return a pool of one started thread. Threads do not survive a fork, so each process has its own pools.

    A pool of several threads queues a job before it starts a thread for it. If the start fails, another thread may
    still run the job, and the caller could not find out.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix=f"codebooks-{number}")
    pool.submit(int)
    return pool
