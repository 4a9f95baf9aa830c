"""Corpora to try things on: docstrings that are installed anyway, a folder of known sets, planted topics."""

import csv
import gzip
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import pkgutil
import platform
import re
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from operator import itemgetter
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

__all__ = ["Corpus", "PlantedCorpus", "load_corpus", "load_docstrings", "planted_corpus"]


class Corpus(NamedTuple):
    """Documents and what is known about them.

    Attributes
    ----------
    documents : list of str
        One text per document.
    labels : list of str
        The class of each document, for scoring only.
    name : str
        What the corpus is called.
    ids : list of str or None
        A name for each document, where it has one; for docstrings the qualified name.
    vocabulary : list of str or None
        The words that the makers of the corpus chose, where they published them.
    """

    documents: list[str]
    labels: list[str]
    name: str
    ids: list[str] | None = None
    vocabulary: list[str] | None = None


class PlantedCorpus(NamedTuple):
    """Word counts drawn from known topics.

    Attributes
    ----------
    X : csr_matrix of shape (n_documents, n_terms), float32
        Word counts.
    labels : ndarray of shape (n_documents,), int64
        The topic that each document was drawn from.
    terms : list of str
        A name for each column of `X`.
    topics : ndarray of shape (n_topics, n_terms), float64
        The word distribution of each topic; rows sum to 1.
    """

    X: sparse.csr_matrix
    labels: np.ndarray
    terms: list[str]
    topics: np.ndarray


# --- a folder of known sets ---------------------------------------------------------------------------------


class _Source(NamedTuple):
    """How the file of one corpus is read: what differs from corpus to corpus, and nothing else."""

    file: str
    document: Callable[[dict[str, Any]], str] = itemgetter("text")
    label: Callable[[dict[str, Any]], str] = itemgetter("label")
    keep: Callable[[dict[str, Any]], bool] = bool
    columns: tuple[str, ...] | None = None  # for a table without a header line
    vocabulary: str | None = None


def _with_title(row: dict[str, Any]) -> str:
    return f"{row['title']}\n{row['text']}"


def _without_quotes(row: dict[str, Any]) -> str:
    """Drop the lines that answer to another post, and the line that says whose they are."""
    return re.sub(r"(?m)^(>|\|).*$|^.*(writes|wrote):?\s*$", "", row["text"])


_LEMMAS = _Source("corpus.tsv.gz", columns=("text", "split", "label"), vocabulary="vocabulary.txt.gz")
_TITLES = _Source("docs.tsv.gz")

_SOURCES = {
    "octis_bbc_news": _LEMMAS,
    "octis_m10": _LEMMAS,
    "octis_dbpedia_it": _LEMMAS,
    "newsgroups20": _Source("docs.jsonl.gz", document=_without_quotes, vocabulary="octis_vocabulary.txt.gz"),
    "bbc_news": _Source("docs.jsonl.gz", document=_with_title),
    "reuters21578": _Source(
        "docs.jsonl.gz",
        document=_with_title,
        label=lambda row: row["topics"][0],
        keep=lambda row: len(row["topics"]) == 1,
    ),
    "search_snippets": _TITLES,
    "stackoverflow_titles": _TITLES,
    "biomedical_titles": _TITLES,
    "google_news_titles": _TITLES,
}


def load_corpus(name: str) -> Corpus:
    """Load a labelled corpus from the folder that the environment variable CODEBOOKS_DATA names.

    Documents come in the order of the file, which is often sorted by label. 20 Newsgroups come without
    headers and quoted lines, Reuters-21578 with its single-topic documents only.

    Parameters
    ----------
    name : str
        One of octis_bbc_news, octis_m10, octis_dbpedia_it, newsgroups20, bbc_news, reuters21578,
        search_snippets, stackoverflow_titles, biomedical_titles, google_news_titles.

    Returns
    -------
    Corpus
        With `vocabulary` for the OCTIS sets and 20 Newsgroups.

    Raises
    ------
    ValueError
        If no corpus has this name.
    FileNotFoundError
        If CODEBOOKS_DATA is unset, or the file is not where it says.

    Examples
    --------
    >>> from codebooks.datasets import load_corpus
    >>> corpus = load_corpus("octis_bbc_news")  # doctest: +SKIP
    >>> len(corpus.documents), sorted(set(corpus.labels))  # doctest: +SKIP
    (2225, ['business', 'entertainment', 'politics', 'sport', 'tech'])
    """
    if name not in _SOURCES:
        raise ValueError(f"No corpus is called {name!r}; choose one of {', '.join(_SOURCES)}.")
    source = _SOURCES[name]
    rows = [row for row in _rows(_data_file(name, source.file), source.columns) if source.keep(row)]
    return Corpus(
        documents=[source.document(row) for row in rows],
        labels=[source.label(row) for row in rows],
        name=name,
        vocabulary=_text(_data_file(name, source.vocabulary)).split() if source.vocabulary else None,
    )


