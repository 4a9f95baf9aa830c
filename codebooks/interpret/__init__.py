"""Interpretation of components: topic words, representative documents, query expansion, rankings and suggestions."""

from codebooks.interpret.document_ranking import Ranking, rank_documents
from codebooks.interpret.expansion import AddedWord, expand
from codebooks.interpret.suggestion import suggest
from codebooks.interpret.topics import Topic, TopicList, cluster_words, representative_documents, topic_words

__all__ = [
    "AddedWord",
    "Ranking",
    "Topic",
    "TopicList",
    "cluster_words",
    "expand",
    "rank_documents",
    "representative_documents",
    "suggest",
    "topic_words",
]
