"""How the arguments of a command are parsed."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand

from codebooks.cli.control_characters import remove_controls


class Command(TyperCommand):
    """A command that refuses an option that is given twice, where the last one would win silently."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments."""
        try:
            _, _, given = self.make_parser(ctx).parse_args(args=list(args))
            option: Any
            for option, n_times in Counter(given).items():
                if n_times > 1 and not getattr(option, "multiple", True) and not getattr(option, "is_flag", True):
                    print(f"error: {option.opts[0]} is given {n_times} times; give it once.", file=sys.stderr)
                    raise typer.Exit(2)
            return super().parse_args(ctx, args)
        except Exception as error:  # of click or of what typer has instead of it
            if isinstance(message := getattr(error, "message", None), str):
                error.message = remove_controls(message)  # type: ignore[attr-defined]
            raise
