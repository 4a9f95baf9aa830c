"""Host threads for compiled loops: pieces of work that own what they write, so their number never changes a bit.

Kernels release the GIL and run on our own few threads. Numba's parallel layers are not used: one of them ends the
process when two Python threads enter it, another when a process that used it forks.
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
    jobs: list[Future[None]] = []
    with suppress(RuntimeError):  # the system starts no more threads, or the interpreter ends and takes no more jobs
        for number, piece in enumerate(others):
            jobs.append(_start_worker(number, os.getpid()).submit(kernel, *piece, *arguments))
    kernel(*first, *arguments)  # this thread works too
    for piece, job in zip_longest(others, jobs):
        if job is None or job.cancel():  # nobody has begun with it, and now nobody will
            kernel(*piece, *arguments)
    for job in jobs:
        if not job.cancelled():
            job.result()


_changing_blas = ForkSafeLock(delays_forks=True)  # a child that is made meanwhile would keep the one thread


@contextmanager
def limit_blas_to_one_thread() -> Iterator[None]:
    """BLAS on one thread, for small dense algebra.

    Its threads meet some hundred times in a small decomposition, and where others use the machine every meeting may
    wait for the system's clock, for far longer than the work takes.
    """
    # The number of threads belongs to the process: who comes second would put back what the first has set.
    with _changing_blas, _get_blas_controller().limit(limits=1):
        yield


@cache
def _get_blas_controller() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _start_worker(number: int, process: int) -> ThreadPoolExecutor:
    """A pool of one thread that has started. Threads do not survive a fork, so a child makes its own.

    A pool of several queues a job and then starts a thread for it. Where that fails, an older thread may do the job,
    and nobody could tell.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix=f"codebooks-{number}")
    pool.submit(int)
    return pool
