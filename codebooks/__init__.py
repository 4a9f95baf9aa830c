"""Topics and codebooks without labels: simple, online, sparse, orthogonal."""

from codebooks.models.krotov_hopfield import KrotovHopfield
from codebooks.ops import warmup
from codebooks.topics import Topic, top_documents, topics

__all__ = ["KrotovHopfield", "Topic", "top_documents", "topics", "warmup"]
__version__ = "0.1.0"
