"""`codebooks index`: what is in a saved index, and documents that come and go."""

# ruff: noqa: UP045 - the oldest typer that we support reads Optional[X], not X | None

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

import codebooks
from codebooks.cli.atomic_output import report_write_errors
from codebooks.cli.console import create_console, format_count, report_print_errors
from codebooks.cli.embedding_steps import report_embedding_errors
from codebooks.cli.sources import Columns, ReadingOptions, Source, count_columns_again, parse_columns
from codebooks.errors import UserError

Index = Annotated[Path, typer.Argument(metavar="INDEX", help="A file that `codebooks search --save` wrote.")]
Encoder = Annotated[
    Optional[str],
    typer.Option(
        "--embed",
        metavar="ENCODER",
        help="For an index that was made with --embed: the same encoder.",
        show_default=False,
    ),
]


def info(index: Index) -> None:
    """Tell what is in a saved index."""
    from codebooks.storage import load_arrays

    try:
        arrays, _ = load_arrays(index, kind=codebooks.HopfieldRetriever.__name__)
    except (OSError, ValueError) as error:
        raise UserError(f"{index} is no index of codebooks search ({error}).") from error
    rows = {
        "documents": f"{len(arrays['counts_indptr']) - 1:,}",
        "terms": f"{len(arrays['document_frequencies']):,}",
        "texts": "kept" if "texts_text" in arrays else "not kept",
        "embeddings": f"{arrays['embeddings'].shape[1]} numbers each" if "embeddings" in arrays else "none",
        "size": f"{index.stat().st_size / 1e6:.1f} MB",
    }
    with report_print_errors():
        for name, value in rows.items():
            create_console().print(f"{name:<11} {value}", highlight=False)


def add(
    index: Index,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Text, in any form that `topics` reads.")],
    *,
    columns: Columns = None,
    reading: ReadingOptions,
    embed: Encoder = None,
) -> None:
    """Add documents to a saved index, all of them or none. Give the columns that it was made with."""
    weights = parse_columns(columns)
    retriever = load_retriever(index, embed)
    documents, _ = Source(source, tuple(weights), reading).read(keep_columns=True)
    taken = {str(id) for id in retriever.ids_}
    names: Sequence[str] = documents.names
    if reading.id_column is None and taken.intersection(names) and all(name.isdecimal() for name in names):
        first = 1 + max((int(id) for id in taken if id.isdecimal()), default=-1)
        names = [str(first + i) for i in range(len(names))]
    before = len(retriever)
    ids: Any = [int(name) for name in names] if retriever.ids_.dtype.kind == "i" else names
    report_embedding_errors(lambda texts: retriever.add(texts, ids=ids), documents.texts)
    count_columns_again(retriever, documents, weights, before)
    _save(retriever, index)
    _print_sentence(f"added {format_count(len(retriever) - before, 'document')}, {len(retriever):,} in all")


def remove(
    index: Index,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="The documents, by the names that a search prints.")],
    embed: Encoder = None,
) -> None:
    """Remove documents from a saved index, all of them or none."""
    retriever = load_retriever(index, embed)
    there = {str(id): id for id in retriever.ids_.tolist()}
    missing = [id for id in ids if id not in there]
    if missing:
        raise UserError(f"{index} has no document {', '.join(missing[:5])[:200]}; nothing was removed.")
    retriever.remove([there[id] for id in dict.fromkeys(ids)])
    _save(retriever, index)
    _print_sentence(f"removed {format_count(len(dict.fromkeys(ids)), 'document')}, {len(retriever):,} left")


def load_retriever(file: Path, encoder: str | None = None) -> Any:
    """Load an index, whose embeddings need the encoder that made them.

    Raises
    ------
    UserError
        If it cannot be loaded, or the encoder is missing or another.
    """
    from codebooks.embeddings.text_embedder import TextEmbedder

    embedder: Any = None if encoder is None else TextEmbedder(encoder)
    try:
        return codebooks.HopfieldRetriever.load(file, embedder=embedder)
    except (ImportError, OSError, ValueError) as error:
        if "`embedder` must be given" in str(error):
            raise UserError(f"{file} has embeddings; name the encoder that made them: --embed ENCODER.") from error
        if "other embeddings" in str(error):
            raise UserError(f"{file} was made with another encoder than {encoder}; name that one.") from error
        raise UserError(
            f"{file} cannot be loaded as an index ({error}); make it anew with codebooks search DOCS --save {file}."
        ) from error


def _save(retriever: Any, file: Path) -> None:
    with report_write_errors(file, "INDEX"):
        retriever.save(file)


def _print_sentence(sentence: str) -> None:
    with report_print_errors():
        create_console().print(sentence, highlight=False)
