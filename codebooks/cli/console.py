"""What every command says, and how: mistakes in one sentence, progress, tables."""

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
    """Turn what goes wrong into one sentence.

    Exit code 2 is for what a user can put right, 1 for a file that fails, 130 for Ctrl-C.
    """

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except UserError as error:
            print("error:", *remove_controls(str(error)).split(), file=sys.stderr)
            raise typer.Exit(2) from None
        except OSError as error:
            if error.filename is None:  # a pipe that is closed, which typer knows, or a bug of ours
                raise
            problem = f"{error.filename} cannot be used: {error.strerror}; put that right and run again."
            print("error:", *remove_controls(problem).split(), file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print("codebooks: interrupted", file=sys.stderr)
            raise typer.Exit(130) from None

    return run


@contextmanager
def report_print_errors() -> Iterator[None]:
    """Turn a full disk under what is printed into one sentence and exit code 1."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # who reads has had enough, and typer ends quietly
    except OSError as error:
        with suppress(OSError):
            sys.stdout.close()  # or Python tries again at its end, and tells that too
        print(f"error: cannot print: {error.strerror or error}; print elsewhere.", file=sys.stderr)
        raise typer.Exit(1) from None


def print_note(sentence: str) -> None:
    """Say what was assumed or left out, beside the output."""
    print("codebooks:", *remove_controls(sentence).split(), file=sys.stderr)


def format_count(n: int, noun: str) -> str:
    """A number and what is counted: 1 document, 1,000 documents."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def create_console() -> Console:
    """What prints tables and sentences as they are, in the width of the terminal."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


@contextmanager
def show_progress(quiet: bool, n_steps: int) -> Iterator[Callable[[str], None]]:
    """A bar on the terminal that is gone when the work is done; call it with the name of each step."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=n_steps, completed=-1)  # a step counts when the next one begins
        yield lambda name: progress.update(task, description=name, advance=1)


def format_score(score: float, digits: int) -> str:
    """A number, or nothing for nan: a topic of one word has no coherence."""
    return "" if score != score else f"{score:.{digits}f}"
