import gzip
import importlib
import json
import os
import sys
import threading
import warnings
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose

from benchmarks import docstrings
from benchmarks.corpus_folder import load_corpus
from benchmarks.docstrings import load_docstrings
from codebooks.datasets import Corpus

SMALL = Corpus(["some text"], ["a.b"], "docstrings", ["a.b.c"])


@pytest.fixture(scope="module")
def cache(tmp_path_factory, fresh_python):
    """A cache folder filled by another process with another hash seed."""
    folder = tmp_path_factory.mktemp("cache")
    code = "import os; os.dup2(1, 2); from benchmarks.docstrings import load_docstrings; load_docstrings()"
    assert not fresh_python(code, XDG_CACHE_HOME=str(folder), PYTHONHASHSEED="123", PYTHONWARNINGS="default")
    return folder


@pytest.fixture
def collected(monkeypatch, tmp_path):
    """Count the calls that collect docstrings, and replace them by a small corpus."""
    calls = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(docstrings, "_collect", lambda *arguments: calls.append(arguments) or SMALL)
    return calls


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A package with every kind of object that the corpus should or should not contain."""
    files = {
        "toy/__init__.py": '"""The toy package."""\nimport json\nfrom toy._inside import Base, thing',
        "toy/_inside.py": '''
def thing():
    """What thing does.

    Example::

        indented
    """
class Base:
    """The base class."""
    def method(self):
        """What the method does."""
    @classmethod
    def make(cls):
        """How one is made."""
    def _hidden(self):
        """Not for users."""
''',
        "toy/part/__init__.py": "from toy._inside import thing",
        "toy/part/deep.py": '''
from toy import Base
class Child(Base):
    """The child class."""
    def method(self):
        """What the method does."""
    def bare(self):
        pass
instance, other = Child(), Child()
other.__doc__, Child.__call__ = "An instance with a text.", print
''',
        "toy/broken.py": '"""Cannot be imported."""\nimport there_is_no_such_module',
        "toy/loud.py": '''
"""Says something."""
import sys, warnings
warnings.warn("Look!"), print("Hear!"), sys.stderr.write("Beware!")
''',
        "toy/script.py": '"""Ends the process."""\nimport sys; sys.exit(1)',
        "toy/tests/__init__.py": '"""Not for users."""',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy"]:
        del sys.modules[name]


# --- docstrings ---------------------------------------------------------------------------------------------


def test_load_docstrings_of_installed_packages(cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    corpus = load_docstrings()
    assert len(corpus.documents) == len(corpus.labels) == len(corpus.ids) > 3000
    assert len(set(corpus.documents)) == len(corpus.documents)
    assert min(map(len, corpus.documents)) >= 200
    assert all(one < other for one, other in pairwise(corpus.ids))
    assert {"scipy.sparse", "sklearn.cluster", "numpy.fft", "matplotlib.axes"} < set(corpus.labels)
    assert {"numpy.exp", "scipy.stats.norm", "sklearn.cluster.KMeans.fit"} < set(corpus.ids)
    assert not [name for name in corpus.ids if "._" in name or ".tests." in name]


def test_load_docstrings_is_equal_between_processes_and_from_the_cache(cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert load_docstrings() == load_docstrings(cache=False)
    assert [file.suffixes for file in (cache / "codebooks").iterdir()] == [[".json", ".gz"]]


def test_load_docstrings_imports_no_packages(cache, fresh_python):
    code = "import sys; from benchmarks.docstrings import load_docstrings"
    code += "; load_docstrings(); load_docstrings(['matplotlib'], cache=False)"
    code += "; print(len({'matplotlib', 'scipy.signal', 'sklearn.manifold'} & set(sys.modules)))"
    assert fresh_python(code, XDG_CACHE_HOME=str(cache)) == "0\n"


def test_load_docstrings_in_threads_keeps_stdout_and_warning_filters(tmp_path, monkeypatch):
    for name in ("one", "two"):  # the first thread ends first, so that each would restore the streams of the other
        (tmp_path / f"{name}.py").write_text(f'"""Module {name}."""\nimport time\ntime.sleep({0.5 + (name == "two")})')
    monkeypatch.syspath_prepend(tmp_path)
    before = sys.stdout, sys.stderr, list(warnings.filters)
    first, second = (threading.Thread(target=load_docstrings, args=[[name]]) for name in ("one", "two"))
    for thread in (first, second):
        thread.start()
    for thread in (first, second):
        thread.join()
    assert (sys.stdout, sys.stderr, list(warnings.filters)) == before


@pytest.mark.filterwarnings("ignore:Look!")
def test_load_docstrings_is_independent_of_earlier_imports(toy, monkeypatch):
    before = load_docstrings(["toy"], min_length=0)
    package = importlib.import_module("toy")
    package.added = type("added", (), {"__doc__": "What an import elsewhere adds.", "__module__": "toy"})
    assert load_docstrings(["toy"], min_length=0) == before
    monkeypatch.setattr(sys, "executable", "")  # no interpreter to start: the modules of this process are read
    assert {*load_docstrings(["toy"], min_length=0).ids} == {*before.ids, "toy.added"}


@pytest.mark.parametrize("code", [0, 3])
def test_load_docstrings_names_a_package_that_ends_the_interpreter(tmp_path, monkeypatch, code):
    (tmp_path / "fatal.py").write_text(f"import os; os.write(2, b'Enough.'); os._exit({code})")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match=rf"docstrings of fatal failed: .* ended with code {code}: Enough\."):
        load_docstrings(["fatal"])


def test_load_docstrings_reads_the_cache_at_the_second_call(collected):
    assert load_docstrings(["numpy"]) == load_docstrings("numpy") == load_docstrings(["numpy", "nowhere"]) == SMALL
    assert len(collected) == 1
    load_docstrings(["numpy"], cache=False)
    assert len(collected) == 2


def test_load_docstrings_cache_depends_on_arguments_and_versions(collected, monkeypatch):
    load_docstrings(["numpy"])
    load_docstrings(["numpy"], min_length=300)
    load_docstrings(["numpy", "scipy"])
    monkeypatch.setattr(docstrings, "_get_version", lambda package: "0.0")
    load_docstrings(["numpy"])
    assert len(collected) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-9]),
        lambda file: file.write_bytes(b"no gzip"),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(gzip.compress(b"no JSON")),
        lambda file: file.write_bytes(gzip.compress(b'{"documents": []}')),
    ],
    ids=["truncated", "no gzip", "empty", "no JSON", "fields missing"],
)
def test_load_docstrings_replaces_a_damaged_cache_file(collected, tmp_path, damage):
    load_docstrings(["numpy"])
    (file,) = (tmp_path / "codebooks").iterdir()
    damage(file)
    assert load_docstrings(["numpy"]) == SMALL
    assert load_docstrings(["numpy"]) == SMALL
    assert len(collected) == 2


def test_load_docstrings_ignores_a_cache_that_cannot_be_written(collected, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # a file cannot contain files, even for root
    assert load_docstrings(["numpy"]) == SMALL


def test_load_docstrings_without_home_folder_has_no_cache(collected, monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(docstrings.Path, "home", nowhere)
    assert load_docstrings(["numpy"]) == SMALL


def test_load_docstrings_lists_public_objects_once_without_output(toy, capfd, recwarn):
    corpus = load_docstrings(["toy"], min_length=0)
    assert dict(zip(corpus.ids, corpus.documents, strict=True)) == {
        "toy": "The toy package.",
        "toy.Base": "The base class.",
        "toy.Base.make": "How one is made.",
        "toy.Base.method": "What the method does.",
        "toy.loud": "Says something.",
        "toy.part.deep.Child": "The child class.",
        "toy.part.deep.other": "An instance with a text.",
        "toy.thing": "What thing does.\n\nExample::\n\n    indented",
    }
    assert sorted(set(corpus.labels)) == ["toy", "toy.loud", "toy.part"]
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_load_docstrings_without_installed_packages_raises():
    with pytest.raises(ValueError, match="must contain an installed package"):
        load_docstrings(["there_is_no_such_module", "nor.this"])


# --- the data folder ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A data folder with a few lines in each of the formats."""
    post = "Ann wrote:\n> quoted\n| also quoted\nmine > yours\n"
    jsonl = "\n".join
    files = {
        "octis_m10/corpus.tsv.gz": 'deep net\ttrain\t3\na "quote\ttest\t0\n',
        "octis_m10/vocabulary.txt.gz": "deep\nnet\nquote\n",
        "google_news_titles/docs.tsv.gz": 'label\ttext\n7\tBig "news\n8\tmore\n',
        "bbc_news/docs.jsonl.gz": json.dumps({"label": "tech", "title": "Title", "text": "Tést"}),
        "newsgroups20/docs.jsonl.gz": json.dumps({"label": "sci.med", "text": post}),
        "newsgroups20/octis_vocabulary.txt.gz": "mine\nyours\n",
        "reuters21578/docs.jsonl.gz": jsonl(
            json.dumps({"topics": topics, "title": "T", "text": "x"}) for topics in (["earn"], ["acq", "earn"], [])
        ),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    monkeypatch.setenv("CODEBOOKS_DATA", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "documents", "labels", "vocabulary"),
    [
        ("octis_m10", ["deep net", 'a "quote'], ["3", "0"], ["deep", "net", "quote"]),
        ("google_news_titles", ['Big "news', "more"], ["7", "8"], None),
        ("bbc_news", ["Title\nTést"], ["tech"], None),
        ("newsgroups20", ["\n\n\nmine > yours\n"], ["sci.med"], ["mine", "yours"]),
        ("reuters21578", ["T\nx"], ["earn"], None),
    ],
)
def test_load_corpus_reads_each_format(folder, name, documents, labels, vocabulary):
    assert load_corpus(name) == Corpus(documents, labels, name, vocabulary=vocabulary)


