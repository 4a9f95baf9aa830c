"""The commands under one name, and what stands before them."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

import codebooks
from codebooks.cli.assign import assign
from codebooks.cli.search import search
from codebooks.cli.telling import told
from codebooks.cli.topics import learn

# Commands import what they compute with where they use it: --help must not wait for that.

app = typer.Typer(
    help="""Topics without labels, and search: what is in these documents, which is about what, and where is this?

\b
codebooks topics --demo                     on docstrings that are installed anyway
codebooks topics reviews.csv --column text  on your own; writes into topics/
codebooks assign topics/model.joblib new.txt
codebooks search reviews.csv --column text "slow delivery\"""",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("topics")(told(learn))
app.command("assign")(told(assign))
app.command("search")(told(search))


def main() -> None:
    """Run the command line; this is the console script `codebooks`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a letter is no reason to lose the work
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="codebooks")


def _print_version(wanted: bool) -> None:
    if wanted:
        print("codebooks", codebooks.__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold what stands before a command."""
