"""`TextEmbedder`: any sentence encoder as a scikit-learn transformer with a cache."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from numbers import Real
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from typing import Self

__all__ = ["TextEmbedder"]

Vectors = NDArray[np.float32]

# Number of characters without white space that count as one word.
_WORD = 20
# Held while a model is loaded or run: torch uses all cores anyway, and tokenizers are not thread-safe.
_model_lock = ForkSafeLock()


class TextEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DocumentationLink, BaseEstimator):
    """Convert texts to sentence embeddings: rows of numbers that are similar for texts of similar meaning.

    Use it instead of a vectorizer if documents on the same topic share few words, and a sentence encoder for their
    language exists. `transform` needs no `fit`. A named model is loaded at the first text that is not in the cache, and
    shared by all embedders of the process with this name.

    Parameters
    ----------
    encoder : str, path, object with `encode`, callable or None, default="sentence-transformers/all-MiniLM-L6-v2"
        The name or folder of a sentence-transformers model, or, with `pooling`, of any Hugging Face encoder. Also a
        loaded model, any object with `encode`, or a callable, which receive a list of at most `batch_size` texts and
        return an array with a row for each. With None, the input is an array of embeddings and passes through, so that
        the same pipeline accepts texts or embeddings.
    pooling : {"mean", "cls"}, optional
        How token vectors of a named encoder are combined: "mean", or "cls" for the first. Default: as configured in
        the sentence-transformers model.
    max_length : int, optional
        Maximum number of tokens of a text; default: that of the model. For named models and models of
        sentence-transformers.
    chunk : int, optional
        Maximum number of words of a passage. Longer texts are divided into passages of nearly equal length, and the
        embeddings of these are averaged, weighted by their number of words. Default: the encoder truncates long texts,
        and a warning gives their number. Set it for long documents; 150 is good for all-MiniLM-L6-v2, which reads 256
        tokens. Each 20 characters without white space count as a word, so that Chinese text is divided too.
    batch_size : int, default=64
        Number of texts encoded at once. Reduce it if memory is short.
    normalize : bool, default=False
        Whether to scale rows to length 1. Rows of zeros are not changed.
    device : str, optional
        Device of a named model: "cpu", "cuda", ...; default: a GPU if there is one.
    cache : str or path, optional
        Cache of embeddings on disk: a folder, which is created if it is missing, or a file that ends in .sqlite,
        .sqlite3 or .db. Threads and processes can share it.
    cache_size : float, default=1024
        Maximum size of the cache in megabytes. Above it, the least recently used embeddings are removed until a tenth
        is free.
    cache_key : str, optional
        The name of the encoder in the cache. It is required if the encoder is an object or a function; change it when
        the encoder changes, for example after training.
    verbose : bool or int, default=0
        If not 0, show a progress bar while texts are encoded, and the progress bars of the libraries that load a model.

    See Also
    --------
    PartialWhitening, NeighborSmoothing : Steps after this one that improve clustering.
    HopfieldRetriever : Search by words and, with `embedder=`, by embeddings.

    Notes
    -----
    **Cache.** Equal texts are encoded once, the longest first, with texts of similar length together. Each batch is
    stored in the cache when it is done, so that an interrupted run continues where it stopped. The cache stores the
    output of the encoder before `normalize`. Its key consists of the name of the encoder, `pooling`, `max_length` and
    the text. A folder counts as another encoder if its path, or the size or time of a file in it, has changed. A name
    on the hub is assumed to mean the same weights always, and `device` and library versions are assumed not to matter:
    delete the cache otherwise. Damaged entries are encoded again, with a warning.

    **Pickle.** A pickle contains the parameter `encoder`: the name of a named model without its weights, or the object
    itself. `clone` copies an object too. Prefer names.

    Examples
    --------
    >>> from codebooks import TextEmbedder
    >>> def letters(texts):
    ...     return [[text.count("e"), text.count("s")] for text in texts]
    >>> TextEmbedder(letters).transform(["tree", "sea", "tree"])
    array([[2., 0.],
           [1., 1.],
           [2., 0.]], dtype=float32)

    With the extra `text` installed, `TextEmbedder(normalize=True, cache="embeddings").transform(texts)` returns
    sentence embeddings.
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

    def fit(self, X: Any, y: Any = None) -> Self:
        """Validate the parameters and the texts. No model is loaded.

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
            The model is named and its library is not installed.
        OSError
            The model cannot be found or loaded, or the cache file is not a cache.
        TypeError
            `X` is one text, or not a sequence of texts.
        ValueError
            There are no texts, a parameter is out of range, or the encoder does not return a row of finite numbers for
            each text.
        """
        self._check_settings()
        encoder, texts = self.encoder, self._check_texts(X, "transform")
        if encoder is None:
            vectors = texts
        elif self.chunk is None:
            vectors = self._embed(texts)
        else:
            vectors = self._pool([cut_into_passages(text, int(self.chunk)) for text in texts])
        self._n_dims_of = encoder, vectors.shape[1]
        return _normalize(vectors) if self.normalize else vectors

    @property
    def _n_features_out(self) -> int:
        """Number of columns of the result. Before the first `transform`, the encoder is called with one text."""
        if not self._has_n_dims():
            if self.encoder is None:
                raise AttributeError("The number of columns is available after transform.")
            self._check_settings()
            self._n_dims_of = self.encoder, self._embed(["text"]).shape[1]
        return self._n_dims_of[1]

    def _has_n_dims(self) -> bool:
        """Whether the number of columns of the current encoder is stored, not that of a previous one."""
        return hasattr(self, "_n_dims_of") and self._n_dims_of[0] is self.encoder

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if not self._has_n_dims():
            state.pop("_n_dims_of", None)  # it contains the previous encoder
        return state

    # -- validation --------------------------------------------------------------------------------------------------

    def _check_texts(self, X: Any, method: str) -> Any:
        """Return texts as a list of strings, or without an encoder embeddings as an array of float32."""
        if self.encoder is None:
            return self._check_array(X)
        texts = check_texts(X, f"TextEmbedder.{method}", " Use encoder=None for embeddings.")
        texts = [replace_surrogates(str(text)) for text in texts]
        if not texts:
            raise ValueError(f"TextEmbedder.{method} expected at least one text, got an empty list. Add texts.")
        return texts

    def _check_array(self, X: Any) -> Vectors:
        if isinstance(X, str) or (isinstance(X, list | tuple) and X and isinstance(X[0], str)):
            raise TypeError(
                "TextEmbedder(encoder=None) expected an array of embeddings, got text. Set encoder=... to encode texts."
            )
        return check_embeddings(self, X)

    def _check_settings(self) -> None:
        named = isinstance(self.encoder, str | os.PathLike)
        if isinstance(self.encoder, type) or not (
            named or self.encoder is None or hasattr(self.encoder, "encode") or callable(self.encoder)
        ):
            raise TypeError(
                f"`encoder` must be the name or folder of a model, an object with an encode method, a callable or "
                f"None, got {short_repr(self.encoder)}. Use the name of a sentence-transformers model."
            )
        if type(self.encoder).__module__.startswith("transformers."):
            raise TypeError(
                f"`encoder` must encode texts, got {type(self.encoder).__name__} of transformers, which needs tokens. "
                f'Use its name or folder, and pooling="mean" or "cls".'
            )
        if self.pooling not in (None, "mean", "cls"):
            raise ValueError(f'`pooling` must be "mean", "cls" or None, got {short_repr(self.pooling)}.')
        for name in ("pooling", "device"):
            if getattr(self, name) is not None and not named:
                raise ValueError(
                    f"`{name}` must be None unless `encoder` is a name or a folder, got "
                    f"{short_repr(getattr(self, name))}. Use {name}=None, or the name of the encoder."
                )
        if self.max_length is not None and not named and not _is_from(self.encoder, "sentence_transformers"):
            raise ValueError(
                f"`max_length` must be None unless `encoder` is a name, a folder or a sentence-transformers model, got "
                f"{short_repr(self.max_length)}. Use max_length=None."
            )
        for name in ("batch_size", "max_length", "chunk"):
            value = getattr(self, name)
            if value is not None:
                check_count(name, value)
        if not isinstance(self.cache_size, Real) or not 0 < self.cache_size < np.inf:
            raise ValueError(
                f"`cache_size` must be a finite number of megabytes > 0, got {short_repr(self.cache_size)}."
            )
        if self.cache is not None and self.encoder is not None and not named and not self.cache_key:
            raise ValueError(
                "`cache_key` must name the encoder in the cache if `encoder` is an object or a function, got none. Set "
                "cache_key=..., and change it when the encoder changes."
            )

    # -- encoding ----------------------------------------------------------------------------------------------------

    def _pool(self, texts: list[list[str]]) -> Vectors:
        """Average the embeddings of the passages of each text, weighted by their number of words."""
        vectors = self._embed([passage for passages in texts for passage in passages])
        weights = np.array([max(len(passage.split()), 1) for passages in texts for passage in passages], np.float32)
        starts = np.cumsum([0, *(len(passages) for passages in texts[:-1])])
        totals = np.add.reduceat(weights, starts)
        return (np.add.reduceat(vectors * weights[:, None], starts) / totals[:, None]).astype(np.float32)

    def _embed(self, texts: list[str]) -> Vectors:
        unique = list(dict.fromkeys(texts))
        with self._open_cache() as cache:
            vector_of = {} if cache is None else cache.get(unique)
            sizes = {len(vector) for vector in vector_of.values()}
            _check_one_size(sizes)
            new = sorted((text for text in unique if text not in vector_of), key=len, reverse=True)
            for batch, vectors in self._encode_batches(new):
                _check_one_size(sizes | {vectors.shape[1]})
                sizes = {vectors.shape[1]}
                if cache is not None:
                    cache.put(batch, vectors)
                vector_of.update(zip(batch, vectors, strict=True))
        return np.array([vector_of[text] for text in texts], dtype=np.float32)

    def _encode_batches(self, texts: list[str]) -> Iterator[tuple[list[str], Vectors]]:
        """Yield batches of texts and their embeddings."""
        if not texts:
            return
        (encode, count_truncated), size = self._get_encoder_functions(), int(self.batch_size)
        n_batches, n_truncated = -(-len(texts) // size), 0
        for i in Reporter("TextEmbedder", n_batches, 2 if self.verbose else 0).epochs():
            batch = texts[i * size : (i + 1) * size]
            n_truncated += count_truncated(batch)
            yield batch, check_encoder_output(encode(batch), len(batch), "encoder", (np.float32,))
        if n_truncated:
            warnings.warn(
                f"{n_truncated} of {len(texts)} texts are longer than the encoder reads, and are truncated. Use "
                f"chunk=150 to encode them in passages.",
                UserWarning,
                stacklevel=5,
            )

    def _get_encoder_functions(self) -> tuple[Callable[[list[str]], Any], Callable[[list[str]], int]]:
        """Return a function that encodes a batch of texts, and one that counts its truncated texts."""
        encoder = self.encoder
        model: SentenceModel | PooledModel | None = None
        if isinstance(encoder, str | os.PathLike):
            location = resolve_encoder(encoder)
            with _model_lock:
                fingerprint = compute_fingerprint(location)
                model = load_encoder(location, fingerprint, self.pooling, self.device, bool(self.verbose))
        elif _is_from(encoder, "sentence_transformers"):
            model = SentenceModel(encoder)
        if model is None:
            return getattr(encoder, "encode", encoder), lambda texts: 0

        def encode(texts: list[str]) -> Any:
            with _model_lock:
                return model.encode(texts, self.max_length)

        def count_truncated(texts: list[str]) -> int:
            with _model_lock:
                return model.count_truncated(texts, self.max_length)

        return encode, count_truncated

    def _open_cache(self) -> AbstractContextManager[VectorCache | None]:
        if self.cache is None:
            return nullcontext()
        key: Any = self.cache_key
        if key is None:
            location = resolve_encoder(self.encoder)
            key = [location, compute_fingerprint(location)]
        return VectorCache(self.cache, json.dumps([key, self.pooling, self.max_length]), float(self.cache_size))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = self.encoder is not None
        tags.input_tags.two_d_array = self.encoder is None
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


# -- helpers ---------------------------------------------------------------------------------------------------------


def cut_into_passages(text: str, n_words: int) -> list[str]:
    """Divide a text into passages of nearly equal length, of at most `n_words` words; a short text is not changed.

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
            f"The encoder must return rows of one length, got rows of {' and '.join(map(str, sorted(sizes)))} numbers. "
            f"If some are from the cache, another encoder had the same cache_key: use another one, or delete the cache."
        )


def _normalize(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    return vectors / lengths


def _is_from(value: Any, package: str) -> bool:
    """Whether the class of an object, or a base class, is defined in a package; the package is not imported."""
    return any(cls.__module__.partition(".")[0] == package for cls in type(value).__mro__)
