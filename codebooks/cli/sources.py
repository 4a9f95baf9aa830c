"""Where text comes from: a file, a folder, standard input, or the docstrings that are installed."""

# ruff: noqa: UP045 - the oldest typer that we support reads Optional[X], not X | None

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from codebooks.documents import STANDARD_INPUT, Documents, UserError, is_standard_input, read_documents

Column = Annotated[
    Optional[str], typer.Option(help="The column of a table that holds the text; needless where it has only one.")
]
IdColumn = Annotated[
    Optional[str],
    typer.Option(
        "--id",
        metavar="COLUMN",
        help="The column of a table that names the documents; left out, they are named by the number of their row.",
        show_default=False,
    ),
]


def documents_of(source: Path | None, demo: bool, column: str | None, id_column: str | None) -> tuple[Documents, str]:
    """The documents, and what they are called."""
    if demo == (source is not None):
        raise UserError("give either a SOURCE of text or --demo; see codebooks topics --help.")
    if source is not None:
        name = STANDARD_INPUT if is_standard_input(source) else source.resolve().name
        return read_documents(source, column, id_column), name
    for option, chosen in (("--column", column), ("--id", id_column)):
        if chosen is not None:
            raise UserError(f"--demo has no columns; leave out {option}.")
    from codebooks.datasets import load_docstrings

    corpus = load_docstrings()
    return Documents(corpus.documents, corpus.ids or [], 0), corpus.name
