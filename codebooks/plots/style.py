"""What all figures share: three tones, and how words and numbers are cut short."""

from __future__ import annotations

import numpy as np

__all__ = ["BAR", "QUIET", "WORD", "format_number", "shorten_label"]

BAR, WORD, QUIET = "#b9d3ea", "#1a1a1a", "#6b6b6b"  # told apart by lightness alone
_LONGEST_WORD = 26  # characters that fit a panel


def shorten_label(word: str) -> str:
    """A word that fits a panel."""
    return word if len(word) <= _LONGEST_WORD else word[: _LONGEST_WORD - 1] + "…"


def format_number(score: float) -> str:
    """A number up to 1 without the zero in front."""
    return f"{score + 0.0:.2f}".replace("-0.00", "0.00").replace("0.", ".") if np.isfinite(score) else "unknown"
