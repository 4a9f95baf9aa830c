"""Stopping rule and progress reports of the training loop."""

from __future__ import annotations

from collections.abc import Iterator


class Plateau:
    """Rule that stops training once the score has not risen by the share `tol` for `patience` epochs in a row."""

    def __init__(self, tol: float, patience: int = 3) -> None:
        self.tol, self.patience = tol, patience
        self.best = float("-inf")
        self.waited = 0

    def __call__(self, score: float) -> bool:
        """Add the score of one more epoch and return whether to stop."""
        if self.best == float("-inf") or score > self.best + self.tol * abs(self.best):
            self.best, self.waited = score, 0
        else:
            self.waited += 1
        return self.waited >= self.patience


class Reporter:
    """Progress reports: none at verbose 0, a line per epoch at 1, a progress bar at 2."""

    def __init__(self, name: str, n_epochs: int, verbose: int, score_name: str = "explained energy") -> None:
        self.name, self.n_epochs, self.verbose, self.score_name = name, n_epochs, verbose, score_name
        self._last_epoch = -1  # the last one with results

    def epochs(self) -> Iterator[int]:
        """Iterate over the numbers of the epochs and show a progress bar if requested.

        The bar is complete if the loop ends after an epoch was reported, and not if an error ends the loop.
        """
        if self.verbose < 2:
            yield from range(self.n_epochs)
            return
        from rich.progress import Progress

        with Progress() as progress:
            bar = progress.add_task(self.name, total=self.n_epochs)
            for epoch in range(self.n_epochs):
                try:
                    yield epoch
                except GeneratorExit:  # the loop was left
                    if self._last_epoch == epoch:
                        progress.update(bar, total=epoch + 1, completed=epoch + 1)
                    raise
                progress.advance(bar)

    def report(self, epoch: int, score: float, n_idle: int) -> None:
        """Print the results of an epoch if requested."""
        self._last_epoch = epoch
        if self.verbose == 1:
            idle = f", {n_idle} idle components" if n_idle else ""
            print(f"[{self.name}] epoch {epoch + 1}/{self.n_epochs}: {self.score_name} {score:.4f}{idle}")
