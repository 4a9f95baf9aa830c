"""Atomic writing of several files, and CSV tables."""

from __future__ import annotations

import csv
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from codebooks.cli.control_characters import remove_controls
from codebooks.errors import UserError

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
Raw = Annotated[
    bool,
    typer.Option(
        "--raw",
        help="Write cells unchanged. By default, cells that begin with = + - @ get a leading apostrophe, so that "
        "spreadsheets do not run them as formulas.",
    ),
]
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r]")  # the beginning of a cell that a spreadsheet runs
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


@contextmanager
def write_atomically(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """Create a temporary folder for files, and move them to `out` if the block succeeds.

    The folder is in `out` or its nearest existing parent, and thus on the same file system, so files move by renaming.
    """
    with report_write_errors(out):
        if folders := [str(out / name) for name in names if (out / name).is_dir()]:
            raise UserError(f"cannot write the file {folders[0]}: it is a folder; choose another --out.")
        nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
        temporary = tempfile.TemporaryDirectory(prefix=".codebooks-", dir=nearest)
    with temporary as folder:
        yield Path(folder)
        with report_write_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            for name in names:
                os.replace(Path(folder, name), out / name)


@contextmanager
def report_write_errors(place: Path, option: str = "--out") -> Iterator[None]:
    """Convert errors of writing, such as a full disk, to `UserError`. Use it only around code that writes."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {place}: {error.strerror or error}; choose another {option}.") from error


def refuse_overwriting(files: Sequence[Path], overwrite: bool) -> None:
    """Raise an error if files exist and `overwrite` is not set. Call it before long computations."""
    existing = [str(file) for file in files if file.is_file()]
    if existing and not overwrite:
        others = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UserError(f"{existing[0]}{others} would be replaced; choose another --out, or use --overwrite.")


def save_csv(path: Path, rows: Iterable[tuple[Any, ...]], raw: bool = False) -> None:
    """Write a table to a file in UTF-8."""
    # Names of documents may be file names that are not valid UTF-8.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        write_csv(file, rows, raw)


def write_csv(file: TextIO, rows: Iterable[tuple[Any, ...]], raw: bool = False) -> None:
    """Write a table as CSV; remove control characters if the file is a terminal.

    Unless `raw`, a cell that a spreadsheet would run as a formula gets a leading apostrophe.
    """
    filters: list[Callable[[str], str]] = [] if raw else [_escape_formula]
    if file.isatty():
        filters.append(remove_controls)
    write = csv.writer(file, lineterminator="\n").writerow
    for row in rows:
        write(
            [
                reduce(lambda cell, function: function(cell), filters, cell) if isinstance(cell, str) else cell
                for cell in row
            ]
        )


def _escape_formula(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell
