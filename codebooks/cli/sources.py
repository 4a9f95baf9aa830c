"""Options for reading documents from a file, a folder, standard input, or the sample corpus."""

# ruff: noqa: UP045 - the oldest typer that we support reads Optional[X], not X | None

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple, Optional

import typer

from codebooks.cli.console import print_note
from codebooks.cli.readers import STANDARD_INPUT, Documents, UserError, is_standard_input, read_documents

Column = Annotated[
    Optional[str], typer.Option(help="The text column of a table. Required if there are several columns.")
]
Columns = Annotated[
    Optional[list[str]],
    typer.Option(
        "--column",
        metavar="NAME[:WEIGHT]",
        help="The text column of a table. Repeat the option for several columns. With title:2, words of title count "
        "twice.",
        show_default=False,
    ),
]
IdColumn = Annotated[
    Optional[str],
    typer.Option(
        "--id",
        metavar="COLUMN",
        help="The column of a table with the ids of the documents. By default, rows are numbered from 0.",
        show_default=False,
    ),
]


Encoding = Annotated[
    Optional[str],
    typer.Option(
        metavar="NAME", help="The encoding of the text, such as cp1252. By default, it is detected.", show_default=False
    ),
]
NoHeader = Annotated[
    bool,
    typer.Option("--no-header", help="Read the first row of a table as a document. The columns are named 0, 1, 2."),
]
SkipBadLines = Annotated[bool, typer.Option("--skip-bad-lines", help="Skip malformed rows, and print their number.")]
Where = Annotated[
    Optional[str],
    typer.Option(
        metavar="COLUMN=VALUE",
        help="Search only documents with this value in this column of a table. COLUMN= selects empty cells, or null in "
        "JSON.",
        show_default=False,
    ),
]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help="Follow symbolic links in a folder.")]


MAX_COLUMN_WEIGHT = 100


class ReadingOptions(NamedTuple):
    """Options of every command that reads documents."""

    id_column: IdColumn = None
    encoding: Encoding = None
    no_header: NoHeader = False
    skip_bad_lines: SkipBadLines = False
    follow_links: FollowLinks = False


class Source(NamedTuple):
    """The source of the documents, and the options for reading it."""

    path: Path | None  # None for the demo
    columns: tuple[str, ...] = ()
    options: ReadingOptions = ReadingOptions()
    where: str | None = None

    def read(self, keep_columns: bool = False) -> tuple[Documents, str]:
        """Read the documents, print notes about assumptions, and return the documents and the name of the source."""
        if self.path is None:
            return self._read_demo()
        documents = read_documents(
            self.path,
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
        return documents, STANDARD_INPUT if is_standard_input(self.path) else self.path.resolve().name

    def _parse_where(self) -> tuple[str, str] | None:
        if self.where is None:
            return None
        column, sign, value = self.where.partition("=")
        if not column or not sign:
            raise UserError(f"--where must be COLUMN=VALUE, got {self.where[:80]!r}.")
        return column, value

    def _read_demo(self) -> tuple[Documents, str]:
        for option in self.list_set_options():
            raise UserError(f"--demo has no columns; omit {option}.")
        from codebooks.datasets import load_glosses

        corpus = load_glosses()
        return Documents(corpus.documents, corpus.ids or [], 0), corpus.name

    def list_set_options(self) -> list[str]:
        """Return the names of the options that are set."""
        options = {
            "--column": self.columns,
            "--id": self.options.id_column,
            **{f"--{name.replace('_', '-')}": value for name, value in self.options._asdict().items()},
            "--where": self.where,
        }
        return [name for name, value in options.items() if value not in (None, False, ()) and name != "--id-column"]


def check_source(path: Path | None, demo: bool = False) -> None:
    """Raise an error unless either a source that exists or the demo is given. Call it before checks of output files."""
    if demo == (path is not None):
        raise UserError("pass either SOURCE or --demo; see codebooks topics --help.")
    if path is not None and not is_standard_input(path):
        try:
            path.stat()
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}.") from error


def load_documents(path: Path | None, column: str | None, options: ReadingOptions) -> tuple[Documents, str]:
    """Read the documents of a file or a folder, or the demo if there is no path; return them and their name."""
    return Source(path, () if column is None else (column,), options).read()


def parse_columns(arguments: list[str] | None) -> dict[str, int]:
    """Parse `--column NAME[:WEIGHT]`, and return the weight of each column."""
    weights: dict[str, int] = {}
    for text in arguments or []:
        head, _, tail = text.rpartition(":")
        name, weight = (head, int(tail)) if head and tail.isdecimal() else (text, 1)
        if not 1 <= weight <= MAX_COLUMN_WEIGHT:
            raise UserError(f"the weight of --column must be an integer from 1 to {MAX_COLUMN_WEIGHT}, got {text}.")
        if name in weights:
            raise UserError(f"--column {name} must be set once, got it twice.")
        weights[name] = weight
    return weights


def apply_column_weights(retriever: Any, documents: Documents, weights: dict[str, int], first: int = 0) -> None:
    """Multiply the counts of words by the weights of their columns, in documents from position `first` on."""
    for i, weight in enumerate(weights.values()):
        if weight > 1:
            retriever._add_counts([parts[i] for parts in documents.parts], weight - 1, first)
