"""Parsing of tables and JSON lines."""

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
_MAX_FIELD_SIZE = 2**31 - 1  # the largest C long on all platforms; the default of the csv module is 128 KiB
_MAX_NAME_LENGTH, _MAX_NAME_WORDS = 40, 3  # characters and words of the name of a column


class Row(NamedTuple):
    """A document of a file."""

    line: int  # its first line, from 1
    text: str
    id: str = ""  # empty also without a column of ids
    is_selected: bool = True  # whether it has the value of `where`
    parts: tuple[str, ...] = ()  # the text of each text column
    columns: dict[str, str] = {}  # noqa: RUF012 - the values of the other columns


@dataclass
class Reading:
    """Options of reading a file, and notes about it."""

    columns: tuple[str, ...] = ()  # the text columns, joined by newlines
    id_column: str | None = None
    encoding: str | None = None
    has_header: bool | None = None  # None: detected for a table of one column, else True
    skip_bad_lines: bool = False
    follow_links: bool = False
    where: tuple[str, str] | None = None  # a column and the value that rows must have in it
    keeps_columns: bool = False  # whether to return the values of all columns
    notes: list[str] = field(default_factory=list)
    n_bad: int = 0

    def check_no_columns(self, source_name: Path | str) -> None:
        """Raise an error if a column is chosen, for a source without columns."""
        for option, value in (("--column", self.columns), ("--id", self.id_column), ("--where", self.where)):
            if value not in (None, ()):
                raise UserError(
                    f"{source_name} has no columns; omit {option}, which is for .csv, .tsv and .jsonl files."
                )

    def report_bad_line(self, message: str) -> None:
        """Count a malformed line if such lines are skipped, else raise an error."""
        if not self.skip_bad_lines:
            raise UserError(f"{message}; correct it, or use --skip-bad-lines.")
        self.n_bad += 1


# -- tables ----------------------------------------------------------------------------------------------------------


def read_table(text: str, source_name: Path | str, reading: Reading, kind: str) -> Iterable[Row]:
    """Read the rows of a table; `kind` is ".csv" or ".tsv"."""
    start = _BLANK_LINES.match(text).end()  # type: ignore[union-attr]  # it always matches
    delimiter = "\t" if kind == ".tsv" else ""
    if separator := _SEPARATOR_LINE.match(text, start):
        delimiter, start = separator[1], separator.end()
    n_lines, text = text.count("\n", 0, start), text[start:]
    delimiter = delimiter or _detect_delimiter(text.partition("\n")[0])
    with _allow_long_fields():
        if kind == ".tsv" and not _is_quoted(text, delimiter):
            rows = _parse_plain_rows(text, delimiter, n_lines)
        else:
            rows = _parse_quoted_rows(text, delimiter, n_lines, source_name, reading)
        line, header = next(rows, (1, []))
        if not reading.columns and kind == ".csv":
            _check_separator(header, source_name)
        first, header = [(line, header)], _parse_header(header, source_name, reading)
        text_columns = choose_columns(reading.columns, header, source_name) if header else []
        text_indices = [header.index(column) for column in text_columns]
        has_ids = bool(header) and reading.id_column is not None
        id_index = header.index(choose_column(reading.id_column, header, source_name)) if has_ids else None
        other_indices = (
            sorted({*range(len(header))}.difference(text_indices, [id_index])) if reading.keeps_columns else []
        )
        where, value = reading.where or ("", "")
        where_index = header.index(choose_column(where, header, source_name)) if reading.where else 0
        for line, row in (*(() if reading.has_header else first), *rows):
            if len(row) == len(header):
                is_selected = reading.where is None or row[where_index] == value
                parts = tuple(row[i] for i in text_indices)
                id = "" if id_index is None else row[id_index]
                others = {header[i]: row[i] for i in other_indices}
                yield Row(line, "\n".join(parts), id, is_selected, parts, others)
            elif row:  # blank lines are skipped, as in most readers of CSV
                reading.report_bad_line(
                    f"line {line} of {source_name} must have {len(header)} columns as the header, got {len(row)}"
                )


def _parse_header(first: list[str], source_name: Path | str, reading: Reading) -> list[str]:
    """Return the names of the columns, or their numbers from 0 if the first row is a document."""
    if reading.has_header is None:
        reading.has_header = True
        if len(first) == 1 and not reading.columns:
            name = first[0].strip()
            reading.has_header = len(name) <= _MAX_NAME_LENGTH and len(name.split()) <= _MAX_NAME_WORDS
            if not reading.has_header:
                reading.notes.append(
                    f"the first line of {source_name} is read as a document; if it is a header, set --column."
                )
            elif not name.isidentifier():
                reading.notes.append(
                    f"the first line of {source_name}, {short_repr(name)}, is read as a header; if it is a "
                    f"document, use --no-header."
                )
    return first if reading.has_header else [str(number) for number, _ in enumerate(first)]


def _parse_plain_rows(text: str, delimiter: str, n_lines: int) -> Iterator[tuple[int, list[str]]]:
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter, quoting=csv.QUOTE_NONE)
    yield from enumerate(rows, n_lines + 1)


