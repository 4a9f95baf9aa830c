"""Saving: new files beside the old ones, then one renaming."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from codebooks.storage.locks import Lock, removed, sweep
from codebooks.storage.manifest import FORMAT, MANIFEST, NUMBERS, OURS, Stored, files_named, sealed
from codebooks.storage.places import check_place

__all__ = ["save_folder"]

_NAME = re.compile(r"[a-z0-9_]{1,100}")
_ATTEMPTS = 10  # of a save that loses its new folder: another one has made it, failed, and taken it away


def save_folder(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], about: Mapping[str, Any], *, kind: str
) -> None:
    """Write arrays and what is to be known about them into one folder, in place of what was saved there before.

    All or nothing: if anything goes wrong, or the process is killed, what stood there before is there still. What a
    killed save leaves behind, the next save removes. Who has loaded the folder before keeps what was loaded. Several
    may save at once: the last to finish wins, whole.

    Parameters
    ----------
    path : str or Path
        The folder: new, empty, or saved here before. Files in it that are not ours are left alone.
    arrays : mapping of str to ndarray
        Numbers or booleans of any shape, memory order and byte order. Names are of a-z, 0-9 and _.
    about : mapping of str to JSON values
        None, booleans, numbers, strings, lists and dictionaries of them. What would come back changed is refused.
    kind : str
        What the folder is, such as the name of the class that saves it; `load_folder` wants the same.

    Raises
    ------
    FileExistsError
        `path` is a file, or a folder with something else in it.
    TypeError
        An array is not an array of numbers, or `about` holds what JSON does not keep as it is.
    ValueError
        The name of an array is not made of a-z, 0-9 and _.
    OSError
        The files cannot be written, for instance because the disk is full.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from codebooks.storage import load_folder
    >>> with TemporaryDirectory() as folder:
    ...     save_folder(folder, {"weights": np.eye(2)}, {"beta": 0.5}, kind="Example")
    ...     arrays, about = load_folder(folder, kind="Example")
    >>> arrays["weights"].tolist(), about
    ([[1.0, 0.0], [0.0, 1.0]], {'beta': 0.5})
    """
    folder = Path(path).absolute()  # another thread may change the working directory
    _check_arrays(arrays)
    _check_about(about)
    check_place(folder)
    for _ in range(_ATTEMPTS - 1):
        with suppress(FileNotFoundError):
            _save(folder, arrays, about, kind)
            return
    _save(folder, arrays, about, kind)


def _save(folder: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any], kind: str) -> None:
    token = secrets.token_hex(16)
    with _present(folder), _removed_on_failure(folder, token), Lock(folder) as lock:
        manifest = sealed(
            {
                "codebooks_format": FORMAT,
                "kind": kind,
                "library": _library_version(),
                "about": dict(about),
                "arrays": {name: _written(folder, token, name, array).as_json() for name, array in arrays.items()},
            }
        )
        aside = folder / f"codebooks-{token}.json"
        with open(aside, "xb") as file:
            file.write(manifest)
            _to_disk(file)
        _folder_to_disk(folder)  # the new files are there for good before anything names them
        before = files_named(folder) or set()
        os.replace(aside, folder / MANIFEST)
        _folder_to_disk(folder)
        with suppress(OSError):
            sweep(folder, before, alone=lock.is_alone())


def _check_arrays(arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"wanted names of 1 to 100 of the characters a-z, 0-9 and _; got {name!r}. Rename it.")
        if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
            raise TypeError(f"wanted a NumPy array as {name!r} and got {type(array).__name__}. Convert or unpack it.")
        if array.dtype.kind not in NUMBERS:
            raise TypeError(
                f"wanted numbers or booleans as {name!r} and got dtype {array.dtype}, which cannot be stored without "
                f"pickle. Turn strings into two arrays with pack_strings, and put small values into `about`."
            )


def _check_about(about: Mapping[str, Any]) -> None:
    for key, value in about.items():
        try:
            kept = json.loads(json.dumps({key: value}, allow_nan=False)) == {key: value}
        except (TypeError, ValueError, RecursionError):
            kept = False
        if not kept:
            raise TypeError(
                f"wanted JSON values in `about` (None, booleans, finite numbers, strings, lists, dictionaries with "
                f"keys of text) and got {value!r:.100} as {key!r}. Turn tuples into lists, arrays into stored arrays."
            )


@contextmanager
def _present(folder: Path) -> Iterator[None]:
    """Make the folder and those above it; take away the ones that were made, if empty, unless the block ends well."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for place in missing:
            _folder_to_disk(place.parent)
        yield
    except BaseException:
        with suppress(OSError):
            for place in missing:
                place.rmdir()
        raise


@contextmanager
def _removed_on_failure(folder: Path, token: str) -> Iterator[None]:
    """Remove the files of this save unless they became the folder's own."""
    try:
        yield
    except BaseException as error:
        # Ask the manifest: an interrupt may come after the renaming and before any note that we could take of it.
        if not _may_name(folder, token):
            for name in os.listdir(folder):
                if (ours := OURS.fullmatch(name)) and ours[1] == token:
                    removed(folder / name)
        if isinstance(error, OSError) and error.filename is None:
            raise OSError(error.errno, f"{error.strerror or error} while saving", os.fspath(folder)) from error
        raise


def _may_name(folder: Path, token: str) -> bool:
    """Whether the manifest names files of this save; also True where that cannot be told."""
    try:
        return token.encode("ascii") in (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _written(folder: Path, token: str, name: str, array: np.ndarray) -> Stored:
    """Write one `.npy` file, down to the disk."""
    file_name = f"codebooks-{token}-{name}.npy"
    with open(folder / file_name, "xb") as file:
        hashed = _Hashed(file)
        np.lib.format.write_array(hashed, np.asarray(array), allow_pickle=False)
        _to_disk(file)
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    offset = hashed.size - array.nbytes
    return Stored(file_name, array.dtype, array.shape, order, offset, hashed.size, hashed.sha256.hexdigest())


class _Hashed:
    """Passes bytes on to a file; knows how many they were, and their checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size, self.sha256 = file, 0, sha256()

    def write(self, data: bytes) -> int:
        self.size += len(data)
        self.sha256.update(data)
        return self.file.write(data)


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _folder_to_disk(folder: Path) -> None:
    """Make new and renamed entries of a folder survive a power cut, where the system has a way to."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder above, that may be entered and written into but not read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _library_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("codebooks-learn")
    except PackageNotFoundError:
        return "unknown"
