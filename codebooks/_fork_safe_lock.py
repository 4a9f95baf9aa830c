"""Locks that survive a fork: a child inherits locked locks, but not the threads that would release them."""

from __future__ import annotations

import os
import threading

__all__ = ["ForkSafeLock"]


class ForkSafeLock:
    """Re-entrant lock that is free in a forked child, unless the thread that forked has acquired it.

    Create it at module level only: its fork handlers are registered for the lifetime of the process.

    Parameters
    ----------
    delays_forks : bool, default=False
        Whether a fork waits until no other thread has acquired the lock. Set it for state that must not be copied in
        the middle of a change, if the lock is acquired only briefly.

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
        self._mine = threading.local()  # number of times that this thread has acquired it
        if not hasattr(os, "register_at_fork"):  # Windows has no fork
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
