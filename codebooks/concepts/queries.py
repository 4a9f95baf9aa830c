"""A query read by a model: as words, as the row that reaches the model, and as the concepts that share it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from string import punctuation
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.pipeline import Pipeline

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.inputs import check_count, check_matrix
from codebooks.topics import codes_of, largest, names_of

__all__ = ["counted", "query_row", "shares_of", "words_of"]

Floats = NDArray[np.float64]


def words_of(query: Any) -> list[str] | None:
    """The words of a query as strings, a text still in one piece; None where it is a row of numbers."""
    if isinstance(query, str):
        return [query]
    if isinstance(query, Sequence | np.ndarray) and all(isinstance(word, str) for word in query):
        return list(query)
    return None


def query_row(preparation: Pipeline | None, learner: Any, query: Any, terms: Any, n_features: int) -> NDArray[Any]:
    """The query as the dense row that reaches the model, shape (1, n_features); it has some word."""
    words = words_of(query)
    if words is None:
        row = query if sparse.issparse(query) else np.atleast_2d(np.asanyarray(ops.to_host(query)))
    elif preparation is None:
        row = counted(words, names_of(None, learner, terms, n_features))
    else:
        row = [" ".join(words)]
    if preparation is not None:
        row = preparation.transform(row)
    row = check_matrix("query", ops.to_host(row))
    if row.shape != (1, n_features):
        raise ValueError(
            f"one query of {n_features} features is wanted, as the model has; shape {row.shape} came. Ask one by one."
        )
    row = row.toarray() if sparse.issparse(row) else row
    if not row.any():
        asked = "a row of zeros" if words is None else short_repr(" ".join(words))
        raise ValueError(f"a query wants at least one word that the model knows; {asked} has none. Ask in its words.")
    return row


def counted(words: list[str], names: list[str]) -> NDArray[Any]:
    """How often each term occurs among the words, shape (1, n_features)."""
    # Written from the last to the first, so that the first of equal names stays.
    exact = {name: column for column, name in reversed(list(enumerate(names)))}
    folded = {name.casefold(): column for name, column in exact.items()}
    row = np.zeros((1, len(names)))
    for text in words:
        for word in [text] if text in exact else text.split():
            column = exact.get(word, folded.get(word.strip(punctuation).casefold()))
            if column is not None:
                row[0, column] += 1
    return row


def shares_of(learner: Any, row: NDArray[Any], n_components: int, n_concepts: int) -> Floats:
    """The share of each unit in a query, 0 for all but its strongest; all 0 where no unit stands out."""
    check_count("n_concepts", n_concepts)
    code = codes_of(_without_names(learner), row)[0].astype(np.float64)
    if n_components == 1:
        return (code != 0).astype(np.float64)
    order = largest(code, n_concepts + 1)
    kept, rest = order[:-1], code[order[-1]]
    shares = np.zeros(n_components)
    shares[kept] = code[kept] - rest
    total = shares.sum()
    return shares / total if total > 0 else shares


def _without_names(learner: Any) -> Any:
    """The learner as if fitted without names of columns: a row has none, and the terms have checked them."""
    if not hasattr(learner, "feature_names_in_"):
        return learner
    nameless = copy(learner)
    vars(nameless).pop("feature_names_in_", None)
    return nameless
