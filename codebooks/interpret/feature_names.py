"""Names of the columns of a matrix: passed by the user, or read from the steps of a Pipeline or from the model."""

from __future__ import annotations

from collections.abc import Mapping, Set
from contextlib import suppress
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.pipeline import Pipeline

from codebooks import ops
from codebooks.interpret.model_access import OTHER_FEATURES
from codebooks.validation.arrays import check_matrix

__all__ = ["check_feature_names", "check_word_counts", "require_word_counts", "resolve_feature_names"]


def require_word_counts(X: Any) -> Any:
    """Return X as a matrix on the host; raise an error for negative values."""
    advice = "`X` must be the counts of the documents here, a column for each word: vectorizer.fit_transform(texts)."
    X = check_matrix("The description of topics by documents", ops.to_host(X), advice)
    if np.any((X.data if sparse.issparse(X) else X) < 0):
        raise ValueError(
            "`X` must have counts or tf-idf, got negative values. For a model of embeddings pass the counts of the "
            "same documents, and labels=model.predict(embeddings); for others use topic_words(..., method='weights')."
        )
    return X


def check_word_counts(X: Any, feature_names: Any) -> tuple[Any, list[str]]:
    """Return counts of documents whose model has other features, and the word of each column."""
    X = require_word_counts(X)
    if feature_names is None:
        raise ValueError(
            f"`feature_names` must have a name for each of the {X.shape[1]} columns of `X`, got None. Pass "
            "vectorizer.get_feature_names_out()."
        )
    return X, check_feature_names(feature_names, X.shape[1], "`X`", "Take them from the vectorizer that made `X`.")


def resolve_feature_names(preparation: Pipeline | None, learner: Any, feature_names: Any, n_features: int) -> list[str]:
    """Return the name of each column: those passed, or those of the Pipeline or the learner."""
    if feature_names is None and preparation is not None:
        with suppress(AttributeError):  # a step without feature names
            feature_names = preparation.get_feature_names_out()
        _refuse_numbered_names(preparation, feature_names)
    elif feature_names is None:
        feature_names = getattr(learner, "feature_names_in_", None)
    if feature_names is None:
        raise ValueError(
            f"`feature_names` must have a name for each of the {n_features} columns of the model, got None. Pass "
            f"vectorizer.get_feature_names_out(), or a Pipeline that begins with the vectorizer. {OTHER_FEATURES}"
        )
    advice = f"Take them from the vectorizer that made the training matrix. {OTHER_FEATURES}"
    return check_feature_names(feature_names, n_features, "the model", advice)


def check_feature_names(feature_names: Any, n_columns: int, owner: str, advice: str) -> list[str]:
    """Return feature names as a list of strings, one for each column."""
    is_list = hasattr(feature_names, "__len__") and getattr(feature_names, "ndim", 1) == 1
    has_no_order = isinstance(feature_names, str | Mapping | Set)
    if not is_list or has_no_order or hasattr(feature_names, "get_feature_names_out"):
        raise TypeError(
            f"`feature_names` must be a list of the names of the columns of {owner} in their order, got "
            f"{type(feature_names).__name__}. Pass vectorizer.get_feature_names_out()."
        )
    if len(feature_names) != n_columns:
        raise ValueError(
            f"`feature_names` must have {n_columns} names, one for each column of {owner}, got {len(feature_names)}. "
            f"{advice}"
        )
    return [str(name) for name in feature_names]


def _refuse_numbered_names(preparation: Pipeline, feature_names: Any) -> None:
    """Refuse names that only number the columns, such as those of embeddings: they are not words."""
    steps = {type(step).__name__.lower() for _, step in preparation.steps}
    for prefix in {"x", *steps}:
        is_named = feature_names is not None and len(feature_names) > 0
        if is_named and all(name == f"{prefix}{column}" for column, name in enumerate(feature_names)):
            raise ValueError(
                f"`feature_names` must be words, got numbered columns ({feature_names[0]}, ...) from this Pipeline. "
                f"{OTHER_FEATURES}"
            )
