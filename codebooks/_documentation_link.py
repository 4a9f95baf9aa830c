"""The address of an estimator in the documentation. scikit-learn's HTML display of estimators links there."""

from __future__ import annotations

__all__ = ["DocumentationLink"]


class DocumentationLink:
    """Mixin of all estimators, before `BaseEstimator`."""

    _doc_link_module = "codebooks"
    _doc_link_template = "https://codebooks-learn.github.io/codebooks/reference/codebooks.{estimator_name}.html"
