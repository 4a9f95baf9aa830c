"""Documents out of files: the lines of a text, a column of a table, a folder of text files, or standard input."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from pathlib import Path, PurePath
from typing import NamedTuple

from codebooks.cli.decoding import COMPRESSED, decode, unpack
from codebooks.cli.tables import Reading, Row, read_records, read_table
from codebooks.errors import UserError, short_repr

__all__ = ["STANDARD_INPUT", "Documents", "UserError", "is_standard_input", "read_documents"]

STANDARD_INPUT = "standard input"  # what messages call it

_TABLES, _RECORDS = (".csv", ".tsv"), (".jsonl", ".ndjson")
_KINDS = (".txt", *_TABLES, *_RECORDS)
_IN_FOLDERS = (".txt", ".md", ".rst")


class Documents(NamedTuple):
    """Texts that have something in them, and where each came from.

    Attributes
    ----------
    texts : list of str
        One text per document.
    names : list of str
        The id of its row, or where no column of ids was asked for, its number, counted from 0 without a header, as
        pandas does; of a folder, the path of its file within.
    n_empty : int
        How many documents were left out because they held nothing but blanks.
    notes : tuple of str
        Sentences about what was assumed or left out: an encoding, a header, malformed lines, links.
    parts : list of tuple of str
        For each text of a table, what each of the columns holds that it stands in, if `keep_columns`.
    columns : list of dict of str to str
        For each of these texts, the values of the columns that are neither text nor id, by name.
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
    """Read text from a file or a folder; what kind it is, the suffix says.

    ============================== ======================================================================
    `.txt`                         a document per line
    `.csv`                         a header, then a document per row; fields in quotes may hold newlines;
                                   semicolons separate where the header has no comma outside quotes, or
                                   what a first line such as `sep=;` says
    `.tsv`                         the same with tabs; quotes are plain characters, unless rows have
                                   different numbers of columns so
    `.jsonl`, `.ndjson`            an object per line; null or a missing field is an empty document;
                                   `a.b` is the field b of the object in a
    a folder                       a document per `.txt`, `.md` or `.rst` file, also in folders within;
                                   hidden ones are passed over
    `-`                            standard input: a document per line; so are pipes such as `<(...)`
    ============================== ======================================================================

    Files may be compressed, with `.gz`, `.bz2` or `.xz` behind their suffix, or be the only one in a `.zip`.

    Parameters
    ----------
    source : str or Path
        The file or folder, or `-`.
    column : str or sequence of str, optional
        The column or field that holds the text; wanted where there are several. The texts of several columns stand one
        under the other.
    id_column : str, optional
        The column or field that names the documents: strings, or in JSON also numbers, each in one document only. Left
        out, their rows are counted from 0.
    encoding : str, optional
        The encoding, if it is neither UTF-8 nor named by a byte order mark. Left out, it is detected.
    has_header : bool, optional
        Whether the first row of a table names its columns. If not, their names are 0, 1, 2. Left out, True, but for a
        table of one column with a first row of more than three words.
    skip_bad_lines : bool, default=False
        Whether malformed lines are left out and counted, instead of an error.
    follow_links : bool, default=False
        Whether symbolic links in a folder are followed.
    where : tuple (column, value), optional
        Only rows with this value in this column are read. They keep their numbers. An empty value finds empty cells of
        a table, and in JSON empty strings, null and missing fields.
    keep_columns : bool, default=False
        Whether the values of the other columns are wanted, as strings. Numbers and lists of JSON are written as they
        are there, null as an empty string.

    Returns
    -------
    Documents
        In the order of the file; those of a folder sorted by path.

    Raises
    ------
    UserError
        The source cannot be read, is malformed or not text, has no such column, or holds no text; a document has no id
        or that of another.
    """
    path = Path(source)
    piped = is_standard_input(path)
    shown = STANDARD_INPUT if piped else path
    columns = () if column is None else (column,) if isinstance(column, str) else tuple(column)
    reading = Reading(columns, id_column, encoding, has_header, skip_bad_lines, follow_links, where, keep_columns)
    try:
        if path.is_dir():
            named = [(name, Row(0, text)) for name, text in _read_folder(path, reading)]
        else:
            rows = list(_read_file(None if piped else path, shown, reading))
            names = _collect_names(rows, id_column, shown)
            named = [(name, row) for name, row in zip(names, rows, strict=True) if row.is_wanted]
            if rows and not named and where is not None:
                raise UserError(f"no row of {shown} has {short_repr(where[1])} in {short_repr(where[0])}.")
    except OSError as error:
        raise UserError(f"cannot read {error.filename or shown}: {error.strerror or error}.") from error
    if reading.n_bad:
        reading.notes.append(f"malformed lines skipped: {reading.n_bad:,}")
    filled = [(name, row) for name, row in named if row.text.strip()]
    if not filled:
        what = f"{len(named)} documents, all of them empty" if named else "it has no document"
        raise UserError(f"{shown} holds no text: {what}.")
    texts, names = [row.text for _, row in filled], [name for name, _ in filled]
    n_empty, notes = len(named) - len(filled), tuple(reading.notes)
    if not keep_columns:
        return Documents(texts, names, n_empty, notes)
    return Documents(texts, names, n_empty, notes, [row.parts for _, row in filled], [row.columns for _, row in filled])


