"""`codebooks report`: one HTML page that shows a saved model."""

# ruff: noqa: UP045 - the oldest typer that we support reads Optional[X], not X | None

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from codebooks.cli.atomic_output import Overwrite, refuse_overwriting, report_write_errors
from codebooks.cli.control_characters import remove_controls
from codebooks.cli.models import load_model
from codebooks.errors import UserError


def report(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="The file model.skops that `topics` wrote, or its folder.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    title: Annotated[Optional[str], typer.Option(help="The title of the page.", show_default=False)] = None,
    overwrite: Overwrite = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Allow other classes than those of codebooks and scikit-learn. Loading them can run any code: use it "
            "only for files that you trust.",
        ),
    ] = False,
) -> None:
    """Show the topics of a saved model on one HTML page.

    The page opens in a browser without a network. It contains the topics with their words and documents, a map of the
    documents, a search, advice, and tables to download. Requires codebooks-learn[report].
    """
    topic_model = load_model(model, trust)
    refuse_overwriting([out], overwrite)
    from codebooks.report import write_report

    with report_write_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_report(topic_model, out, title=title)
        except ImportError as error:
            raise UserError(str(error)) from error
    print(f"wrote {remove_controls(str(out))}; open it in a browser")
