"""Text for a terminal: without characters that move the cursor, colour or reorder it, and without very long words."""

from __future__ import annotations

import re

# C0, C1, what orders text from right to left, and what ends lines beside the line feed.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]")
_LONGEST_WORD = 40  # characters


def remove_controls(text: str) -> str:
    """The text with a blank in place of each control character, tabs and newlines included."""
    return _CONTROLS.sub(" ", text)


def shorten_word(word: str) -> str:
    """The word, or the beginning of a long one."""
    return word if len(word) <= _LONGEST_WORD else word[: _LONGEST_WORD - 1] + "…"
