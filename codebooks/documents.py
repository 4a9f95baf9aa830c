"""Documents out of files: the lines of a text, a column of a table, or a folder of text files."""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Documents", "UserError", "read_documents"]

_IN_FOLDERS = (".txt", ".md", ".rst")
_QUOTED_FIELD = re.compile(r'(^|[,;])"(?:[^"]|"")*"')
_LONGEST_FIELD = 2**31 - 1  # what a C long holds everywhere; the csv module's own limit stops at 128 KiB


class UserError(ValueError):
    """What a user can put right; the message is one sentence that says how."""


class Documents(NamedTuple):
    """Texts that have something in them, and where each came from.

    Attributes
    ----------
    texts : list of str
        One text per document.
    names : list of str
        The number of its row, counted from 1 without a header, or the path of its file within the folder.
    n_empty : int
        How many documents were left out because they held nothing but blanks.
    """

    texts: list[str]
    names: list[str]
    n_empty: int


def read_documents(source: str | Path, column: str | None = None) -> Documents:
    """Read UTF-8 text from a file or a folder; what kind it is, the suffix says.

    ============================== ======================================================================
    `.txt`                         a document per line
    `.csv`                         a header, then a document per row; fields in quotes may hold newlines;
                                   semicolons separate where the header has no comma outside quotes
    `.tsv`                         the same with tabs; quotes are plain characters
    `.jsonl`, `.ndjson`            an object per line; null or a missing field is an empty document
    a folder                       a document per `.txt`, `.md` or `.rst` file, also in folders within;
                                   hidden ones are passed over
    ============================== ======================================================================

    A file may be gzipped, with `.gz` behind its suffix.

    Parameters
    ----------
    source : str or Path
        The file or folder.
    column : str, optional
        The column or field that holds the text; wanted where there are several.

    Returns
    -------
    Documents
        In the order of the file; those of a folder sorted by path.

    Raises
    ------
    UserError
        The source cannot be read, is malformed or not UTF-8, has no such column, or holds no text.
    """
    path = Path(source)
    try:
        named = _folder(path, column) if path.is_dir() else _file(path, column)
    except OSError as error:
        raise UserError(f"cannot read {error.filename or path}: {error.strerror or error}.") from error
    filled = [(name, text) for name, text in named if text.strip()]
    if not filled:
        raise UserError(f"{path} holds no text: {len(named)} documents, all of them empty.")
    names, texts = zip(*filled, strict=True)
    return Documents(list(texts), list(names), len(named) - len(filled))


def _file(path: Path, column: str | None) -> list[tuple[str, str]]:
    path.stat()  # a file that is not there is told before a suffix that is not known
    reader = _READERS.get(_kind(path))
    if reader is None:
        raise UserError(f"{path} is of no kind that is read here: {', '.join(_READERS)} (also .gz), or a folder.")
    return [(str(number), text) for number, text in enumerate(reader(path, column), 1)]


def _folder(path: Path, column: str | None) -> list[tuple[str, str]]:
    _refuse_column(column, path)
    files = {file.relative_to(path): file for file in path.rglob("*") if _kind(file) in _IN_FOLDERS and file.is_file()}
    shown = {name.as_posix(): file for name, file in files.items() if not any(p.startswith(".") for p in name.parts)}
    if not shown:
        raise UserError(f"the folder {path} has no {', '.join(_IN_FOLDERS)} file in it.")
    return [(name, _text(shown[name])) for name in sorted(shown)]


def _lines(path: Path, column: str | None) -> Iterable[str]:
    _refuse_column(column, path)
    return (line.rstrip("\n") for line in StringIO(_text(path), newline=None))


