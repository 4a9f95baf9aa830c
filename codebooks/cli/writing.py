"""Files that appear as a whole or not at all, and tables."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from codebooks.documents import UserError


@contextmanager
def written_aside(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder to write files into that move to `out` one by one when all went well; else nothing has changed there.

    It stands in `out`, or in the nearest folder above that exists: on the same file system, so that moving is renaming.
    """
    with told_of_writing(out):
        if taken := [str(out / name) for name in names if (out / name).is_dir()]:
            raise UserError(f"{taken[0]} is a folder, and a file is to be written there; choose another --out.")
        nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
        aside = tempfile.TemporaryDirectory(prefix=".codebooks-", dir=nearest)
    with aside as folder:
        yield Path(folder)
        with told_of_writing(out):
            out.mkdir(parents=True, exist_ok=True)
            for name in names:
                os.replace(Path(folder, name), out / name)


@contextmanager
def told_of_writing(place: Path, option: str = "--out") -> Iterator[None]:
    """Let a full disk, or a place that cannot be written to, be told as one. Work of another kind stays outside."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {place}: {error.strerror or error}; choose another {option}.") from error


def save_csv(path: Path, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write a table into a file, in UTF-8."""
    # A file name that is not UTF-8 itself must not stop the table.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        write_csv(file, rows)


def write_csv(file: TextIO, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write a table with commas."""
    csv.writer(file, lineterminator="\n").writerows(rows)
