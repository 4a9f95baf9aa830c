"""`codebooks assign`: label new documents with a saved model."""

# ruff: noqa: UP045 - the oldest typer that we support reads Optional[X], not X | None

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from codebooks.cli.assignment_table import build_assignment_rows, find_strongest_components
from codebooks.cli.atomic_output import (
    Overwrite,
    Raw,
    refuse_overwriting,
    report_write_errors,
    save_csv,
    write_atomically,
    write_csv,
)
from codebooks.cli.console import report_print_errors
from codebooks.cli.embedding_steps import report_embedding_errors
from codebooks.cli.models import load_model
from codebooks.cli.sources import Column, ReadingOptions, check_source, load_documents
from codebooks.errors import UserError


def assign(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="The file model.skops that `topics` wrote, or its folder.")
    ],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="New documents, in any format that `topics` reads.")],
    *,
    column: Column = None,
    reading: ReadingOptions,
    out: Annotated[
        Optional[Path], typer.Option(help="The CSV file to write. By default, the table is printed.")
    ] = None,
    reject_below: Annotated[
        Optional[float], typer.Option(help="Assign documents with a lower strength to topic -1.")
    ] = None,
    overwrite: Overwrite = False,
    raw: Raw = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Allow pickles (model.joblib) and other classes. Loading them can run any code: use it only for files "
            "that you trust.",
        ),
    ] = False,
) -> None:
    """Label new documents with a saved model.

    Writes a CSV table with the topic of each document, the strength of the assignment, and the words of the topic. The
    strength is the probability of the topic (multinomial) or the cosine of the document with its topic (other models).
    Its largest value is 1.
    """
    if reject_below is not None and not -1 <= reject_below <= 1:
        raise UserError(f"--reject-below must be a number from -1 to 1, got {reject_below}.")
    pipeline = load_model(model, trust)
    check_source(source)
    if out is not None:
        refuse_overwriting([out], overwrite)
    documents, _ = load_documents(source, column, reading)
    X = report_embedding_errors(pipeline[:-1].transform, documents.texts)
    labels, strength = find_strongest_components(pipeline[-1], X)
    if reject_below is not None:
        labels[strength < reject_below] = -1
    rows = build_assignment_rows(documents, labels, strength, pipeline.topics_)
    if out is None:
        with report_print_errors():
            write_csv(sys.stdout, rows, raw)
    else:
        with write_atomically(out.parent, [out.name]) as folder, report_write_errors(out.parent):
            save_csv(folder / out.name, rows, raw)
    if documents.n_empty:
        print(f"codebooks: skipped empty documents: {documents.n_empty:,}", file=sys.stderr)
