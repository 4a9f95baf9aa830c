"""Models of the command line as files: saved by skops, so that loading one runs no code."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from codebooks.errors import UserError

FILE = "model.skops"  # in the folder that `topics` writes
# Classes that a file may name, beside those of scikit-learn and NumPy that skops itself trusts.
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
    """Load the Pipeline of a file that `codebooks topics` wrote, or of the folder that holds it.

    Parameters
    ----------
    place : str or Path
        The file or folder.
    trust : bool, default=False
        Whether the file may be a pickle, or may hold other classes than those of codebooks and scikit-learn. Loading
        such a file can run any code, so know who made it.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Its attribute `topics_` lists a `Topic` for each component.

    Raises
    ------
    UserError
        There is no model, or it cannot be loaded, or only if it is trusted.
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
        raise UserError(
            f"{file} cannot be loaded as a model ({reason}); make it again with codebooks topics."
        ) from error
    if not isinstance(pipeline, Pipeline) or "topics_" not in vars(pipeline):
        raise UserError(f"{file} is not a model of ours; make one with codebooks topics.")
    return pipeline


def _find_file(place: Path) -> Path:
    if not place.exists():
        raise UserError(f"there is no model {place}; make one with codebooks topics.")
    if not place.is_dir():
        return place
    for name in (FILE, "model.joblib"):
        if (place / name).is_file():
            return place / name
    raise UserError(f"the folder {place} has no {FILE} in it; make one with codebooks topics.")


def _load_skops(file: Path, trust: bool) -> Any:
    from skops.io import get_untrusted_types, load

    unknown = [name for name in get_untrusted_types(file=file) if name not in TRUSTED]
    if unknown and not trust:
        raise UserError(
            f"{file} holds {', '.join(unknown)!s:.200}, which a model of codebooks topics does not; "
            "if you know who made it, give --trust."
        )
    return load(file, trusted=[*TRUSTED, *unknown])


def _load_pickle(file: Path, trust: bool) -> Any:
    with file.open("rb") as opened:
        start = opened.read(2)
    # Protocol 2 and later, and what joblib compresses by zlib, gzip, bz2, xz and lzma.
    if not start.startswith((b"\x80", b"x", b"\x1f\x8b", b"BZ", b"\xfd7", b"]\0")):
        raise UserError(
            f"{file} is not a model; give the {FILE} that codebooks topics wrote, or the folder that holds it."
        )
    if not trust:
        raise UserError(
            f"{file} may be a pickle, and loading one can run code; if you know who made it, give --trust, "
            "else make it again with codebooks topics."
        )
    import joblib

    return joblib.load(file)
