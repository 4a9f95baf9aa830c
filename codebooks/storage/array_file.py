"""The file format for arrays: save, check and load.

======================= ================================================================================================
bytes                   content
======================= ================================================================================================
0 to 11                 `_MAGIC`
12 to 15                version of the format, little-endian
16 to 23                length of the header in bytes, little-endian
24 to 24 + length       header in ASCII JSON, padded with spaces: kind, library, about, and for each array its dtype,
                        shape, order and the SHA-256 of its bytes including padding
next 32                 SHA-256 of all bytes before; ends at a multiple of 64 bytes
rest                    the arrays in the order of the header, each padded with zeros to a multiple of 64 bytes
======================= ================================================================================================

All versions of the format, also later ones, keep the first three rows.
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
_DEEPEST = 16  # largest nesting of the description
_CHUNK = 2**20
_NUMBERS = "biufc"  # the kinds of dtype that are stored
_DTYPE = re.compile(rf"[<>|][{_NUMBERS}][0-9]{{1,2}}")
_NAME = re.compile(r"[a-z0-9_]{1,100}")
_ASIDE = re.compile(r"\.codebooks-[0-9a-f]{32}\.tmp")
_DAY = 86_400.0
_OLD_FOLDER = b'{\n "codebooks_format": '  # start of index.json in format 1


class DamagedFileError(ValueError):
    """Error for a saved file that was damaged, or that only a trusted source may provide; the message names it."""


def build_damage_error(path: Path, what: str) -> DamagedFileError:
    """Return an error that names a file and how to fix it."""
    return DamagedFileError(f"{path} {what}. Restore the file from a copy, or make it again and save it.")


class _Stored(NamedTuple):
    """Description of one array in the header, and its place in the file."""

    dtype: np.dtype
    shape: tuple[int, ...]
    order: Any  # "C" or "F"
    sha256: str
    start: int
    end: int  # of the padding


# -- loading ---------------------------------------------------------------------------------------------------------


def load_arrays(
    path: str | os.PathLike[str], *, kind: str, verify: bool = True
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Load arrays and their description from a file; also safe for files from untrusted sources.

    Parameters
    ----------
    path : str or Path
        File that `save_arrays` wrote.
    kind : str
        The `kind` that was passed to `save_arrays`.
    verify : bool, default=True
        Whether to read every byte and compare checksums, which detects accidental damage. If False, only the header is
        read and checked, which takes the same time for a file of any size. Unset it for large files that are loaded
        often.

    Returns
    -------
    arrays : dict of str to ndarray
        Memory-mapped and read-only. They remain valid if the file is replaced or removed, but the file itself must not
        be modified. Their dtype and shape fit the size of the file. Their values are not checked.
    about : dict
        JSON values without NaN and infinity.

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    DamagedFileError
        The file is truncated or modified. This is a ValueError.
    ValueError
        The file is of another kind, or in a format that this version of the library cannot read.
    OSError
        The file cannot be read.

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
            raise ValueError(f"expected a saved {kind}, got {path}, a saved {header['kind']}. Load it as such.")
        stored, end = _locate(path, header["arrays"], start)
        if size != end:
            raise build_damage_error(path, f"has {size} bytes instead of {end}")
        for name, one in stored.items() if verify else ():
            if _compute_checksum(file, one.end - one.start) != one.sha256:
                raise build_damage_error(path, f"was modified: the checksum of the array {name} differs")
        buffer = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    arrays = {
        name: np.ndarray(one.shape, one.dtype, buffer, one.start, order=one.order) for name, one in stored.items()
    }
    return arrays, header["about"]


def is_saved_file(path: str | os.PathLike[str]) -> bool:
    """Return whether `save_arrays` wrote the file, of any kind and format, damaged or not.

    Parameters
    ----------
    path : str or Path
        Any path. A file that is missing or cannot be read is not a saved file.

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
        raise TypeError(f"`path` must be a str or Path, got {type(path).__name__}. Pass the path of a file.")
    if "\0" in os.fspath(path):
        raise ValueError(f"`path` must not contain NUL characters, got {short_repr(os.fspath(path))}. Remove them.")
    return Path(path)


def _open_to_read(path: Path) -> BinaryIO:
    """Open a regular file; opening a pipe could block forever."""
    if _is_old_folder(path):
        raise ValueError(
            f"expected a file in format {_FORMAT}, got {path}, a folder in format 1 of an earlier version of the "
            f"library. Fit the model again and save it."
        )
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "expected a saved file, and there is no such file", str(path)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "expected a saved file, and this is not a regular file", str(path))
    return open(descriptor, "rb")


def _is_old_folder(path: Path) -> bool:
    try:
        with open(path / "index.json", "rb") as file:
            return file.read(len(_OLD_FOLDER)) == _OLD_FOLDER
    except OSError:
        return False


def _read_header(path: Path, file: BinaryIO) -> tuple[dict[str, Any], int]:
    """Return the header, checked except for its arrays, and its end."""
    prefix = file.read(_PREFIX)
    if not prefix.startswith(_MAGIC) or len(prefix) < _PREFIX:
        raise build_damage_error(path, "is truncated, or was not saved by this library")
    n_bytes = int.from_bytes(prefix[-8:], "little")
    raw = file.read(n_bytes) if n_bytes <= _LARGEST_HEADER else b""
    if len(raw) != n_bytes or file.read(_SEAL) != sha256(prefix + raw).digest():
        raise build_damage_error(path, "was modified or truncated: the checksum of its header differs")
    form = int.from_bytes(prefix[len(_MAGIC) : -8], "little")
    if form != _FORMAT:
        raise ValueError(
            f"expected {path} in format {_FORMAT}, got format {form}. Load it with the version of the library that "
            f"saved it; if the format is a later one: pip install -U codebooks-learn."
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
            raise ValueError("a field is missing or unknown")
        if not header["kind"].isidentifier():
            raise ValueError(f"its kind is {short_repr(header['kind'])}")
    except (AttributeError, ValueError, RecursionError) as error:
        raise build_damage_error(path, f"has an invalid header ({error!s:.200})") from error
    return header, start


_HEADER = {"kind": str, "library": str, "about": dict, "arrays": dict}


def _require_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(keys := dict(pairs)) != len(pairs):
        raise ValueError("a key is repeated")
    return keys


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not valid JSON")


def _parse_finite_float(digits: str) -> float:
    if math.isinf(value := float(digits)):
        raise ValueError(f"{digits:.40} is too large")
    return value


def _is_shallow(value: Any, deepest: int = _DEEPEST) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return deepest > 0 and all(_is_shallow(part, deepest - 1) for part in parts)


def _locate(path: Path, entries: dict[str, Any], start: int) -> tuple[dict[str, _Stored], int]:
    """Return the description and place of each array, and the end of the last."""
    stored = {}
    for name, entry in entries.items():
        try:
            stored[name] = _find_location(name, start=start, **entry)
        except (TypeError, ValueError) as error:
            raise build_damage_error(path, f"has an invalid array ({error!s:.200})") from error
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
    """Compute the checksum of the next bytes; they are read, not mapped, so that disk failures raise OSError."""
    checksum, buffer = sha256(), memoryview(bytearray(min(_CHUNK, n_bytes)))
    while n_bytes > 0 and (n_read := file.readinto(buffer[:n_bytes])):  # type: ignore[attr-defined]
        checksum.update(buffer[:n_read])
        n_bytes -= n_read
    return checksum.hexdigest()


# -- saving ----------------------------------------------------------------------------------------------------------


def save_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], about: Mapping[str, Any], *, kind: str
) -> None:
    """Save arrays and a description of them in one file, and replace a saved file at this path.

    The data is written to a temporary file in the same folder, flushed to the disk and renamed. If anything fails, even
    by a kill or a power cut, either the old file or the new one exists. The next save in a folder removes temporary
    files of killed saves. Several processes and threads may save to one path at once; the last one to finish wins. On
    Windows, a file cannot be replaced while it is loaded.

    Only the owner can read and write a new file (mode 600), from its first byte on, and the folders that are created
    for it (mode 700). A replaced file keeps its mode if it belongs to the same user.

    Parameters
    ----------
    path : str or Path
        A new file, or a saved file to replace. A symbolic link is followed.
    arrays : mapping of str to ndarray
        Numbers or booleans of any shape, memory order and byte order. Names consist of the characters a-z, 0-9 and _.
    about : mapping of str to JSON values
        None, booleans, finite numbers, strings, and lists and dictionaries of these. Values that JSON would change,
        such as tuples, raise a TypeError.
    kind : str
        Type of the saved object, such as the name of a class; `load_arrays` expects the same.

    Raises
    ------
    FileExistsError
        `path` exists and is not a saved file.
    TypeError
        An array is not an array of numbers, or JSON would change a value of `about`.
    ValueError
        The name of an array contains other characters, or `about` is too large.
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
        raise ValueError(f"`kind` must be an identifier, got {short_repr(kind)}. Use the name of a class.")
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
                os.replace(aside, target)  # the lock is released after the rename, so no other save removes the file
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
    """Raise an error if `save_arrays` must not save to a path; call this before long computations.

    Parameters
    ----------
    path : str or Path
        Where the file will be saved.

    Raises
    ------
    FileExistsError
        `path` exists and is not a saved file.
    """
    target = Path(os.path.realpath(_as_path(path)))
    if not os.path.lexists(target):
        if os.path.islink(path):
            raise FileExistsError(
                f"expected a file to save into, got {path}, a link to a missing file. Choose another path."
            )
    elif target.is_dir():
        raise FileExistsError(f"expected a file to save into, got {path}, a folder. Choose another path.")
    elif not is_saved_file(target):
        raise FileExistsError(
            f"expected a new file or a saved file to replace, got {path}, another file. Choose another path; the file "
            f"was not changed."
        )


def make_private_folder(folder: Path) -> None:
    """Create a folder and its missing parents, accessible to their owner only."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(place.parent)


