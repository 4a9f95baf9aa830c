"""Views of a fitted `TopicModel`: topics over time and per class, hierarchy and similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks.interpret.hierarchy import Hierarchy, build_hierarchy
from codebooks.interpret.over_time import TopicShares, TopicTrends, compare_topics_by_class, compute_topic_trends
from codebooks.interpret.topic_similarity import compute_topic_similarity
from codebooks.topic_model.fitted import FittedTopics

__all__ = ["AnalysisMixin"]


class AnalysisMixin(FittedTopics):
    """Methods that summarize the topics of the documents of a model."""

    def topics_over_time(self, timestamps: Sequence[Any], bins: Any = "auto", *, n_words: int = 5) -> TopicTrends:
        """Compute the share of each topic in periods of time, with words of each period.

        Parameters
        ----------
        timestamps : sequence of datetime, str or number
            The time of each document of the model. Missing ones (None, NaT, nan) are left out.
        bins : int, str or sequence, default="auto"
            Number of periods, "year", "quarter", "month", "week", "day" or "hour", or the edges of the periods.
        n_words : int, default=5
            Words of each topic and period: those of the topic as a whole, and those that are frequent in the period.

        Returns
        -------
        TopicTrends
            With shares and their uncertainty; `codebooks.plots.plot_topic_trends` plots it.
        """
        return compute_topic_trends(
            timestamps=timestamps, bins=bins, n_words=n_words, **self._get_tables("timestamps", timestamps)
        )

    def topics_per_class(self, classes: Sequence[Any], *, n_words: int = 5) -> TopicShares:
        """Compute the share of each topic in classes of documents, with words of each class.

        Parameters
        ----------
        classes : sequence of str or int
            The class of each document of the model, such as its author. Missing ones (None, nan) are left out.
        n_words : int, default=5
            Words of each topic and class.

        Returns
        -------
        TopicShares
            With shares and their uncertainty; `codebooks.plots.plot_topic_shares` plots it.
        """
        return compare_topics_by_class(classes=classes, n_words=n_words, **self._get_tables("classes", classes))

    def hierarchy(self) -> Hierarchy:
        """Build the hierarchy of topics: similar topics merge first. `reduce` cuts it.

        Returns
        -------
        Hierarchy
            It prints as a tree; `codebooks.plots.plot_hierarchy` plots it.
        """
        check_is_fitted(self)
        sizes = [topic.size or 0 for topic in self.topics_]
        names = [topic.name for topic in self.topics_]
        return build_hierarchy(self._compute_topic_components(), sizes, names=names, ids=self.topic_ids_.tolist())

    def similarity(self) -> NDArray[Any]:
        """Compute the similarity of each pair of topics, from -1 to 1: about 0 for unrelated ones.

        Returns
        -------
        ndarray of shape (n_topics, n_topics)
            In the order of `topic_ids_`; `codebooks.plots.plot_similarity` plots it.
        """
        check_is_fitted(self)
        return compute_topic_similarity(self._compute_topic_components(), [topic.size or 0 for topic in self.topics_])

    def _compute_topic_components(self) -> NDArray[Any]:
        """Compute a vector for each topic: the mean of its components, weighted by their documents."""
        learner, owners = self.learner_, self._component_topics
        components = np.asarray(
            ops.to_host(getattr(learner, "components_", getattr(learner, "cluster_centers_", None)))
        )
        weight = np.asarray(ops.to_host(getattr(learner, "usage_", np.ones(len(owners))))) + 1e-12
        sums = np.zeros((len(self.topic_ids_), components.shape[1]))
        np.add.at(sums, owners, components * weight[:, None])
        return sums / np.bincount(owners, weights=weight, minlength=len(sums))[:, None]

    def _get_tables(self, parameter: str = "", values: Any = None) -> dict[str, Any]:
        """Return the arguments of functions of `interpret` that summarize documents, of which each has one value."""
        check_is_fitted(self)
        documents = self._documents
        if hasattr(values, "__len__") and not isinstance(values, str | bytes) and len(values) != len(documents.texts):
            raise ValueError(
                f"`{parameter}` must have an entry for each of the {len(documents.texts)} documents of the model, got "
                f"{len(values)}. After partial_fit these are the documents that it keeps, retriever().texts_."
            )
        shares, _ = self._compute_topic_shares(documents.features)
        for row, id in self._restrictions.moved.items():
            shares[row] = self.topic_ids_ == id
        return {
            "shares": shares,
            "ids": self.topic_ids_.tolist(),
            "names": [topic.name for topic in self.topics_],
            "X": documents.words,
            "feature_names": self.vectorizer_.get_feature_names_out(),
        }
