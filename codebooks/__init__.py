"""Topic models, codebooks and associative memories with the API of scikit-learn."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # importing `typing` takes time
if TYPE_CHECKING:
    from typing import Any

    from codebooks.device import to_host
    from codebooks.embeddings.neighbor_smoothing import NeighborSmoothing
    from codebooks.embeddings.paired_head import PairedHead
    from codebooks.embeddings.text_embedder import TextEmbedder
    from codebooks.embeddings.whitening import PartialWhitening
    from codebooks.interpret.document_ranking import rank_documents
    from codebooks.interpret.expansion import expand
    from codebooks.interpret.suggestion import suggest
    from codebooks.interpret.topics import Topic, TopicList, cluster_words, representative_documents, topic_words
    from codebooks.memory.hopfield_memory import HopfieldMemory
    from codebooks.models.inhibited_mixture import InhibitedMixture
    from codebooks.models.krotov_hopfield import KrotovHopfield
    from codebooks.models.multinomial_mixture import MultinomialMixture
    from codebooks.models.orthogonal_sparse_coding import OrthogonalSparseCoding
    from codebooks.ops import warmup
    from codebooks.retrieval.bm25 import BM25Transformer
    from codebooks.retrieval.retriever import HopfieldRetriever
    from codebooks.selection import choose_n_components
    from codebooks.text.analyzer import TextAnalyzer
    from codebooks.topic_model.model import TopicModel

    __version__: str

__all__ = [
    "BM25Transformer",
    "HopfieldMemory",
    "HopfieldRetriever",
    "InhibitedMixture",
    "KrotovHopfield",
    "MultinomialMixture",
    "NeighborSmoothing",
    "OrthogonalSparseCoding",
    "PairedHead",
    "PartialWhitening",
    "TextAnalyzer",
    "TextEmbedder",
    "Topic",
    "TopicList",
    "TopicModel",
    "choose_n_components",
    "cluster_words",
    "expand",
    "rank_documents",
    "representative_documents",
    "suggest",
    "to_host",
    "topic_words",
    "warmup",
]

# The module of each public name. Modules are imported at the first use of a name, so that `codebooks --help` does not
# wait for scikit-learn.
_MODULES = {
    "BM25Transformer": "retrieval.bm25",
    "HopfieldMemory": "memory.hopfield_memory",
    "HopfieldRetriever": "retrieval.retriever",
    "InhibitedMixture": "models.inhibited_mixture",
    "KrotovHopfield": "models.krotov_hopfield",
    "MultinomialMixture": "models.multinomial_mixture",
    "NeighborSmoothing": "embeddings.neighbor_smoothing",
    "OrthogonalSparseCoding": "models.orthogonal_sparse_coding",
    "PairedHead": "embeddings.paired_head",
    "PartialWhitening": "embeddings.whitening",
    "TextAnalyzer": "text.analyzer",
    "TextEmbedder": "embeddings.text_embedder",
    "Topic": "interpret.topics",
    "TopicList": "interpret.topics",
    "TopicModel": "topic_model.model",
    "choose_n_components": "selection",
    "cluster_words": "interpret.topics",
    "expand": "interpret.expansion",
    "rank_documents": "interpret.document_ranking",
    "representative_documents": "interpret.topics",
    "suggest": "interpret.suggestion",
    "to_host": "device",
    "topic_words": "interpret.topics",
    "warmup": "ops",
}


def _read_version() -> str:
    """Return the version of the installed distribution, or a placeholder if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("codebooks-learn")
    except PackageNotFoundError:
        return "0+unknown"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value = _read_version()
    elif name in _MODULES:
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