def _table(path: Path, column: str | None) -> Iterable[str]:
    text = _text(path)
    if _kind(path) == ".tsv":
        rows = csv.reader(StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        rows = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text.partition("\n")[0]), strict=True)
    line = 1
    try:
        with _fields_of_any_length():
            header = next(rows, [])
            if column is None and _kind(path) == ".csv":
                _refuse_other_separators(header, path)
            place = header.index(_chosen(column, header, path)) if header else 0
            line = rows.line_num + 1
            for row in rows:
                if row:  # a blank line is no row, to most who read CSV
                    if len(row) != len(header):
                        raise UserError(
                            f"line {line} of {path} has {len(row)} columns, its header {len(header)}; mend that line."
                        )
                    yield row[place]
                line = rows.line_num + 1
    except csv.Error as error:
        raise UserError(f"the row that begins on line {line} of {path} is malformed ({error}); mend it.") from error


def _delimiter(header: str) -> str:
    """What separates the columns: a semicolon where the header has no comma, or has commas in quotes only."""
    unquoted = _QUOTED_FIELD.sub(r"\1", header)
    return ";" if any(";" in shown and "," not in shown for shown in (header, unquoted)) else ","


def _refuse_other_separators(header: list[str], path: Path) -> None:
    """Refuse a table that would be read as one column because neither a comma nor a semicolon separates it."""
    for sign, advice in (("\t", "if tabs separate its columns, call it .tsv"), ("|", "separate columns by commas")):
        if len(header) == 1 and sign in header[0]:
            raise UserError(
                f"{path} has one column, called {header[0]!r}: {advice}, or choose it with --column if it is one."
            )


def _records(path: Path, column: str | None) -> Iterable[str]:
    # Only a line feed ends a record: strings may hold the other characters that end lines.
    lines = {number: line for number, line in enumerate(_text(path).split("\n"), 1) if line.strip()}
    records = {number: _record(line, number, path) for number, line in lines.items()}
    if not records:
        return
    fields = dict.fromkeys(field for record in records.values() for field in record if isinstance(record[field], str))
    field = _chosen(column, list(fields), path)
    for number, record in records.items():
        text = record.get(field)
        if not isinstance(text, str | None):
            raise UserError(f"line {number} of {path} has {text!r:.40} in {field!r}, where a string is wanted.")
        yield text or ""


def _record(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"line {number} of {path} is not JSON; mend it.") from error
    if not isinstance(record, dict):
        raise UserError(f'line {number} of {path} is not an object like {{"text": "..."}}; mend it.')
    return record


_READERS = {".txt": _lines, ".csv": _table, ".tsv": _table, ".jsonl": _records, ".ndjson": _records}


def _kind(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if path.suffix.lower() == ".gz":
            raw = gzip.decompress(raw)
        return raw.decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a whole gzip file ({error}).") from error
    except UnicodeDecodeError as error:
        if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            raise UserError(
                f"{path} is UTF-16, not UTF-8; save it as UTF-8, for example with: iconv -f UTF-16 -t UTF-8."
            ) from error
        raise UserError(
            f"{path} is not UTF-8 (at byte {error.start}); save it as UTF-8, "
            "for example with: iconv -f WINDOWS-1252 -t UTF-8."
        ) from error


def _chosen(column: str | None, columns: list[str], path: Path) -> str:
    if not columns:
        raise UserError(f"{path} has no field that holds text, a string in quotes.")
    if column is None and len(columns) == 1:
        return columns[0]
    # Blanks around a name are seen in quotes only, and a tab as \t.
    listed = ", ".join(name if name == name.strip() and name.isprintable() else repr(name) for name in columns)
    if column is None:
        raise UserError(f"{path} has several columns; choose one with --column: {listed}.")
    if column not in columns:
        raise UserError(f"{path} has no column {column!r}; it has: {listed}.")
    if columns.count(column) > 1:
        raise UserError(f"{path} has {columns.count(column)} columns {column!r}; give each a name of its own.")
    return column


def _refuse_column(column: str | None, path: Path) -> None:
    if column is not None:
        raise UserError(f"{path} has no columns; leave out --column, which is for .csv, .tsv and .jsonl.")


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    limit = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