def is_standard_input(source: Path) -> bool:
    """Whether `read_documents` reads standard input: it is `-`, and no folder of that name is there."""
    return source == Path("-") and not source.is_dir()


def _read_file(path: Path | None, shown: Path | str, reading: Reading) -> Iterable[Row]:
    """The rows of a file, or of standard input if there is no path."""
    if path is None:
        reading.refuse_columns(shown)
        if sys.stdin is None:
            raise UserError(f"cannot read {shown}: it is closed; send text into it, or name a file.")
        raw = sys.stdin.buffer.read()
        is_pipe = True
    else:
        is_pipe = not stat.S_ISREG(path.stat().st_mode) or path.as_posix().startswith("/dev/")
        if not is_pipe and _find_suffix(path) not in _KINDS and path.suffix.lower() != ".zip":
            packed = ", ".join(COMPRESSED)
            raise UserError(
                f"{path} is of no kind that is read here: {', '.join(_KINDS)} (also {packed}), or a folder."
            )
        raw = path.read_bytes()
    raw, inner = unpack(raw, None if is_pipe else path, shown)
    kind = ".txt" if inner is None else inner.suffix.lower()
    text = _decode(raw, shown, reading)
    if kind in _TABLES:
        return read_table(text, shown, reading, kind)
    if kind in _RECORDS:
        return read_records(text, shown, reading)
    if kind != ".txt":
        raise UserError(f"{shown} holds {inner}, which is of no kind that is read here: {', '.join(_KINDS)}.")
    reading.refuse_columns(shown)
    return (Row(number, line.rstrip("\n")) for number, line in enumerate(StringIO(text, newline=None), 1))


def _decode(raw: bytes, shown: Path | str, reading: Reading) -> str:
    text, assumed = decode(raw, shown, reading.encoding)
    if assumed:
        reading.notes.append(assumed)
    return text


def _collect_names(rows: list[Row], id_column: str | None, shown: Path | str) -> list[str]:
    """The numbers of the rows, or their ids, which must tell apart those that have a text."""
    if id_column is None:
        return [str(number) for number, _ in enumerate(rows)]
    names = [row.id.rstrip("\0") for row in rows]  # an index cannot hold NUL at the end of a name
    lines: dict[str, int] = {}
    for name, row in zip(names, rows, strict=True):
        if not row.text.strip():
            continue  # it is left out, and needs no name
        if not name.strip():
            raise UserError(
                f"line {row.line} of {shown} has no id in {short_repr(id_column)}; give it one, or leave out --id."
            )
        if (line := lines.setdefault(name, row.line)) != row.line:
            raise UserError(
                f"lines {line} and {row.line} of {shown} both have {short_repr(name)} in {short_repr(id_column)}; "
                "give each an id of its own, or leave out --id."
            )
    return names


def _read_folder(path: Path, reading: Reading) -> list[tuple[str, str]]:
    reading.refuse_columns(path)
    n_links = 0
    found: dict[str, Path] = {}
    for file, is_link in _walk(path, reading.follow_links):
        if file.suffix.lower() in _IN_FOLDERS or _find_suffix(file) in _IN_FOLDERS or (is_link and file.is_dir()):
            if is_link and not reading.follow_links:
                n_links += 1
            elif file.is_file():
                found[file.relative_to(path).as_posix()] = file
    if n_links:
        reading.notes.append(f"symbolic links passed over in {path}: {n_links:,}; --follow-links reads them")
    if not found:
        raise UserError(f"the folder {path} has no {', '.join(_IN_FOLDERS)} file in it.")
    documents = []
    for name in sorted(found):
        raw, _ = unpack(found[name].read_bytes(), found[name], found[name])
        documents.append((name, _decode(raw, found[name], reading)))
    return documents


def _walk(folder: Path, follow_links: bool) -> Iterator[tuple[Path, bool]]:
    """Files and links to folders that are not hidden, and whether each is a link; each folder once."""
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
    """The suffix of a file, without that of its compression."""
    return (path.with_suffix("") if path.suffix.lower() in COMPRESSED else path).suffix.lower()
