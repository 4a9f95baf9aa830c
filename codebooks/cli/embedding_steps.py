"""Documents by meaning: an encoder embeds them, and the embeddings are prepared for clustering."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from codebooks.errors import UserError


def build_embedding_steps(encoder: str, n_documents: int, n_topics: int) -> list[tuple[str, Any]]:
    """The steps of a Pipeline that turn texts into embeddings, by the name or folder of an encoder."""
    from codebooks.embeddings.neighbor_smoothing import NeighborSmoothing
    from codebooks.embeddings.text_embedder import TextEmbedder
    from codebooks.embeddings.whitening import PartialWhitening

    folder = Path(encoder).expanduser()
    place = str(folder.resolve()) if folder.is_dir() else encoder  # `assign` may be called from elsewhere
    # Among few documents, fewer neighbors than half of an average topic: else they belong to other topics.
    n_neighbors = max(1, min(NeighborSmoothing().n_neighbors, n_documents // (2 * n_topics)))
    smoothing = NeighborSmoothing(n_neighbors)
    return [("embedder", TextEmbedder(place)), ("isotropy", PartialWhitening()), ("smoothing", smoothing)]


def report_embedding_errors(transform: Callable[[list[str]], Any], texts: list[str]) -> Any:
    """What the transform makes of texts; what the user can put right, such as a missing extra, in one sentence."""
    try:
        return transform(texts)
    except (ImportError, OSError, ValueError) as error:
        raise UserError(str(error)) from error
