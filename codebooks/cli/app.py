"""The typer application: all commands, and the options before a command."""

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
from codebooks.cli.report import report
from codebooks.cli.search import search
from codebooks.cli.topics import topics

# Commands import numerical packages when they run, so that --help is fast.

app = typer.Typer(
    help="""Find topics in documents, assign new documents to topics, and search documents. No labels are needed.

\b
Examples:
  codebooks topics --demo                     find topics in sample documents
  codebooks topics reviews.csv --column text  find topics in a file; write results to topics/
  codebooks assign topics new.txt             label new documents with these topics
  codebooks report topics                     show these topics on one page, report.html
  codebooks search reviews.csv --column text "slow delivery\"""",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for name, command in (("topics", topics), ("assign", assign), ("report", report), ("search", search)):
    app.command(name, cls=Command)(report_errors(expand_groups(command)))
index = typer.Typer(help="Describe a saved index, add documents to it, or remove some.", no_args_is_help=True)
for name, subcommand in (("info", info), ("add", add), ("remove", remove)):
    index.command(name, cls=Command)(report_errors(expand_groups(subcommand)))
app.add_typer(index, name="index")


def run() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # terminals without Unicode show escapes instead of an error
            stream.reconfigure(errors="backslashreplace")
    with _exit_on_sigterm():
        app(prog_name="codebooks")


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Convert SIGTERM to SystemExit within the block, so that temporary files are removed."""

    def exit_process(*_: object) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    # Only the main thread may set a handler, and an existing handler stays.
    is_main = threading.current_thread() is threading.main_thread()
    is_default = is_main and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if is_default:
        signal.signal(signal.SIGTERM, exit_process)
    try:
        yield
    finally:
        if is_default:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _print_version(is_set: bool) -> None:
    if is_set:
        print("codebooks", codebooks.__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Define the options before a command."""
