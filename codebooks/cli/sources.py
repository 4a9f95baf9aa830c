"""Sources of text: a file, a folder, standard input, or the corpus of the package."""

# ruff: noqa: UP045 - the oldest typer that we support reads Optional[X], not X | None

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple, Optional

import typer

from codebooks.cli.console import print_note
from codebooks.cli.readers import STANDARD_INPUT, Documents, UserError, is_standard_input, read_documents

Column = Annotated[
    Optional[str], typer.Option(help="The column of a table that holds the text; needless where it has only one.")
]
Columns = Annotated[
    Optional[list[str]],
    typer.Option(
        "--column",
        metavar="NAME[:WEIGHT]",
        help="The column of a table that holds the text; give it again for more. The words of title:2 count twice.",
        show_default=False,
    ),
]
IdColumn = Annotated[
    Optional[str],
    typer.Option(
        "--id",
        metavar="COLUMN",
        help="The column of a table that names the documents; left out, the number of their row does, from 0.",
        show_default=False,
    ),
]


Encoding = Annotated[
    Optional[str],
    typer.Option(
        metavar="NAME", help="Of text that is not UTF-8, such as cp1252; left out, it is detected.", show_default=False
    ),
]
NoHeader = Annotated[
    bool, typer.Option("--no-header", help="The first row of a table is a document; columns are called 0, 1, 2.")
]
SkipBadLines = Annotated[bool, typer.Option("--skip-bad-lines", help="Leave out malformed rows, and say how many.")]
Where = Annotated[
    Optional[str],
    typer.Option(
        metavar="COLUMN=VALUE",
        help="Only documents with this value in this column of a table; COLUMN= for an empty cell, or null in JSON.",
        show_default=False,
    ),
]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help="Read what symbolic links in a folder lead to.")]


MOST_TIMES = 100  # that the words of a column count


class ReadingOptions(NamedTuple):
    """How text is read: options of every command that reads text."""

    id_column: IdColumn = None
    encoding: Encoding = None
    no_header: NoHeader = False
    skip_bad_lines: SkipBadLines = False
    follow_links: FollowLinks = False


class Source(NamedTuple):
    """What the user says of the text to read."""

    place: Path | None  # None for the demo
    columns: tuple[str, ...] = ()
    options: ReadingOptions = ReadingOptions()
    where: str | None = None

    def read(self, keep_columns: bool = False) -> tuple[Documents, str]:
        """The documents, and what they are called. What was assumed is printed."""
        if self.place is None:
            return self._read_demo()
        documents = read_documents(
            self.place,
            self.columns or None,
            self.options.id_column,
            encoding=self.options.encoding,
            has_header=False if self.options.no_header else None,
            skip_bad_lines=self.options.skip_bad_lines,
            follow_links=self.options.follow_links,
            where=self._parse_where(),
            keep_columns=keep_columns,
        )
        for sentence in documents.notes:
            print_note(sentence)
        return documents, STANDARD_INPUT if is_standard_input(self.place) else self.place.resolve().name

    def _parse_where(self) -> tuple[str, str] | None:
        if self.where is None:
            return None
        column, sign, value = self.where.partition("=")
        if not column or not sign:
            raise UserError(f"--where must be COLUMN=VALUE; {self.where[:80]!r} came.")
        return column, value

    def _read_demo(self) -> tuple[Documents, str]:
        for option in self.given():
            raise UserError(f"--demo has no columns; leave out {option}.")
        from codebooks.datasets import load_glosses

        corpus = load_glosses()
        return Documents(corpus.documents, corpus.ids or [], 0), corpus.name

    def given(self) -> list[str]:
        """The options that are given."""
        options = {
            "--column": self.columns,
            "--id": self.options.id_column,
            **{f"--{name.replace('_', '-')}": value for name, value in self.options._asdict().items()},
            "--where": self.where,
        }
        return [name for name, value in options.items() if value not in (None, False, ()) and name != "--id-column"]


def load_documents(
    place: Path | None, demo: bool, column: str | None, options: ReadingOptions
) -> tuple[Documents, str]:
    """The documents of a place or of the demo, and what they are called."""
    if demo == (place is not None):
        raise UserError("give either a SOURCE of text or --demo; see codebooks topics --help.")
    return Source(place, () if column is None else (column,), options).read()


def parse_columns(given: list[str] | None) -> dict[str, int]:
    """The columns of `--column NAME[:WEIGHT]`, and the number of times that the words of each count."""
    weights: dict[str, int] = {}
    for text in given or []:
        head, _, tail = text.rpartition(":")
        name, weight = (head, int(tail)) if head and tail.isdecimal() else (text, 1)
        if not 1 <= weight <= MOST_TIMES:
            raise UserError(f"--column {text} must have a weight from 1 to {MOST_TIMES}, a whole number.")
        if name in weights:
            raise UserError(f"--column {name} is given twice; give each column once.")
        weights[name] = weight
    return weights


def count_columns_again(retriever: Any, documents: Documents, weights: dict[str, int], first: int = 0) -> None:
    """Count the words of columns with a weight as often as that says, in documents from this position on."""
    for i, weight in enumerate(weights.values()):
        if weight > 1:
            retriever._add_counts([parts[i] for parts in documents.parts], weight - 1, first)
