"""Access to fitted models of any library: components, codes, labels, and the steps of a Pipeline before the model.

Models are recognised by their attributes and methods, not by their class: `components_` or `cluster_centers_`,
`transform`, and optionally `predict`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks.interpret._labelling import choose_words_by_weights
from codebooks.interpret.assignments import orient_codes, select_winners
from codebooks.validation.arrays import check_structure

__all__ = [
    "OTHER_FEATURES",
    "apply_preparation",
    "compute_codes",
    "count_rows",
    "count_wins",
    "get_components",
    "predict_components",
    "resolve_labels",
    "select_top_columns",
    "sort_by_cosine",
    "split_pipeline",
]

Ints = NDArray[np.intp]

OTHER_FEATURES = (
    "A model of embeddings or of other features is described by the words of its documents: pass their counts as X=, "
    "feature_names=, and labels=model.predict(...) of the same documents."
)


def split_pipeline(model: Any) -> tuple[Pipeline | None, Any]:
    """Split a fitted model into the steps before the learner, or None, and the learner."""
    if isinstance(model, type) or not hasattr(model, "fit"):  # the message of scikit-learn would contain all documents
        raise TypeError(
            f"`model` must be a fitted model, got {type(model).__name__}. Pass the model first and the documents "
            "second, as in topic_words(pipeline, documents)."
        )
    check_is_fitted(model)
    if not isinstance(model, Pipeline):
        return None, model
    return (model[:-1] if len(model) > 1 else None), model[-1]


def get_components(learner: Any) -> NDArray[Any]:
    """Return the components of a fitted learner, shape (n_components, n_features)."""
    for name in ("components_", "cluster_centers_"):
        if hasattr(learner, name):
            return np.asarray(ops.to_host(getattr(learner, name)))
    raise TypeError(
        f"`model` must have components_ or cluster_centers_, got {type(learner).__name__}, which has neither. Use a "
        "learner of codebooks, or NMF, KMeans or LatentDirichletAllocation of scikit-learn; for labels of any other "
        "model use cluster_words."
    )


def predict_components(learner: Any, X: Any) -> Ints:
    """Return the component of each row, -1 for none: `predict`, or without it the largest code."""
    return resolve_labels(learner, X, None if hasattr(learner, "predict") else compute_codes(learner, X))


def count_wins(labels: Ints, n_components: int) -> Ints:
    """Count the rows of each component, shape (n_components,); rows labelled -1 are left out."""
    return np.bincount(labels[labels >= 0], minlength=n_components)


def select_top_columns(scores: NDArray[Any], n: int) -> list[Ints]:
    """Return for each row the columns of its n largest positive entries, descending, ties to the lower column."""
    return [name.columns for name in choose_words_by_weights(scores, n)]


def compute_codes(learner: Any, X: Any) -> NDArray[Any]:
    """Return the codes of the rows of X, dense and on the host, oriented so that larger is stronger."""
    return orient_codes(learner, learner.transform(X))


def resolve_labels(learner: Any, X: Any, codes: NDArray[Any] | None) -> Ints:
    """Return the labels that `predict` gives; without `predict`, the components with the largest code."""
    if codes is None or hasattr(learner, "predict"):
        return np.asarray(ops.to_host(learner.predict(X)))
    return select_winners(learner, codes)


def apply_preparation(preparation: Pipeline | None, X: Any, n_features: int) -> Any:
    """Return the matrix that the learner receives for X, with its number of columns checked."""
    X = X if preparation is None else preparation.transform(X)
    check_structure("X", X)
    shape = np.shape(X)
    if len(shape) == 2 and shape[1] != n_features:
        raise ValueError(
            f"`X` must have {n_features} columns, as the model has, got {shape[1]}. Prepare it like the training "
            f"matrix. {OTHER_FEATURES}"
        )
    return X


def count_rows(X: Any) -> int | None:
    """Return the number of documents in X, None without X."""
    return None if X is None else X.shape[0] if hasattr(X, "shape") else len(X)


def sort_by_cosine(X: Any, rows: Ints, target: Any = None, weight: Any = None) -> Ints:
    """Sort rows of a matrix by their cosine with `target`, descending; cosines that are equal to 6 digits are ties.

    Without a target it is the mean of the rows, scaled to length 1 and weighted by `weight`.
    """
    if not len(rows):
        return rows
    X = ops.to_host(X)
    unit_rows = normalize((X if hasattr(X, "tocsr") else np.asarray(X))[rows])
    if target is None:
        target = (np.ones(len(rows)) if weight is None else weight) @ unit_rows
    target = np.asarray(target, dtype=np.float64).ravel()
    cosines = np.asarray(unit_rows @ target) / max(np.linalg.norm(target), np.finfo(np.float64).tiny)
    return rows[np.argsort(-np.round(cosines, 6), kind="stable")]
