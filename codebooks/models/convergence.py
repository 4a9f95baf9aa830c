"""What a training loop needs beside learning: when to stop, and what to tell the user. Knows no model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


class Plateau:
    """True once the score has not risen by the share `tol` for `patience` epochs in a row."""

    def __init__(self, tol: float, patience: int = 3) -> None:
        self.tol, self.patience = tol, patience
        self.best = float("-inf")
        self.waited = 0

    def __call__(self, score: float) -> bool:
        """Take in the score of one more epoch and say whether to stop."""
        if self.best == float("-inf") or score > self.best + self.tol * abs(self.best):
            self.best, self.waited = score, 0
        else:
            self.waited += 1
        return self.waited >= self.patience


class Reporter:
    """Silent at verbose 0, a line per epoch at 1, a progress bar at 2."""

    def __init__(self, name: str, n_epochs: int, verbose: int, score_name: str = "explained energy") -> None:
        self.name, self.n_epochs, self.verbose, self.score_name = name, n_epochs, verbose, score_name

    def epochs(self) -> Iterator[int]:
        """The numbers of the epochs, behind a progress bar where one is wanted."""
        epochs: Iterable[Any] = range(self.n_epochs)
        if self.verbose < 2:
            yield from epochs
            return
        from rich.progress import track

        yield from track(epochs, description=self.name)

    def tell(self, epoch: int, score: float, n_idle: int) -> None:
        """Print what the epoch brought."""
        if self.verbose == 1:
            idle = f", {n_idle} idle units" if n_idle else ""
            print(f"[{self.name}] epoch {epoch + 1}/{self.n_epochs}: {self.score_name} {score:.4f}{idle}")
