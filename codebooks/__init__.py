"""Topics and codebooks without labels: simple, online, sparse, orthogonal."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False  # `typing` takes its time too, in which Ctrl-C shows a traceback
if TYPE_CHECKING:
    from typing import Any

    from codebooks.device import to_host
    from codebooks.embeddings.neighbor_smoothing import NeighborSmoothing
    from codebooks.embeddings.paired_head import PairedHead
    from codebooks.embeddings.text_embedder import TextEmbedder
    from codebooks.embeddings.whitening import Isotropy
    from codebooks.interpret import expand, rank_documents, suggest
    from codebooks.interpret.topics import Topic, top_documents, topics
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

    __version__: str

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
# Where the public names are. Each module is loaded when a name of it is first used, so that `codebooks --help` need not
# wait for scikit-learn.
_PLACES = {
    "BM25Transformer": "codebooks.retrieval.bm25",
    "HopfieldMemory": "codebooks.memory.hopfield_memory",
    "HopfieldRetriever": "codebooks.retrieval.retriever",
    "InhibitedMixture": "codebooks.models.inhibited_mixture",
    "Isotropy": "codebooks.embeddings.whitening",
    "KrotovHopfield": "codebooks.models.krotov_hopfield",
    "MultinomialMixture": "codebooks.models.multinomial_mixture",
    "NeighborSmoothing": "codebooks.embeddings.neighbor_smoothing",
    "OrthogonalSparseCoding": "codebooks.models.orthogonal_sparse_coding",
    "PairedHead": "codebooks.embeddings.paired_head",
    "TextAnalyzer": "codebooks.text.analyzer",
    "TextEmbedder": "codebooks.embeddings.text_embedder",
    "Topic": "codebooks.interpret.topics",
    "choose_n_components": "codebooks.selection",
    "expand": "codebooks.interpret",
    "rank_documents": "codebooks.interpret",
    "suggest": "codebooks.interpret",
    "to_host": "codebooks.device",
    "top_documents": "codebooks.interpret.topics",
    "topics": "codebooks.interpret.topics",
    "warmup": "codebooks.ops",
}


def _read_version() -> str:
    """Return the version of the installed distribution; of a copy that is not installed, that no version is known."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("codebooks-learn")
    except PackageNotFoundError:
        return "0+unknown"


class _Package(ModuleType):
    """The package: public names are attributes of it, also where a module has the same name."""

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            value = _read_version()
            super().__setattr__(name, value)
            return value
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_PLACES[name]), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # The import of `codebooks.interpret.topics` would hide the function of that name.
        if not (name in _PLACES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_PLACES})


sys.modules[__name__].__class__ = _Package
