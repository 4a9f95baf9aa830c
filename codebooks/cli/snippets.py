"""Snippets: the part of a text with the most important words of a query."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile

from codebooks.cli.control_characters import remove_controls

_WORD = re.compile(r"\w+")


def join_lines(text: str) -> str:
    """Replace every run of whitespace and control characters by a space."""
    return " ".join(remove_controls(text).split())


def extract_snippet(text: str, weights: Mapping[str, float], length: int) -> str:
    """Extract the part of a text, of about `length` characters, whose distinct words have the largest total weight.

    Parameters
    ----------
    text : str
        On one line.
    weights : mapping of str to float
        Weights of words in lower case; other words have weight 0.
    length : int

    Returns
    -------
    str
        With ellipses where it is cut; the beginning of the text if no word has a weight.
    """
    if len(text) <= length:
        return text
    words = [word for word in _WORD.finditer(text) if word.group().lower() in weights]
    window = _find_best_window(words, weights, length)
    first, last = (window[0].start(), window[-1].end()) if window else (0, 0)
    start = max(0, min(first - (length - (last - first)) // 2, len(text) - length))
    start, stop = min(start, first), max(start + length, last)
    if start and (blank := text.find(" ", start, first)) >= 0:  # whole words if spaces separate words
        start = blank + 1
    if stop < len(text) and (blank := text.rfind(" ", last, stop + 1)) >= 0:
        stop = blank
    return "… " * (start > 0) + text[start:stop] + " …" * (stop < len(text))


def _find_best_window(words: Sequence[re.Match[str]], weights: Mapping[str, float], length: int) -> list[re.Match[str]]:
    """Return the words within `length` characters of largest total weight, the first ones in case of ties."""
    best: list[re.Match[str]] = []
    best_weight = 0.0
    for index, first in enumerate(words):
        end = first.start() + length
        run = list(takewhile(lambda word: word.end() <= end, words[index : index + length]))  # noqa: B023 - used at once
        weight = sum(weights[name] for name in {word.group().lower() for word in run})
        if weight > best_weight:
            best, best_weight = run, weight
    return best