@pytest.mark.skipif(not os.environ.get("CODEBOOKS_DATA"), reason="CODEBOOKS_DATA is not set")
@pytest.mark.parametrize(
    ("name", "n_documents", "n_labels", "n_words"),
    [
        ("octis_bbc_news", 2225, 5, 2949),
        ("octis_m10", 8355, 10, 1696),
        ("octis_dbpedia_it", 4251, 5, 2047),
        ("newsgroups20", 18846, 20, 1612),
        ("bbc_news", 2225, 5, None),
        ("reuters21578", 9133, 66, None),
        ("search_snippets", 12340, 8, None),
        ("stackoverflow_titles", 20000, 20, None),
        ("biomedical_titles", 20000, 20, None),
        ("google_news_titles", 11108, 152, None),
    ],
)
def test_load_corpus_sizes(name, n_documents, n_labels, n_words):
    corpus = load_corpus(name)
    assert len(corpus.documents) == len(corpus.labels) == n_documents
    assert len(set(corpus.labels)) == n_labels
    assert (corpus.vocabulary and len(corpus.vocabulary)) == n_words


def test_load_corpus_unknown_name_lists_the_names():
    with pytest.raises(ValueError, match=r"one of octis_bbc_news, .*google_news_titles, got '20news'"):
        load_corpus("20news")


