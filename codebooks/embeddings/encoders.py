"""Named sentence encoders: locate, load and run them. torch is imported when the first model is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

from codebooks.errors import short_repr, shorten

__all__ = ["PooledModel", "SentenceModel", "compute_fingerprint", "load_encoder", "resolve_encoder"]

_INSTALL = "pip install 'codebooks-learn[text]'"
# Number of special tokens at the ends of a text.
_SPECIAL = 2
# Number of models that stay in memory, the most recently used.
_LOADED = 2


class SentenceModel:
    """A model of sentence-transformers."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def count_truncated(self, texts: list[str], max_length: int | None) -> int:
        """Count the texts with more tokens than the model reads."""
        limit, tokenizer = max_length or self.model.max_seq_length, getattr(self.model, "tokenizer", None)
        return 0 if tokenizer is None else _count_longer(tokenizer, texts, limit)

    def encode(self, texts: list[str], max_length: int | None) -> Any:
        """Return a row for each text, truncated to `max_length` tokens; None uses the limit of the model."""
        before = self.model.max_seq_length
        if max_length is not None:
            self.model.max_seq_length = max_length
        try:
            return self.model.encode(texts, batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True)
        finally:
            if max_length is not None:
                self.model.max_seq_length = before


class PooledModel:
    """An encoder of Hugging Face with pooling of the token vectors."""

    def __init__(self, location: str, pooling: str, device: str | None) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        self.pooling = pooling
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = AutoTokenizer.from_pretrained(location)
        self.model = AutoModel.from_pretrained(location).eval().to(self.device)
        # `model_max_length` is 1e30 if the tokenizer has no limit.
        self.limit = min(
            self.tokenizer.model_max_length, getattr(self.model.config, "max_position_embeddings", None) or 512
        )

    def count_truncated(self, texts: list[str], max_length: int | None) -> int:
        """Count the texts with more tokens than the model reads."""
        return _count_longer(self.tokenizer, texts, max_length or self.limit)

    def encode(self, texts: list[str], max_length: int | None) -> Any:
        """Return a row for each text, truncated to `max_length` tokens; None uses the limit of the model."""
        import torch

        tokens = self.tokenizer(
            texts, padding=True, truncation=True, max_length=max_length or self.limit, return_tensors="pt"
        ).to(self.device)
        with torch.inference_mode():
            vectors = self.model(**tokens).last_hidden_state.float()
        if self.pooling == "cls":
            return vectors[:, 0]
        mask = tokens["attention_mask"].unsqueeze(-1)
        return (vectors * mask).sum(1) / mask.sum(1).clamp(min=1)


def _count_longer(tokenizer: Any, texts: list[str], limit: int | None) -> int:
    """Count the texts with more than `limit` tokens. A token has at least one character, so short texts are skipped."""
    long = [] if limit is None else [text for text in texts if len(text) > limit - _SPECIAL]
    if not long:
        return 0
    tokens = tokenizer(long, add_special_tokens=True, truncation=False, verbose=False)["input_ids"]
    return sum(len(ids) > limit for ids in tokens) if limit is not None else 0


@lru_cache(maxsize=_LOADED)
def load_encoder(
    location: str, fingerprint: str, pooling: str | None, device: str | None, progress: bool
) -> SentenceModel | PooledModel:
    """Load a model. `fingerprint` is only a key, so that a changed folder is loaded again.

    Raises
    ------
    ImportError
        The library of the model is not installed.
    OSError
        The model cannot be found or loaded.
    """
    try:
        with nullcontext() if progress else _disable_progress_bars():
            if pooling is not None:
                return PooledModel(location, pooling, device)
            from sentence_transformers import SentenceTransformer

            return SentenceModel(SentenceTransformer(location, device=device))
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("torch", "transformers", "sentence_transformers"):
            raise
        raise ImportError(
            f"TextEmbedder({short_repr(location)}) requires {missing}, which is not installed. Run: {_INSTALL}"
        ) from error
    except (OSError, ValueError) as error:
        raise OSError(_describe_load_error(location, error)) from error


@contextmanager
def _disable_progress_bars() -> Iterator[None]:
    """Disable the progress bars of transformers in a block."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def resolve_encoder(encoder: str | os.PathLike[str]) -> str:
    """Return the absolute path of a model folder, or the name of a model on the hub.

    Raises
    ------
    FileNotFoundError
        The argument has the form of a path, and the folder does not exist.
    """
    name = os.fspath(encoder)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if isinstance(encoder, os.PathLike) or name.startswith((".", "/", "~", "\\")) or name.count("/") > 1:
        raise FileNotFoundError(
            f"`encoder` must be an existing folder or the name of a model, got {short_repr(name)}. Check the path."
        )
    return name


def compute_fingerprint(location: str) -> str:
    """Return names, sizes and times of the files of a folder as JSON; an empty string for a name on the hub."""
    if not os.path.isabs(location):
        return ""
    files = sorted(path for path in Path(location).rglob("*") if path.is_file())
    stats = ((path, path.stat()) for path in files)
    return json.dumps([[path.relative_to(location).as_posix(), stat.st_size, stat.st_mtime_ns] for path, stat in stats])


def _describe_load_error(location: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if os.path.isabs(location):
        advice = "Use a folder with a model of sentence-transformers, or with pooling= one of Hugging Face."
    else:
        offline = any(os.environ.get(name) for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
        cause = "the network is disabled (HF_HUB_OFFLINE)" if offline else "check the spelling and the network"
        advice = f"It is not a local folder and not downloaded; {cause}. Or use the folder of a model."
    return f"TextEmbedder could not load {short_repr(location)}: {shorten(reason, 250)} {advice}"
