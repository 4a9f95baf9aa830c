"""Interpretation of components: topic words, representative documents, query expansion, rankings and trends."""

from codebooks.interpret.document_ranking import Ranking, rank_documents
from codebooks.interpret.expansion import AddedWord, expand
from codebooks.interpret.over_time import TopicShares, TopicTrends, compare_topics_by_class, compute_topic_trends
from codebooks.interpret.suggestion import suggest
from codebooks.interpret.topics import Topic, TopicList, cluster_words, representative_documents, topic_words

__all__ = [
    "AddedWord",
    "Ranking",
    "Topic",
    "TopicList",
    "TopicShares",
    "TopicTrends",
    "cluster_words",
    "compare_topics_by_class",
    "compute_topic_trends",
    "expand",
    "rank_documents",
    "representative_documents",
    "suggest",
    "topic_words",
]
