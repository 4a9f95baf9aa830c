"""Texts to embeddings: any encoder as a scikit-learn transformer that encodes each text once."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from codebooks._documentation_link import DocumentationLink
from codebooks._fork_safe_lock import ForkSafeLock
from codebooks.embeddings.cache import VectorCache
from codebooks.embeddings.encoders import PooledModel, SentenceModel, compute_fingerprint, load_encoder, resolve_encoder
from codebooks.errors import short_repr
from codebooks.models.convergence import Reporter
from codebooks.validation.arrays import check_count, check_embeddings
from codebooks.validation.texts import check_encoder_output, check_texts, replace_surrogates

__all__ = ["TextEmbedder"]

Vectors = NDArray[np.float32]

# Characters of a stretch without blanks that count as a word.
_WORD = 20
# Loading a model, and running one: torch has all cores anyway, and the tokenizers bear one caller at a time.
_turn = ForkSafeLock()


class TextEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DocumentationLink, BaseEstimator):
    """Texts as rows of numbers that are near each other where the texts mean the same.

    It learns nothing: `transform` needs no `fit`. A model that is named is loaded at the first text that is not in the
    cache, once for all embedders of this process that name it.

    Parameters
    ----------
    encoder : str, path, object with `encode`, callable or None, default="sentence-transformers/all-MiniLM-L6-v2"
        The name of a sentence-transformers model or a folder that holds one; with `pooling`, of any encoder of
        Hugging Face. Or such a model itself, any object with `encode`, or a callable: they get a list of at most
        `batch_size` texts and give an array with a row for each. None takes arrays that are embeddings already, so
        that a pipeline can begin here either way.
    pooling : {"mean", "cls"}, optional
        How the vectors of tokens become one, with an encoder that is named: their mean, or the first. Left out, what
        the sentence-transformers model says.
    max_length : int, optional
        Tokens of a text that are read; left out, as many as the model wants. For models named or of
        sentence-transformers.
    chunk : int, optional
        Words of a passage. Texts of more words are cut into passages of nearly equal length, and the embeddings of
        these, weighted by their words, are averaged. Left out, an encoder reads only the beginning of a long text, and
        a warning says of how many; for all-MiniLM-L6-v2, which reads 256 tokens, 150 is good. Every 20 characters of a
        stretch without blanks count as a word, so that Chinese can be cut too.
    batch_size : int, default=64
        Texts encoded at a time.
    normalize : bool, default=False
        Whether rows are scaled to length 1. Rows of zeros stay.
    device : str, optional
        Where a model that is named runs: "cpu", "cuda", ...; left out, on a GPU where there is one.
    cache : str or path, optional
        Where embeddings are kept on disk: a folder, which is made if it is missing, or a file that ends in .sqlite,
        .sqlite3 or .db. Threads and processes may share it.
    cache_size : float, default=1024
        Megabytes of the cache. Past it, the embeddings that were not used for the longest time are removed until a
        tenth is free.
    cache_key : str, optional
        The name of the encoder in the cache. It is required if the encoder is an object or a function; change it when
        the encoder changes, for example after training.
    verbose : bool or int, default=0
        If not 0, show a progress bar while texts are encoded, and those of the libraries that load a model.

    Notes
    -----
    **Encoded once.** Equal texts are encoded once, the longest first, with texts of similar length together. Each batch
    goes to the cache when it is done, so a run that was broken off goes on where it was. The cache keeps embeddings as
    the encoder gave them, before `normalize`, by the encoder's name, `pooling`, `max_length` and the text; a folder
    counts as another encoder when its path, or the size or time of a file in it, has changed. A name on the hub is
    taken to mean the same weights for ever, and another `device` or version of a library to change nothing: delete the
    cache where that is not so. Damaged entries are encoded again, with a warning.

    **Copies.** What was given as `encoder` travels in a pickle: of a model that is named, its name and no weights; of
    an object, the object itself. `clone` copies an object as well. So name models where you can.

    Examples
    --------
    >>> from codebooks import TextEmbedder
    >>> def letters(texts):
    ...     return [[text.count("e"), text.count("s")] for text in texts]
    >>> TextEmbedder(letters).transform(["tree", "sea", "tree"])
    array([[2., 0.],
           [1., 1.],
           [2., 0.]], dtype=float32)

    With the extra `text` installed, `TextEmbedder(normalize=True, cache="embeddings").transform(texts)` has meaning.
    """

    def __init__(
        self,
        encoder: Any = "sentence-transformers/all-MiniLM-L6-v2",
        *,
        pooling: str | None = None,
        max_length: int | None = None,
        chunk: int | None = None,
        batch_size: int = 64,
        normalize: bool = False,
        device: str | None = None,
        cache: Any = None,
        cache_size: float = 1024,
        cache_key: str | None = None,
        verbose: bool | int = 0,
    ):
        self.encoder = encoder
        self.pooling = pooling
        self.max_length = max_length
        self.chunk = chunk
        self.batch_size = batch_size
        self.normalize = normalize
        self.device = device
        self.cache = cache
        self.cache_size = cache_size
        self.cache_key = cache_key
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> TextEmbedder:
        """Check the settings and the texts. Nothing is learned, and no model is loaded.

        Parameters
        ----------
        X : sequence of str, or array of shape (n_texts, n_dims) without an encoder
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            As in `transform`.
        """
        self._check_settings()
        self._check_texts(X, "fit")
        return self

    def transform(self, X: Any) -> Any:
        """Embed texts.

        Parameters
        ----------
        X : sequence of str, or array of shape (n_texts, n_dims) without an encoder

        Returns
        -------
        ndarray of shape (n_texts, n_dims), float32

        Raises
        ------
        ImportError
            The model is named and the library for it is not installed.
        OSError
            The model cannot be found or loaded, or the cache is none.
        TypeError
            X is one text, or no sequence of texts.
        ValueError
            There are no texts, a setting is out of range, or what the encoder gives is no row of finite numbers for
            each text.
        """
        self._check_settings()
        encoder, given = self.encoder, self._check_texts(X, "transform")
        if encoder is None:
            vectors = given
        elif self.chunk is None:
            vectors = self._embed(given)
        else:
            vectors = self._pool([cut_into_passages(text, int(self.chunk)) for text in given])
        self._n_dims_of = encoder, vectors.shape[1]
        return _normalize(vectors) if self.normalize else vectors

    @property
    def _n_features_out(self) -> int:
        """How many numbers a row has; before the first `transform` with an encoder, that is asked."""
        if not self._is_n_dims_known():
            if self.encoder is None:
                raise AttributeError("known after transform")
            self._check_settings()
            self._n_dims_of = self.encoder, self._embed(["text"]).shape[1]
        return self._n_dims_of[1]

    def _is_n_dims_known(self) -> bool:
        """Whether it is known how many numbers a row of this encoder has, and not of one before it."""
        return hasattr(self, "_n_dims_of") and self._n_dims_of[0] is self.encoder

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if not self._is_n_dims_known():
            state.pop("_n_dims_of", None)  # an encoder that is gone does not travel
        return state

    # -- what comes in -----------------------------------------------------------------------------------------------

    def _check_texts(self, X: Any, method: str) -> Any:
        """Texts as a list of str, or without an encoder an array of float32."""
        if self.encoder is None:
            return self._check_array(X)
        texts = check_texts(X, f"TextEmbedder.{method}", " Embeddings are taken with encoder=None.")
        texts = [replace_surrogates(str(text)) for text in texts]
        if not texts:
            raise ValueError(f"TextEmbedder.{method} wants at least one text and got none.")
        return texts

    def _check_array(self, X: Any) -> Vectors:
        if isinstance(X, str) or (isinstance(X, list | tuple) and X and isinstance(X[0], str)):
            raise TypeError("TextEmbedder without an encoder wants embeddings and got text. Name one: encoder=...")
        return check_embeddings(self, X)

    def _check_settings(self) -> None:
        named = isinstance(self.encoder, str | os.PathLike)
        if isinstance(self.encoder, type) or not (
            named or self.encoder is None or hasattr(self.encoder, "encode") or callable(self.encoder)
        ):
            raise TypeError(
                f"encoder must be the name or folder of a model, an object with encode, a callable or None; "
                f"{short_repr(self.encoder)} came."
            )
        if type(self.encoder).__module__.startswith("transformers."):
            raise TypeError(
                "encoder is a model of transformers, and alone it does not read texts. Give its name or folder, and "
                'pooling="mean" or "cls".'
            )
        if self.pooling not in (None, "mean", "cls"):
            raise ValueError(f'pooling must be "mean", "cls" or None; {short_repr(self.pooling)} came.')
        for setting in ("pooling", "device"):
            if getattr(self, setting) is not None and not named:
                raise ValueError(f"{setting} is for an encoder given by its name or folder. Leave it out.")
        if self.max_length is not None and not named and not _is_from(self.encoder, "sentence_transformers"):
            raise ValueError("max_length is for a model given by name or of sentence-transformers. Leave it out.")
        for setting in ("batch_size", "max_length", "chunk"):
            value = getattr(self, setting)
            if value is not None:
                check_count(setting, value)
        if not isinstance(self.cache_size, Real) or not 0 < self.cache_size < np.inf:
            raise ValueError(f"cache_size must be a number of megabytes above 0; {short_repr(self.cache_size)} came.")
        if self.cache is not None and self.encoder is not None and not named and not self.cache_key:
            raise ValueError(
                "`cache_key` must name the encoder in the cache if it is an object or a function, got none. Pass "
                "cache_key=..., and another one whenever the encoder changes."
            )

    # -- encoding ----------------------------------------------------------------------------------------------------

    def _pool(self, texts: list[list[str]]) -> Vectors:
        """The mean of the embeddings of the passages of each text, by their numbers of words."""
        vectors = self._embed([passage for passages in texts for passage in passages])
        weights = np.array([max(len(passage.split()), 1) for passages in texts for passage in passages], np.float32)
        starts = np.cumsum([0, *(len(passages) for passages in texts[:-1])])
        totals = np.add.reduceat(weights, starts)
        return (np.add.reduceat(vectors * weights[:, None], starts) / totals[:, None]).astype(np.float32)

    def _embed(self, texts: list[str]) -> Vectors:
        unique = list(dict.fromkeys(texts))
        with self._open_cache() as cache:
            known = {} if cache is None else cache.get(unique)
            sizes = {len(vector) for vector in known.values()}
            _check_one_size(sizes)
            new = sorted((text for text in unique if text not in known), key=len, reverse=True)
            for batch, vectors in self._encode_batches(new):
                _check_one_size(sizes | {vectors.shape[1]})
                sizes = {vectors.shape[1]}
                if cache is not None:
                    cache.put(batch, vectors)
                known.update(zip(batch, vectors, strict=True))
        return np.array([known[text] for text in texts], dtype=np.float32)

    def _encode_batches(self, texts: list[str]) -> Iterator[tuple[list[str], Vectors]]:
        """Batches of texts and their vectors."""
        if not texts:
            return
        (encode, count_truncated), size = self._encode(), int(self.batch_size)
        n_batches, n_truncated = -(-len(texts) // size), 0
        for i in Reporter("TextEmbedder", n_batches, 2 if self.verbose else 0).epochs():
            batch = texts[i * size : (i + 1) * size]
            n_truncated += count_truncated(batch)
            yield batch, check_encoder_output(encode(batch), len(batch), "encoder", (np.float32,))
        if n_truncated:
            warnings.warn(
                f"{n_truncated} of {len(texts)} texts are longer than the encoder reads; what goes beyond is ignored. "
                f"Cut them into passages with chunk=150.",
                UserWarning,
                stacklevel=5,
            )

    def _encode(self) -> tuple[Callable[[list[str]], Any], Callable[[list[str]], int]]:
        """What turns a batch of texts into an array, and what counts those that are too long."""
        encoder = self.encoder
        model: SentenceModel | PooledModel | None = None
        if isinstance(encoder, str | os.PathLike):
            place = resolve_encoder(encoder)
            with _turn:
                model = load_encoder(place, compute_fingerprint(place), self.pooling, self.device, bool(self.verbose))
        elif _is_from(encoder, "sentence_transformers"):
            model = SentenceModel(encoder)
        if model is None:
            return getattr(encoder, "encode", encoder), lambda texts: 0

        def in_turn(texts: list[str]) -> Any:
            with _turn:
                return model.encode(texts, self.max_length)

        def count_in_turn(texts: list[str]) -> int:
            with _turn:
                return model.count_truncated(texts, self.max_length)

        return in_turn, count_in_turn

    def _open_cache(self) -> AbstractContextManager[VectorCache | None]:
        if self.cache is None:
            return nullcontext()
        known_by: Any = self.cache_key
        if known_by is None:
            place = resolve_encoder(self.encoder)
            known_by = [place, compute_fingerprint(place)]
        return VectorCache(self.cache, json.dumps([known_by, self.pooling, self.max_length]), float(self.cache_size))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = self.encoder is not None
        tags.input_tags.two_d_array = self.encoder is None
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


# -- small things ----------------------------------------------------------------------------------------------------


def cut_into_passages(text: str, n_words: int) -> list[str]:
    """Cut a text into passages of nearly equal length, of at most `n_words` words; a short text stays as it is.

    Examples
    --------
    >>> cut_into_passages("one two three four five", 2)
    ['one two', 'three four', 'five']
    """
    words = [
        word[start : start + _WORD] for word in text.split() for start in range(0, len(word), _WORD)
    ]  # of at most 20 characters
    n_passages = -(-len(words) // n_words)
    if n_passages < 2:
        return [text]
    size = -(-len(words) // n_passages)
    return [" ".join(words[start : start + size]) for start in range(0, len(words), size)]


def _check_one_size(sizes: set[int]) -> None:
    if len(sizes) > 1:
        raise ValueError(
            f"The encoder must give rows of one length, and they have {' and '.join(map(str, sorted(sizes)))} numbers. "
            f"If some come from the cache, another encoder had the same cache_key: pass another one, or delete the "
            f"cache."
        )


def _normalize(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    return vectors / lengths


def _is_from(thing: Any, package: str) -> bool:
    """Whether the class of an object, or one above it, is of a package; the package is not loaded for it."""
    return any(cls.__module__.partition(".")[0] == package for cls in type(thing).__mro__)
