"""Metrics of topics, cluster labels, embeddings and rankings.

- Topics and components without known classes: coherence (`npmi`), `topic_diversity`, `redundancy`, `usage`.
- Cluster labels compared with known classes: `agreement`, `purity`.
- Geometry of embeddings: `average_cosine`, `isoscore`, `alignment`, `uniformity`.
- Rankings compared with relevant documents: see `codebooks.metrics.ranking` for the conventions.

No metric replaces reading the topics: Hoyle et al. (2021, "Is automated topic model evaluation broken?") found
differences in coherence between models that people rated alike. Use several metrics, and print the words with them.
"""

from codebooks.metrics.clustering import Agreement, agreement, purity
from codebooks.metrics.coherence import npmi, npmi_per_topic
from codebooks.metrics.diversity import redundancy, topic_diversity, usage
from codebooks.metrics.geometry import alignment, average_cosine, isoscore, uniformity
from codebooks.metrics.ranking import (
    accuracy_at,
    average_precision,
    ndcg,
    precision_at,
    ranking_scores,
    recall_at,
    reciprocal_rank,
)
from codebooks.metrics.resampling import bootstrap_interval
from codebooks.metrics.scorers import N_WORDS as N_WORDS
from codebooks.metrics.scorers import diversity_scorer, npmi_scorer

__all__ = [
    "Agreement",
    "accuracy_at",
    "agreement",
    "alignment",
    "average_cosine",
    "average_precision",
    "bootstrap_interval",
    "diversity_scorer",
    "isoscore",
    "ndcg",
    "npmi",
    "npmi_per_topic",
    "npmi_scorer",
    "precision_at",
    "purity",
    "ranking_scores",
    "recall_at",
    "reciprocal_rank",
    "redundancy",
    "topic_diversity",
    "uniformity",
    "usage",
]
