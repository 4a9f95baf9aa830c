"""Removal of control characters, and shortening of long words, for text on a terminal."""

from __future__ import annotations

import re

# C0, C1, marks of text direction, and line separators.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]")
_MAX_WORD_LENGTH = 40  # characters


def remove_controls(text: str) -> str:
    """Replace each control character, including tabs and newlines, by a space."""
    return _CONTROLS.sub(" ", text)


def shorten_word(word: str) -> str:
    """Truncate a long word."""
    return word if len(word) <= _MAX_WORD_LENGTH else word[: _MAX_WORD_LENGTH - 1] + "…"
