"""The file format: how arrays are saved, checked and loaded.

======================= ================================================================================================
bytes                   content
======================= ================================================================================================
0 to 11                 `_MAGIC`
12 to 15                number of the format, little-endian
16 to 23                length of the header in bytes, little-endian
24 to 24 + length       header in ASCII JSON with blanks behind it: kind, library, about, and for each array its dtype,
                        shape, order and the SHA-256 of its bytes and of the zeros behind them
32 more                 SHA-256 of all bytes before; here a multiple of 64 bytes ends
rest                    the arrays in the order of the header, each filled up with zeros to a multiple of 64 bytes
======================= ================================================================================================

All formats, also later ones, keep the first four rows.
"""

from __future__ import annotations

import errno
import json
import math
import mmap
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from codebooks.errors import short_repr

__all__ = [
    "DamagedFileError",
    "build_damage_error",
    "check_place",
    "is_saved_file",
    "load_arrays",
    "make_private_folder",
    "save_arrays",
]

_FORMAT = 2  # 1 was a folder
_MAGIC = b"\x93codebooks\r\n"
_PREFIX = len(_MAGIC) + 4 + 8
_SEAL = 32
_ALIGNMENT = 64
_LARGEST_HEADER = 2**24
_DEEPEST = 16  # nesting of the description
_CHUNK = 2**20
_NUMBERS = "biufc"  # the kinds of dtype that are stored
_DTYPE = re.compile(rf"[<>|][{_NUMBERS}][0-9]{{1,2}}")
_NAME = re.compile(r"[a-z0-9_]{1,100}")
_ASIDE = re.compile(r"\.codebooks-[0-9a-f]{32}\.tmp")
_DAY = 86_400.0
_OLD_FOLDER = b'{\n "codebooks_format": '  # how the index.json of format 1 begins


class DamagedFileError(ValueError):
    """A saved file is not what was saved, or asks for what only a trusted file may. The message names the file."""


def build_damage_error(path: Path, what: str) -> DamagedFileError:
    """The error that names a file and says what to do."""
    return DamagedFileError(f"{path} {what}. Restore the file from a copy, or make it again and save it.")


class _Stored(NamedTuple):
    """What the header says of one array, and where the array is."""

    dtype: np.dtype
    shape: tuple[int, ...]
    order: Any  # "C" or "F"
    sha256: str
    start: int
    end: int  # of the zeros behind it


# -- loading ---------------------------------------------------------------------------------------------------------


