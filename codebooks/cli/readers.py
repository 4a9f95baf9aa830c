"""`read_documents`: read documents from text files, tables, JSON lines, folders or standard input."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from pathlib import Path, PurePath
from typing import NamedTuple

from codebooks.cli.console import format_count
from codebooks.cli.decoding import COMPRESSED, decode, unpack
from codebooks.cli.tables import Reading, Row, read_records, read_table
from codebooks.errors import UserError, short_repr

__all__ = ["STANDARD_INPUT", "Documents", "UserError", "is_standard_input", "read_documents"]

STANDARD_INPUT = "standard input"  # its name in messages

_TABLES, _RECORDS = (".csv", ".tsv"), (".jsonl", ".ndjson")
_KINDS = (".txt", *_TABLES, *_RECORDS)
_FOLDER_KINDS = (".txt", ".md", ".rst")


class Documents(NamedTuple):
    """The documents that were read, without empty ones.

    Attributes
    ----------
    texts : list of str
        One text per document.
    names : list of str
        The id of each document. Without a column of ids, the number of its row from 0 without the header, as in pandas.
        In a folder, the path of its file relative to the folder.
    n_empty : int
        Number of empty documents, which are left out.
    notes : tuple of str
        Sentences about assumptions and skipped input: an encoding, a header, malformed lines, links.
    parts : list of tuple of str
        For each document of a table, the texts of its text columns, if `keep_columns`.
    columns : list of dict of str to str
        For each document of a table, the values of the columns that are neither text nor id, by name.
    """

    texts: list[str]
    names: list[str]
    n_empty: int
    notes: tuple[str, ...] = ()
    parts: Sequence[tuple[str, ...]] = ()
    columns: Sequence[dict[str, str]] = ()


def read_documents(
    source: str | Path,
    column: str | Sequence[str] | None = None,
    id_column: str | None = None,
    *,
    encoding: str | None = None,
    has_header: bool | None = None,
    skip_bad_lines: bool = False,
    follow_links: bool = False,
    where: tuple[str, str] | None = None,
    keep_columns: bool = False,
) -> Documents:
    """Read documents from a file or a folder. The suffix determines the format.

    ============================== ======================================================================
    `.txt`                         a document per line
    `.csv`                         a header, then a document per row; fields in quotes may contain
                                   newlines; the separator is a semicolon if the header has no comma
                                   outside quotes, or is set by a first line such as `sep=;`
    `.tsv`                         the same with tabs; quotes are plain characters, unless the rows have
                                   different numbers of columns then
    `.jsonl`, `.ndjson`            an object per line; null or a missing field is an empty document;
                                   `a.b` is the field b of the object in a
    a folder                       a document per `.txt`, `.md` or `.rst` file, also in subfolders;
                                   hidden files and folders are skipped
    `-`                            standard input: a document per line; also for pipes such as `<(...)`
    ============================== ======================================================================

    Files may be compressed, with `.gz`, `.bz2` or `.xz` after their suffix, or be the only file in a `.zip`.

    Parameters
    ----------
    source : str or Path
        The file or folder, or `-`.
    column : str or sequence of str, optional
        The column or field with the text; required if there are several. The texts of several columns are joined by
        newlines.
    id_column : str, optional
        The column or field with unique ids of the documents: strings, or in JSON also numbers. The default numbers the
        rows from 0.
    encoding : str, optional
        The encoding, if it is not UTF-8 and there is no byte order mark. The default detects it.
    has_header : bool, optional
        Whether the first row of a table contains the names of the columns. If False, their names are 0, 1, 2. The
        default is True, except for a table of one column with a long first row, such as one of more than three words.
    skip_bad_lines : bool, default=False
        Whether to skip and count malformed lines instead of raising an error.
    follow_links : bool, default=False
        Whether to follow symbolic links in a folder.
    where : tuple (column, value), optional
        Read only rows with this value in this column; they keep their numbers. An empty value matches empty cells of a
        table, and in JSON empty strings, null and missing fields.
    keep_columns : bool, default=False
        Whether to return the values of the other columns, as strings. Numbers and lists in JSON are returned as JSON,
        null as an empty string.

    Returns
    -------
    Documents
        In the order of the file; those of a folder are sorted by path.

    Raises
    ------
    UserError
        If the source cannot be read, is malformed or not text, does not have the column, or contains no text, or if an
        id is missing or not unique.
    """
    path = Path(source)
    piped = is_standard_input(path)
    source_name = STANDARD_INPUT if piped else path
    columns = () if column is None else (column,) if isinstance(column, str) else tuple(column)
    reading = Reading(columns, id_column, encoding, has_header, skip_bad_lines, follow_links, where, keep_columns)
    try:
        if path.is_dir():
            named = [(name, Row(0, text)) for name, text in _read_folder(path, reading)]
        else:
            rows = list(_read_file(None if piped else path, source_name, reading))
            names = _collect_names(rows, id_column, source_name)
            named = [(name, row) for name, row in zip(names, rows, strict=True) if row.is_selected]
            if rows and not named and where is not None:
                raise UserError(
                    f"no row of {source_name} has the value {short_repr(where[1])} in the column "
                    f"{short_repr(where[0])}; change --where."
                )
    except OSError as error:
        raise UserError(f"cannot read {error.filename or source_name}: {error.strerror or error}.") from error
    if reading.n_bad:
        reading.notes.append(f"skipped malformed lines: {reading.n_bad:,}")
    filled = [(name, row) for name, row in named if row.text.strip()]
    if not filled:
        content = f"only {format_count(len(named), 'empty document')}" if named else "no documents"
        raise UserError(f"{source_name} must contain text, got {content}.")
    texts, names = [row.text for _, row in filled], [name for name, _ in filled]
    n_empty, notes = len(named) - len(filled), tuple(reading.notes)
    if not keep_columns:
        return Documents(texts, names, n_empty, notes)
    return Documents(texts, names, n_empty, notes, [row.parts for _, row in filled], [row.columns for _, row in filled])


def is_standard_input(source: Path) -> bool:
    """Return whether `read_documents` reads standard input: the source is `-`, and there is no folder of that name."""
    return source == Path("-") and not source.is_dir()


def _read_file(path: Path | None, source_name: Path | str, reading: Reading) -> Iterable[Row]:
    """Read the rows of a file, or of standard input if `path` is None."""
    if path is None:
        reading.check_no_columns(source_name)
        if sys.stdin is None:
            raise UserError(f"cannot read {source_name}: it is closed; redirect text to it, or name a file.")
        raw = sys.stdin.buffer.read()
        is_pipe = True
    else:
        is_pipe = not stat.S_ISREG(path.stat().st_mode) or path.as_posix().startswith("/dev/")
        if not is_pipe and _find_suffix(path) not in _KINDS and path.suffix.lower() != ".zip":
            raise UserError(
                f"{path} must be a folder or a {', '.join(_KINDS)} file, which may be compressed "
                f"({', '.join(COMPRESSED)})."
            )
        raw = path.read_bytes()
    raw, inner = unpack(raw, None if is_pipe else path, source_name)
    kind = ".txt" if inner is None else inner.suffix.lower()
    text = _decode(raw, source_name, reading)
    if kind in _TABLES:
        return read_table(text, source_name, reading, kind)
    if kind in _RECORDS:
        return read_records(text, source_name, reading)
    if kind != ".txt":
        raise UserError(f"{source_name} must contain a {', '.join(_KINDS)} file, got {inner}.")
    reading.check_no_columns(source_name)
    return (Row(number, line.rstrip("\n")) for number, line in enumerate(StringIO(text, newline=None), 1))


def _decode(raw: bytes, source_name: Path | str, reading: Reading) -> str:
    text, note = decode(raw, source_name, reading.encoding)
    if note:
        reading.notes.append(note)
    return text


def _collect_names(rows: list[Row], id_column: str | None, source_name: Path | str) -> list[str]:
    """Return the numbers of the rows, or their ids, which must be unique among rows with a text."""
    if id_column is None:
        return [str(number) for number, _ in enumerate(rows)]
    names = [row.id.rstrip("\0") for row in rows]  # NumPy strings lose trailing NULs
    lines: dict[str, int] = {}
    for name, row in zip(names, rows, strict=True):
        if not row.text.strip():
            continue  # it is left out, and needs no id
        if not name.strip():
            raise UserError(
                f"line {row.line} of {source_name} has no id in the column {short_repr(id_column)}; "
                "add one, or omit --id."
            )
        if (line := lines.setdefault(name, row.line)) != row.line:
            raise UserError(
                f"lines {line} and {row.line} of {source_name} both have the id {short_repr(name)} in the column "
                f"{short_repr(id_column)}; make the ids unique, or omit --id."
            )
    return names


def _read_folder(path: Path, reading: Reading) -> list[tuple[str, str]]:
    reading.check_no_columns(path)
    n_links = 0
    files: dict[str, Path] = {}
    for file, is_link in _walk(path, reading.follow_links):
        if file.suffix.lower() in _FOLDER_KINDS or _find_suffix(file) in _FOLDER_KINDS or (is_link and file.is_dir()):
            if is_link and not reading.follow_links:
                n_links += 1
            elif file.is_file():
                files[file.relative_to(path).as_posix()] = file
    if n_links:
        reading.notes.append(f"skipped symbolic links in {path}: {n_links:,}; --follow-links reads them")
    if not files:
        raise UserError(f"the folder {path} contains no {', '.join(_FOLDER_KINDS)} file.")
    documents = []
    for name, file in sorted(files.items()):
        raw, _ = unpack(file.read_bytes(), file, file)
        documents.append((name, _decode(raw, file, reading)))
    return documents


def _walk(folder: Path, follow_links: bool) -> Iterator[tuple[Path, bool]]:
    """Yield visible files and links to folders, and whether each is a link; visit each folder once."""
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=follow_links):
        real = os.path.realpath(place)
        folders[:] = [name for name in folders if not name.startswith(".")] if real not in seen else []
        if real in seen:
            continue
        seen.add(real)
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in (*links, *(name for name in files if not name.startswith("."))):
            yield Path(place, name), os.path.islink(os.path.join(place, name))


def _find_suffix(path: PurePath) -> str:
    """Return the suffix of a file, without that of its compression."""
    return (path.with_suffix("") if path.suffix.lower() in COMPRESSED else path).suffix.lower()
