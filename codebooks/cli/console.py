"""Output to the terminal: error messages, notes, progress and tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import TYPE_CHECKING, Any

import typer

from codebooks.cli.control_characters import remove_controls
from codebooks.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console


def report_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Print errors of a command as one sentence, and exit.

    The exit code is 2 for errors that the user can correct, 1 for errors of files, and 130 for Ctrl-C.
    """

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except UserError as error:
            print("error:", *remove_controls(str(error)).split(), file=sys.stderr)
            raise typer.Exit(2) from None
        except OSError as error:
            if error.filename is None:  # a closed pipe, which typer handles, or a bug
                raise
            problem = f"cannot use {error.filename}: {error.strerror}; correct this and run the command again."
            print("error:", *remove_controls(problem).split(), file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print("codebooks: interrupted", file=sys.stderr)
            raise typer.Exit(130) from None

    return run


def report_embedding_errors(method: Callable[[list[str]], Any], texts: list[str]) -> Any:
    """Call a method with texts; convert errors that the user can correct, such as a missing extra, to `UserError`."""
    try:
        return method(texts)
    except (ImportError, OSError, ValueError) as error:
        raise UserError(str(error)) from error


@contextmanager
def report_print_errors() -> Iterator[None]:
    """Report errors of standard output, such as a full disk, in one sentence with exit code 1."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # the reader closed the pipe; typer exits silently
    except OSError as error:
        with suppress(OSError):
            sys.stdout.close()  # else Python flushes again at exit, and prints a second error
        print(f"error: cannot print: {error.strerror or error}; redirect the output to another place.", file=sys.stderr)
        raise typer.Exit(1) from None


def print_note(sentence: str) -> None:
    """Print a note about assumptions or skipped input to standard error."""
    print("codebooks:", *remove_controls(sentence).split(), file=sys.stderr)


def format_count(n: int, noun: str) -> str:
    """Format a number with a noun in singular or plural: 1 document, 1,000 documents."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def create_console() -> Console:
    """Create a console that prints tables and text without markup, in the width of the terminal."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


@contextmanager
def show_progress(quiet: bool, n_steps: int) -> Iterator[Callable[[str], None]]:
    """Show a progress bar during the block; call the yielded function with the name of each step."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=n_steps, completed=-1)  # a step is complete when the next one begins
        yield lambda name: progress.update(task, description=name, advance=1)


def format_score(score: float, digits: int) -> str:
    """Format a number; an empty string for NaN, the coherence of a topic with one word."""
    return "" if score != score else f"{score:.{digits}f}"