def load_arrays(
    path: str | os.PathLike[str], *, kind: str, verify: bool = True
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Load a file that `save_arrays` wrote, or that somebody else made.

    Parameters
    ----------
    path : str or Path
    kind : str
        What it was saved as.
    verify : bool, default=True
        Whether to read every byte and compare checksums, which detects accidental damage. If False, only the header is
        read and checked, which takes the same time for a file of any size.

    Returns
    -------
    arrays : dict of str to ndarray
        Memory-mapped and read-only. They stay valid when the file is saved over or removed; nobody may write into the
        file itself. Their dtype and shape agree with the size of the file, and their numbers may be anything.
    about : dict
        JSON values without NaN and infinity.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DamagedFileError
        The file is cut off or altered. It is a ValueError.
    ValueError
        The file is of another kind, or of a format that this version of the library does not read.
    OSError
        It cannot be read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from codebooks.storage import save_arrays
    >>> with TemporaryDirectory() as folder:
    ...     save_arrays(f"{folder}/example", {"weights": np.eye(2)}, {}, kind="Example")
    ...     arrays, _ = load_arrays(f"{folder}/example", kind="Example", verify=False)
    >>> arrays["weights"].flags.writeable
    False
    """
    path = _as_path(path)
    with _open_to_read(path) as file:
        size = os.fstat(file.fileno()).st_size
        header, start = _read_header(path, file)
        if header["kind"] != kind:
            raise ValueError(f"expected a saved {kind}, got {path}, a saved {header['kind']}. Load it as that.")
        stored, end = _locate(path, header["arrays"], start)
        if size != end:
            raise build_damage_error(path, f"has {size} bytes where {end} were saved")
        for name, one in stored.items() if verify else ():
            if _compute_checksum(file, one.end - one.start) != one.sha256:
                raise build_damage_error(path, f"was altered: the array {name} has another checksum than was saved")
        buffer = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    arrays = {
        name: np.ndarray(one.shape, one.dtype, buffer, one.start, order=one.order) for name, one in stored.items()
    }
    return arrays, header["about"]


def is_saved_file(path: str | os.PathLike[str]) -> bool:
    """Whether `save_arrays` wrote something here, of any kind and format, damaged or not.

    Parameters
    ----------
    path : str or Path
        Anything. What is missing, or cannot be read, is no saved file.

    Returns
    -------
    bool

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from codebooks.storage import save_arrays
    >>> with TemporaryDirectory() as folder:
    ...     save_arrays(f"{folder}/example", {}, {}, kind="Example")
    ...     is_saved_file(folder), is_saved_file(f"{folder}/example")
    (False, True)
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _is_old_folder(path)
        with _open_to_read(path) as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except (OSError, ValueError):
        return False


def _as_path(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise TypeError(f"expected a path as str or Path, got {type(path).__name__}. Name a file.")
    if "\0" in os.fspath(path):
        raise ValueError(
            f"expected a path without NUL characters, got {short_repr(os.fspath(path))}. Name another file."
        )
    return Path(path)


def _open_to_read(path: Path) -> BinaryIO:
    """Open a regular file; a pipe would keep everybody waiting."""
    if _is_old_folder(path):
        raise ValueError(
            f"expected a file in format {_FORMAT}, got {path}, a folder in format 1 that an earlier version of the "
            f"library wrote. Make it again and save it."
        )
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "expected a file that was saved, and there is none", str(path)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "expected a file that was saved, and this is something else", str(path))
    return open(descriptor, "rb")


def _is_old_folder(path: Path) -> bool:
    try:
        with open(path / "index.json", "rb") as file:
            return file.read(len(_OLD_FOLDER)) == _OLD_FOLDER
    except OSError:
        return False


def _read_header(path: Path, file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The header, checked but for its arrays, and where it ends."""
    prefix = file.read(_PREFIX)
    if not prefix.startswith(_MAGIC) or len(prefix) < _PREFIX:
        raise build_damage_error(path, "is cut off, or was not saved by this library")
    n_bytes = int.from_bytes(prefix[-8:], "little")
    raw = file.read(n_bytes) if n_bytes <= _LARGEST_HEADER else b""
    if len(raw) != n_bytes or file.read(_SEAL) != sha256(prefix + raw).digest():
        raise build_damage_error(path, "was altered or cut off: its header has another checksum than was saved")
    form = int.from_bytes(prefix[len(_MAGIC) : -8], "little")
    if form != _FORMAT:
        raise ValueError(
            f"expected {path} in format {_FORMAT}, got format {form}. Load it with the version of the library that "
            f"saved it; where the format is a later one: pip install -U codebooks-learn."
        )
    start = _PREFIX + n_bytes + _SEAL
    try:
        header = json.loads(
            raw,
            object_pairs_hook=_require_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_parse_finite_float,
        )
        if start % _ALIGNMENT or not _is_shallow(header):
            raise ValueError("it is not aligned, or nested too deeply")
        if {name: type(value) for name, value in header.items()} != _HEADER:
            raise ValueError("it lacks a field, or has another one")
        if not header["kind"].isidentifier():
            raise ValueError(f"its kind is {short_repr(header['kind'])}")
    except (AttributeError, ValueError, RecursionError) as error:
        raise build_damage_error(path, f"has a header that save_arrays does not write ({error!s:.200})") from error
    return header, start


_HEADER = {"kind": str, "library": str, "about": dict, "arrays": dict}


def _require_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(keys := dict(pairs)) != len(pairs):
        raise ValueError("a key comes twice")
    return keys


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _parse_finite_float(digits: str) -> float:
    if math.isinf(value := float(digits)):
        raise ValueError(f"{digits:.40} is too large")
    return value


def _is_shallow(value: Any, deepest: int = _DEEPEST) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return deepest > 0 and all(_is_shallow(part, deepest - 1) for part in parts)


def _locate(path: Path, entries: dict[str, Any], start: int) -> tuple[dict[str, _Stored], int]:
    """What is stored where, and where the last array ends."""
    stored = {}
    for name, entry in entries.items():
        try:
            stored[name] = _find_location(name, start=start, **entry)
        except (TypeError, ValueError) as error:
            raise build_damage_error(path, f"has an array that save_arrays does not write ({error!s:.200})") from error
        start = stored[name].end
    return stored, start


def _find_location(name: str, *, dtype: str, shape: list[int], order: str, sha256: str, start: int) -> _Stored:
    if not _NAME.fullmatch(name) or not _DTYPE.fullmatch(dtype) or order not in ("C", "F"):
        raise ValueError(f"{short_repr(name)} of dtype {short_repr(dtype)} in order {short_repr(order)}")
    if type(shape) is not list or len(shape) > 32 or not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise ValueError(f"shape {short_repr(shape)}")
    kind = np.dtype(dtype)
    if math.prod(max(n, 1) for n in shape) * kind.itemsize >= 2**62:
        raise ValueError(f"shape {short_repr(shape)}")
    return _Stored(kind, tuple(shape), order, sha256, start, _align(start + math.prod(shape) * kind.itemsize))


def _align(n_bytes: int) -> int:
    return -(-n_bytes // _ALIGNMENT) * _ALIGNMENT


def _compute_checksum(file: BinaryIO, n_bytes: int) -> str:
    """The checksum of the next bytes. They are read, not mapped: a disk that fails must be an OSError."""
    checksum, buffer = sha256(), memoryview(bytearray(min(_CHUNK, n_bytes)))
    while n_bytes > 0 and (n_read := file.readinto(buffer[:n_bytes])):  # type: ignore[attr-defined]
        checksum.update(buffer[:n_read])
        n_bytes -= n_read
    return checksum.hexdigest()


# -- saving ----------------------------------------------------------------------------------------------------------


def save_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], about: Mapping[str, Any], *, kind: str
) -> None:
    """Save arrays and a description of them in one file, in place of what was saved there before.

    The file is written beside its place, forced to the disk and renamed: whatever goes wrong, also a kill or a power
    cut, the old file or the new one is there. A part that a killed save leaves beside it is removed by the next save in
    that folder. Several processes and threads may save to one path at once; the last one to finish wins. On Windows a
    file cannot be replaced while it is loaded somewhere.

    A new file can be read and written by its owner alone (mode 600), from its first byte on, and so can folders that
    are made for it (mode 700). A file that is replaced keeps its mode, if it belongs to the same user.

    Parameters
    ----------
    path : str or Path
        A new file, or one that was saved before. A symbolic link is followed.
    arrays : mapping of str to ndarray
        Numbers or booleans of any shape, memory order and byte order. Names consist of a-z, 0-9 and _.
    about : mapping of str to JSON values
        None, booleans, finite numbers, strings, lists and dictionaries of them. Values that JSON changes are refused.
    kind : str
        What is saved, such as the name of a class; `load_arrays` expects the same.

    Raises
    ------
    FileExistsError
        Something else than a saved file is at `path`.
    TypeError
        An array is not an array of numbers, or `about` holds something that JSON does not keep as it is.
    ValueError
        The name of an array has other characters, or `about` is too large.
    OSError
        The file cannot be written, for instance because the disk is full.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from codebooks.storage import load_arrays
    >>> with TemporaryDirectory() as folder:
    ...     save_arrays(f"{folder}/example", {"weights": np.eye(2)}, {"beta": 0.5}, kind="Example")
    ...     arrays, about = load_arrays(f"{folder}/example", kind="Example")
    >>> arrays["weights"].tolist(), about
    ([[1.0, 0.0], [0.0, 1.0]], {'beta': 0.5})
    """
    if not kind.isidentifier():
        raise ValueError(f"expected as `kind` the name of a class, got {short_repr(kind)}.")
    _check_arrays(arrays)
    _check_about(about)
    check_place(path)
    target = Path(os.path.realpath(_as_path(path)))  # also absolute: another thread may change the working directory
    make_private_folder(target.parent)
    aside, file = _create_aside(target.parent)
    try:
        with file:
            _write(file, arrays, about, kind)
            _keep_mode(file, target)
            file.flush()
            os.fsync(file.fileno())
            if sys.platform != "win32":
                os.replace(aside, target)  # the lock is held until nobody takes the file for a part of a killed save
        if sys.platform == "win32":
            os.replace(aside, target)
    except BaseException as error:
        with suppress(OSError):
            aside.unlink()
        if isinstance(error, OSError) and error.filename is None:
            raise OSError(error.errno, f"{error.strerror or error} while saving", os.fspath(target)) from error
        raise
    _sync_folder(target.parent)
    _remove_leftovers(target.parent)


def check_place(path: str | os.PathLike[str]) -> None:
    """Refuse a path at which `save_arrays` may not save. To be called before long work.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileExistsError
        Something else than a saved file is there.
    """
    target = Path(os.path.realpath(_as_path(path)))
    if not os.path.lexists(target):
        if os.path.islink(path):
            raise FileExistsError(f"expected a file to save into, got {path}, a link to nowhere. Choose another path.")
    elif target.is_dir():
        raise FileExistsError(f"expected a file to save into, got {path}, a folder. Choose another path.")
    elif not is_saved_file(target):
        raise FileExistsError(
            f"expected a new file or one that was saved before, got {path}, another file. Choose another path; nothing "
            f"was changed."
        )


def make_private_folder(folder: Path) -> None:
    """Make a folder and those above it, if missing, which their owner alone can look into."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(place.parent)


def _check_arrays(arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"expected names of 1 to 100 of the characters a-z, 0-9 and _; got {short_repr(name)}. Rename it."
            )
        if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
            raise TypeError(
                f"expected a NumPy array as {short_repr(name)}, got {type(array).__name__}. Convert or unpack it."
            )
        if array.dtype.kind not in _NUMBERS:
            raise TypeError(
                f"expected numbers or booleans as {short_repr(name)}, got dtype {array.dtype}, which cannot be stored "
                f"without pickle. Turn strings into two arrays with pack_strings, and put small values into `about`."
            )


def _check_about(about: Mapping[str, Any]) -> None:
    for key, value in about.items():
        try:
            is_kept = _is_shallow(value, _DEEPEST - 2) and json.loads(_encode_json({key: value})) == {key: value}
        except (TypeError, ValueError, RecursionError):
            is_kept = False
        if not is_kept:
            raise TypeError(
                f"expected JSON values in `about` (None, booleans, finite numbers, strings, lists, dictionaries with "
                f"string keys), got {_show(value)} as {short_repr(key)}. Turn tuples into lists, arrays into "
                f"stored arrays."
            )


def _show(value: Any) -> str:
    try:
        return short_repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python prints, or lists without end
        return type(value).__name__


def _encode_json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode("ascii")


def _create_aside(folder: Path) -> tuple[Path, BinaryIO]:
    """A new private file in the folder, locked so that nobody takes it for a part of a killed save."""
    while True:
        aside = folder / f".codebooks-{secrets.token_hex(16)}.tmp"
        how = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        file = open(os.open(aside, how, 0o600), "r+b")  # noqa: SIM115 - the caller closes it
        if _lock(file) is not False and os.fstat(file.fileno()).st_nlink:
            return aside, file
        file.close()  # another save has removed it before it was locked


def _lock(file: BinaryIO) -> bool | None:
    """Whether nobody else has locked the file; None where there are no locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _write(file: BinaryIO, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any], kind: str) -> None:
    """Write a header without checksums, the arrays, and then the header again."""
    entries = {}
    for name, array in arrays.items():
        order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        entries[name] = {"dtype": array.dtype.str, "shape": list(array.shape), "order": order, "sha256": "0" * 64}
    header = {"kind": kind, "library": _get_library_version(), "about": dict(about), "arrays": entries}
    file.write(_seal(header))
    for name, array in arrays.items():
        flat = np.ascontiguousarray(array.T if entries[name]["order"] == "F" else array).reshape(-1).view(np.uint8)
        checksum = sha256()
        for start in range(0, len(flat), _CHUNK):  # each chunk is hashed and written before it leaves the cache
            chunk = flat[start : start + _CHUNK].tobytes()
            checksum.update(chunk)
            file.write(chunk)
        padding = bytes(_align(len(flat)) - len(flat))
        checksum.update(padding)
        file.write(padding)
        entries[name]["sha256"] = checksum.hexdigest()
    file.seek(0)
    file.write(_seal(header))


def _seal(header: dict[str, Any]) -> bytes:
    raw = _encode_json(header)
    raw += b" " * (_align(_PREFIX + len(raw) + _SEAL) - (_PREFIX + len(raw) + _SEAL))
    if len(raw) > _LARGEST_HEADER:
        raise ValueError(f"expected `about` of at most {_LARGEST_HEADER} bytes, got {len(raw)}. Store arrays instead.")
    content = _MAGIC + _FORMAT.to_bytes(4, "little") + len(raw).to_bytes(8, "little") + raw
    return content + sha256(content).digest()


def _keep_mode(file: BinaryIO, target: Path) -> None:
    """Give the new file the mode of the one that it replaces, if that belongs to the same user."""
    if sys.platform == "win32":
        return
    with suppress(FileNotFoundError):
        old = target.stat()
        if old.st_uid == os.geteuid():
            os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode) & 0o777)


def _remove_leftovers(folder: Path) -> None:
    """Remove parts of saves that were killed: nobody has locked them. Without locks, those older than a day."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if _ASIDE.fullmatch(name):
                with suppress(OSError), _open_to_read(folder / name) as file:
                    is_free = _lock(file)
                    if is_free or (is_free is None and time.time() - os.fstat(file.fileno()).st_mtime > _DAY):
                        (folder / name).unlink()


def _sync_folder(folder: Path) -> None:
    """Make new and renamed entries of a folder survive a power cut, where the system can."""
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


def _get_library_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("codebooks-learn")
    except PackageNotFoundError:
        return "unknown"
