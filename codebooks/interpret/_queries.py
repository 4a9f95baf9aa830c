"""Queries as words, as rows of features, and as shares of components."""

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
from codebooks.interpret._labelling import select_largest
from codebooks.interpret.feature_names import resolve_feature_names
from codebooks.interpret.model_access import compute_codes
from codebooks.validation.arrays import check_count, check_matrix

__all__ = ["compute_component_shares", "count_words", "extract_words", "vectorize_query"]

Floats = NDArray[np.float64]


def extract_words(query: Any) -> list[str] | None:
    """Return a query as a list of strings, a text as one string; None if it is a row of numbers."""
    if isinstance(query, str):
        return [query]
    if isinstance(query, Sequence | np.ndarray) and all(isinstance(word, str) for word in query):
        return list(query)
    return None


def vectorize_query(
    preparation: Pipeline | None, learner: Any, query: Any, feature_names: Any, n_features: int
) -> NDArray[Any]:
    """Return the query as a dense row of features, shape (1, n_features), with at least one entry."""
    words = extract_words(query)
    if words is None:
        row = query if sparse.issparse(query) else np.atleast_2d(_check_numbers(ops.to_host(query)))
    elif preparation is None:
        row = count_words(words, resolve_feature_names(None, learner, feature_names, n_features))
    else:
        row = [" ".join(words)]
    if preparation is not None:
        try:
            row = preparation.transform(row)
        except AttributeError as error:  # a vectorizer of texts calls methods of str
            if words is not None:
                raise
            raise TypeError(
                f"`query` must be a text for a Pipeline that begins with a vectorizer, got {short_repr(query)}. Pass a "
                "string of words."
            ) from error
    row = check_matrix("query", ops.to_host(row))
    if row.shape != (1, n_features):
        raise ValueError(
            f"`query` must be one row of {n_features} features, as the model has, got shape {row.shape}. Pass one "
            "query at a time."
        )
    row = row.toarray() if sparse.issparse(row) else row
    if not row.any():
        received = "a row of zeros" if words is None else short_repr(" ".join(words))
        raise ValueError(f"`query` must have at least one word of the model, got {received}. Use its feature names.")
    return row


def _check_numbers(query: Any) -> NDArray[Any]:
    """Return a query that is not words as an array of numbers."""
    try:
        row = np.asanyarray(query)
    except ValueError:  # rows of different lengths
        row = np.array(None)
    if row.dtype.kind not in "buif":
        raise TypeError(
            f"`query` must be a text, a sequence of strings or a row of numbers, got {short_repr(query)}. Pass a "
            "string of words."
        )
    return row


def count_words(words: list[str], names: list[str]) -> NDArray[Any]:
    """Count the words by column, shape (1, n_features)."""
    # In reverse order, so that the first of equal names is used.
    exact = {name: column for column, name in reversed(list(enumerate(names)))}
    folded = {name.casefold(): column for name, column in exact.items()}
    row = np.zeros((1, len(names)))
    for text in words:
        for word in [text] if text in exact else text.split():
            column = exact.get(word, folded.get(word.strip(punctuation).casefold()))
            if column is not None:
                row[0, column] += 1
    return row


def compute_component_shares(learner: Any, row: NDArray[Any], n_components: int, n_topics: int) -> Floats:
    """Compute the share of each component in a query; 0 except for the `n_topics` largest codes."""
    check_count("n_topics", n_topics)
    code = compute_codes(_ignore_feature_names(learner), row)[0].astype(np.float64)
    if n_components == 1:
        return (code != 0).astype(np.float64)
    order = select_largest(code, n_topics + 1)
    kept, rest = order[:-1], code[order[-1]]
    shares = np.zeros(n_components)
    shares[kept] = code[kept] - rest
    total = shares.sum()
    return shares / total if total > 0 else shares


def _ignore_feature_names(learner: Any) -> Any:
    """Return the learner without its feature names, because a query row has none and would give a warning."""
    if not hasattr(learner, "feature_names_in_"):
        return learner
    nameless = copy(learner)
    vars(nameless).pop("feature_names_in_", None)
    return nameless
