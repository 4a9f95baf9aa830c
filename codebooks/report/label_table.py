"""Table of topics by known labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.metrics import agreement
from codebooks.validation.arrays import check_labels, is_missing

__all__ = ["LabelTable", "count_labels"]

_N_COLUMNS = 30
_OTHERS = "other labels"


class LabelTable(NamedTuple):
    """Numbers of documents of each topic and label."""

    names: list[str]  # of the labels, the most frequent first
    counts: NDArray[np.int64]  # (n_topics, n_labels)
    n_labels: int  # including those that are counted together
    n_missing: int
    nmi: float


def count_labels(labels: Any, positions: NDArray[Any], n_topics: int) -> LabelTable:
    """Count the documents of each topic and label; all but the 29 most frequent of many labels are one column.

    Parameters
    ----------
    labels : sequence of str or int, length n_documents
        None and nan are missing.
    positions : int array of shape (n_documents,)
        The topic of each document, -1 for none.
    n_topics : int

    Raises
    ------
    TypeError, ValueError
        `labels` are not one for each document, of several types, or all missing.
    """
    if isinstance(labels, str | bytes) or not hasattr(labels, "__len__") or getattr(labels, "ndim", 1) != 1:
        raise TypeError(f"`labels` must be a sequence with a label for each document, got {short_repr(labels)}.")
    if len(labels) != len(positions):
        raise ValueError(f"`labels` must have one label for each of the {len(positions)} documents, got {len(labels)}.")
    entries = np.asarray(ops.to_host(labels)).tolist() if hasattr(labels, "dtype") else list(labels)
    rows = np.array([row for row, label in enumerate(entries) if not is_missing(label)], dtype=np.intp)
    if not len(rows):
        raise ValueError("`labels` must have a label for at least one document, got none. Leave it out.")
    values, codes = np.unique(check_labels("`labels`", [entries[row] for row in rows]), return_inverse=True)
    order = np.argsort(-np.bincount(codes), kind="stable")
    columns = np.empty(len(order), dtype=np.intp)
    columns[order] = np.arange(len(order))
    names = [str(value) for value in values[order].tolist()]
    if len(names) > _N_COLUMNS:
        columns = np.minimum(columns, _N_COLUMNS - 1)
        names = [*names[: _N_COLUMNS - 1], _OTHERS]
    counts = np.zeros((n_topics + 1, len(names)), dtype=np.int64)  # the last row is for documents without topic
    np.add.at(counts, (positions[rows], columns[codes]), 1)
    nmi = agreement(codes, positions[rows]).nmi
    return LabelTable(names, counts[:n_topics], len(values), len(entries) - len(rows), nmi)
