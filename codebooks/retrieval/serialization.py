"""Conversion of a retriever to named arrays and a JSON description, and back, with every check that loading needs.

Nothing in a saved index is executed, opened or trusted. Weights and the inverted index are not saved: they are computed
from the counts, so they cannot disagree with them.
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

# The description of a part that only its owner can make again.
OWN = "own"
# Token patterns that every index may use: each takes time that is linear in the length of the text.
_SAFE_PATTERNS = frozenset({r"(?u)\b\w\w+\b", r"(?u)\b\w+\b", r"\b\w\w+\b", r"\b\w+\b", r"\w+"})
# n-grams of more words or characters make a short query take a gigabyte.
_LONGEST_NGRAM = 20
# Document ids are an array of equally wide strings. It may have this many times the bytes of the ids, or the least.
_WIDEST_IDS, _LEAST_WIDTH = 100, 2**28


class InvalidIndexError(ValueError):
    """The content of a saved index breaks a rule; the message says which one."""


def _require(is_valid: Any, problem: str) -> None:
    if not is_valid:
        raise InvalidIndexError(problem)


class PackedTexts(Sequence):
    """Texts that are decoded when they are asked for."""

    def __init__(self, text: np.ndarray, offsets: np.ndarray):
        self.text, self.offsets = text, offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(f"there are {len(self)} texts, and number {i} was asked for")
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
    """Whether these are codes of languages that are known here."""
    if type(value) is not str and not _are_strings(value):
        return False
    try:
        return value == "auto" or check_language(value) is not None
    except ValueError:
        return False


def _is_analyzer(value: Any) -> bool:
    """Whether a `TextAnalyzer` is described, as `describe` does it."""
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


# What each setting of a saved TextAnalyzer may be.
_ANALYZER: dict[str, Callable[[Any], bool]] = {
    "language": lambda value: value is None or _is_language(value),
    "stop_words": lambda value: value is None or value == "auto" or _are_strings(value),
    "normalization": _is_one_of("NFKC", "NFC", "NFKD", "NFD", None),
    "token_pattern": lambda value: value is None or type(value) is str,
    "ngram_range": lambda value: _is_ngram_range(value),
    "segmenter": _is_one_of("auto", "budoux", "bigrams"),
    **dict.fromkeys(("stem", "lowercase", "fold_accents", "parts", "numbers"), _is_one_of(False, True)),
}
# What each setting of a saved CountVectorizer may be. A vectorizer with other settings is not saved.
_VECTORIZER: dict[str, Callable[[Any], bool]] = {
    "input": _is_one_of("content"),  # the others open each query as a file
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
    """Describe a vectorizer or weighting as JSON: None, a name, or its class and settings; `OWN` where JSON cannot."""
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
        kept = json.loads(json.dumps(description, allow_nan=False))
        _check_description(kept, type(part).__name__)
    except (TypeError, ValueError, RecursionError):
        return OWN
    return kept if kept == description else OWN


def _describe_analyzer(analyzer: TextAnalyzer) -> dict[str, Any]:
    settings = analyzer.resolve().get_params(deep=False)
    settings["ngram_range"] = list(settings["ngram_range"])
    for name in ("language", "stop_words"):
        if settings[name] is not None and not isinstance(settings[name], str):
            settings[name] = [str(value) for value in settings[name]]
    return settings


def _check_description(description: Any, kind: str) -> None:
    """Refuse a description that `describe` does not write for a part of this class."""
    _require(
        type(description) is dict
        and set(description) == {"class", "settings"}
        and description["class"] == kind
        and type(description["settings"]) is dict,
        f"expected the settings of a {kind}, got {short_repr(description)}",
    )
    settings, rules = description["settings"], _SETTINGS[kind]
    _check_keys(settings, rules, f"settings of {kind}")
    for name, is_valid in rules.items():
        _require(
            is_valid(settings[name]),
            f"{kind} has the setting {name}={short_repr(settings[name])}, which is not allowed",
        )
    if kind == BM25Transformer.__name__:
        try:
            BM25Transformer(**settings)._check_settings()
        except ValueError as error:
            raise InvalidIndexError(str(error)) from error


def _check_keys(found: Any, expected: Any, what: str) -> None:
    difference = sorted(set(found) ^ set(expected))
    _require(not difference, f"the {what} lack or have in excess: {', '.join(map(repr, difference[:5]))}"[:200])


def has_unsafe_pattern(description: Any) -> bool:
    """Whether a vectorizer is described that splits texts by a regular expression that may take exponential time."""
    return isinstance(description, dict) and not set(_list_patterns(description)) <= _SAFE_PATTERNS


def _list_patterns(description: dict[str, Any]) -> list[str]:
    """The regular expressions that split texts; those that are unusual first."""
    settings = description["settings"]
    patterns = [settings["token_pattern"]]
    if isinstance(settings["analyzer"], dict) and settings["analyzer"]["token_pattern"] is not None:
        patterns.append(settings["analyzer"]["token_pattern"])
    return sorted(patterns, key=_SAFE_PATTERNS.__contains__)


def _check_pattern(pattern: str) -> None:
    """Refuse what is no regular expression that a CountVectorizer can use."""
    try:
        n_groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        raise InvalidIndexError(f"token_pattern is not a regular expression: {error}") from error
    _require(n_groups <= 1, f"token_pattern has {n_groups} groups, and at most one is allowed")


def rebuild(description: Any, own: Any, name: str, terms: list[str] | None = None) -> Any:
    """Make the part that was described; `own`, which the caller has to give, for a part that was not saved."""
    if description == OWN:
        if own is None:
            raise ValueError(f"The {name} of this retriever is not in the file. Pass it again: load(path, {name}=...).")
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
            "This retriever was saved with words of the package budoux, which is not installed. "
            'Install it: pip install "codebooks-learn[words]".'
        )
    return analyzer


def pack_vocabulary(vectorizer: Any) -> dict[str, np.ndarray]:
    """The terms of a vectorizer in the order of its columns."""
    text, offsets = pack_strings(list(vectorizer.get_feature_names_out()))
    return {"terms_text": text, "terms_offsets": offsets}


def set_vocabulary(vectorizer: Any, terms: list[str]) -> Any:
    """Make a `CountVectorizer` one that is fitted to these terms."""
    vectorizer.fixed_vocabulary_ = vectorizer.vocabulary is not None
    vectorizer.vocabulary_ = {term: column for column, term in enumerate(terms)}
    return vectorizer


# -- the index -------------------------------------------------------------------------------------------------------


def pack_index(index: TermIndex) -> dict[str, np.ndarray]:
    """The arrays of an index, without those that are computed from the counts."""
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
    """A saved index whose every part was checked."""

    settings: dict[str, Any]  # of the retriever
    vectorizer: Any  # descriptions
    weighting: Any
    is_default_vectorizer: bool
    next_id: int
    counts: Any
    ids: np.ndarray
    texts: PackedTexts | None
    terms: list[str] | None
    embeddings: np.ndarray | None
    probes: np.ndarray | None  # embeddings of texts that every retriever knows


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
    """Check a saved index in one pass over its arrays, which are not copied.

    Parameters
    ----------
    arrays, about
        As `load_arrays` returns them.
    names : sequence of str
        The settings of a retriever that are saved.
    trust : bool
        Whether any token pattern is allowed.

    Raises
    ------
    InvalidIndexError
        Something is not as a retriever writes it, or two parts disagree.
    """
    _check_keys(about, _ABOUT, "fields")
    _check_keys(set(arrays) - set(_OPTIONAL), _COUNTS, "arrays")
    vectorizer, weighting, next_id = about["vectorizer"], about["weighting"], about["next_id"]
    _require(type(about["settings"]) is dict, f"expected a dictionary as settings, got {short_repr(about['settings'])}")
    _check_keys(about["settings"], names, "settings")
    _require(type(about["default_vectorizer"]) is bool, "default_vectorizer is not true or false")
    _require(_is_count(next_id, 0, LARGEST_ID + 1), f"expected next_id in 0..2**63-1, got {short_repr(next_id)}")
    if vectorizer not in (None, OWN):
        _check_description(vectorizer, CountVectorizer.__name__)
        _require(
            trust or not has_unsafe_pattern(vectorizer),
            f"its token_pattern {short_repr(_list_patterns(vectorizer)[0])} is a regular expression that may never "
            f"end on some texts, and is used only if you trust the file: HopfieldRetriever.load(path, trust=True)",
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
        "the vocabulary is missing, or belongs to no vectorizer",
    )
    terms = None
    if packed_terms is not None:
        terms = unpack_strings(packed_terms.text, packed_terms.offsets)
        _require(len(set(terms)) == len(terms), "a term is in the vocabulary twice")
    ids = _read_ids(arrays, n_documents, next_id)
    embeddings = _read_embeddings(arrays["embeddings"], n_documents) if "embeddings" in arrays else None
    _require(("probes" in arrays) == (embeddings is not None), "probes stand beside no embeddings, or are missing")
    probes = _read_embeddings(arrays["probes"], len(arrays["probes"])) if embeddings is not None else None
    _require(embeddings is None or vectorizer is not None, "embeddings belong to documents that have no texts")
    is_default = about["default_vectorizer"]
    settings = about["settings"]
    of_documents = counts, ids, texts, terms, embeddings
    return SavedIndex(settings, vectorizer, weighting, is_default, next_id, *of_documents, probes)


def restore_index(saved: SavedIndex, weighting: Any, vectorizer: Any) -> TermIndex:
    """The index that was saved. Its arrays stay where they are."""
    return TermIndex(saved.counts, saved.ids, weighting, saved.texts, saved.next_id, vectorizer)


def restore_memory(embeddings: np.ndarray) -> HopfieldMemory:
    """The memory of embedded documents."""
    return HopfieldMemory.from_store(embeddings, similarity="cosine")


def _count_document_frequencies(indices: np.ndarray, n_terms: int) -> np.ndarray:
    """In how many documents each term occurs."""
    total = np.zeros(n_terms, np.int64)
    step = max(n_terms, 2**20)  # bincount copies what it counts
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
    _require(len(indices) == n_entries, f"there are {n_entries} counts and {len(indices)} columns of counts")
    _require(
        len(indptr) and indptr[0] == 0 and indptr[-1] == n_entries and (indptr[:-1] <= indptr[1:]).all(),
        f"counts_indptr does not rise from 0 to the number of counts, {n_entries}",
    )
    if n_entries:
        lowest, highest = int(indices.min()), int(indices.max())
        _require(
            lowest >= 0 and highest < n_terms,
            f"expected counts_indices in 0..{n_terms - 1}, got {lowest}..{highest}",
        )
        descends = indices[1:] < indices[:-1]
        descends[indptr[(indptr > 0) & (indptr < n_entries)] - 1] = False  # between two documents
        _require(not descends.any(), "counts_indices are not in ascending order within a document")
    problem = find_invalid_counts(data, are_weighted)
    _require(problem is None, f"counts_data has {problem}")
    _require(
        np.array_equal(_count_document_frequencies(indices, n_terms), df),
        "document_frequencies do not follow from the counts",
    )
    return csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, n_terms))


def _read_strings(arrays: dict[str, np.ndarray], name: str, n: int) -> PackedTexts | None:
    """Checked strings that are saved under this name; None if there are none."""
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
    _require((packed is None) == ("ids" in arrays), "document ids are saved twice or not at all")
    if packed is None:
        ids = arrays["ids"]
        _check_vector(ids, "ids", np.int64)
        _require(len(ids) == n_documents, f"expected {n_documents} ids, got {len(ids)}")
        if len(ids):
            lowest, highest = int(ids.min()), int(ids.max())
            _require(lowest >= 0 and highest < next_id, f"expected ids in 0..{next_id - 1}, got {lowest}..{highest}")
    else:
        _require(_is_narrow(packed.offsets), "one id is so long that all of them together do not fit into memory")
        ids = np.array(unpack_strings(packed.text, packed.offsets), dtype=str)
        _require((ids != "").all(), "an id is empty")
    ordered = ids if len(ids) < 2 or (ids[:-1] < ids[1:]).all() else np.sort(ids)
    _require(len(ids) < 2 or (ordered[:-1] != ordered[1:]).all(), "two documents have one id")
    return ids


def _is_narrow(offsets: np.ndarray) -> bool:
    """Whether strings of these lengths fit into an array of equally wide ones without much waste."""
    longest = int(np.diff(offsets).max(initial=0))
    return 4 * longest * (len(offsets) - 1) <= max(_WIDEST_IDS * int(offsets[-1]), _LEAST_WIDTH)


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
    _require(np.isfinite(norms).all(), "an embedding has NaN, infinite or too large numbers")
    return embeddings
