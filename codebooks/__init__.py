"""Topics and codebooks without labels: simple, online, sparse, orthogonal."""

from codebooks.concepts import expand, rank_documents, suggest
from codebooks.device import to_host
from codebooks.models.hopfield_memory import HopfieldMemory
from codebooks.models.inhibited_mixture import InhibitedMixture
from codebooks.models.krotov_hopfield import KrotovHopfield
from codebooks.models.multinomial_mixture import MultinomialMixture
from codebooks.models.orthogonal_sparse_coding import OrthogonalSparseCoding
from codebooks.ops import warmup
from codebooks.selection import choose_n_components
from codebooks.text.analyzer import TextAnalyzer
from codebooks.text.embedder import TextEmbedder
from codebooks.text.isotropy import Isotropy
from codebooks.text.neighbor_smoothing import NeighborSmoothing
from codebooks.text.paired_head import PairedHead
from codebooks.text.retriever import HopfieldRetriever
from codebooks.text.weighting import BM25Transformer
from codebooks.topics import Topic, top_documents, topics

__all__ = [
    "BM25Transformer",
    "HopfieldMemory",
    "HopfieldRetriever",
    "InhibitedMixture",
    "Isotropy",
    "KrotovHopfield",
    "MultinomialMixture",
    "NeighborSmoothing",
    "OrthogonalSparseCoding",
    "PairedHead",
    "TextAnalyzer",
    "TextEmbedder",
    "Topic",
    "choose_n_components",
    "expand",
    "rank_documents",
    "suggest",
    "to_host",
    "top_documents",
    "topics",
    "warmup",
]
__version__ = "0.1.0"
