"""Encoders that are named: where they lie, loading them once, and running them. torch comes with the first of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

from codebooks.errors import short_repr

__all__ = ["PooledModel", "SentenceModel", "compute_fingerprint", "load_encoder", "resolve_encoder"]

_INSTALL = "pip install 'codebooks-learn[text]'"
# Tokens that stand at the ends of a text.
_SPECIAL = 2
# Models that stay loaded, the last ones used.
_LOADED = 2


class SentenceModel:
    """A model of sentence-transformers."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def count_truncated(self, texts: list[str], max_length: int | None) -> int:
        """How many texts have more tokens than are read."""
        limit, tokenizer = max_length or self.model.max_seq_length, getattr(self.model, "tokenizer", None)
        return 0 if tokenizer is None else _count_longer(tokenizer, texts, limit)

    def encode(self, texts: list[str], max_length: int | None) -> Any:
        """A row for each text, of at most so many tokens; None: as many as the model wants."""
        before = self.model.max_seq_length
        if max_length is not None:
            self.model.max_seq_length = max_length
        try:
            return self.model.encode(texts, batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True)
        finally:
            if max_length is not None:
                self.model.max_seq_length = before


class PooledModel:
    """An encoder of Hugging Face, the vectors of whose tokens become one."""

    def __init__(self, place: str, pooling: str, device: str | None) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        self.pooling = pooling
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = AutoTokenizer.from_pretrained(place)
        self.model = AutoModel.from_pretrained(place).eval().to(self.device)
        # A tokenizer that knows no limit says 1e30.
        self.limit = min(
            self.tokenizer.model_max_length, getattr(self.model.config, "max_position_embeddings", None) or 512
        )

    def count_truncated(self, texts: list[str], max_length: int | None) -> int:
        """How many texts have more tokens than are read."""
        return _count_longer(self.tokenizer, texts, max_length or self.limit)

    def encode(self, texts: list[str], max_length: int | None) -> Any:
        """A row for each text, of at most so many tokens; None: as many as the model bears."""
        import torch

        tokens = self.tokenizer(
            texts, padding=True, truncation=True, max_length=max_length or self.limit, return_tensors="pt"
        ).to(self.device)
        with torch.inference_mode():
            vectors = self.model(**tokens).last_hidden_state.float()
        if self.pooling == "cls":
            return vectors[:, 0]
        real = tokens["attention_mask"].unsqueeze(-1)
        return (vectors * real).sum(1) / real.sum(1).clamp(min=1)


def _count_longer(tokenizer: Any, texts: list[str], limit: int | None) -> int:
    """How many texts have more tokens than this. A token has a character at least, so short texts are not looked at."""
    long = [] if limit is None else [text for text in texts if len(text) > limit - _SPECIAL]
    if not long:
        return 0
    tokens = tokenizer(long, add_special_tokens=True, truncation=False, verbose=False)["input_ids"]
    return sum(len(ids) > limit for ids in tokens) if limit is not None else 0


@lru_cache(maxsize=_LOADED)
def load_encoder(
    place: str, version: str, pooling: str | None, device: str | None, progress: bool
) -> SentenceModel | PooledModel:
    """A model, loaded; `version` is its `compute_fingerprint`, which makes a folder that changed another one.

    Raises
    ------
    ImportError
        The library for it is not installed.
    OSError
        It cannot be found or loaded.
    """
    try:
        with nullcontext() if progress else _disable_progress_bars():
            if pooling is not None:
                return PooledModel(place, pooling, device)
            from sentence_transformers import SentenceTransformer

            return SentenceModel(SentenceTransformer(place, device=device))
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("torch", "transformers", "sentence_transformers"):
            raise
        raise ImportError(
            f"TextEmbedder({short_repr(place)}) wants {missing}, which is not installed: {_INSTALL}"
        ) from error
    except (OSError, ValueError) as error:
        raise OSError(_describe_load_error(place, error)) from error


@contextmanager
def _disable_progress_bars() -> Iterator[None]:
    """No bars of transformers while a model is loaded."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def resolve_encoder(encoder: str | os.PathLike[str]) -> str:
    """The folder of a model, in full, or its name on the hub.

    Raises
    ------
    FileNotFoundError
        It looks like a folder, and there is none.
    """
    given = os.fspath(encoder)
    folder = Path(given).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if isinstance(encoder, os.PathLike) or given.startswith((".", "/", "~", "\\")) or given.count("/") > 1:
        raise FileNotFoundError(f"There is no folder {given} to load an encoder from.")
    return given


def compute_fingerprint(place: str) -> str:
    """Names, sizes and times of the files of a folder; nothing for a name on the hub."""
    if not os.path.isabs(place):
        return ""
    files = sorted(path for path in Path(place).rglob("*") if path.is_file())
    about = ((path, path.stat()) for path in files)
    return json.dumps([[path.relative_to(place).as_posix(), is_.st_size, is_.st_mtime_ns] for path, is_ in about])


def _describe_load_error(place: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if os.path.isabs(place):
        todo = "The folder must hold a model of sentence-transformers, or with pooling= one of Hugging Face."
    else:
        offline = any(os.environ.get(name) for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
        where = "the network is switched off (HF_HUB_OFFLINE)" if offline else "look at the spelling and the network"
        todo = f"It is no folder here and was not downloaded before; {where}. Or give a folder that holds a model."
    return f"TextEmbedder could not load {short_repr(place)}: {reason} {todo}"
