"""Views of a fitted `TopicModel`: topics over time and per class, hierarchy and similarity."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks.interpret.hierarchy import Hierarchy, build_hierarchy
from codebooks.interpret.topic_similarity import compute_topic_similarity
from codebooks.topic_model.fitted import FittedTopics

__all__ = ["AnalysisMixin"]


class AnalysisMixin(FittedTopics):
    """Methods that summarize the topics of the documents of a model."""

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
        """Compute the similarity of each pair of topics, from 0 to 1.

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
