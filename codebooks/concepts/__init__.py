"""Using a codebook: words that a query's concepts add, documents that show a concept, rows like those liked.

A concept is a unit of the codebook. The models are known by what they offer, as in `codebooks.topics`.
"""

from codebooks.concepts.expansion import AddedWord, expand
from codebooks.concepts.ranking import Ranking, rank_documents
from codebooks.concepts.suggestion import suggest

__all__ = ["AddedWord", "Ranking", "expand", "rank_documents", "suggest"]
