"""Where text comes from: a file, a folder, or the docstrings that are installed."""

# ruff: noqa: UP045 - the oldest typer that we support reads Optional[X], not X | None

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from codebooks.documents import Documents, UserError, read_documents

Column = Annotated[
    Optional[str], typer.Option(help="The column of a table that holds the text; needless where it has only one.")
]


def documents_of(source: Path | None, demo: bool, column: str | None) -> tuple[Documents, str]:
    """The documents, and what they are called."""
    if demo == (source is not None):
        raise UserError("give either a SOURCE of text or --demo; see codebooks topics --help.")
    if source is not None:
        return read_documents(source, column), source.resolve().name
    if column is not None:
        raise UserError("--demo has no columns; leave out --column.")
    from codebooks.datasets import load_docstrings

    corpus = load_docstrings()
    return Documents(corpus.documents, corpus.ids or [], 0), corpus.name
