"""What every command says, and how: mistakes in one sentence, progress, tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import typer

from codebooks.documents import UserError

if TYPE_CHECKING:
    from rich.console import Console


def told(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what a user can put right into one sentence and exit code 2, and Ctrl-C into exit code 130."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except UserError as error:
            print("codebooks:", *str(error).split(), file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            print("codebooks: interrupted", file=sys.stderr)
            raise typer.Exit(130) from None

    return run


def printer() -> Console:
    """What prints tables and sentences as they are, in the width of the terminal."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


@contextmanager
def progress_bar(quiet: bool, n_steps: int) -> Iterator[Callable[[str], None]]:
    """A bar on the terminal that is gone when the work is done; call it with the name of each step."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=n_steps, completed=-1)  # a step counts when the next one begins
        yield lambda name: progress.update(task, description=name, advance=1)


def known(score: float, digits: int) -> str:
    """A number, or nothing for nan: a topic of one word has no coherence."""
    return "" if score != score else f"{score:.{digits}f}"
