"""Loading: all files opened at once, checked, mapped."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from codebooks.storage.manifest import Stored, damaged, manifest_bytes, parsed

__all__ = ["load_folder"]

_CHUNK = 2**20
_WORTH_THREADS = 2**23  # bytes
_READERS = min(4, os.cpu_count() or 1)


def load_folder(
    path: str | os.PathLike[str], *, kind: str, verify: bool = True
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Open a folder that `save_folder` wrote.

    Parameters
    ----------
    path : str or Path
        The folder.
    kind : str
        What it was saved as.
    verify : bool, default=True
        Whether to read every byte and compare checksums, so that damage on the way is an error and never a wrong
        answer. False opens at once, whatever the size: it checks the manifest, and the sizes of the files.

    Returns
    -------
    arrays : dict of str to ndarray
        As they were saved, mapped from the files and read-only. They stay valid when the folder is saved over.
    about : dict
        As it was saved.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or nothing was saved in it.
    NotADirectoryError
        `path` is a file.
    DamagedFileError
        A file is missing, cut off or altered. It is a ValueError.
    ValueError
        The folder is of another kind, or was written by a version of the library that this one does not know.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from codebooks.storage import save_folder
    >>> with TemporaryDirectory() as folder:
    ...     save_folder(folder, {"weights": np.eye(2)}, {}, kind="Example")
    ...     arrays, _ = load_folder(folder, kind="Example", verify=False)
    >>> arrays["weights"].flags.writeable
    False
    """
    folder = Path(path).absolute()  # another thread may change the working directory
    raw = manifest_bytes(folder)
    while True:
        manifest = parsed(folder, raw, kind)
        try:
            return _arrays(folder, manifest.arrays, verify), manifest.about
        except FileNotFoundError as error:  # a save may have come between; then there is another manifest now
            seen, raw = raw, manifest_bytes(folder)
            if raw == seen:
                raise damaged(Path(error.filename), "is missing") from error


def _arrays(folder: Path, stored: dict[str, Stored], verify: bool) -> dict[str, np.ndarray]:
    """Open all files at once, before a save can remove some; check them; map them."""
    with ExitStack() as stack:
        files = {name: stack.enter_context(open(folder / one.file, "rb")) for name, one in stored.items()}
        for name, file in files.items():
            size = os.fstat(file.fileno()).st_size
            if size != stored[name].size:
                raise damaged(folder / stored[name].file, f"has {size} bytes where {stored[name].size} were saved")
        if verify:
            _verify(folder, files, stored)
        return {name: _mapped(file, stored[name]) for name, file in files.items()}


def _verify(folder: Path, files: Mapping[str, BinaryIO], stored: dict[str, Stored]) -> None:
    """Compare the checksums of all files, several at a time: hashing runs beside other Python threads."""
    left, checksums = list(files), dict[str, str]()

    def read() -> None:
        """Read files until none is left. Who takes one off the list reads it, and nobody else."""
        try:
            while True:
                try:
                    name = left.pop()
                except IndexError:
                    return
                checksums[name] = _checksum(files[name])
        finally:
            left.clear()  # where one fails or is interrupted, the others take no more

    n_threads = min(_READERS, len(files)) if sum(one.size for one in stored.values()) > _WORTH_THREADS else 1
    with ExitStack() as pools:
        jobs = []
        with suppress(RuntimeError):  # the system starts no more threads, or the interpreter ends
            for _ in range(n_threads - 1):
                # One thread each: in a pool of several, another would do the job of one that could not be started.
                pool = pools.enter_context(ThreadPoolExecutor(1))
                jobs.append(pool.submit(read))
        read()  # this thread reads too, and alone where it has to
        for job in jobs:
            job.result()
    for name in files:
        if checksums[name] != stored[name].sha256:
            raise damaged(folder / stored[name].file, "was altered: its checksum is not the one that was saved")


def _checksum(file: BinaryIO) -> str:
    """Read rather than mapped: a disk that fails is then an OSError and not the end of the process."""
    checksum, buffer = sha256(), memoryview(bytearray(_CHUNK))
    while n_bytes := file.readinto(buffer):  # type: ignore[attr-defined]
        checksum.update(buffer[:n_bytes])
    return checksum.hexdigest()


def _mapped(file: BinaryIO, stored: Stored) -> np.ndarray:
    """The array, of which pages are read when they are used. The manifest, not the header, says what it is."""
    order: Any = stored.order
    if 0 in stored.shape:
        array = np.empty(stored.shape, stored.dtype, order)
        array.flags.writeable = False
        return array
    buffer = mmap.mmap(file.fileno(), stored.size, access=mmap.ACCESS_READ)
    return np.ndarray(stored.shape, stored.dtype, buffer, stored.offset, order=order)