def _data_file(name: str, file: str) -> Path:
    folder = os.environ.get("CODEBOOKS_DATA")
    if not folder:
        raise FileNotFoundError(
            f"To load {name!r}, set the environment variable CODEBOOKS_DATA to the folder that holds the "
            "data sets; benchmarks/DATA.md in the repository tells where each comes from."
        )
    path = Path(folder, name, file)
    if not path.is_file():
        raise FileNotFoundError(
            f"{name!r} should be in {path}, as CODEBOOKS_DATA says, but there is no such file; "
            "benchmarks/DATA.md in the repository tells where to get it and how to lay out the folder."
        )
    return path


def _text(path: Path) -> str:
    # newline="": a carriage return inside a field is text, and must not end a row.
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return file.read()


def _rows(path: Path, columns: tuple[str, ...] | None) -> Iterable[dict[str, Any]]:
    lines = StringIO(_text(path), newline="")
    if path.name.endswith(".jsonl.gz"):
        return map(json.loads, lines)
    return csv.DictReader(lines, columns, delimiter="\t", quoting=csv.QUOTE_NONE)


# --- docstrings ---------------------------------------------------------------------------------------------

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # where the import has another name than the distribution

# Importing these has effects (GUI toolkits, switched-on experiments, deprecation notices) or yields copies.
_SKIPPED = {"backends", "conftest", "distutils", "experimental", "externals", "pylab", "setup", "sphinxext"}
_SKIPPED |= {"pyplot", "test", "testing", "tests"}


def load_docstrings(
    packages: Iterable[str] = ("numpy", "scipy", "sklearn", "matplotlib"),
    *,
    min_length: int = 200,
    cache: bool = True,
) -> Corpus:
    """Collect the public docstrings of installed packages: real text that needs no network.

    The packages are imported with their public submodules, quietly; what cannot be imported is left out.
    Modules, classes, functions, methods and ufuncs each give one document, under the module that they are at
    home in; texts that occur twice are kept once. Documents are sorted by qualified name.

    Parameters
    ----------
    packages : iterable of str
        Names to import; those that are not installed are left out.
    min_length : int
        Shorter docstrings are left out (characters, without indentation).
    cache : bool
        Read and write a file in the user's cache folder, valid for these versions of the packages and of
        Python. Reading it imports nothing.

    Returns
    -------
    Corpus
        `labels` are the subpackages, such as "scipy.sparse"; `ids` the qualified names.

    Raises
    ------
    ValueError
        If none of the packages is installed.

    Examples
    --------
    >>> from codebooks.datasets import load_docstrings
    >>> corpus = load_docstrings(["textwrap"], cache=False)
    >>> "textwrap.TextWrapper.wrap" in corpus.ids, set(corpus.labels)
    (True, {'textwrap'})
    """
    wanted = sorted({packages} if isinstance(packages, str) else set(packages))
    installed = [package for package in wanted if _is_installed(package)]
    if not installed:
        raise ValueError(f"None of the packages {wanted} is installed; name one that can be imported.")
    versions = [_version(package) for package in installed]
    file = _cache_file(installed, versions, min_length) if cache and all(versions) else None
    corpus = file and _read(file)
    if not corpus:
        corpus = _collect(installed, min_length)
        if file:
            _write(file, corpus)
    return corpus


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # the parent of a dotted name is missing, or a module without a spec
        return False


