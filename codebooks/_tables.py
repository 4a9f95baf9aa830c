"""Tables of results: HTML for notebooks, and data frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import import_module
from typing import Any

from codebooks.errors import short_repr

__all__ = ["build_frame", "format_html_table"]

_LIBRARIES = ("pandas", "polars")


def build_frame(columns: Mapping[str, Sequence[Any]], library: str) -> Any:
    """Return a data frame of pandas or polars with these columns.

    Raises
    ------
    ValueError
        The library is another one.
    ImportError
        The library is not installed.
    """
    if library not in _LIBRARIES:
        raise ValueError(f"`library` must be 'pandas' or 'polars', got {short_repr(library)}.")
    try:
        module = import_module(library)
    except ImportError as error:
        raise ImportError(f"`to_frame` needs {library}. Install it: pip install {library}") from error
    return module.DataFrame(dict(columns))


def format_html_table(columns: Mapping[str, Sequence[Any]], n_shown: int = 50) -> str:
    """Return an HTML table of at most `n_shown` rows, as notebooks show it."""
    rows = list(zip(*columns.values(), strict=True))
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_format_cell(value))}</td>" for value in row) + "</tr>" for row in rows[:n_shown]
    )
    more = f"<p>... {len(rows) - n_shown} more rows</p>" if len(rows) > n_shown else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _format_cell(value: Any) -> str:
    """Return a value as text: floats with 3 decimals, tuples joined by commas, nothing for None and nan."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) or getattr(value, "dtype", None) in ("float32", "float64"):
        return f"{value:.3f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
