"""`codebooks index`: describe a saved index, add documents to it, remove documents from it."""

# ruff: noqa: UP045 - the oldest typer that we support reads Optional[X], not X | None

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

import codebooks
from codebooks.cli.atomic_output import report_write_errors
from codebooks.cli.console import create_console, format_count, report_embedding_errors, report_print_errors
from codebooks.cli.sources import Columns, ReadingOptions, Source, apply_column_weights, parse_columns
from codebooks.errors import UserError

Index = Annotated[Path, typer.Argument(metavar="INDEX", help="A file that `codebooks search --save` wrote.")]
Encoder = Annotated[
    Optional[str],
    typer.Option(
        "--embed",
        metavar="ENCODER",
        help="The encoder of an index that was created with --embed.",
        show_default=False,
    ),
]


def info(index: Index) -> None:
    """Describe a saved index: numbers of documents and terms, and its size."""
    from codebooks.storage import load_arrays

    try:
        arrays, _ = load_arrays(index, kind=codebooks.HopfieldRetriever.__name__)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{index} is not a saved index ({error}); create one with codebooks search DOCS --save INDEX."
        ) from error
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
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Documents, in any format that `topics` reads.")],
    *,
    columns: Columns = None,
    reading: ReadingOptions,
    embed: Encoder = None,
) -> None:
    """Add documents to a saved index, all of them or none.

    For a table, use the same columns as when the index was created.
    """
    weights = parse_columns(columns)
    retriever = load_retriever(index, embed)
    documents, _ = Source(source, tuple(weights), reading).read(keep_columns=True)
    existing = {str(id) for id in retriever.ids_}
    names: Sequence[str] = documents.names
    if reading.id_column is None and existing.intersection(names) and all(name.isdecimal() for name in names):
        first = 1 + max((int(id) for id in existing if id.isdecimal()), default=-1)
        names = [str(first + i) for i in range(len(names))]
    n_before = len(retriever)
    ids: Any = [int(name) for name in names] if retriever.ids_.dtype.kind == "i" else names
    report_embedding_errors(lambda texts: retriever.add(texts, ids=ids), documents.texts)
    apply_column_weights(retriever, documents, weights, n_before)
    _save(retriever, index)
    _print_sentence(f"added {format_count(len(retriever) - n_before, 'document')}, {len(retriever):,} in total")


def remove(
    index: Index,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of documents, as search prints them.")],
    embed: Encoder = None,
) -> None:
    """Remove documents from a saved index, all of them or none."""
    retriever = load_retriever(index, embed)
    stored = {str(id): id for id in retriever.ids_.tolist()}
    missing = [id for id in ids if id not in stored]
    if missing:
        raise UserError(
            f"{index} has no document {', '.join(missing[:5])[:200]}; nothing was removed. Use ids that search prints."
        )
    retriever.remove([stored[id] for id in dict.fromkeys(ids)])
    _save(retriever, index)
    _print_sentence(f"removed {format_count(len(dict.fromkeys(ids)), 'document')}, {len(retriever):,} left")


def load_retriever(file: Path, encoder: str | None = None) -> Any:
    """Load an index, with the encoder of its embeddings if it has some.

    Raises
    ------
    UserError
        If the index cannot be loaded, or the encoder is missing or another one.
    """
    from codebooks.embeddings.text_embedder import TextEmbedder

    embedder: Any = None if encoder is None else TextEmbedder(encoder)
    try:
        return codebooks.HopfieldRetriever.load(file, embedder=embedder)
    except (ImportError, OSError, ValueError) as error:
        if "`embedder` must be given" in str(error):
            raise UserError(f"{file} contains embeddings; name their encoder: --embed ENCODER.") from error
        if "other embeddings" in str(error):
            raise UserError(
                f"{file} was created with another encoder than {encoder}; set --embed to that one."
            ) from error
        raise UserError(
            f"cannot load the index {file} ({error}); create it again with codebooks search DOCS --save INDEX."
        ) from error


def _save(retriever: Any, file: Path) -> None:
    with report_write_errors(file, "INDEX"):
        retriever.save(file)


def _print_sentence(sentence: str) -> None:
    with report_print_errors():
        create_console().print(sentence, highlight=False)
