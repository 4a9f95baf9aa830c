"""A retriever as named arrays and a description, and back: no pickle, so nothing in a saved folder is ever run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer

from codebooks import ops
from codebooks.models.hopfield_memory import HopfieldMemory
from codebooks.storage import pack_strings, unpack_strings
from codebooks.text.term_index import TermIndex, Weighted
from codebooks.text.weighting import BM25Transformer

__all__ = ["PackedTexts", "described", "index_arrays", "index_from", "memory_from", "rebuilt", "vocabulary_arrays"]

# What a part is called in the description when it is of a kind that only its owner can make again.
OWN = "own"


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


# -- vectorizers and weightings --------------------------------------------------------------------------------------


def described(part: Any) -> Any:
    """A vectorizer or weighting as JSON: None, a name, or the settings of one of ours; `OWN` where that cannot be."""
    if part is None or isinstance(part, str):
        return part
    if type(part) not in (CountVectorizer, BM25Transformer):
        return OWN
    settings = part.get_params(deep=False)
    if "dtype" in settings:
        settings["dtype"] = np.dtype(settings["dtype"]).name
        settings["ngram_range"] = list(settings["ngram_range"])
        settings["vocabulary"] = None if settings["vocabulary"] is None else "given"
    try:
        if json.loads(json.dumps(settings, allow_nan=False)) != settings:
            return OWN
    except (TypeError, ValueError):
        return OWN
    return {"class": type(part).__name__, "settings": settings}


def rebuilt(description: Any, own: Any, name: str, terms: list[str] | None = None) -> Any:
    """What was described; what only its owner can make is `own`, and has to be given."""
    if description == OWN:
        if own is None:
            raise ValueError(
                f"This retriever was saved with a {name} of its owner's, which is not in the folder. Give it again: "
                f"load(path, {name}=...)."
            )
        return own
    if not isinstance(description, dict):
        return description
    settings = dict(description["settings"])
    if description["class"] == BM25Transformer.__name__:
        return BM25Transformer(**settings)
    settings["ngram_range"] = tuple(settings["ngram_range"])
    settings["dtype"] = np.dtype(settings["dtype"]).type
    settings["vocabulary"] = terms if settings["vocabulary"] else None
    return CountVectorizer(**settings)


def vocabulary_arrays(vectorizer: Any) -> dict[str, np.ndarray]:
    """The terms of a vectorizer in the order of its columns."""
    text, offsets = pack_strings(list(vectorizer.get_feature_names_out()))
    return {"terms_text": text, "terms_offsets": offsets}


def with_vocabulary(vectorizer: Any, terms: list[str]) -> Any:
    """A `CountVectorizer` as if fitted."""
    vectorizer.fixed_vocabulary_ = vectorizer.vocabulary is not None
    vectorizer.vocabulary_ = {term: column for column, term in enumerate(terms)}
    return vectorizer


# -- the index -------------------------------------------------------------------------------------------------------


def index_arrays(index: TermIndex) -> dict[str, np.ndarray]:
    """All that a search reads, and the counts, from which weights are made again when documents come and go."""
    weighted = index.weighted
    arrays = {
        "counts_data": index.counts.data,
        "counts_indices": index.counts.indices,
        "counts_indptr": index.counts.indptr,
        "weights_data": weighted.rows.data,
        "absent": weighted.absent,
        "reciprocals": weighted.reciprocals,
    }
    if not _same_places(index.counts, weighted.rows):
        arrays |= {"weights_indices": weighted.rows.indices, "weights_indptr": weighted.rows.indptr}
    arrays |= {f"postings_{name}": np.asarray(value) for name, value in weighted.postings._asdict().items()}
    if index.ids.dtype.kind == "U":
        arrays["ids_text"], arrays["ids_offsets"] = pack_strings(index.ids.tolist())
    else:
        arrays["ids"] = index.ids
    if index.texts is not None:
        arrays["texts_text"], arrays["texts_offsets"] = pack_strings(list(index.texts))
    return arrays


def index_from(arrays: dict[str, np.ndarray], n_terms: int, weighting: Any, next_id: int) -> TermIndex:
    """The index that was saved; its arrays stay where they are."""
    counts = _csr(arrays["counts_data"], arrays["counts_indices"], arrays["counts_indptr"], n_terms)
    indices, indptr = (arrays.get(f"weights_{name}", arrays[f"counts_{name}"]) for name in ("indices", "indptr"))
    postings = ops.Postings(*(arrays[f"postings_{name}"] for name in ops.Postings._fields))
    weighted = Weighted(
        _csr(arrays["weights_data"], indices, indptr, n_terms), arrays["absent"], arrays["reciprocals"], postings
    )
    if "ids" in arrays:
        ids = arrays["ids"]
    else:
        ids = np.array(unpack_strings(arrays["ids_text"], arrays["ids_offsets"]), dtype=str)
    texts = PackedTexts(arrays["texts_text"], arrays["texts_offsets"]) if "texts_text" in arrays else None
    if len(ids) != counts.shape[0]:
        raise ValueError(f"{len(ids)} ids were saved for {counts.shape[0]} documents. Make the index anew.")
    return TermIndex.ready(weighted, counts, ids, weighting, texts, next_id)


def memory_from(embeddings: np.ndarray) -> HopfieldMemory:
    """The memory of embedded documents."""
    return HopfieldMemory.around(embeddings, similarity="cosine")


def _csr(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, n_columns: int) -> Any:
    return csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, n_columns))


def _same_places(X: Any, Y: Any) -> bool:
    return X.nnz == Y.nnz and np.array_equal(X.indptr, Y.indptr) and np.array_equal(X.indices, Y.indices)
