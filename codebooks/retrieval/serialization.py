"""Conversion of a `HopfieldRetriever` to named arrays and a JSON description, and back, with validation of all content.

Saved content is never executed and never opened as a path. Weights and the inverted index are not saved: they are
computed from the counts, so they are always consistent with them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.memory.hopfield_memory import HopfieldMemory
from codebooks.retrieval.bm25 import BM25Transformer
from codebooks.retrieval.index import TermIndex, find_invalid_counts
from codebooks.storage import check_strings, pack_strings, unpack_strings
from codebooks.text.analyzer import TextAnalyzer
from codebooks.text.languages import check_language
from codebooks.text.segmentation import has_segmenter
from codebooks.validation.ids import LARGEST_ID

__all__ = [
    "OWN",
    "InvalidIndexError",
    "PackedTexts",
    "SavedIndex",
    "describe",
    "has_unsafe_pattern",
    "pack_index",
    "pack_vocabulary",
    "read_index",
    "rebuild",
    "restore_index",
    "restore_memory",
    "set_vocabulary",
]

# The description of a part that is not saved, so that the caller of `load` passes it.
OWN = "own"
# Token patterns that every index may use: their time is linear in the length of the text.
_SAFE_PATTERNS = frozenset({r"(?u)\b\w\w+\b", r"(?u)\b\w+\b", r"\b\w\w+\b", r"\b\w+\b", r"\w+"})
# Longer n-grams need gigabytes of memory for a short query.
_LONGEST_NGRAM = 20
# Document ids are an array of strings of equal width. Its size is limited to this multiple of the bytes of the ids, or
# to this number of bytes if that is larger.
_MAX_PADDING, _MIN_IDS_LIMIT = 100, 2**28


class InvalidIndexError(ValueError):
    """The content of a saved index is invalid; the message describes the problem."""


def _require(is_valid: Any, problem: str) -> None:
    if not is_valid:
        raise InvalidIndexError(problem)


class PackedTexts(Sequence):
    """Packed texts that are decoded at access."""

    def __init__(self, text: np.ndarray, offsets: np.ndarray):
        self.text, self.offsets = text, offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(f"text index must be < {len(self)}, got {i}")
        i = int(i) % len(self)
        return bytes(self.text[self.offsets[i] : self.offsets[i + 1]]).decode("utf-8", "surrogatepass")


# -- settings of vectorizers and weightings --------------------------------------------------------------------------


def _is_one_of(*values: Any) -> Callable[[Any], bool]:
    return lambda value: any(type(value) is type(one) and value == one for one in values)


def _is_count(value: Any, least: int = 1, largest: int = LARGEST_ID) -> bool:
    return type(value) is int and least <= value <= largest


def _is_share_or_count(value: Any) -> bool:
    return _is_count(value) or (type(value) is float and 0 <= value <= 1)


def _are_strings(value: Any) -> bool:
    return type(value) is list and all(type(one) is str for one in value)


def _is_language(value: Any) -> bool:
    """Return whether the value is a code or a list of codes of supported languages."""
    if type(value) is not str and not _are_strings(value):
        return False
    try:
        return value == "auto" or check_language(value) is not None
    except ValueError:
        return False


def _is_analyzer(value: Any) -> bool:
    """Return whether the value is a description of a `TextAnalyzer` by `describe`."""
    return (
        type(value) is dict
        and set(value) == set(_ANALYZER)
        and all(is_valid(value[name]) for name, is_valid in _ANALYZER.items())
    )


def _is_ngram_range(value: Any) -> bool:
    return (
        type(value) is list
        and len(value) == 2
        and _is_count(value[0])
        and _is_count(value[1], *_build_bounds(value[0]))
    )


def _build_bounds(least: int) -> tuple[int, int]:
    return least, _LONGEST_NGRAM


# Valid values of the parameters of a saved TextAnalyzer.
_ANALYZER: dict[str, Callable[[Any], bool]] = {
    "language": lambda value: value is None or _is_language(value),
    "stop_words": lambda value: value is None or value == "auto" or _are_strings(value),
    "normalization": _is_one_of("NFKC", "NFC", "NFKD", "NFD", None),
    "token_pattern": lambda value: value is None or type(value) is str,
    "ngram_range": lambda value: _is_ngram_range(value),
    "segmenter": _is_one_of("auto", "budoux", "bigrams"),
    **dict.fromkeys(("stem", "lowercase", "fold_accents", "parts", "numbers"), _is_one_of(False, True)),
}
# Valid values of the parameters of a saved CountVectorizer. A vectorizer with other values is not saved.
_VECTORIZER: dict[str, Callable[[Any], bool]] = {
    "input": _is_one_of("content"),  # other values open each query as a file
    "encoding": lambda value: type(value) is str and len(value) <= 40,
    "decode_error": _is_one_of("strict", "ignore", "replace"),
    "strip_accents": _is_one_of(None, "ascii", "unicode"),
    "lowercase": _is_one_of(False, True),
    "preprocessor": _is_one_of(None),
    "tokenizer": _is_one_of(None),
    "stop_words": lambda value: value is None or value == "english" or _are_strings(value),
    "token_pattern": lambda value: type(value) is str,
    "ngram_range": _is_ngram_range,
    "analyzer": lambda value: value in ("word", "char", "char_wb") if type(value) is str else _is_analyzer(value),
    "max_df": _is_share_or_count,
    "min_df": _is_share_or_count,
    "max_features": lambda value: value is None or _is_count(value),
    "vocabulary": _is_one_of(None, "given"),
    "binary": _is_one_of(False, True),
    "dtype": _is_one_of("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
}
_WEIGHTING: dict[str, Callable[[Any], bool]] = {
    "variant": lambda value: type(value) is str,
    **dict.fromkeys(("k1", "b", "delta"), lambda value: isinstance(value, Real)),
}
_SETTINGS = {CountVectorizer.__name__: _VECTORIZER, BM25Transformer.__name__: _WEIGHTING}


def describe(part: Any) -> Any:
    """Describe a vectorizer or weighting for JSON: None, a name, or its class and parameters; `OWN` if impossible."""
    if part is None or isinstance(part, str):
        return part
    if type(part) not in (CountVectorizer, BM25Transformer):
        return OWN
    settings = part.get_params(deep=False)
    try:
        if "dtype" in settings:
            settings["dtype"] = np.dtype(settings["dtype"]).name
            settings["ngram_range"] = list(settings["ngram_range"])
            settings["vocabulary"] = None if settings["vocabulary"] is None else "given"
            if type(settings["analyzer"]) is TextAnalyzer:
                settings["analyzer"] = _describe_analyzer(settings["analyzer"])
        description = {"class": type(part).__name__, "settings": settings}
        restored = json.loads(json.dumps(description, allow_nan=False))
        _check_description(restored, type(part).__name__)
    except (TypeError, ValueError, RecursionError):
        return OWN
    return restored if restored == description else OWN


def _describe_analyzer(analyzer: TextAnalyzer) -> dict[str, Any]:
    settings = analyzer.resolve().get_params(deep=False)
    settings["ngram_range"] = list(settings["ngram_range"])
    for name in ("language", "stop_words"):
        if settings[name] is not None and not isinstance(settings[name], str):
            settings[name] = [str(value) for value in settings[name]]
    return settings


def _check_description(description: Any, kind: str) -> None:
    """Raise an error if `describe` cannot have written this description for a part of this class."""
    _require(
        type(description) is dict
        and set(description) == {"class", "settings"}
        and description["class"] == kind
        and type(description["settings"]) is dict,
        f"expected the parameters of a {kind}, got {short_repr(description)}",
    )
    settings, rules = description["settings"], _SETTINGS[kind]
    _check_keys(settings, rules, f"parameters of {kind}")
    for name, is_valid in rules.items():
        _require(
            is_valid(settings[name]),
            f"{kind} has the invalid parameter {name}={short_repr(settings[name])}",
        )
    if kind == BM25Transformer.__name__:
        try:
            BM25Transformer(**settings)._check_settings()
        except ValueError as error:
            raise InvalidIndexError(str(error)) from error


def _check_keys(keys: Any, expected: Any, what: str) -> None:
    difference = sorted(set(keys) ^ set(expected))
    _require(not difference, f"missing or unexpected {what}: {', '.join(map(repr, difference[:5]))}"[:200])


def has_unsafe_pattern(description: Any) -> bool:
    """Return whether a described vectorizer has a token pattern that may take exponential time."""
    return isinstance(description, dict) and not set(_list_patterns(description)) <= _SAFE_PATTERNS


def _list_patterns(description: dict[str, Any]) -> list[str]:
    """Return the token patterns, unsafe ones first."""
    settings = description["settings"]
    patterns = [settings["token_pattern"]]
    if isinstance(settings["analyzer"], dict) and settings["analyzer"]["token_pattern"] is not None:
        patterns.append(settings["analyzer"]["token_pattern"])
    return sorted(patterns, key=_SAFE_PATTERNS.__contains__)


def _check_pattern(pattern: str) -> None:
    """Raise an error if a CountVectorizer cannot use this regular expression."""
    try:
        n_groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        raise InvalidIndexError(f"token_pattern is not a regular expression: {error}") from error
    _require(n_groups <= 1, f"token_pattern must have at most one group, got {n_groups}")


def rebuild(description: Any, own: Any, name: str, terms: list[str] | None = None) -> Any:
    """Create a part from its description, or return `own`, the argument of the caller, if the part was not saved."""
    if description == OWN:
        if own is None:
            raise ValueError(
                f"`{name}` must be given because it was not saved, got None. Pass it: load(path, {name}=...)."
            )
        return own
    if not isinstance(description, dict):
        return description
    settings = dict(description["settings"])
    if description["class"] == BM25Transformer.__name__:
        return BM25Transformer(**settings)
    settings["ngram_range"] = tuple(settings["ngram_range"])
    settings["dtype"] = np.dtype(settings["dtype"]).type
    if isinstance(settings["analyzer"], dict):
        settings["analyzer"] = _rebuild_analyzer(settings["analyzer"])
    settings["vocabulary"] = terms if settings["vocabulary"] else None
    return CountVectorizer(**settings)


def _rebuild_analyzer(settings: dict[str, Any]) -> TextAnalyzer:
    language = settings["language"]
    analyzer = TextAnalyzer(
        **settings
        | {
            "ngram_range": tuple(settings["ngram_range"]),
            "language": tuple(language) if isinstance(language, list) else language,
        }
    )
    if analyzer.segmenter == "budoux" and not has_segmenter():
        raise ValueError(
            "This retriever needs the package budoux, which is not installed. "
            'Install it: pip install "codebooks-learn[words]".'
        )
    return analyzer


def pack_vocabulary(vectorizer: Any) -> dict[str, np.ndarray]:
    """Pack the terms of a vectorizer in the order of its columns."""
    text, offsets = pack_strings(list(vectorizer.get_feature_names_out()))
    return {"terms_text": text, "terms_offsets": offsets}


def set_vocabulary(vectorizer: Any, terms: list[str]) -> Any:
    """Set the fitted vocabulary of a `CountVectorizer` to these terms."""
    vectorizer.fixed_vocabulary_ = vectorizer.vocabulary is not None
    vectorizer.vocabulary_ = {term: column for column, term in enumerate(terms)}
    return vectorizer


# -- the index -------------------------------------------------------------------------------------------------------


def pack_index(index: TermIndex) -> dict[str, np.ndarray]:
    """Return the arrays of an index that cannot be computed from the counts."""
    counts = index.counts
    arrays = {
        "counts_data": counts.data,
        "counts_indices": counts.indices,
        "counts_indptr": counts.indptr,
        "document_frequencies": _count_document_frequencies(counts.indices, counts.shape[1]),
    }
    if index.ids.dtype.kind == "U":
        arrays["ids_text"], arrays["ids_offsets"] = pack_strings(index.ids.tolist())
    else:
        arrays["ids"] = index.ids
    if index.texts is not None:
        arrays["texts_text"], arrays["texts_offsets"] = pack_strings(list(index.texts))
    return arrays


class SavedIndex(NamedTuple):
    """The validated content of a saved index."""

    settings: dict[str, Any]  # parameters of the retriever
    vectorizer: Any  # description
    weighting: Any  # description
    is_default_vectorizer: bool
    next_id: int
    counts: Any
    ids: np.ndarray
    texts: PackedTexts | None
    terms: list[str] | None
    embeddings: np.ndarray | None
    probes: np.ndarray | None  # embeddings of fixed texts, to compare embedders


_ABOUT = ("settings", "vectorizer", "default_vectorizer", "weighting", "next_id")
_COUNTS = ("counts_data", "counts_indices", "counts_indptr", "document_frequencies")
_OPTIONAL = (
    "ids",
    "ids_text",
    "ids_offsets",
    "terms_text",
    "terms_offsets",
    "texts_text",
    "texts_offsets",
    "embeddings",
    "probes",
)


def read_index(arrays: dict[str, np.ndarray], about: dict[str, Any], names: Sequence[str], trust: bool) -> SavedIndex:
    """Validate a saved index in one pass over its arrays, without copies.

    Parameters
    ----------
    arrays, about
        The results of `load_arrays`.
    names : sequence of str
        The saved parameters of a retriever.
    trust : bool
        Whether to accept any token pattern.

    Raises
    ------
    InvalidIndexError
        If a part is invalid, or two parts are inconsistent.
    """
    _check_keys(about, _ABOUT, "fields")
    _check_keys(set(arrays) - set(_OPTIONAL), _COUNTS, "arrays")
    vectorizer, weighting, next_id = about["vectorizer"], about["weighting"], about["next_id"]
    _require(
        type(about["settings"]) is dict, f"expected a dictionary of parameters, got {short_repr(about['settings'])}"
    )
    _check_keys(about["settings"], names, "parameters")
    _require(type(about["default_vectorizer"]) is bool, "default_vectorizer is not true or false")
    _require(_is_count(next_id, 0, LARGEST_ID + 1), f"expected next_id in 0..2**63-1, got {short_repr(next_id)}")
    if vectorizer not in (None, OWN):
        _check_description(vectorizer, CountVectorizer.__name__)
        _require(
            trust or not has_unsafe_pattern(vectorizer),
            f"its token_pattern {short_repr(_list_patterns(vectorizer)[0])} is a regular expression that may take "
            f"exponential time. If you trust the file, use HopfieldRetriever.load(path, trust=True)",
        )
        for pattern in _list_patterns(vectorizer):
            _check_pattern(pattern)
    if weighting not in (None, OWN, "bm25"):
        _check_description(weighting, BM25Transformer.__name__)
    counts = _read_counts(arrays, weighting is not None)
    n_documents, n_terms = counts.shape
    texts = _read_strings(arrays, "texts", n_documents)
    packed_terms = _read_strings(arrays, "terms", n_terms)
    _require(
        (packed_terms is None) == (vectorizer is None or vectorizer == OWN),
        "the vocabulary is missing, or has no vectorizer",
    )
    terms = None
    if packed_terms is not None:
        terms = unpack_strings(packed_terms.text, packed_terms.offsets)
        _require(len(set(terms)) == len(terms), "the vocabulary contains a term twice")
    ids = _read_ids(arrays, n_documents, next_id)
    embeddings = _read_embeddings(arrays["embeddings"], n_documents) if "embeddings" in arrays else None
    _require(
        ("probes" in arrays) == (embeddings is not None),
        "there are probes without embeddings, or embeddings without probes",
    )
    probes = _read_embeddings(arrays["probes"], len(arrays["probes"])) if embeddings is not None else None
    _require(embeddings is None or vectorizer is not None, "there are embeddings, but the documents are not texts")
    is_default = about["default_vectorizer"]
    settings = about["settings"]
    document_parts = counts, ids, texts, terms, embeddings
    return SavedIndex(settings, vectorizer, weighting, is_default, next_id, *document_parts, probes)


def restore_index(saved: SavedIndex, weighting: Any, vectorizer: Any) -> TermIndex:
    """Create the index from a saved one, without copies of its arrays."""
    return TermIndex(saved.counts, saved.ids, weighting, saved.texts, saved.next_id, vectorizer)


def restore_memory(embeddings: np.ndarray) -> HopfieldMemory:
    """Create the memory of embedded documents."""
    return HopfieldMemory.from_store(embeddings, similarity="cosine")


def _count_document_frequencies(indices: np.ndarray, n_terms: int) -> np.ndarray:
    """Count the documents that contain each term."""
    total = np.zeros(n_terms, np.int64)
    step = max(n_terms, 2**20)  # bincount copies its input
    for start in range(0, len(indices), step):
        total += np.bincount(indices[start : start + step], minlength=n_terms)
    return total


def _check_vector(array: np.ndarray, name: str, *dtypes: type) -> None:
    _require(
        array.ndim == 1 and array.dtype in dtypes and array.dtype.isnative,
        f"expected {name} to be a vector of {' or '.join(np.dtype(one).name for one in dtypes)}, got {array.dtype} of "
        f"shape {array.shape}",
    )


def _read_counts(arrays: dict[str, np.ndarray], are_weighted: bool) -> Any:
    data, indices, indptr, df = (arrays[name] for name in _COUNTS)
    _check_vector(data, "counts_data", np.float32)
    for array, name in ((indices, "counts_indices"), (indptr, "counts_indptr")):
        _check_vector(array, name, np.int32, np.int64)
    _check_vector(df, "document_frequencies", np.int64)
    n_entries, n_terms = len(data), len(df)
    _require(len(indices) == n_entries, f"expected {n_entries} counts_indices, got {len(indices)}")
    _require(
        len(indptr) and indptr[0] == 0 and indptr[-1] == n_entries and (indptr[:-1] <= indptr[1:]).all(),
        f"counts_indptr does not ascend from 0 to the number of counts, {n_entries}",
    )
    if n_entries:
        lowest, highest = int(indices.min()), int(indices.max())
        _require(
            lowest >= 0 and highest < n_terms,
            f"expected counts_indices in 0..{n_terms - 1}, got {lowest}..{highest}",
        )
        descends = indices[1:] < indices[:-1]
        descends[indptr[(indptr > 0) & (indptr < n_entries)] - 1] = False  # at the end of a document
        _require(not descends.any(), "counts_indices are not in ascending order within a document")
    problem = find_invalid_counts(data, are_weighted)
    _require(problem is None, f"counts_data contains {problem}")
    _require(
        np.array_equal(_count_document_frequencies(indices, n_terms), df),
        "document_frequencies differ from those of the counts",
    )
    return csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, n_terms))


def _read_strings(arrays: dict[str, np.ndarray], name: str, n: int) -> PackedTexts | None:
    """Return the validated strings of this name; None if they are missing."""
    parts = [arrays[f"{name}_{part}"] for part in ("text", "offsets") if f"{name}_{part}" in arrays]
    if not parts:
        return None
    _require(len(parts) == 2, f"one of the two arrays of {name} is missing")
    text, offsets = parts
    try:
        check_strings(text, offsets)
    except ValueError as error:
        raise InvalidIndexError(f"the {name} are damaged: {error}") from error
    _require(len(offsets) - 1 == n, f"expected {n} {name}, got {len(offsets) - 1}")
    return PackedTexts(text, offsets)


def _read_ids(arrays: dict[str, np.ndarray], n_documents: int, next_id: int) -> np.ndarray:
    packed = _read_strings(arrays, "ids", n_documents)
    _require((packed is None) == ("ids" in arrays), "document ids are missing or saved twice")
    if packed is None:
        ids = arrays["ids"]
        _check_vector(ids, "ids", np.int64)
        _require(len(ids) == n_documents, f"expected {n_documents} ids, got {len(ids)}")
        if len(ids):
            lowest, highest = int(ids.min()), int(ids.max())
            _require(lowest >= 0 and highest < next_id, f"expected ids in 0..{next_id - 1}, got {lowest}..{highest}")
    else:
        _require(_is_narrow(packed.offsets), "an id is so long that the array of all ids does not fit into memory")
        ids = np.array(unpack_strings(packed.text, packed.offsets), dtype=str)
        _require((ids != "").all(), "an id is empty")
    ordered = ids if len(ids) < 2 or (ids[:-1] < ids[1:]).all() else np.sort(ids)
    _require(len(ids) < 2 or (ordered[:-1] != ordered[1:]).all(), "two documents have the same id")
    return ids


def _is_narrow(offsets: np.ndarray) -> bool:
    """Return whether an array of strings of equal width has little padding for strings of these lengths."""
    longest = int(np.diff(offsets).max(initial=0))
    return 4 * longest * (len(offsets) - 1) <= max(_MAX_PADDING * int(offsets[-1]), _MIN_IDS_LIMIT)


def _read_embeddings(embeddings: np.ndarray, n_documents: int) -> np.ndarray:
    _require(
        embeddings.ndim == 2
        and embeddings.dtype in (np.float32, np.float64)
        and embeddings.dtype.isnative
        and len(embeddings) == n_documents
        and embeddings.shape[1],
        f"expected embeddings of shape ({n_documents}, n_dims), float32 or float64, got {embeddings.dtype} of shape "
        f"{embeddings.shape}",
    )
    with np.errstate(all="ignore"):
        norms = ops.row_norms(embeddings)
    _require(np.isfinite(norms).all(), "an embedding contains NaN, infinite or too large numbers")
    return embeddings