def test_load_corpus_without_variable_or_file_raises(monkeypatch, tmp_path):
    monkeypatch.delenv("CODEBOOKS_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"set the environment variable CODEBOOKS_DATA.*DATA\.md"):
        load_corpus("bbc_news")
    monkeypatch.setenv("CODEBOOKS_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"docs\.jsonl\.gz, .*no such file.*DATA\.md"):
        load_corpus("bbc_news")


# --- the matrices of the benchmarks -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "bbc", "google_news"])
def test_corpora_load_scales_rows_to_length_one(name):
    corpora = pytest.importorskip("benchmarks.corpora", reason="needs the repository, not only the package")
    if name != "digits" and not os.environ.get("CODEBOOKS_DATA"):
        pytest.skip("CODEBOOKS_DATA is not set")
    matrix = corpora.load(name)
    assert matrix is corpora.load(name)
    assert matrix.X.shape == matrix.counts.shape == (len(matrix.labels), len(matrix.terms))
    assert matrix.X.dtype == matrix.counts.dtype == np.float32
    assert matrix.X.has_sorted_indices
    assert_allclose(np.sqrt(matrix.X.multiply(matrix.X).sum(axis=1)), 1, rtol=1e-5)
    assert len(set(matrix.labels)) == matrix.n_labels == {"digits": 10, "bbc": 5, "google_news": 152}[name]
