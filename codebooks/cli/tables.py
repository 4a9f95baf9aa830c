"""Rows of text in tables and JSON lines."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from codebooks.errors import UserError, short_repr

__all__ = ["Reading", "Row", "read_records", "read_table"]

_QUOTED_FIELD = re.compile(r'(^|[,;])"(?:[^"]|"")*"')
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)  # of Excel
_BLANK_LINES = re.compile(r"(?:[ \t]*\r?\n)*")
_LONGEST_FIELD = 2**31 - 1  # what a C long holds everywhere; the csv module's own limit stops at 128 KiB
_LONGEST_NAME, _WORDS_OF_NAME = 40, 3  # characters and words of what can be the name of a column


class Row(NamedTuple):
    """A document of a file."""

    line: int  # where it begins, counted from 1
    text: str
    id: str = ""  # empty also where none is asked for
    is_wanted: bool = True  # whether it has the value that is asked for
    parts: tuple[str, ...] = ()  # the text of each column that holds some, where all columns are asked for
    columns: dict[str, str] = {}  # noqa: RUF012 - the values of the others


@dataclass
class Reading:
    """What is wanted of a file, and what was noticed in it."""

    columns: tuple[str, ...] = ()  # that hold the text, one under the other
    id_column: str | None = None
    encoding: str | None = None
    has_header: bool | None = None  # None: decided for a table of one column, else True
    skip_bad_lines: bool = False
    follow_links: bool = False
    where: tuple[str, str] | None = None  # a column, and the value that rows must have there
    keeps_columns: bool = False  # whether the values of all columns are wanted
    notes: list[str] = field(default_factory=list)
    n_bad: int = 0

    def refuse_columns(self, shown: Path | str) -> None:
        """Refuse the choice of a column of something that has none."""
        for option, chosen in (("--column", self.columns), ("--id", self.id_column), ("--where", self.where)):
            if chosen not in (None, ()):
                raise UserError(f"{shown} has no columns; leave out {option}, which is for .csv, .tsv and .jsonl.")

    def note_bad(self, message: str) -> None:
        """Count a line that cannot be read, or raise an error if such lines are not to be skipped."""
        if not self.skip_bad_lines:
            raise UserError(f"{message}; correct it, or give --skip-bad-lines.")
        self.n_bad += 1


# -- tables ----------------------------------------------------------------------------------------------------------


def read_table(text: str, shown: Path | str, reading: Reading, kind: str) -> Iterable[Row]:
    """The rows of a table; `kind` is ".csv" or ".tsv"."""
    start = _BLANK_LINES.match(text).end()  # type: ignore[union-attr]  # it matches nothing too
    delimiter = "\t" if kind == ".tsv" else ""
    if found := _SEPARATOR_LINE.match(text, start):
        delimiter, start = found[1], found.end()
    n_lines, text = text.count("\n", 0, start), text[start:]
    delimiter = delimiter or _detect_delimiter(text.partition("\n")[0])
    with _allow_long_fields():
        if kind == ".tsv" and not _is_quoted(text, delimiter):
            rows = _parse_plain_rows(text, delimiter, n_lines)
        else:
            rows = _parse_quoted_rows(text, delimiter, n_lines, shown, reading)
        line, header = next(rows, (1, []))
        if not reading.columns and kind == ".csv":
            _refuse_other_separators(header, shown)
        first, header = [(line, header)], _parse_header(header, shown, reading)
        chosen = choose_columns(reading.columns, header, shown) if header else []
        places = [header.index(column) for column in chosen]
        has_ids = bool(header) and reading.id_column is not None
        id_place = header.index(choose_column(reading.id_column, header, shown)) if has_ids else None
        shown_places = sorted({*range(len(header))}.difference(places, [id_place])) if reading.keeps_columns else []
        where, wanted = reading.where or ("", "")
        where_place = header.index(choose_column(where, header, shown)) if reading.where else 0
        for line, row in (*(() if reading.has_header else first), *rows):
            if len(row) == len(header):
                is_wanted = reading.where is None or row[where_place] == wanted
                parts = tuple(row[place] for place in places)
                id = "" if id_place is None else row[id_place]
                others = {header[i]: row[i] for i in shown_places}
                yield Row(line, "\n".join(parts), id, is_wanted, parts, others)
            elif row:  # a blank line is no row, to most who read CSV
                reading.note_bad(f"line {line} of {shown} has {len(row)} columns, its header {len(header)}")


def _parse_header(first: list[str], shown: Path | str, reading: Reading) -> list[str]:
    """The names of the columns; their numbers, counted from 0, where the first row is a document."""
    if reading.has_header is None:
        reading.has_header = True
        if len(first) == 1 and not reading.columns:
            name = first[0].strip()
            reading.has_header = len(name) <= _LONGEST_NAME and len(name.split()) <= _WORDS_OF_NAME
            if not reading.has_header:
                reading.notes.append(
                    f"the first line of {shown} is read as a document; if it is a header, give --column."
                )
            elif not name.isidentifier():
                reading.notes.append(
                    f"the first line of {shown}, {short_repr(name)}, is read as a header; else give --no-header."
                )
    return first if reading.has_header else [str(number) for number, _ in enumerate(first)]


def _parse_plain_rows(text: str, delimiter: str, n_lines: int) -> Iterator[tuple[int, list[str]]]:
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter, quoting=csv.QUOTE_NONE)
    yield from enumerate(rows, n_lines + 1)


def _parse_quoted_rows(
    text: str, delimiter: str, n_lines: int, shown: Path | str, reading: Reading
) -> Iterator[tuple[int, list[str]]]:
    """Each row and the line where it begins. After a malformed row reading goes on with the next line."""
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[str] = []
    line = before = n_lines
    while True:
        start = line + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            reading.note_bad(f"the row that begins on line {start} of {shown} is malformed ({error})")
            lines = lines or list(StringIO(text, newline=""))
            line = before = start
            rest = (lines[index] for index in range(line - n_lines, len(lines)))
            rows = csv.reader(rest, delimiter=delimiter, strict=True)
            continue
        line = before + rows.line_num
        yield start, row


def _is_quoted(text: str, delimiter: str) -> bool:
    """Whether quotes enclose fields: only so all rows have as many columns as the first."""
    if '"' not in text:
        return False
    dialects: tuple[dict[str, Any], ...] = ({"quoting": csv.QUOTE_NONE}, {"strict": True})
    plain, quoted = (
        _has_even_rows(csv.reader(StringIO(text, newline=""), delimiter=delimiter, **how)) for how in dialects
    )
    return quoted and not plain


def _has_even_rows(rows: Iterable[list[str]]) -> bool:
    try:
        return len({len(row) for row in rows if row}) <= 1
    except csv.Error:
        return False


def _detect_delimiter(header: str) -> str:
    """What separates the columns: a semicolon where the header has no comma, or has commas in quotes only."""
    unquoted = _QUOTED_FIELD.sub(r"\1", header)
    return ";" if any(";" in shown and "," not in shown for shown in (header, unquoted)) else ","


def _refuse_other_separators(header: list[str], shown: Path | str) -> None:
    """Refuse a table that would be read as one column because neither a comma nor a semicolon separates it."""
    for sign, advice in (("\t", "if tabs separate its columns, call it .tsv"), ("|", "separate columns by commas")):
        if len(header) == 1 and sign in header[0]:
            raise UserError(
                f"{shown} has one column, called {short_repr(header[0])}: {advice}, or choose it with --column "
                f"if it is one."
            )


@contextmanager
def _allow_long_fields() -> Iterator[None]:
    limit = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


# -- JSON lines ------------------------------------------------------------------------------------------------------


def read_records(text: str, shown: Path | str, reading: Reading) -> Iterable[Row]:
    """The objects of JSON lines."""
    # Only a line feed ends a record: strings may hold the other characters that end lines.
    records = {}
    for number, line in zip(count(1), text.split("\n")):
        if line.strip() and (record := _parse_record(line, number, shown, reading)) is not None:
            records[number] = record
    if not records:
        return
    strings = {
        name: None for record in records.values() for name, value in _flatten_fields(record) if isinstance(value, str)
    }
    chosen = choose_columns(reading.columns, list(strings), shown)
    if reading.id_column is not None:  # numbers are ids too
        names = {name: None for record in records.values() for name, _ in _flatten_fields(record)}
        choose_column(reading.id_column, list(names), shown)
    where, wanted = reading.where or ("", "")
    if reading.where is not None:
        names = {name: None for record in records.values() for name, _ in _flatten_fields(record)}
        choose_column(where, list(names), shown)
    for number, record in records.items():
        texts = {column: _get_field(record, column) for column in chosen}
        bad = [column for column, value in texts.items() if not isinstance(value, str | None)]
        if bad:
            reading.note_bad(
                f"line {number} of {shown} has {short_repr(texts[bad[0]])} in {short_repr(bad[0])}, where a string is "
                f"wanted"
            )
            continue
        id = "" if reading.id_column is None else _parse_record_id(_get_field(record, reading.id_column), number, shown)
        is_wanted = reading.where is None or _format_value(_get_field(record, where)) == wanted
        parts = tuple(texts[column] or "" for column in chosen)
        fields = _flatten_fields(record) if reading.keeps_columns else ()
        others = {name: _format_value(value) for name, value in fields if name not in (*texts, reading.id_column)}
        yield Row(number, "\n".join(parts), id, is_wanted, parts, others)


def _parse_record(line: str, number: int, shown: Path | str, reading: Reading) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        reading.note_bad(f"line {number} of {shown} is not JSON")
        return None
    if not isinstance(record, dict):
        reading.note_bad(f'line {number} of {shown} is not an object like {{"text": "..."}}')
        return None
    return record


def _flatten_fields(record: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The names and values of an object; those of objects within have the names of both, with a dot between."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flatten_fields(value, f"{above}{name}.")
        else:
            yield above + name, value


def _get_field(record: dict[str, Any], column: str) -> Any:
    if column in record:
        return record[column]
    if "." not in column:
        return None
    return next((value for name, value in _flatten_fields(record) if name == column), None)


def _parse_record_id(value: Any, number: int, shown: Path | str) -> str:
    """The text of an id, and none for null."""
    if value is not None and type(value) not in (str, int, float):  # true and false are int to isinstance
        raise UserError(
            f"line {number} of {shown} has the id {short_repr(value)}, where a string or a number is wanted."
        )
    return "" if value is None else str(value)


def _format_value(value: Any) -> str:
    """A value as JSON writes it, but strings without quotes, and nothing for null or a missing field."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def choose_columns(columns: tuple[str, ...], listed: list[str], shown: Path | str) -> list[str]:
    """The columns of these names, or the only one."""
    return [choose_column(column, listed, shown) for column in columns or (None,)]


def choose_column(column: str | None, columns: list[str], shown: Path | str) -> str:
    """The column of that name, or the only one."""
    if not columns:
        raise UserError(f"{shown} has no field that holds text, a string in quotes.")
    if column is None and len(columns) == 1:
        return columns[0]
    # Blanks around a name are seen in quotes only, and a tab as \t.
    listed = ", ".join(name if name == name.strip() and name.isprintable() else repr(name) for name in columns)
    if column is None:
        raise UserError(f"{shown} has several columns; choose one with --column: {listed}.")
    if column not in columns:
        raise UserError(f"{shown} has no column {short_repr(column)}; it has: {listed}.")
    if columns.count(column) > 1:
        raise UserError(
            f"{shown} has {columns.count(column)} columns {short_repr(column)}; give each a name of its own."
        )
    return column
