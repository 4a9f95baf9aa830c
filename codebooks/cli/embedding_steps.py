"""Pipeline steps that embed documents and prepare the embeddings for clustering."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from codebooks.errors import UserError


def build_embedding_steps(encoder: str, n_documents: int, n_topics: int) -> list[tuple[str, Any]]:
    """Build the steps of a Pipeline that convert texts to embeddings, from the name or folder of an encoder."""
    from codebooks.embeddings.neighbor_smoothing import NeighborSmoothing
    from codebooks.embeddings.text_embedder import TextEmbedder
    from codebooks.embeddings.whitening import PartialWhitening

    folder = Path(encoder).expanduser()
    # An absolute path, because `assign` may run in another folder.
    encoder = str(folder.resolve()) if folder.is_dir() else encoder
    # At most half of the documents of an average topic, because more neighbors belong to other topics.
    n_neighbors = max(1, min(NeighborSmoothing().n_neighbors, n_documents // (2 * n_topics)))
    smoothing = NeighborSmoothing(n_neighbors)
    return [("embedder", TextEmbedder(encoder)), ("isotropy", PartialWhitening()), ("smoothing", smoothing)]


def report_embedding_errors(transform: Callable[[list[str]], Any], texts: list[str]) -> Any:
    """Transform texts, and convert errors that the user can correct, such as a missing extra, to `UserError`."""
    try:
        return transform(texts)
    except (ImportError, OSError, ValueError) as error:
        raise UserError(str(error)) from error
