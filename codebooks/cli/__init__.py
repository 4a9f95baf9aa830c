"""The command line `codebooks`: topics, labels of new documents, and search."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line. This is the console script `codebooks`."""
    try:
        from codebooks.cli.app import run

        run()
    except KeyboardInterrupt:  # before or after a command
        print("codebooks: interrupted", file=sys.stderr)
        sys.exit(130)
