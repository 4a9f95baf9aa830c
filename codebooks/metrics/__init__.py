"""How good a codebook is: coherence, diversity, redundancy and usage without labels, agreement with them.

How embeddings fill their space: `geometry`.

And how good rankings are, judged by documents that are known to be relevant: `ranking` has the conventions.

No score stands in for reading the topics: Hoyle et al. (2021, "Is automated topic model evaluation broken?")
found coherence telling models apart that people did not. Use several, and print the words beside them.
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