def _collect(packages: list[str], min_length: int) -> Corpus:
    found: dict[str, _Docstring] = {}  # text -> the shortest of its names: copies and inherited texts go
    with _quiet():
        # All are imported before any is read: an import may add names to modules that came before it.
        modules = [module for package in packages for module in _modules(package)]
        for doc in _docstrings(modules):
            if len(doc.text) >= min_length:
                found[doc.text] = min(doc, found.get(doc.text, doc), key=_Docstring.rank)
    documents = sorted(found.values())
    return Corpus(
        documents=[doc.text for doc in documents],
        labels=[doc.subpackage for doc in documents],
        name="docstrings",
        ids=[doc.id for doc in documents],
    )


class _Docstring(NamedTuple):
    id: str
    subpackage: str
    text: str

    def rank(self) -> tuple[int, str]:
        return self.id.count("."), self.id


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what foreign modules warn about or print when they are imported."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        yield


def _modules(name: str) -> Iterator[ModuleType]:
    """Yield a module and its public submodules, parents first, in the order of their names."""
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit):  # an optional dependency is missing, or a script wants to run
        return
    yield module
    submodules = sorted(info.name for info in pkgutil.iter_modules(getattr(module, "__path__", [])))
    for submodule in submodules:
        if not submodule.startswith("_") and submodule not in _SKIPPED:
            yield from _modules(f"{name}.{submodule}")


def _docstrings(modules: list[ModuleType]) -> Iterator[_Docstring]:
    """Yield the docstrings of modules, of what is at home in them, and of its methods."""
    for module in modules:
        subpackage = ".".join(module.__name__.split(".")[:2])
        for id_, thing in _members(module):
            text = getattr(thing, "__doc__", None)
            # An instance has a text of its own, or shows that of its class.
            if isinstance(text, str) and (isinstance(thing, type) or text != type(thing).__doc__):
                yield _Docstring(id_, subpackage, _steady(inspect.cleandoc(text)))


def _steady(text: str) -> str:
    """Undo what differs from run to run: SciPy prints fresh random numbers and sets into some texts."""
    text = re.sub(r"(?m)^.*# may vary$\n?", "", text)
    return re.sub(r"(?<={)'\w+'(, '\w+')+(?=})", lambda names: ", ".join(sorted(names[0].split(", "))), text)


def _members(module: ModuleType) -> Iterator[tuple[str, Any]]:
    yield module.__name__, module
    for name, thing in _public(module):
        if callable(thing) and _is_at_home(thing, module):
            yield f"{module.__name__}.{name}", thing
            for method_name, method in _public(thing) if isinstance(thing, type) else ():
                if callable(getattr(method, "__func__", method)):  # what a classmethod or staticmethod wraps
                    yield f"{module.__name__}.{name}.{method_name}", method


def _is_at_home(thing: Any, module: ModuleType) -> bool:
    """Tell whether the module is the public part of the path where `thing` is defined, or lies below it."""
    home = re.sub(r"\._.*", "", str(getattr(thing, "__module__", None) or module.__name__))
    return f"{module.__name__}.".startswith(f"{home}.")


def _public(owner: object) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in vars(owner).items() if not name.startswith("_")]


def _version(package: str) -> str | None:
    root = package.partition(".")[0]
    try:
        return importlib.metadata.version(_DISTRIBUTIONS.get(root, root))
    except importlib.metadata.PackageNotFoundError:
        return None


def _cache_file(packages: list[str], versions: list[str | None], min_length: int) -> Path | None:
    """Name the file after all that its content depends on; the first number changes with this code."""
    python = [platform.python_version(), sys.flags.optimize]  # python -OO strips docstrings
    key = json.dumps([2, packages, versions, python, min_length])
    folder = _cache_folder()
    return folder and folder / f"docstrings-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json.gz"


def _cache_folder() -> Path | None:
    if chosen := os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA"):
        return Path(chosen, "codebooks")
    try:
        return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "codebooks"
    except RuntimeError:  # a user without a home, as in some containers
        return None


def _read(file: Path) -> Corpus | None:
    """Read a cached corpus; None if there is none, or none that can be read."""
    try:
        return Corpus(**json.loads(gzip.decompress(file.read_bytes())))
    except (OSError, EOFError, ValueError, TypeError, zlib.error):
        return None


def _write(file: Path, corpus: Corpus) -> None:
    """Write aside, then rename: whoever reads at the same time sees all or nothing. No cache is no error."""
    packed = gzip.compress(json.dumps(corpus._asdict()).encode(), compresslevel=6, mtime=0)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as aside:
            written = Path(aside, file.name)
            written.write_bytes(packed)
            os.replace(written, file)


