"""What every loader of text gives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Corpus"]


class Corpus(NamedTuple):
    """Documents and what is known about them.

    Attributes
    ----------
    documents : list of str
        One text per document.
    labels : list of str
        The class of each document, for scoring only.
    target : ndarray of shape (n_documents,)
        The labels as integers: positions in `target_names`.
    target_names : list of str
        The distinct labels in alphabetical order.
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

    @property
    def target(self) -> np.ndarray:
        """The labels as integers."""
        return np.unique(self.labels, return_inverse=True)[1]

    @property
    def target_names(self) -> list[str]:
        """The distinct labels in alphabetical order."""
        return sorted(set(self.labels))
