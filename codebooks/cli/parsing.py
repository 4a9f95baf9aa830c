"""Parsing of command arguments, and groups of options that several commands share."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints

import typer
from typer.core import TyperCommand

from codebooks.cli.control_characters import remove_controls


class Command(TyperCommand):
    """A command that raises an error if a single-valued option is given twice."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments."""
        try:
            _, _, options = self.make_parser(ctx).parse_args(args=list(args))
            option: Any
            for option, n_times in Counter(options).items():
                if n_times > 1 and not getattr(option, "multiple", True) and not getattr(option, "is_flag", True):
                    print(f"error: {option.opts[0]} must be set once, got {n_times} times.", file=sys.stderr)
                    raise typer.Exit(2)
            return super().parse_args(ctx, args)
        except Exception as error:  # of click, or of the copy of click in typer
            if isinstance(message := getattr(error, "message", None), str):
                error.message = remove_controls(message)  # type: ignore[attr-defined]
            raise


def expand_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the option groups of a command by their options.

    A group is a parameter that is annotated by a NamedTuple. Each field of the NamedTuple is annotated as an option.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if hasattr(kind, "_field_defaults")}
    options = []
    for name, parameter in signature(command).parameters.items():
        fields, defaults = {name: hints[name]}, {name: parameter.default}
        if name in groups:
            fields = get_type_hints(groups[name], include_extras=True)
            defaults = groups[name]._field_defaults
        for field, hint in fields.items():
            options.append(Parameter(field, Parameter.KEYWORD_ONLY, default=defaults[field], annotation=hint))

    @wraps(command)
    def run(**values: Any) -> None:
        grouped = {
            name: group(**{field: values.pop(field) for field in group._fields}) for name, group in groups.items()
        }
        command(**values, **grouped)

    run.__signature__ = Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run
