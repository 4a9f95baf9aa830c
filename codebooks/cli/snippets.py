"""The part of a text that shows why it was found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile

from codebooks.cli.control_characters import remove_controls

_WORD = re.compile(r"\w+")


def join_lines(text: str) -> str:
    """The text with a blank for every run of blanks, tabs, newlines and control characters."""
    return " ".join(remove_controls(text).split())


def extract_snippet(text: str, worth: Mapping[str, float], length: int) -> str:
    """The stretch of a text, of at most about `length` characters, whose different words are worth most together.

    Parameters
    ----------
    text : str
        On one line.
    worth : mapping of str to float
        What each word is worth, in lower case; others are worth nothing.
    length : int

    Returns
    -------
    str
        With three dots where it is cut; the beginning of the text where no word is worth anything.
    """
    if len(text) <= length:
        return text
    chosen = _find_best_window([word for word in _WORD.finditer(text) if word.group().lower() in worth], worth, length)
    first, last = (chosen[0].start(), chosen[-1].end()) if chosen else (0, 0)
    start = max(0, min(first - (length - (last - first)) // 2, len(text) - length))
    start, stop = min(start, first), max(start + length, last)
    if start and (blank := text.find(" ", start, first)) >= 0:  # whole words, where words are apart
        start = blank + 1
    if stop < len(text) and (blank := text.rfind(" ", last, stop + 1)) >= 0:
        stop = blank
    return "… " * (start > 0) + text[start:stop] + " …" * (stop < len(text))


def _find_best_window(words: Sequence[re.Match[str]], worth: Mapping[str, float], length: int) -> list[re.Match[str]]:
    """Words that stand within `length` characters; the first such run where several are worth the same."""
    best: list[re.Match[str]] = []
    most = 0.0
    for place, first in enumerate(words):
        end = first.start() + length
        run = list(takewhile(lambda word: word.end() <= end, words[place : place + length]))  # noqa: B023 - used at once
        value = sum(worth[name] for name in {word.group().lower() for word in run})
        if value > most:
            best, most = run, value
    return best
