"""The commands under one name, and what stands before them."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer

import codebooks
from codebooks.cli.assign import assign
from codebooks.cli.console import report_errors
from codebooks.cli.index import add, info, remove
from codebooks.cli.parsing import Command, expand_groups
from codebooks.cli.search import search
from codebooks.cli.topics import topics

# Commands import what they compute with where they use it: --help must not wait for that.

app = typer.Typer(
    help="""Find the topics of documents without labels, assign new documents to them, and search.

\b
codebooks topics --demo                     on definitions of nouns, part of the package
codebooks topics reviews.csv --column text  on your own file; writes into topics/
codebooks assign topics new.txt
codebooks search reviews.csv --column text "slow delivery\"""",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for name, command in (("topics", topics), ("assign", assign), ("search", search)):
    app.command(name, cls=Command)(report_errors(expand_groups(command)))
index = typer.Typer(help="What is in a saved index, and documents that come and go.", no_args_is_help=True)
for name, change in (("info", info), ("add", add), ("remove", remove)):
    index.command(name, cls=Command)(report_errors(expand_groups(change)))
app.add_typer(index, name="index")


def run() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a letter is no reason to lose the work
            stream.reconfigure(errors="backslashreplace")
    with _orderly_end():
        app(prog_name="codebooks")


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Let SIGTERM end the block as an error would: what was written aside is removed."""

    def end(*_: object) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    alone = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if alone:  # only the main thread may ask for signals, and nobody else has asked for this one
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if alone:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


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
