"""Files of models: skops files, which contain no executable code, written atomically."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from codebooks.errors import UserError

__all__ = ["load_object", "save_object"]

# Classes that a file may contain, besides those of scikit-learn and NumPy that skops trusts.
_TRUSTED = [
    "codebooks.models.inhibited_mixture.InhibitedMixture",
    "codebooks.models.krotov_hopfield.KrotovHopfield",
    "codebooks.models.multinomial_mixture.MultinomialMixture",
    "codebooks.models.orthogonal_sparse_coding.OrthogonalSparseCoding",
    "codebooks.text.analyzer.TextAnalyzer",
    "codebooks.embeddings.text_embedder.TextEmbedder",
    "codebooks.embeddings.whitening.PartialWhitening",
    "codebooks.embeddings.neighbor_smoothing.NeighborSmoothing",
    "codebooks.interpret.topics.Topic",
    "codebooks.interpret.topics.TopicList",
    "scipy.sparse._csr.csr_matrix",
]


def save_object(value: Any, file: str | Path) -> None:
    """Write an estimator to a file, which is replaced only when the new one is complete."""
    from skops.io import dump

    file = Path(file)
    if file.is_dir():
        raise IsADirectoryError(f"`path` must be a file, got the folder {file}. Add a file name.")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"`path` must be in a folder that exists, got {file}. Create {file.parent} first.")
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as opened:
            dump(value, opened, compression=zipfile.ZIP_DEFLATED, compresslevel=3)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(temporary, file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_object(file: Path, advice: str, *, trust: bool = False) -> Any:
    """Read an estimator from a skops file; with `trust` it may contain other classes, whose loading can run any code.

    `advice` says how to trust the file.
    """
    from skops.io import get_untrusted_types, load

    unknown = [name for name in get_untrusted_types(file=file) if name not in _TRUSTED]
    if unknown and not trust:
        raise UserError(
            f"{file} contains {', '.join(unknown)!s:.200}, which models of codebooks do not contain; if you trust the "
            f"file, use {advice}."
        )
    return load(file, trusted=[*_TRUSTED, *unknown])
