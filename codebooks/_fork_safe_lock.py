"""Locks that survive a fork: a child inherits them as they were, but not the threads that would let go of them."""

from __future__ import annotations

import os
import threading

__all__ = ["ForkSafeLock"]


class ForkSafeLock:
    """A re-entrant lock that a forked child finds free, unless the thread that forked holds it.

    One stands in a module and lives as long as the process: it is never taken off the list of what a fork has to do.

    Parameters
    ----------
    delays_forks : bool, default=False
        Whether a fork waits until no other thread holds it, for what must not be copied half done. Only where it is
        held briefly.

    Examples
    --------
    >>> from codebooks._fork_safe_lock import ForkSafeLock
    >>> lock = ForkSafeLock()
    >>> with lock, lock:
    ...     print("alone")
    alone
    """

    def __init__(self, *, delays_forks: bool = False) -> None:
        self._lock = threading.RLock()
        self._mine = threading.local()  # how often this thread holds it
        if not hasattr(os, "register_at_fork"):  # Windows forks nothing
            return
        if delays_forks:
            os.register_at_fork(
                before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._lock.release
            )
        else:
            os.register_at_fork(after_in_child=self._renew)

    def __enter__(self) -> None:
        self._lock.acquire()
        self._mine.depth = self._depth + 1

    def __exit__(self, *reason: object) -> None:
        self._mine.depth -= 1
        self._lock.release()

    @property
    def _depth(self) -> int:
        return getattr(self._mine, "depth", 0)

    def _renew(self) -> None:
        self._lock = threading.RLock()
        for _ in range(self._depth):
            self._lock.acquire()
