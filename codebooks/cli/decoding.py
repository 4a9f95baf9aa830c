"""Decompression of files, and detection of their encoding."""

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
    """A decoded text, and a note about an assumed encoding."""

    text: str
    assumed: str = ""  # a sentence; empty if the encoding is certain


class _Compression(NamedTuple):
    magic: bytes  # the first bytes of every such file
    name: str
    unpack: Callable[[bytes], bytes]


_SUFFIXES = {
    ".gz": _Compression(b"\x1f\x8b", "gzip", gzip.decompress),
    ".bz2": _Compression(b"BZh", "bz2", bz2.decompress),
    ".xz": _Compression(b"\xfd7zXZ\0", "xz", lzma.decompress),
}
_ZIP = b"PK\x03\x04"
COMPRESSED = (*_SUFFIXES, ".zip")
_BROKEN = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)

_MARKS = {  # longest first, because the mark of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_SAMPLE = 2**18  # bytes that are examined
_DEFAULT = "cp1252"  # the most common encoding other than Unicode
_WESTERN = ("latin_1", "iso8859_15", "cp1250", "mac_roman", "cp437", "cp850", "cp858", "cp1257")
_MIN_NON_ASCII = 8  # bytes; fewer do not identify an encoding


def unpack(raw: bytes, path: PurePath | None, source_name: Path | str) -> tuple[bytes, PurePath | None]:
    """Decompress the content of a file, and remove the suffix of the compression from its name.

    Parameters
    ----------
    raw : bytes
    path : PurePath or None
        The name. None for standard input: the first bytes decide then.
    source_name : Path or str
        The name in messages.

    Returns
    -------
    raw : bytes
        Unchanged, if the file is not compressed.
    path : PurePath or None
        The path without the suffix; for an archive, the path of the file in it.
    """
    suffix = "" if path is None else path.suffix.lower()
    if raw.startswith(_ZIP) or suffix == ".zip":
        return _unzip(raw, source_name)
    for ending, compression in _SUFFIXES.items():
        if suffix == ending or (suffix not in _SUFFIXES and raw.startswith(compression.magic)):
            try:
                raw = compression.unpack(raw)
            except _BROKEN as error:
                raise UserError(f"{source_name} is not a complete {compression.name} file ({error}).") from error
            return raw, path.with_suffix("") if path is not None and suffix == ending else path
    return raw, path


def _unzip(raw: bytes, source_name: Path | str) -> tuple[bytes, PurePath]:
    try:
        with zipfile.ZipFile(BytesIO(raw)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
            if len(names) != 1:
                raise UserError(
                    f"{source_name} must contain one file, got {len(names)}; unpack it and pass the folder."
                )
            return archive.read(names[0]), PurePath(names[0])
    except (*_BROKEN, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{source_name} is not a complete zip file ({error}).") from error


_CONTROLS = [chr(code) for code in range(32) if chr(code) not in "\t\n\v\f\r\x1b\x1c\x1d\x1e\x1f"]


def decode(raw: bytes, source_name: Path | str, encoding: str | None = None) -> Decoded:
    """Decode the content of a file.

    UTF-8 and encodings with a byte order mark are certain. Otherwise UTF-16 and UTF-32 are recognized by their zeros,
    and other encodings are guessed.

    Parameters
    ----------
    raw : bytes
    source_name : Path or str
        The name in messages.
    encoding : str, optional
        The encoding. The default detects it.

    Returns
    -------
    Decoded

    Raises
    ------
    UserError
        If the content cannot be decoded, or its encoding is not recognized.
    """
    if encoding is not None:
        return Decoded(_decode_as(raw, source_name, encoding))
    for mark, name in _MARKS.items():
        if raw.startswith(mark):
            return Decoded(_decode_as(raw, source_name, name))
    is_text = None
    try:
        text = raw.decode()
        # UTF-16 in Arabic or Thai is valid UTF-8, but half of its bytes are control characters.
        is_text = sum(map(text[:_SAMPLE].count, _CONTROLS)) <= len(text[:_SAMPLE]) / 10
        if is_text or (b"\0" not in raw and _detect_wide(raw) is None):
            return Decoded(text)
    except UnicodeDecodeError:
        pass
    detected = _detect_wide(raw) if is_text is False or b"\0" in raw else _detect_legacy(raw)
    if detected is None:
        raise UserError(f"{source_name} is not text in a recognized encoding; save it as UTF-8, or set --encoding.")
    assumed = f"{source_name} is not UTF-8 and was read as {detected}; if letters are wrong, set --encoding."
    return Decoded(_decode_as(raw, source_name, detected), assumed)


def _decode_as(raw: bytes, source_name: Path | str, encoding: str) -> str:
    try:
        if not codecs.lookup(encoding)._is_text_encoding:
            raise LookupError
        return raw.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise UserError(
            f"--encoding must be the name of an encoding such as cp1252, utf-16 or shift_jis, got "
            f"{short_repr(encoding)}."
        ) from error
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        raise UserError(f"{source_name} is not {encoding} (at byte {start}); set another --encoding.") from error


def _detect_wide(raw: bytes) -> str | None:
    """Detect UTF-16 or UTF-32 by the share of spaces, line ends and punctuation in the decoded text."""
    shares: dict[str, float] = {}
    sample = raw[: _SAMPLE - _SAMPLE % 4]
    for name in _WIDE:
        try:
            text = codecs.getincrementaldecoder(name)().decode(sample, final=len(sample) == len(raw))
        except UnicodeDecodeError:
            continue
        n_unprintable = sum(not (char.isprintable() or char in "\t\r\n\u3000\xa0") for char in text[:4096])
        if n_unprintable <= len(text[:4096]) / 100:
            shares[name] = sum(map(text.count, " \n,;.")) / max(len(text), 1)
    return max(shares, key=shares.__getitem__, default=None)


def _detect_legacy(raw: bytes) -> str | None:
    from charset_normalizer import from_bytes

    sample = raw[:_SAMPLE]
    matches = from_bytes(sample)
    best = matches.best()
    if best is None:
        return None
    # Encodings of one alphabet differ in few letters, and a few letters do not identify an alphabet: use the default.
    possible = {name for match in matches for name in (match.encoding, *match.could_be_from_charset)}
    is_western = best.encoding in _WESTERN and _DEFAULT in possible
    if (
        is_western
        or sum(byte >= 128 for byte in sample) < _MIN_NON_ASCII
        or _is_decoded_alike(sample, best.encoding, _DEFAULT)
    ):
        with suppress(UnicodeDecodeError):
            raw.decode(_DEFAULT)
            return _DEFAULT
    return best.encoding


def _is_decoded_alike(sample: bytes, one: str, other: str) -> bool:
    return sample.decode(one, "replace") == sample.decode(other, "replace")
