"""Using a codebook: words that a query's concepts add, documents that show a concept, rows like those liked.

A concept is a unit of the codebook. The models are known by what they offer, as in `codebooks.interpret.topics`.
"""

from codebooks.interpret.document_ranking import Ranking, rank_documents
from codebooks.interpret.expansion import AddedWord, expand
from codebooks.interpret.suggestion import suggest

__all__ = ["AddedWord", "Ranking", "expand", "rank_documents", "suggest"]
