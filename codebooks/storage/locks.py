"""Several savers of one folder, and what killed ones left behind.

Savers never wait for each other's writing. Each holds a shared lock on the folder; who can turn it into a lock of its
own is alone, and every file of ours that the manifest does not name is then a leftover.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from codebooks.storage.manifest import OURS, files_named

__all__ = ["Lock", "removed", "sweep"]

_DAY = 86_400.0
_PATIENCE = 60.0  # seconds that a save waits for another one's sweep, which takes milliseconds


class Lock:
    """Be known, inside a `with`, as one who saves into a folder. Ends with the block, the object or the process."""

    descriptor: int | None = None

    def __init__(self, folder: Path) -> None:
        self.folder, self.works = folder, False

    def __enter__(self) -> Lock:
        if sys.platform != "win32":
            self.descriptor = os.open(self.folder, os.O_RDONLY)
            self.works = self._shared()
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def __del__(self) -> None:
        self._release()  # in case an interrupt came first

    def _shared(self) -> bool:
        """Wait until nobody sweeps. False where there are no locks."""
        end = time.monotonic() + _PATIENCE
        while (had := self._flock("shared")) is None:
            if time.monotonic() > end:
                raise TimeoutError(
                    errno.ETIMEDOUT, f"another save has been removing files for {_PATIENCE:.0f} s", str(self.folder)
                )
            time.sleep(0.01)
        return had

    def is_alone(self) -> bool:
        """Whether nobody else saves, and nobody can begin before the block ends."""
        return self.works and bool(self._flock("alone"))

    def _release(self) -> None:
        if self.descriptor is not None:
            self._flock("none")  # closing is not enough: a forked process may have it open too
            descriptor, self.descriptor = self.descriptor, None
            os.close(descriptor)

    def _flock(self, how: str) -> bool | None:
        """Whether that lock was had; None if somebody else holds one against it."""
        if sys.platform == "win32" or self.descriptor is None:
            return False
        import fcntl

        kinds = {"shared": fcntl.LOCK_SH, "alone": fcntl.LOCK_EX, "none": fcntl.LOCK_UN}
        try:
            fcntl.flock(self.descriptor, kinds[how] | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        except OSError:  # a file system without locks
            return False
        return True


def sweep(folder: Path, before: set[str], *, alone: bool) -> None:
    """Remove files of ours that the manifest does not name: those named `before`, and what killed saves left.

    Unless alone, another save may be writing files that are not named yet; only those older than a day go then.
    """
    current = files_named(folder)
    if current is None:
        return
    for name in os.listdir(folder):
        if OURS.fullmatch(name) and name not in current and (alone or name in before or _is_old(folder / name)):
            removed(folder / name)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > _DAY
    except OSError:
        return False


def removed(path: Path) -> None:
    """Remove a file if that can be done."""
    with suppress(OSError):  # Windows keeps a file that someone has mapped; a later save removes it
        path.unlink()
