"""What every loader of text gives."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Corpus"]


class Corpus(NamedTuple):
    """Documents and what is known about them.

    Attributes
    ----------
    documents : list of str
        One text per document.
    labels : list of str
        The class of each document, for scoring only.
    name : str
        What the corpus is called.
    ids : list of str or None
        A name for each document, where it has one; for docstrings the qualified name.
    vocabulary : list of str or None
        The words that the makers of the corpus chose, where they published them.
    """

    documents: list[str]
    labels: list[str]
    name: str
    ids: list[str] | None = None
    vocabulary: list[str] | None = None
