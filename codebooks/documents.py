"""Documents out of files: the lines of a text, a column of a table, a folder of text files, or standard input."""

from __future__ import annotations

import csv
import gzip
import json
import re
import sys
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["STANDARD_INPUT", "Documents", "UserError", "is_standard_input", "read_documents"]

STANDARD_INPUT = "standard input"  # what messages call it

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
        The id of its row, or where no column of ids was asked for, its number, counted from 1 without a header; of a
        folder, the path of its file within.
    n_empty : int
        How many documents were left out because they held nothing but blanks.
    """

    texts: list[str]
    names: list[str]
    n_empty: int


class _Row(NamedTuple):
    """A document of a file."""

    line: int  # where it begins, counted from 1
    text: str
    id: str = ""  # empty also where none is asked for


def read_documents(source: str | Path, column: str | None = None, id_column: str | None = None) -> Documents:
    """Read UTF-8 text from a file or a folder; what kind it is, the suffix says.

    ============================== ======================================================================
    `.txt`                         a document per line
    `.csv`                         a header, then a document per row; fields in quotes may hold newlines;
                                   semicolons separate where the header has no comma outside quotes
    `.tsv`                         the same with tabs; quotes are plain characters
    `.jsonl`, `.ndjson`            an object per line; null or a missing field is an empty document
    a folder                       a document per `.txt`, `.md` or `.rst` file, also in folders within;
                                   hidden ones are passed over
    `-`                            standard input: a document per line
    ============================== ======================================================================

    A file may be gzipped, with `.gz` behind its suffix.

    Parameters
    ----------
    source : str or Path
        The file or folder, or `-`.
    column : str, optional
        The column or field that holds the text; wanted where there are several.
    id_column : str, optional
        The column or field that names the documents: strings, or in JSON also numbers, each in one document only. Left
        out, their rows are counted.

    Returns
    -------
    Documents
        In the order of the file; those of a folder sorted by path.

    Raises
    ------
    UserError
        The source cannot be read, is malformed or not UTF-8, has no such column, or holds no text; a document has no id
        or that of another.
    """
    path = Path(source)
    piped = is_standard_input(path)
    shown = STANDARD_INPUT if piped else path
    try:
        if path.is_dir():
            named = _folder(path, column, id_column)
        else:
            rows = list(_standard_input(column, id_column) if piped else _file(path, column, id_column))
            named = list(zip(_names(rows, id_column, path), (row.text for row in rows), strict=True))
    except OSError as error:
        raise UserError(f"cannot read {error.filename or shown}: {error.strerror or error}.") from error
    filled = [(name, text) for name, text in named if text.strip()]
    if not filled:
        raise UserError(f"{shown} holds no text: {len(named)} documents, all of them empty.")
    names, texts = zip(*filled, strict=True)
    return Documents(list(texts), list(names), len(named) - len(filled))


def is_standard_input(source: Path) -> bool:
    """Whether `read_documents` reads standard input: it is `-`, and no folder of that name is there."""
    return source == Path("-") and not source.is_dir()


def _file(path: Path, column: str | None, id_column: str | None) -> Iterable[_Row]:
    path.stat()  # a file that is not there is told before a suffix that is not known
    reader = _READERS.get(_kind(path))
    if reader is None:
        raise UserError(f"{path} is of no kind that is read here: {', '.join(_READERS)} (also .gz), or a folder.")
    return reader(path, column, id_column)


def _standard_input(column: str | None, id_column: str | None) -> Iterable[_Row]:
    _refuse_columns(column, id_column, STANDARD_INPUT)
    if sys.stdin is None:
        raise UserError(f"cannot read {STANDARD_INPUT}: it is closed; send text into it, or name a file.")
    return _rows_of_lines(_decoded(sys.stdin.buffer.read(), STANDARD_INPUT))


def _names(rows: list[_Row], id_column: str | None, path: Path) -> list[str]:
    """The numbers of the rows, or their ids, which must tell apart those that have a text."""
    if id_column is None:
        return [str(number) for number, _ in enumerate(rows, 1)]
    names = [row.id.rstrip("\0") for row in rows]  # an index cannot hold NUL at the end of a name
    lines: dict[str, int] = {}
    for name, row in zip(names, rows, strict=True):
        if not row.text.strip():
            continue  # it is left out, and needs no name
        if not name.strip():
            raise UserError(f"line {row.line} of {path} has no id in {id_column!r}; give it one, or leave out --id.")
        if (line := lines.setdefault(name, row.line)) != row.line:
            raise UserError(
                f"lines {line} and {row.line} of {path} both have {name!r:.80} in {id_column!r}; "
                "give each an id of its own, or leave out --id."
            )
    return names


def _folder(path: Path, column: str | None, id_column: str | None) -> list[tuple[str, str]]:
    _refuse_columns(column, id_column, path)
    files = {file.relative_to(path): file for file in path.rglob("*") if _kind(file) in _IN_FOLDERS and file.is_file()}
    shown = {name.as_posix(): file for name, file in files.items() if not any(p.startswith(".") for p in name.parts)}
    if not shown:
        raise UserError(f"the folder {path} has no {', '.join(_IN_FOLDERS)} file in it.")
    return [(name, _text(shown[name])) for name in sorted(shown)]


def _lines(path: Path, column: str | None, id_column: str | None) -> Iterable[_Row]:
    _refuse_columns(column, id_column, path)
    return _rows_of_lines(_text(path))


def _rows_of_lines(text: str) -> Iterable[_Row]:
    return (_Row(number, line.rstrip("\n")) for number, line in enumerate(StringIO(text, newline=None), 1))


def _table(path: Path, column: str | None, id_column: str | None) -> Iterable[_Row]:
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
            has_ids = bool(header) and id_column is not None
            id_place = header.index(_chosen(id_column, header, path)) if has_ids else None
            line = rows.line_num + 1
            for row in rows:
                if row:  # a blank line is no row, to most who read CSV
                    if len(row) != len(header):
                        raise UserError(
                            f"line {line} of {path} has {len(row)} columns, its header {len(header)}; mend that line."
                        )
                    yield _Row(line, row[place], "" if id_place is None else row[id_place])
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


def _records(path: Path, column: str | None, id_column: str | None) -> Iterable[_Row]:
    # Only a line feed ends a record: strings may hold the other characters that end lines.
    lines = {number: line for number, line in enumerate(_text(path).split("\n"), 1) if line.strip()}
    records = {number: _record(line, number, path) for number, line in lines.items()}
    if not records:
        return
    fields = dict.fromkeys(field for record in records.values() for field in record if isinstance(record[field], str))
    field = _chosen(column, list(fields), path)
    if id_column is not None:  # numbers are ids too
        _chosen(id_column, list(dict.fromkeys(field for record in records.values() for field in record)), path)
    for number, record in records.items():
        text = record.get(field)
        if not isinstance(text, str | None):
            raise UserError(f"line {number} of {path} has {text!r:.40} in {field!r}, where a string is wanted.")
        yield _Row(number, text or "", "" if id_column is None else _record_id(record.get(id_column), number, path))


def _record_id(value: Any, number: int, path: Path) -> str:
    """The text of an id, and none for null."""
    if value is not None and type(value) not in (str, int, float):  # true and false are int to isinstance
        raise UserError(f"line {number} of {path} has the id {value!r:.40}, where a string or a number is wanted.")
    return "" if value is None else str(value)


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
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a whole gzip file ({error}).") from error
    return _decoded(raw, path)


def _decoded(raw: bytes, shown: Path | str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            raise UserError(
                f"{shown} is UTF-16, not UTF-8; save it as UTF-8, for example with: iconv -f UTF-16 -t UTF-8."
            ) from error
        raise UserError(
            f"{shown} is not UTF-8 (at byte {error.start}); save it as UTF-8, "
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


def _refuse_columns(column: str | None, id_column: str | None, shown: Path | str) -> None:
    for option, chosen in (("--column", column), ("--id", id_column)):
        if chosen is not None:
            raise UserError(f"{shown} has no columns; leave out {option}, which is for .csv, .tsv and .jsonl.")


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    limit = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
