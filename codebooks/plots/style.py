"""Colors and text formats of all figures."""

from __future__ import annotations

import numpy as np
from matplotlib import rcParams
from matplotlib.font_manager import get_font_names

__all__ = ["BAR", "QUIET", "WORD", "choose_fonts", "format_number", "shorten_label"]

BAR, WORD, QUIET = "#b9d3ea", "#1a1a1a", "#6b6b6b"  # distinct in grayscale too
_LONGEST_WORD = 26  # number of characters that fit into a panel
# Fonts of Linux, macOS and Windows for characters that the default font of matplotlib lacks.
_FALLBACK_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Nirmala UI",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Arial Unicode MS",
)


def choose_fonts() -> list[str]:
    """Return the fonts of matplotlib's settings, then those installed for other scripts, such as Chinese."""
    installed = set(get_font_names())
    return [*rcParams["font.family"], *(name for name in _FALLBACK_FONTS if name in installed)]


def shorten_label(word: str, length: int = _LONGEST_WORD) -> str:
    """Shorten a word to the width of a panel."""
    return word if len(word) <= length else word[: length - 1] + "…"


def format_number(score: float) -> str:
    """Format a number without the zero before the decimal point."""
    return f"{score + 0.0:.2f}".replace("-0.00", "0.00").replace("0.", ".") if np.isfinite(score) else "unknown"
