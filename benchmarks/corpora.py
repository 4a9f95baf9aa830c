"""Corpora as matrices, the same for our learners and for their peers.

Rows keep the order of the files, which is often sorted by label: our learners shuffle; the peers are batch methods or
shuffle. Documents without a term are dropped and counted.
"""

import csv
import gzip
import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.preprocessing import normalize

from benchmarks.corpus_folder import load_corpus
from benchmarks.docstrings import load_docstrings
from codebooks.datasets import Corpus


class Matrix(NamedTuple):
    """A corpus as matrices.

    Attributes
    ----------
    name : str
    X : csr_matrix of shape (n_documents, n_terms), float32
        Sublinear tf-idf with rows of length 1, indices sorted.
    counts : csr_matrix of shape (n_documents, n_terms), float32
        Counts of terms, for models of counts.
    terms : ndarray of shape (n_terms,) of str
    labels : ndarray of shape (n_documents,), int64
    n_labels : int
    documents : list of str
        The texts of the rows; empty for images.
    n_dropped : int
        Number of dropped documents, which contain none of the terms.
    """

    name: str
    X: sparse.csr_matrix
    counts: sparse.csr_matrix
    terms: np.ndarray
    labels: np.ndarray
    n_labels: int
    documents: list[str]
    n_dropped: int


class Recipe(NamedTuple):
    """The source of a corpus, the options of its vectorizer, and the number of classes to keep."""

    source: str
    words: dict[str, Any]
    n_largest: int | None = None
    published_vocabulary: bool = True  # if the source has one


RAW = {"stop_words": "english", "min_df": 5, "max_df": 0.5}
LEMMAS = {"analyzer": str.split}  # already preprocessed, with a vocabulary of their own
OWN_VOCABULARY: dict[str, Any] = {}

RECIPES = {
    "bbc": Recipe("octis_bbc_news", LEMMAS),
    "m10": Recipe("octis_m10", LEMMAS),
    "dbpedia_it": Recipe("octis_dbpedia_it", LEMMAS),
    "stackoverflow": Recipe("stackoverflow_titles", RAW),
    "biomedical": Recipe("biomedical_titles", RAW),
    "newsgroups": Recipe("newsgroups20", OWN_VOCABULARY),
    "snippets": Recipe("search_snippets", RAW),
    "reuters": Recipe("reuters21578", RAW, n_largest=20),
    "google_news": Recipe("google_news_titles", RAW),
    "newsgroups_raw": Recipe("newsgroups20", RAW, published_vocabulary=False),
    "bbc_raw": Recipe("bbc_news", RAW),
    "banking77": Recipe("banking77", RAW),
    "docstrings": Recipe("docstrings", RAW),
}

# (name, number of components). Defaults are chosen on CHOOSING and evaluated on REPORT, never the reverse.
CHOOSING = (("bbc", 5), ("bbc", 20), ("m10", 10), ("stackoverflow", 20), ("biomedical", 20), ("dbpedia_it", 5))
REPORT = (
    ("newsgroups", 20),
    ("newsgroups", 50),
    ("newsgroups_raw", 20),
    ("newsgroups_raw", 50),
    ("snippets", 8),
    ("reuters", 20),
    ("google_news", 152),
    ("banking77", 77),
    ("bbc_raw", 5),
)
NEW_FORMS = ("bbc_raw",)  # the documents of a corpus of CHOOSING; marked, and not counted
OFFLINE = (("docstrings", 20), ("digits", 10))  # available without download and without CODEBOOKS_DATA


def get_data_folder(name: str) -> Path:
    """Return the folder of a data set."""
    folder = os.environ.get("CODEBOOKS_DATA")
    if not folder:
        raise FileNotFoundError(
            f"The data set {name!r} needs the environment variable CODEBOOKS_DATA, the folder of the data sets."
        )
    return Path(folder) / name


@cache
def load(name: str) -> Matrix:
    """Load a corpus of `RECIPES`, or "digits" of scikit-learn, as matrices.

    Raises
    ------
    ValueError
        If no recipe has this name.
    FileNotFoundError
        If the corpus needs CODEBOOKS_DATA and is missing.
    """
    if name == "digits":
        return _load_digits()
    if name not in RECIPES:
        raise ValueError(f"`name` must be one of {', '.join([*RECIPES, 'digits'])}, got {name!r}.")
    recipe = RECIPES[name]
    corpus = LOADERS.get(recipe.source, load_corpus)(recipe.source)
    if recipe.n_largest is not None:
        corpus = _select_largest_classes(corpus, recipe.n_largest)
    vocabulary = corpus.vocabulary if recipe.published_vocabulary else None
    vectorizer = CountVectorizer(vocabulary=vocabulary, dtype=np.float32, **recipe.words)
    counts = vectorizer.fit_transform(corpus.documents)
    return _make_matrix(name, counts, vectorizer.get_feature_names_out(), corpus.labels, corpus.documents)


def _make_matrix(name: str, counts: Any, terms: np.ndarray, labels: Any, documents: list[str]) -> Matrix:
    kept = np.flatnonzero(counts.getnnz(axis=1))
    n_dropped = counts.shape[0] - len(kept)
    counts = sparse.csr_matrix(counts[kept])
    counts.sort_indices()
    X = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    X.sort_indices()
    classes, labels = np.unique(np.asarray(labels)[kept], return_inverse=True)
    return Matrix(name, X, counts, terms, labels, len(classes), [documents[i] for i in kept], n_dropped)


def _load_banking77(name: str) -> Corpus:
    """Load questions to a bank and their intents: the training part, then the test part."""
    rows: list[list[str]] = []
    for part in ("train", "test"):
        with gzip.open(get_data_folder(name) / f"{part}.csv.gz", "rt", encoding="utf-8", newline="") as lines:
            rows += list(csv.reader(lines))[1:]
    texts, intents = map(list, zip(*rows, strict=True))
    return Corpus(texts, intents, name)


LOADERS = {"docstrings": lambda _: load_docstrings(), "banking77": _load_banking77}


def _select_largest_classes(corpus: Corpus, n: int) -> Corpus:
    classes, sizes = np.unique(corpus.labels, return_counts=True)
    largest = set(classes[np.argsort(-sizes, kind="stable")[:n]])  # equal sizes: by name
    kept = [i for i, label in enumerate(corpus.labels) if label in largest]
    return corpus._replace(documents=[corpus.documents[i] for i in kept], labels=[corpus.labels[i] for i in kept])


def _load_digits() -> Matrix:
    """Load images of 8 x 8 pixels: grey values as counts, and the same with rows of length 1."""
    digits = load_digits()
    pixels = sparse.csr_matrix(digits.data.astype(np.float32))
    terms = np.array(digits.feature_names, dtype=object)
    return Matrix("digits", normalize(pixels), pixels, terms, digits.target, 10, [], 0)
