"""Interpretation of components: topic words, documents, hierarchies, trends, query expansion, rankings, suggestions."""

from codebooks.interpret.document_ranking import Ranking, rank_documents
from codebooks.interpret.expansion import AddedWord, expand
from codebooks.interpret.hierarchy import Hierarchy, build_hierarchy
from codebooks.interpret.matching import TopicChange, TopicMatching, match_topics
from codebooks.interpret.over_time import TopicShares, TopicTrends, compare_topics_by_class, compute_topic_trends
from codebooks.interpret.suggestion import suggest
from codebooks.interpret.topic_similarity import compute_topic_similarity
from codebooks.interpret.topics import Topic, TopicList, cluster_words, representative_documents, topic_words

__all__ = [
    "AddedWord",
    "Hierarchy",
    "Ranking",
    "Topic",
    "TopicChange",
    "TopicList",
    "TopicMatching",
    "TopicShares",
    "TopicTrends",
    "build_hierarchy",
    "cluster_words",
    "compare_topics_by_class",
    "compute_topic_similarity",
    "compute_topic_trends",
    "expand",
    "match_topics",
    "rank_documents",
    "representative_documents",
    "suggest",
    "topic_words",
]
