"""`codebooks assign`: new documents, labelled by a saved model."""

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
from codebooks.cli.sources import Column, ReadingOptions, load_documents
from codebooks.errors import UserError


def assign(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="The model.skops that `topics` wrote, or the folder that holds it.")
    ],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="New text, in any form that `topics` reads.")],
    *,
    column: Column = None,
    reading: ReadingOptions,
    out: Annotated[Optional[Path], typer.Option(help="The CSV file to write; left out, it is printed.")] = None,
    reject_below: Annotated[
        Optional[float], typer.Option(help="Give topic -1 to documents of less strength than this.")
    ] = None,
    overwrite: Overwrite = False,
    raw: Raw = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Load a pickle (model.joblib) too. That can run any code: know who made the file."
        ),
    ] = False,
) -> None:
    """Label new documents with a saved model.

    Gives the topic of each as CSV, with its strength and what the topic is about. Strength is the probability that the
    document is about this topic and no other (multinomial) or the cosine of the document with its topic (other models),
    1 at best.
    """
    if reject_below is not None and not -1 <= reject_below <= 1:
        raise UserError(f"--reject-below is a probability or a cosine, from -1 to 1; {reject_below} came.")
    if out is not None:
        refuse_overwriting([out], overwrite)
    pipeline = load_model(model, trust)
    documents, _ = load_documents(source, False, column, reading)
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
        print(f"codebooks: empty documents skipped: {documents.n_empty:,}", file=sys.stderr)
