"""Interpretation of components: topic words, documents, hierarchies, query expansion, rankings and suggestions."""

from codebooks.interpret.document_ranking import Ranking, rank_documents
from codebooks.interpret.expansion import AddedWord, expand
from codebooks.interpret.hierarchy import Hierarchy, build_hierarchy
from codebooks.interpret.suggestion import suggest
from codebooks.interpret.topic_similarity import compute_topic_similarity
from codebooks.interpret.topics import Topic, TopicList, cluster_words, representative_documents, topic_words

__all__ = [
    "AddedWord",
    "Hierarchy",
    "Ranking",
    "Topic",
    "TopicList",
    "build_hierarchy",
    "cluster_words",
    "compute_topic_similarity",
    "expand",
    "rank_documents",
    "representative_documents",
    "suggest",
    "topic_words",
]