# --- planted topics -----------------------------------------------------------------------------------------


def planted_corpus(
    n_documents: int = 600,
    n_topics: int = 10,
    *,
    words_per_topic: int = 30,
    n_background: int = 50,
    length: int = 40,
    purity: float = 0.7,
    balance: float = 1.0,
    random_state: int | np.random.Generator | None = 0,
) -> PlantedCorpus:
    """Draw word counts from known topics, to see whether they are found again.

    Each topic has words of its own, and all share the background words; the frequency of both falls with
    the rank (Zipf). A document has one topic and a Poisson number of words. At the defaults the margins are
    wide: a sane clusterer finds the labels.

    Parameters
    ----------
    n_documents, n_topics : int
        Sizes.
    words_per_topic, n_background : int
        Words that one topic has alone, and words that all share.
    length : int
        Mean number of words per document; no document is empty.
    purity : float
        The share of words that come from the document's own topic, in (0, 1]; the rest is background.
    balance : float
        The size of each topic over that of the one before, in (0, 1]: 1 makes all equal, less makes them
        shrink geometrically. Every topic keeps one document at least.
    random_state : int, Generator or None
        Seed of the one generator that everything is drawn from.

    Returns
    -------
    PlantedCorpus
        `X`, `labels`, `terms`, `topics`; the documents are in random order.

    Raises
    ------
    ValueError
        If there are fewer documents than topics, or `purity` or `balance` is not in (0, 1].

    Examples
    --------
    >>> from codebooks.datasets import planted_corpus
    >>> planted = planted_corpus(100, 4)
    >>> planted.X.shape, planted.terms[0], planted.topics.shape
    ((100, 170), 'topic0_word0', (4, 170))
    """
    if n_documents < n_topics:
        raise ValueError(
            f"Every topic needs a document, but n_documents={n_documents} is below n_topics={n_topics}; "
            f"ask for {n_topics} documents or more."
        )
    for name, share in {"purity": purity, "balance": balance}.items():
        if not 0 < share <= 1:
            raise ValueError(f"{name} must be above 0 and at most 1, but is {share}.")
    rng = np.random.default_rng(random_state)
    topics = _planted_topics(n_topics, words_per_topic, n_background, purity)
    labels = rng.permutation(np.repeat(np.arange(n_topics), _sizes(n_documents, n_topics, balance)))

    rows = np.repeat(np.arange(n_documents), np.maximum(rng.poisson(length, n_documents), 1))  # one per word
    words = np.empty_like(rows)
    for topic, frequencies in enumerate(topics):
        own = labels[rows] == topic
        words[own] = rng.choice(topics.shape[1], own.sum(), p=frequencies)
    ones = np.ones(len(rows), dtype=np.float32)
    X = sparse.csr_matrix((ones, (rows, words)), shape=(n_documents, topics.shape[1]))  # repeated words add up

    terms = [f"topic{topic}_word{word}" for topic in range(n_topics) for word in range(words_per_topic)]
    terms += [f"background_word{word}" for word in range(n_background)]
    return PlantedCorpus(X, labels, terms, topics)


def _planted_topics(n_topics: int, words_per_topic: int, n_background: int, purity: float) -> np.ndarray:
    own = np.kron(np.eye(n_topics), _falling(words_per_topic))
    shared = np.tile(_falling(n_background), (n_topics, 1))
    return np.hstack([purity * own, (1 - purity) * shared]) if n_background else own


def _falling(n: int) -> np.ndarray:
    """Give frequencies that fall with the rank, as those of natural language do."""
    weight = 1 / np.arange(1, n + 1)
    return weight / weight.sum()


def _sizes(n_documents: int, n_topics: int, balance: float) -> np.ndarray:
    """Share documents out, one to each topic first; what rounding leaves goes to the largest fractions."""
    share = balance ** np.arange(n_topics)
    quota = (n_documents - n_topics) * share / share.sum()
    sizes = 1 + np.floor(quota).astype(int)
    sizes[np.argsort(np.floor(quota) - quota, kind="stable")[: n_documents - sizes.sum()]] += 1
    return sizes
