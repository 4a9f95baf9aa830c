"""Saving and loading of models as skops files, which contain no executable code."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from codebooks.errors import UserError

FILE = "model.skops"  # in the folder that `topics` writes
# Classes that a file may contain, besides those of scikit-learn and NumPy that skops trusts.
TRUSTED = [
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
]


def save_model(pipeline: Any, file: Path) -> None:
    """Save a fitted Pipeline with the attribute `topics_`, without pickle."""
    from skops.io import dump

    dump(pipeline, file, compression=zipfile.ZIP_DEFLATED, compresslevel=3)


def load_model(place: str | Path, trust: bool = False) -> Any:
    """Load the Pipeline that `codebooks topics` wrote, from its file or folder.

    Parameters
    ----------
    place : str or Path
        The file or folder.
    trust : bool, default=False
        Whether the file may be a pickle, or may contain other classes than those of codebooks and scikit-learn. Loading
        such a file can run any code: set it only for files from a source that you trust.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Its attribute `topics_` contains a `Topic` for each component.

    Raises
    ------
    UserError
        If there is no model, it cannot be loaded, or it requires `trust`.
    """
    from sklearn.pipeline import Pipeline

    file = _find_file(Path(place))
    try:
        if zipfile.is_zipfile(file):
            pipeline = _load_skops(file, trust)
        else:
            pipeline = _load_pickle(file, trust)
    except UserError:
        raise
    except Exception as error:  # a broken file can raise anything
        reason = f"{type(error).__name__}: {error!s:.200}"
        raise UserError(f"cannot load the model {file} ({reason}); create it again with codebooks topics.") from error
    if not isinstance(pipeline, Pipeline) or "topics_" not in vars(pipeline):
        raise UserError(f"{file} is not a model of codebooks; create one with codebooks topics.")
    return pipeline


def _find_file(place: Path) -> Path:
    if not place.exists():
        raise UserError(f"there is no model {place}; create one with codebooks topics.")
    if not place.is_dir():
        return place
    for name in (FILE, "model.joblib"):
        if (place / name).is_file():
            return place / name
    raise UserError(f"the folder {place} contains no {FILE}; create one with codebooks topics.")


def _load_skops(file: Path, trust: bool) -> Any:
    from skops.io import get_untrusted_types, load

    unknown = [name for name in get_untrusted_types(file=file) if name not in TRUSTED]
    if unknown and not trust:
        raise UserError(
            f"{file} contains {', '.join(unknown)!s:.200}, which models of codebooks topics do not contain; "
            "if you trust the file, use --trust."
        )
    return load(file, trusted=[*TRUSTED, *unknown])


def _load_pickle(file: Path, trust: bool) -> Any:
    with file.open("rb") as opened:
        start = opened.read(2)
    # Pickle protocol 2 and later, and joblib files compressed by zlib, gzip, bz2, xz and lzma.
    if not start.startswith((b"\x80", b"x", b"\x1f\x8b", b"BZ", b"\xfd7", b"]\0")):
        raise UserError(f"{file} is not a model; pass the {FILE} that codebooks topics wrote, or its folder.")
    if not trust:
        raise UserError(
            f"{file} may be a pickle, and loading a pickle can run any code; if you trust the file, use --trust, "
            "else create the model again with codebooks topics."
        )
    import joblib

    return joblib.load(file)
