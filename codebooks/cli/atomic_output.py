"""Files that appear as a whole or not at all, and tables."""

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

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there already.")]
Raw = Annotated[
    bool,
    typer.Option(
        "--raw",
        help="Write cells as they are. Left out, those that begin with = + - @ get an apostrophe in front, so that a "
        "spreadsheet does not run them.",
    ),
]
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r]")  # how a cell begins that a spreadsheet runs
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


@contextmanager
def write_atomically(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder to write files into that move to `out` one by one when all went well; else nothing has changed there.

    It stands in `out`, or in the nearest folder above that exists: on the same file system, so that moving is renaming.
    """
    with report_write_errors(out):
        if taken := [str(out / name) for name in names if (out / name).is_dir()]:
            raise UserError(f"{taken[0]} is a folder, and a file is to be written there; choose another --out.")
        nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
        aside = tempfile.TemporaryDirectory(prefix=".codebooks-", dir=nearest)
    with aside as folder:
        yield Path(folder)
        with report_write_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            for name in names:
                os.replace(Path(folder, name), out / name)


@contextmanager
def report_write_errors(place: Path, option: str = "--out") -> Iterator[None]:
    """Let a full disk, or a place that cannot be written to, be told as one. Work of another kind stays outside."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {place}: {error.strerror or error}; choose another {option}.") from error


def refuse_overwriting(files: Sequence[Path], overwrite: bool) -> None:
    """Refuse to replace files unless that is asked for. To be called before long work."""
    taken = [str(file) for file in files if file.is_file()]
    if taken and not overwrite:
        others = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise UserError(f"{taken[0]}{others} would be replaced; choose another --out, or give --overwrite.")


def save_csv(path: Path, rows: Iterable[tuple[Any, ...]], raw: bool = False) -> None:
    """Write a table into a file, in UTF-8."""
    # A file name that is not UTF-8 itself must not stop the table.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        write_csv(file, rows, raw)


def write_csv(file: TextIO, rows: Iterable[tuple[Any, ...]], raw: bool = False) -> None:
    """Write a table with commas, for a terminal without control characters.

    Unless `raw`, a cell that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    change: list[Callable[[str], str]] = [] if raw else [_escape_formula]
    if file.isatty():
        change.append(remove_controls)
    write = csv.writer(file, lineterminator="\n").writerow
    for row in rows:
        write([reduce(lambda cell, one: one(cell), change, cell) if isinstance(cell, str) else cell for cell in row])


def _escape_formula(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell
