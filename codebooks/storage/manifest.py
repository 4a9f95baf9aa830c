"""What a saved folder says of itself: `index.json`, sealed by its own checksum, and the names of its files."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "FORMAT",
    "MANIFEST",
    "NUMBERS",
    "OURS",
    "START",
    "DamagedFileError",
    "Manifest",
    "Stored",
    "damaged",
    "files_named",
    "manifest_bytes",
    "parsed",
    "sealed",
]

FORMAT = 1  # raised when older versions of this package would misread what is written
MANIFEST = "index.json"
START = b'{\n "codebooks_format": '  # how a manifest of any format begins, and how it ends is `_seal`
OURS = re.compile(r"codebooks-([0-9a-f]{32})(-[a-z0-9_]{1,100}\.npy|\.json)")  # all that a save may delete
NUMBERS = "biufc"  # the kinds of dtype that are stored


class DamagedFileError(ValueError):
    """A saved file is not, byte for byte, what was saved; the message names it."""


class Stored(NamedTuple):
    """What the manifest says of one array."""

    file: str
    dtype: np.dtype
    shape: tuple[int, ...]
    order: str  # "C" or "F"
    offset: int  # bytes before the first element
    size: int  # bytes of the whole file
    sha256: str

    def as_json(self) -> dict[str, Any]:
        """Its entry in the manifest."""
        return {**self._asdict(), "dtype": self.dtype.str}


class Manifest(NamedTuple):
    """What is saved in a folder."""

    kind: str
    about: dict[str, Any]
    arrays: dict[str, Stored]


def sealed(manifest: dict[str, Any]) -> bytes:
    """JSON whose last field is the checksum of all bytes before it."""
    body = json.dumps(manifest, indent=1, allow_nan=False).encode("ascii").removesuffix(b"\n}")
    return body + _seal(body)


def _seal(body: bytes) -> bytes:
    return f',\n "sha256": "{sha256(body).hexdigest()}"\n}}\n'.encode("ascii")


def manifest_bytes(folder: Path) -> bytes:
    """Read the manifest, and say what is wrong with the place if there is none."""
    try:
        return (folder / MANIFEST).read_bytes()
    except NotADirectoryError:
        raise NotADirectoryError(f"wanted a folder that was saved, and {folder} is a file. Give the folder.") from None
    except FileNotFoundError:
        what = f"{folder} holds no {MANIFEST}" if folder.is_dir() else f"there is no folder {folder}"
        advice = "Look at the path; if a first save was cut short, save again."
        raise FileNotFoundError(f"wanted a folder that was saved, and {what}. {advice}") from None


def parsed(folder: Path, raw: bytes, kind: str | None) -> Manifest:
    """Check a manifest and make sense of it; None as `kind` fits any."""
    path = folder / MANIFEST
    body = raw[: -len(_seal(b""))]
    if not raw.startswith(START) or raw != body + _seal(body):
        raise damaged(path, "was altered, or was not written by save_folder")
    manifest = json.loads(raw)
    if manifest["codebooks_format"] > FORMAT:  # later formats keep the first field and the seal
        raise ValueError(
            f"wanted {path} in format {FORMAT} or older and got {manifest['codebooks_format']}, written by version "
            f"{manifest.get('library')} of the library. Upgrade: pip install -U codebooks-learn."
        )
    if kind not in (None, manifest.get("kind")):
        raise ValueError(f"wanted a saved {kind}, and {folder} is a saved {manifest.get('kind')}. Load it as that.")
    try:
        arrays = {name: _stored(name, **entry) for name, entry in manifest["arrays"].items()}
        return Manifest(manifest["kind"], manifest["about"], arrays)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"holds what save_folder does not write ({error})") from error


def _stored(
    name: str, *, file: str, dtype: str, shape: Sequence[int], order: str, offset: int, size: int, sha256: str
) -> Stored:
    """One entry of a manifest, which may have been written by anyone: no other file, no other memory."""
    ours, kind = OURS.fullmatch(file), np.dtype(dtype)
    if ours is None or ours[2] != f"-{name}.npy":
        raise ValueError(f"the file name {file!r}")
    if kind.kind not in NUMBERS or order not in ("C", "F"):
        raise ValueError(f"dtype {dtype!r} in order {order!r}")
    n_elements = 1
    for length in shape:
        n_elements *= length
    if min([offset, *shape]) < 0 or offset + n_elements * kind.itemsize != size:
        raise ValueError(f"{size} bytes for shape {tuple(shape)}")
    return Stored(file, kind, tuple(shape), order, offset, size, sha256)


def files_named(folder: Path) -> set[str] | None:
    """The files of what is saved in a folder now; None if that cannot be told."""
    try:
        return {stored.file for stored in parsed(folder, manifest_bytes(folder), None).arrays.values()}
    except (OSError, ValueError):
        return None


def damaged(path: Path, what: str) -> DamagedFileError:
    """The error that names a file and says what is to be done."""
    return DamagedFileError(f"{path} {what}. Restore the folder from a copy, or make it anew and save it again.")
