"""Bytes of files to text: what is compressed is unpacked, and the encoding is detected."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path, PurePath
from typing import NamedTuple

from codebooks.errors import UserError, short_repr

__all__ = ["COMPRESSED", "Decoded", "decode", "unpack"]


class Decoded(NamedTuple):
    """A text, and what was assumed to read it."""

    text: str
    assumed: str = ""  # a sentence; empty if the encoding is certain


class _Packing(NamedTuple):
    start: bytes  # of every file of this kind
    name: str
    unpack: Callable[[bytes], bytes]


_SUFFIXES = {
    ".gz": _Packing(b"\x1f\x8b", "gzip", gzip.decompress),
    ".bz2": _Packing(b"BZh", "bz2", bz2.decompress),
    ".xz": _Packing(b"\xfd7zXZ\0", "xz", lzma.decompress),
}
_ZIP = b"PK\x03\x04"
COMPRESSED = (*_SUFFIXES, ".zip")
_BROKEN = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)

_MARKS = {  # longest first: that of UTF-16 begins that of UTF-32
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_SAMPLE = 2**18  # bytes that tell the encoding
_COMMONEST = "cp1252"  # of encodings other than Unicode
_WESTERN = ("latin_1", "iso8859_15", "cp1250", "mac_roman", "cp437", "cp850", "cp858", "cp1257")
_FEW = 8  # letters beyond ASCII


def unpack(raw: bytes, path: PurePath | None, shown: Path | str) -> tuple[bytes, PurePath | None]:
    """What a compressed file holds, and its name without the suffix of the compression.

    Parameters
    ----------
    raw : bytes
    path : PurePath or None
        The name, None of standard input: then the first bytes alone decide.
    shown : Path or str
        What messages call it.

    Returns
    -------
    raw : bytes
        Unchanged, if the file is not compressed.
    path : PurePath or None
        Of an archive that of its file.
    """
    suffix = "" if path is None else path.suffix.lower()
    if raw.startswith(_ZIP) or suffix == ".zip":
        return _unzip(raw, shown)
    for ending, packing in _SUFFIXES.items():
        if suffix == ending or (suffix not in _SUFFIXES and raw.startswith(packing.start)):
            try:
                raw = packing.unpack(raw)
            except _BROKEN as error:
                raise UserError(f"{shown} is not a whole {packing.name} file ({error}).") from error
            return raw, path.with_suffix("") if path is not None and suffix == ending else path
    return raw, path


def _unzip(raw: bytes, shown: Path | str) -> tuple[bytes, PurePath]:
    try:
        with zipfile.ZipFile(BytesIO(raw)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
            if len(names) != 1:
                raise UserError(
                    f"{shown} holds {len(names)} files, and one is expected; unpack it and give the folder."
                )
            return archive.read(names[0]), PurePath(names[0])
    except (*_BROKEN, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{shown} is not a whole zip file ({error}).") from error


_CONTROLS = [chr(code) for code in range(32) if chr(code) not in "\t\n\v\f\r\x1b\x1c\x1d\x1e\x1f"]


def decode(raw: bytes, shown: Path | str, encoding: str | None = None) -> Decoded:
    """The text of a file.

    UTF-8, and what a byte order mark names, are certain. Without either, UTF-16 and UTF-32 are recognised by their
    zeros, and other encodings are guessed.

    Parameters
    ----------
    raw : bytes
    shown : Path or str
        What messages call it.
    encoding : str, optional
        Its name, if it is known.

    Returns
    -------
    Decoded

    Raises
    ------
    UserError
        The bytes are not text of the encoding, or of none that is recognised.
    """
    if encoding is not None:
        return Decoded(_decode_as(raw, shown, encoding))
    for mark, name in _MARKS.items():
        if raw.startswith(mark):
            return Decoded(_decode_as(raw, shown, name))
    is_text = None
    try:
        text = raw.decode()
        # Bytes of UTF-16 in Arabic or Thai are control characters by half, and so UTF-8 as well.
        is_text = sum(map(text[:_SAMPLE].count, _CONTROLS)) <= len(text[:_SAMPLE]) / 10
        if is_text or (b"\0" not in raw and _detect_wide(raw) is None):
            return Decoded(text)
    except UnicodeDecodeError:
        pass
    detected = _detect_wide(raw) if is_text is False or b"\0" in raw else _detect_legacy(raw)
    if detected is None:
        raise UserError(f"{shown} is not text in an encoding that is recognised; save it as UTF-8, or give --encoding.")
    assumed = f"{shown} is not UTF-8 and was read as {detected}; if letters are wrong, give its --encoding."
    return Decoded(_decode_as(raw, shown, detected), assumed)


def _decode_as(raw: bytes, shown: Path | str, encoding: str) -> str:
    try:
        if not codecs.lookup(encoding)._is_text_encoding:
            raise LookupError
        return raw.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise UserError(
            f"there is no encoding {short_repr(encoding)}; try --encoding cp1252, utf-16 or shift_jis."
        ) from error
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        raise UserError(f"{shown} is not {encoding} (at byte {start}); give another --encoding.") from error


def _detect_wide(raw: bytes) -> str | None:
    """Which of UTF-16 and UTF-32 it is, by how many spaces and line ends it has when it is read so."""
    found: dict[str, float] = {}
    sample = raw[: _SAMPLE - _SAMPLE % 4]
    for name in _WIDE:
        try:
            text = codecs.getincrementaldecoder(name)().decode(sample, final=len(sample) == len(raw))
        except UnicodeDecodeError:
            continue
        strange = sum(not (char.isprintable() or char in "\t\r\n\u3000\xa0") for char in text[:4096])
        if strange <= len(text[:4096]) / 100:
            found[name] = sum(map(text.count, " \n,;.")) / max(len(text), 1)
    return max(found, key=found.__getitem__, default=None)


def _detect_legacy(raw: bytes) -> str | None:
    from charset_normalizer import from_bytes

    sample = raw[:_SAMPLE]
    matches = from_bytes(sample)
    best = matches.best()
    if best is None:
        return None
    # Encodings of one alphabet differ in few letters, and few letters tell no alphabet: take the commonest.
    possible = {name for match in matches for name in (match.encoding, *match.could_be_from_charset)}
    is_western = best.encoding in _WESTERN and _COMMONEST in possible
    if is_western or sum(byte >= 128 for byte in sample) < _FEW or _is_read_alike(sample, best.encoding, _COMMONEST):
        with suppress(UnicodeDecodeError):
            raw.decode(_COMMONEST)
            return _COMMONEST
    return best.encoding


def _is_read_alike(sample: bytes, one: str, other: str) -> bool:
    return sample.decode(one, "replace") == sample.decode(other, "replace")
