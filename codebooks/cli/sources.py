"""Where text comes from: a file, a folder, standard input, or the docstrings that are installed."""

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
        metavar="COLUMN=VALUE", help="Only documents with this value in this column of a table.", show_default=False
    ),
]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help="Read what symbolic links in a folder lead to.")]


class Source(NamedTuple):
    """What the user says of the text to read."""

    place: Path | None  # None for the demo
    column: str | None = None
    id_column: str | None = None
    encoding: str | None = None
    no_header: bool = False
    skip_bad_lines: bool = False
    follow_links: bool = False
    where: str | None = None

    def read(self) -> tuple[Documents, str]:
        """The documents, and what they are called. What was assumed is printed."""
        if self.place is None:
            return self._read_demo()
        documents = read_documents(
            self.place,
            self.column,
            self.id_column,
            encoding=self.encoding,
            has_header=False if self.no_header else None,
            skip_bad_lines=self.skip_bad_lines,
            follow_links=self.follow_links,
            where=self._describe_source(),
        )
        for sentence in documents.notes:
            print_note(sentence)
        return documents, STANDARD_INPUT if is_standard_input(self.place) else self.place.resolve().name

    def _describe_source(self) -> tuple[str, str] | None:
        if self.where is None:
            return None
        column, sign, value = self.where.partition("=")
        if not column or not sign:
            raise UserError(f"--where must be COLUMN=VALUE; {self.where[:80]!r} came.")
        return column, value

    def _read_demo(self) -> tuple[Documents, str]:
        for option, given in self.given():
            if given:
                raise UserError(f"--demo has no columns; leave out {option}.")
        from codebooks.datasets import load_docstrings

        corpus = load_docstrings()
        return Documents(corpus.documents, corpus.ids or [], 0), corpus.name

    def given(self) -> list[tuple[str, bool]]:
        """Each option, and whether it is given."""
        return [
            ("--column", self.column is not None),
            ("--id", self.id_column is not None),
            ("--encoding", self.encoding is not None),
            ("--no-header", self.no_header),
            ("--skip-bad-lines", self.skip_bad_lines),
            ("--follow-links", self.follow_links),
            ("--where", self.where is not None),
        ]


def load_documents(source: Path | None, demo: bool, *options: Any) -> tuple[Documents, str]:
    """The documents, and what they are called; `options` are those of `Source` in their order."""
    if demo == (source is not None):
        raise UserError("give either a SOURCE of text or --demo; see codebooks topics --help.")
    return Source(source, *options).read()
