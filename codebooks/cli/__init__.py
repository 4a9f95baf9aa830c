"""The command line: text in; topics, a figure and a model out, or what a search finds."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; this is the console script `codebooks`."""
    try:
        from codebooks.cli.app import run

        run()
    except KeyboardInterrupt:  # before a command runs, or after it
        print("codebooks: interrupted", file=sys.stderr)
        sys.exit(130)
