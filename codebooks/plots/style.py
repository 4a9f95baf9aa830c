"""Colors and text formats of all figures."""

from __future__ import annotations

import numpy as np

__all__ = ["BAR", "QUIET", "WORD", "format_number", "shorten_label"]

BAR, WORD, QUIET = "#b9d3ea", "#1a1a1a", "#6b6b6b"  # distinct in grayscale too
_LONGEST_WORD = 26  # number of characters that fit into a panel


def shorten_label(word: str) -> str:
    """Shorten a word to the width of a panel."""
    return word if len(word) <= _LONGEST_WORD else word[: _LONGEST_WORD - 1] + "…"


def format_number(score: float) -> str:
    """Format a number without the zero before the decimal point."""
    return f"{score + 0.0:.2f}".replace("-0.00", "0.00").replace("0.", ".") if np.isfinite(score) else "unknown"