def _parse_quoted_rows(
    text: str, delimiter: str, n_lines: int, source_name: Path | str, reading: Reading
) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the fields of each row. After a malformed row, continue with the next line."""
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[str] = []
    line = offset = n_lines
    while True:
        start = line + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            reading.report_bad_line(f"the row that begins on line {start} of {source_name} is malformed ({error})")
            lines = lines or list(StringIO(text, newline=""))
            line = offset = start
            remaining = (lines[index] for index in range(line - n_lines, len(lines)))
            rows = csv.reader(remaining, delimiter=delimiter, strict=True)
            continue
        line = offset + rows.line_num
        yield start, row


def _is_quoted(text: str, delimiter: str) -> bool:
    """Return whether quotes enclose fields: the rows have equal numbers of columns only then."""
    if '"' not in text:
        return False
    dialects: tuple[dict[str, Any], ...] = ({"quoting": csv.QUOTE_NONE}, {"strict": True})
    plain, quoted = (
        _has_equal_rows(csv.reader(StringIO(text, newline=""), delimiter=delimiter, **dialect)) for dialect in dialects
    )
    return quoted and not plain


def _has_equal_rows(rows: Iterable[list[str]]) -> bool:
    try:
        return len({len(row) for row in rows if row}) <= 1
    except csv.Error:
        return False


def _detect_delimiter(header: str) -> str:
    """Detect the separator: a semicolon if the header has no comma, or only commas in quotes."""
    unquoted = _QUOTED_FIELD.sub(r"\1", header)
    return ";" if any(";" in line and "," not in line for line in (header, unquoted)) else ","


def _check_separator(header: list[str], source_name: Path | str) -> None:
    """Raise an error if a table would be read as one column because it has another separator."""
    for sign, advice in (
        ("\t", "rename the file to .tsv if tabs separate columns"),
        ("|", "separate columns by commas"),
    ):
        if len(header) == 1 and sign in header[0]:
            raise UserError(
                f"{source_name} has only one column, {short_repr(header[0])}; {advice}, or confirm it with --column."
            )


@contextmanager
def _allow_long_fields() -> Iterator[None]:
    limit = csv.field_size_limit(_MAX_FIELD_SIZE)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


# -- JSON lines ------------------------------------------------------------------------------------------------------


def read_records(text: str, source_name: Path | str, reading: Reading) -> Iterable[Row]:
    """Read the objects of JSON lines."""
    # Only a line feed ends a record: strings may contain other line separators.
    records = {}
    for number, line in zip(count(1), text.split("\n")):
        if line.strip() and (record := _parse_record(line, number, source_name, reading)) is not None:
            records[number] = record
    if not records:
        return
    strings = {
        name: None for record in records.values() for name, value in _flatten_fields(record) if isinstance(value, str)
    }
    text_columns = choose_columns(reading.columns, list(strings), source_name)
    if reading.id_column is not None:  # ids may be numbers too
        names = {name: None for record in records.values() for name, _ in _flatten_fields(record)}
        choose_column(reading.id_column, list(names), source_name)
    where, selected = reading.where or ("", "")
    if reading.where is not None:
        names = {name: None for record in records.values() for name, _ in _flatten_fields(record)}
        choose_column(where, list(names), source_name)
    for number, record in records.items():
        texts = {column: _get_field(record, column) for column in text_columns}
        bad = [column for column, value in texts.items() if not isinstance(value, str | None)]
        if bad:
            reading.report_bad_line(
                f"line {number} of {source_name} must have a string in {short_repr(bad[0])}, "
                f"got {short_repr(texts[bad[0]])}"
            )
            continue
        id = (
            ""
            if reading.id_column is None
            else _parse_record_id(_get_field(record, reading.id_column), number, source_name)
        )
        is_selected = reading.where is None or _format_value(_get_field(record, where)) == selected
        parts = tuple(texts[column] or "" for column in text_columns)
        fields = _flatten_fields(record) if reading.keeps_columns else ()
        others = {name: _format_value(value) for name, value in fields if name not in (*texts, reading.id_column)}
        yield Row(number, "\n".join(parts), id, is_selected, parts, others)


def _parse_record(line: str, number: int, source_name: Path | str, reading: Reading) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        reading.report_bad_line(f"line {number} of {source_name} is not JSON")
        return None
    if not isinstance(record, dict):
        reading.report_bad_line(f'line {number} of {source_name} is not an object like {{"text": "..."}}')
        return None
    return record


def _flatten_fields(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the names and values of an object; names of nested objects are joined by dots."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flatten_fields(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _get_field(record: dict[str, Any], column: str) -> Any:
    if column in record:
        return record[column]
    if "." not in column:
        return None
    return next((value for name, value in _flatten_fields(record) if name == column), None)


def _parse_record_id(value: Any, number: int, source_name: Path | str) -> str:
    """Return the text of an id, empty for null."""
    if value is not None and type(value) not in (str, int, float):  # isinstance accepts true and false as int
        raise UserError(
            f"the id on line {number} of {source_name} must be a string or a number, got {short_repr(value)}."
        )
    return "" if value is None else str(value)


def _format_value(value: Any) -> str:
    """Format a value as JSON, but strings without quotes; empty for null and missing fields."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def choose_columns(columns: tuple[str, ...], listed: list[str], source_name: Path | str) -> list[str]:
    """Return the columns of these names, or the only one."""
    return [choose_column(column, listed, source_name) for column in columns or (None,)]


def choose_column(column: str | None, columns: list[str], source_name: Path | str) -> str:
    """Return the column of this name, or the only one."""
    if not columns:
        raise UserError(f"{source_name} must have a field with text, got only other values; put texts in quotes.")
    if column is None and len(columns) == 1:
        return columns[0]
    # Quotes make spaces around a name, and tabs, visible.
    listed = ", ".join(name if name == name.strip() and name.isprintable() else repr(name) for name in columns)
    if column is None:
        raise UserError(f"{source_name} has several columns; select one with --column: {listed}.")
    if column not in columns:
        raise UserError(f"{source_name} has no column {short_repr(column)}; use one of: {listed}.")
    if columns.count(column) > 1:
        raise UserError(
            f"{source_name} has {columns.count(column)} columns {short_repr(column)}; make the names unique."
        )
    return column