def _check_arrays(arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"names must be 1 to 100 of the characters a-z, 0-9 and _, got {short_repr(name)}. Rename it."
            )
        if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
            raise TypeError(f"{short_repr(name)} must be a NumPy array, got {type(array).__name__}. Convert it.")
        if array.dtype.kind not in _NUMBERS:
            raise TypeError(
                f"{short_repr(name)} must contain numbers or booleans, got dtype {array.dtype}, which needs pickle. "
                f"Convert strings with pack_strings, and put small values into `about`."
            )


def _check_about(about: Mapping[str, Any]) -> None:
    for key, value in about.items():
        try:
            is_kept = _is_shallow(value, _DEEPEST - 2) and json.loads(_encode_json({key: value})) == {key: value}
        except (TypeError, ValueError, RecursionError):
            is_kept = False
        if not is_kept:
            raise TypeError(
                f"`about` must contain JSON values (None, booleans, finite numbers, strings, lists, dictionaries with "
                f"string keys), got {_show(value)} as {short_repr(key)}. Use lists for tuples, and store arrays."
            )


def _show(value: Any) -> str:
    try:
        return short_repr(value)
    except (ValueError, RecursionError):  # an integer with too many digits to print, or recursive lists
        return type(value).__name__


def _encode_json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode("ascii")


def _create_aside(folder: Path) -> tuple[Path, BinaryIO]:
    """Create a private temporary file in the folder, locked so that no other save removes it."""
    while True:
        aside = folder / f".codebooks-{secrets.token_hex(16)}.tmp"
        how = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        file = open(os.open(aside, how, 0o600), "r+b")  # noqa: SIM115 - the caller closes it
        if _lock(file) is not False and os.fstat(file.fileno()).st_nlink:
            return aside, file
        file.close()  # another save has removed it before it was locked


def _lock(file: BinaryIO) -> bool | None:
    """Lock a file; return False if another process has locked it, and None if locks are not available."""
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
    """Write a header without checksums, then the arrays, then the final header."""
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
        raise ValueError(f"`about` must have at most {_LARGEST_HEADER} bytes, got {len(raw)}. Store arrays instead.")
    content = _MAGIC + _FORMAT.to_bytes(4, "little") + len(raw).to_bytes(8, "little") + raw
    return content + sha256(content).digest()


def _keep_mode(file: BinaryIO, target: Path) -> None:
    """Copy the mode of the replaced file if it belongs to the same user."""
    if sys.platform == "win32":
        return
    with suppress(FileNotFoundError):
        old = target.stat()
        if old.st_uid == os.geteuid():
            os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode) & 0o777)


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files of killed saves: those that are not locked or, without locks, older than a day."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if _ASIDE.fullmatch(name):
                with suppress(OSError), _open_to_read(folder / name) as file:
                    is_free = _lock(file)
                    if is_free or (is_free is None and time.time() - os.fstat(file.fileno()).st_mtime > _DAY):
                        (folder / name).unlink()


def _sync_folder(folder: Path) -> None:
    """Flush new and renamed entries of a folder to the disk, if the system can."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a parent folder that is writable but not readable
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
