"""`Corpus`: documents with labels, as the loaders of text corpora return them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Corpus"]


class Corpus(NamedTuple):
    """Documents with labels and ids.

    Attributes
    ----------
    documents : list of str
        One text per document.
    labels : list of str
        The class of each document, for evaluation.
    target : ndarray of shape (n_documents,)
        The labels as integers: positions in `target_names`.
    target_names : list of str
        The distinct labels in alphabetical order.
    name : str
        The name of the corpus.
    ids : list of str or None
        The id of each document, such as the defined term; None if there are none.
    vocabulary : list of str or None
        The vocabulary that the authors of the corpus published, if any.
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
