"""Saved indexes and caches that were modified: an error that names the file, or valid results.

`python -m tests.test_untrusted_files 5000` makes this number of random edits; the test suite makes a few hundred.
"""

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from codebooks import BM25Transformer, HopfieldRetriever, TextEmbedder, cli
from codebooks.embeddings import cache as vector_cache
from codebooks.embeddings.cache import VectorCache
from codebooks.storage import DamagedFileError, load_arrays, pack_strings, save_arrays

TEXTS = [
    "The cat chased a mouse through the kitchen.",
    "A mouse and a keyboard lie on the desk, and a cat.",
    "The keyboard of a piano has black keys, keys, keys.",
    "Eine Katze schläft; the cat and the kitten sleep on the sofa.",
    "A kitten plays with wool.",
    "Bread and onion soup.",
    "",
    "Soup of mice \N{SNOWMAN} and bread.",
]
QUERIES = ["cat mouse", "kitten", "schläft", "nothing of this", ""]


def embed(texts):
    """A deterministic embedding of texts."""
    return np.array([[text.count("a") + 1, len(text), text.count("e")] for text in texts], np.float32)


def changing(**settings):
    return HopfieldRetriever(**settings).fit(TEXTS[:5]).add(TEXTS[5:]).remove([1])


# Each kind of index that is saved, and what has to be passed when it is loaded.
KINDS = {
    "default": lambda: (changing(keep_texts=True), {}),
    "ids": lambda: (HopfieldRetriever(feedback=2).fit(TEXTS, ids=[f"text {i}é" for i in range(len(TEXTS))]), {}),
    "counts": lambda: (HopfieldRetriever(weighting=None).fit(np.eye(6, 9) - np.eye(6, 9, 2)), {}),
    "own vectorizer": lambda: own_vectorizer(),
    "bm25l": lambda: (changing(weighting=BM25Transformer("bm25l", b=1.0), keep_texts=True), {}),
    "bm25-adpt": lambda: (changing(weighting=BM25Transformer("bm25-adpt")), {}),
    "ngrams": lambda: (changing(vectorizer=CountVectorizer(analyzer="char_wb", ngram_range=(2, 3))), {}),
    "vocabulary": lambda: (changing(vectorizer=CountVectorizer(vocabulary=["cat", "mouse", "soup", "x"])), {}),
    "embedder": lambda: (changing(embedder=embed, keep_texts=True), {"embedder": embed}),
    "empty": lambda: (HopfieldRetriever().fit(TEXTS[:2]).remove([0, 1]), {}),
}


def own_vectorizer():
    retriever = HopfieldRetriever(CountVectorizer(analyzer=str.split)).fit(TEXTS)
    return retriever, {"vectorizer": retriever.vectorizer_}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The arrays, the description and the missing parts of each kind of index."""
    return contents(tmp_path_factory.mktemp("saved"))


def contents(folder):
    found = {}
    for kind, make in KINDS.items():
        retriever, parts = make()
        retriever.save(folder / kind)
        found[kind] = (*load_arrays(folder / kind, kind="HopfieldRetriever"), parts)
    return found


def reseal(path, arrays, about):
    save_arrays(path, arrays, about, kind="HopfieldRetriever")


# -- what a loaded index must be able to do --------------------------------------------------------------------------


def use(path, parts, again=True):
    """Load an index, call every method, and check that results are valid."""
    loaded = HopfieldRetriever.load(path, **parts)
    ids = loaded.ids_.tolist()
    assert len(set(ids)) == len(ids) == len(loaded)
    assert loaded.texts_ is None or len(list(loaded.texts_)) == len(ids)
    queries = QUERIES if loaded.vectorizer_ is not None else np.eye(3, len(loaded.terms_), 1)
    hits = loaded.search(queries, k=5)
    check_hits(hits, ids)
    assert np.isfinite(loaded.weights_.data).all()
    assert np.isfinite(loaded.transform(queries).data).all()
    for query in queries[:2] if isinstance(queries, list) else [queries[:1]]:
        for term in loaded.expand(query):
            assert term.term in loaded.terms_.tolist()
            assert np.isfinite(term.weight)
            assert {id for id, _ in term.because} <= set(ids)
        for id in loaded.search(query, k=1).ids[0].tolist():
            assert all(np.isfinite([*part.values()]).all() for part in loaded.explain(query, id))
    if not again:
        return
    loaded.save(f"{path}-again")
    use(f"{path}-again", parts, again=False)
    new = ["another cat with a new mouse"] if isinstance(queries, list) else queries[:1]
    is_named = isinstance((ids or [0])[0], str)
    try:
        loaded.add(new, ids=["an unused id"] if is_named else None)
    except ValueError as error:
        if not re.search("must be (at most|. strings, because)", str(error)):  # there are no more numbers
            raise
    else:
        assert loaded.ids_[:-1].tolist() == ids
        assert loaded.ids_[-1] not in ids
    check_hits(loaded.search(queries, k=5), loaded.ids_.tolist())
    loaded.remove(loaded.ids_[:2])
    check_hits(loaded.search(queries, k=5), loaded.ids_.tolist())


def check_hits(hits, ids):
    for found, of_query in zip(*hits, strict=True):
        names = found.tolist()
        assert len(set(names)) == len(names) == len(of_query)
        assert set(names) <= set(ids)
        assert np.isfinite(of_query).all()
        assert (np.diff(of_query) <= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_load_unmodified_index(saved, tmp_path, kind):
    arrays, about, parts = saved[kind]
    reseal(tmp_path / "index", arrays, about)
    use(tmp_path / "index", parts)


# -- edits of arrays -------------------------------------------------------------------------------------------------


def put(name, place, value):
    def edit(arrays):
        arrays[name] = arrays[name].copy()
        arrays[name][place] = value

    return edit


def replace(name, function):
    def edit(arrays):
        arrays[name] = np.asarray(function(arrays[name]))

    return edit


def replace_strings(name, *strings):
    return lambda arrays: arrays.update(zip((f"{name}_text", f"{name}_offsets"), pack_strings(strings), strict=True))


ARRAY_EDITS = {
    "column beyond the last": ("default", put("counts_indices", 0, 10**9)),
    "column just beyond the last": ("default", lambda a: put("counts_indices", -1, len(a["document_frequencies"]))(a)),
    "negative column": ("default", put("counts_indices", 0, -1)),
    "columns out of order": ("default", lambda a: put("counts_indices", [0, 1], a["counts_indices"][[1, 0]])(a)),
    "another column": ("default", lambda a: put("counts_indices", 0, a["counts_indices"][0] + 1)(a)),
    "pointer beyond the end": ("default", put("counts_indptr", 2, 10**9)),
    "negative pointer": ("default", put("counts_indptr", 2, -5)),
    "falling pointers": ("default", lambda a: put("counts_indptr", [2, 3], a["counts_indptr"][[3, 2]])(a)),
    "first pointer": ("default", put("counts_indptr", 0, 1)),
    "last pointer": ("default", lambda a: put("counts_indptr", -1, a["counts_indptr"][-1] - 1)(a)),
    "no pointers": ("default", replace("counts_indptr", lambda x: x[:0])),
    "one pointer less": ("default", replace("counts_indptr", lambda x: np.delete(x, 1))),
    "pointers of another type": ("default", replace("counts_indptr", lambda x: x.astype(np.uint64))),
    "NaN count": ("default", put("counts_data", 0, np.nan)),
    "NaN count of a matrix": ("counts", put("counts_data", 0, np.nan)),
    "infinite count": ("counts", put("counts_data", 0, np.inf)),
    "huge count": ("counts", put("counts_data", 0, 3e38)),
    "negative count": ("default", put("counts_data", 0, -1)),
    "counts of another type": ("default", replace("counts_data", lambda x: x.astype(np.float64))),
    "counts of another byte order": ("default", replace("counts_data", lambda x: x.astype(">f4"))),
    "complex counts": ("default", replace("counts_data", lambda x: x.astype(complex))),
    "too few counts": ("default", replace("counts_data", lambda x: x[:-1])),
    "counts in two columns": ("default", replace("counts_data", lambda x: np.stack([x, x], 1))),
    "one count": ("default", replace("counts_data", lambda x: x[0])),
    "frequencies that do not follow": ("default", put("document_frequencies", 0, 0)),
    "too many terms": ("default", replace("document_frequencies", lambda x: np.append(x, 0))),
    "no counts": ("default", lambda a: a.pop("counts_data")),
    "one array more": ("default", lambda a: a.update(postings_rows=np.arange(3))),
    "repeated id": ("default", put("ids", 0, 2)),
    "negative id": ("default", put("ids", 0, -1)),
    "id that is to be given": ("default", put("ids", 0, 8)),
    "too few ids": ("default", replace("ids", lambda x: x[:-1])),
    "ids as floats": ("default", replace("ids", lambda x: x.astype(float))),
    "no ids": ("default", lambda a: a.pop("ids")),
    "ids of both kinds": ("default", replace_strings("ids", *"abcdefg")),
    "repeated name": ("ids", replace_strings("ids", *"abcdefgg")),
    "name with NUL behind it": ("ids", replace_strings("ids", *"abcdefg", "g\0")),
    "empty name": ("ids", replace_strings("ids", *"abcdefg", "")),
    "offsets without bytes": ("ids", lambda a: a.pop("ids_text")),
    "offset beyond the end": ("ids", put("ids_offsets", 1, 10**9)),
    "offsets that overflow": ("ids", put("ids_offsets", [1, 2], [2**63 - 1, -2])),
    "no UTF-8": ("default", put("texts_text", 5, 255)),
    "half a character": ("default", lambda a: put("texts_offsets", 4, int(np.argmax(a["texts_text"] > 127)) + 1)(a)),
    "too few texts": ("default", replace_strings("texts", *TEXTS[:3])),
    "repeated term": ("vocabulary", replace_strings("terms", "cat", "cat", "soup", "x")),
    "too few terms": ("vocabulary", replace_strings("terms", "cat", "mouse", "soup")),
    "no terms": ("vocabulary", lambda a: (a.pop("terms_text"), a.pop("terms_offsets"))),
    "terms of a matrix": ("counts", replace_strings("terms", *"abcdefghi")),
    "NaN embedding": ("embedder", put("embeddings", 0, np.nan)),
    "huge embedding": ("embedder", put("embeddings", 0, 3e38)),
    "too few embeddings": ("embedder", replace("embeddings", lambda x: x[:-1])),
    "embeddings of whole numbers": ("embedder", replace("embeddings", lambda x: x.astype(int))),
    "embeddings in one column": ("embedder", replace("embeddings", lambda x: x[:, 0])),
    "embeddings of a matrix": ("counts", lambda a: a.update(embeddings=np.eye(6))),
}


@pytest.mark.parametrize("edit", ARRAY_EDITS)
@pytest.mark.parametrize("verify", [True, False])
def test_load_index_with_an_edited_array(saved, tmp_path, edit, verify):
    kind, change = ARRAY_EDITS[edit]
    arrays, about, parts = saved[kind]
    arrays = dict(arrays)
    change(arrays)
    reseal(tmp_path / "index", arrays, about)
    with pytest.raises(DamagedFileError, match=rf"^{re.escape(str(tmp_path))}/index is not a valid index: .* Restore"):
        HopfieldRetriever.load(tmp_path / "index", verify=verify, **parts)


def test_memory_of_an_index_with_one_long_id(tmp_path):
    """Ids are an array of equally wide strings: 2,000 of 2 MB each."""
    ids = [str(i) for i in range(2000)]
    HopfieldRetriever().fit(["cat"] * 2000, ids=ids).save(tmp_path / "index")
    arrays, about = load_arrays(tmp_path / "index", kind="HopfieldRetriever")
    replace_strings("ids", *ids[1:], "x" * 500_000)(arrays)
    reseal(tmp_path / "index", arrays, about)
    with pytest.raises(DamagedFileError, match="does not fit into memory"):
        HopfieldRetriever.load(tmp_path / "index")


def test_load_index_of_an_empty_matrix_with_many_terms(saved, tmp_path):
    """The number of terms is the length of an array, so a small file cannot claim a huge one."""
    arrays, about, parts = saved["counts"]
    assert "n_terms" not in about
    none = {"counts_data": np.float32, "counts_indices": np.int32, "ids": np.int64}
    arrays |= {name: np.zeros(0, dtype) for name, dtype in none.items()} | {"counts_indptr": np.zeros(1, np.int32)}
    reseal(tmp_path / "index", {**arrays, "document_frequencies": np.zeros(9, np.int64)}, about)
    use(tmp_path / "index", parts)


# -- edits of the description ----------------------------------------------------------------------------------------


def vectorizer(**settings):
    return lambda about: about["vectorizer"]["settings"].update(settings)


def weighting(**settings):
    return lambda about: about.update(
        weighting={
            "class": "BM25Transformer",
            "settings": {"variant": "lucene", "k1": 1.5, "b": 0.75, "delta": 0.5} | settings,
        }
    )


def settings(**changed):
    return lambda about: about["settings"].update(changed)


SLOW = r"(?u)(\w+\s?)+$"
ABOUT_EDITS = {
    "slow pattern": vectorizer(token_pattern=SLOW),
    "pattern that is none": vectorizer(token_pattern="("),
    "no pattern": vectorizer(token_pattern=None),
    "queries as file names": vectorizer(input="filename"),
    "queries as files": vectorizer(input="file"),
    "unknown analyzer": vectorizer(analyzer="sentence"),
    "long n-grams": vectorizer(ngram_range=[1, 10**9]),
    "n-grams backwards": vectorizer(ngram_range=[3, 1]),
    "n-grams of three numbers": vectorizer(ngram_range=[1, 2, 3]),
    "n-grams of bool": vectorizer(ngram_range=[True, True]),
    "a tokenizer": vectorizer(tokenizer="os.system"),
    "stop words of numbers": vectorizer(stop_words=[1]),
    "stop words of a language": vectorizer(stop_words="klingon"),
    "dtype of objects": vectorizer(dtype="object"),
    "share above 1": vectorizer(max_df=1.5),
    "lowercase as number": vectorizer(lowercase=1),
    "unknown setting": vectorizer(depth=3),
    "missing setting": lambda about: about["vectorizer"]["settings"].pop("binary"),
    "missing settings": lambda about: about["vectorizer"].pop("settings"),
    "another class": lambda about: about["vectorizer"].update({"class": "HashingVectorizer"}),
    "class of a list": lambda about: about["vectorizer"].update({"class": ["CountVectorizer"]}),
    "vectorizer of another kind": lambda about: about.update(vectorizer="tfidf"),
    "vectorizer that is missing": lambda about: about.update(vectorizer=None),
    "vectorizer of its owner's": lambda about: about.update(vectorizer="own"),
    "unknown weighting": lambda about: about.update(weighting="tfidf"),
    "weighting of a list": lambda about: about.update(weighting=[]),
    "weighting that is true": lambda about: about.update(weighting=True),
    "unknown variant": weighting(variant="bm42"),
    "k1 below 0": weighting(k1=-1),
    "huge k1": weighting(k1=1e300),
    "k1 of many digits": weighting(k1=10**400),
    "k1 as text": weighting(k1="1.5"),
    "b above 1": weighting(b=1.5),
    "b as bool": weighting(b=True),
    "unknown setting of the weighting": weighting(k2=1),
    "feedback without end": settings(feedback=10**9),
    "feedback below 0": settings(feedback=-1),
    "feedback as bool": settings(feedback=True),
    "feedback as float": settings(feedback=1.0),
    "no documents": settings(feedback_documents=0),
    "many documents": settings(feedback_documents=2**70),
    "many terms": settings(feedback_terms=10**12),
    "huge weight": settings(feedback_weight=1e300),
    "weight as text": settings(feedback_weight="2"),
    "texts as number": settings(keep_texts=1),
    "unknown setting of the retriever": settings(embedder="x"),
    "missing setting of the retriever": lambda about: about["settings"].pop("feedback"),
    "settings as list": lambda about: about.update(settings=[]),
    "next_id that is given": lambda about: about.update(next_id=0),
    "next_id of the last document": lambda about: about.update(next_id=7),
    "next_id below 0": lambda about: about.update(next_id=-1),
    "next_id beyond int64": lambda about: about.update(next_id=2**63),
    "next_id as float": lambda about: about.update(next_id=8.0),
    "next_id as bool": lambda about: about.update(next_id=True),
    "default as text": lambda about: about.update(default_vectorizer="no"),
    "missing field": lambda about: about.pop("next_id"),
    "unknown field": lambda about: about.update(n_terms=10**12),
}


@pytest.mark.parametrize("edit", ABOUT_EDITS)
def test_load_index_with_an_edited_description(saved, tmp_path, edit):
    arrays, about, parts = saved["default"]
    about = json.loads(json.dumps(about))
    ABOUT_EDITS[edit](about)
    reseal(tmp_path / "index", arrays, about)
    with pytest.raises(DamagedFileError, match=r"index is not a valid index: .* Restore"):
        HopfieldRetriever.load(tmp_path / "index", **parts)


def test_load_index_with_a_slow_token_pattern_needs_trust(tmp_path):
    own = HopfieldRetriever(CountVectorizer(token_pattern=r"[a-z]+")).fit(TEXTS)
    own.save(tmp_path / "index")
    with pytest.raises(DamagedFileError, match=r"'\[a-z\]\+' .* trust=True"):
        HopfieldRetriever.load(tmp_path / "index")
    loaded = HopfieldRetriever.load(tmp_path / "index", trust=True)
    assert loaded.search("cat").ids[0].tolist() == own.search("cat").ids[0].tolist()
    arrays, about = load_arrays(tmp_path / "index", kind="HopfieldRetriever")
    for pattern in ("(", "(a)(b)", "a{99999999999}", "(" * 5000):
        vectorizer(token_pattern=pattern)(about)
        reseal(tmp_path / "index", arrays, about)
        with pytest.raises(DamagedFileError, match="token_pattern"):
            HopfieldRetriever.load(tmp_path / "index", trust=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"token_pattern": r"(?u)\b\w+\b"},
        {"stop_words": ["cat"]},
        {"max_df": np.float64(0.9), "max_features": 7},
    ],
    ids=str,
)
def test_load_index_with_common_settings_needs_no_trust(tmp_path, settings):
    saved = HopfieldRetriever(CountVectorizer(**settings)).fit(TEXTS)
    saved.save(tmp_path / "index")
    loaded = HopfieldRetriever.load(tmp_path / "index")
    assert loaded.vectorizer.get_params() == saved.vectorizer.get_params()
    assert loaded.search("cat kitten").ids[0].tolist() == saved.search("cat kitten").ids[0].tolist()


@pytest.mark.parametrize("settings", [{"input": "filename"}, {"ngram_range": (1, 30)}], ids=str)
def test_save_index_with_a_vectorizer_that_could_not_be_loaded(tmp_path, settings):
    texts = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    for text in texts:
        Path(text).write_text("cat and mouse")
    saved = HopfieldRetriever(CountVectorizer(**settings)).fit(texts)
    saved.save(tmp_path / "index")
    with pytest.raises(ValueError, match=r"Pass it: load\(path, vectorizer=\.\.\.\)"):
        HopfieldRetriever.load(tmp_path / "index")
    assert len(HopfieldRetriever.load(tmp_path / "index", vectorizer=saved.vectorizer_)) == 2


def test_load_index_with_a_vectorizer_of_another_vocabulary(tmp_path):
    saved = HopfieldRetriever(CountVectorizer(analyzer=str.split)).fit(TEXTS)
    saved.save(tmp_path / "index")
    with pytest.raises(ValueError, match=r"`vectorizer` must return \d+ columns .* got 2"):
        HopfieldRetriever.load(tmp_path / "index", vectorizer=CountVectorizer().fit(["cat mouse"]))
    vectorizer = saved.vectorizer_
    loaded = HopfieldRetriever.load(tmp_path / "index", vectorizer=vectorizer)
    vectorizer.fit(["cat mouse"])  # by the caller, after loading
    for call in (loaded.search, lambda query: loaded.add([query])):
        with pytest.raises(ValueError, match=r"`vectorizer` must return \d+ columns .* got 2"):
            call("cat")


def test_save_index_with_settings_that_could_not_be_loaded(tmp_path):
    retriever = HopfieldRetriever(feedback=np.int64(1), feedback_weight=np.float32(2)).fit(TEXTS)
    retriever.save(tmp_path / "index")
    assert HopfieldRetriever.load(tmp_path / "index").feedback == 1
    with pytest.raises(ValueError, match="`feedback` must be an integer <= 10, got 1000000000"):
        retriever.set_params(feedback=10**9).save(tmp_path / "index")
    assert len(HopfieldRetriever.load(tmp_path / "index")) == len(TEXTS)


@pytest.mark.parametrize("value", [np.inf, 3e38])
def test_add_counts_that_could_not_be_loaded(value):
    counts = np.eye(3)
    counts[0, 0] = value
    with pytest.raises(ValueError, match=r"infin|absolute value|numbers above"):
        HopfieldRetriever(weighting=None).fit(counts)


@pytest.mark.parametrize("edit", ["slow pattern", "queries as file names", "next_id that is given", "missing field"])
def test_command_line_message_for_an_edited_index(saved, tmp_path, monkeypatch, capsys, edit):
    arrays, about, _ = saved["default"]
    about = json.loads(json.dumps(about))
    ABOUT_EDITS[edit](about)
    reseal(tmp_path / "index", arrays, about)
    monkeypatch.setattr(sys, "argv", ["codebooks", "search", str(tmp_path / "index"), "cat"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    done = capsys.readouterr()
    assert (ended.value.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "is not a valid index" in done.err


def test_command_line_escapes_control_characters_of_terms(tmp_path, monkeypatch, capsys):
    HopfieldRetriever(keep_texts=True).fit(["cat dog", "cat mouse"]).save(tmp_path / "index")
    arrays, about = load_arrays(tmp_path / "index", kind="HopfieldRetriever")
    replace_strings("terms", "cat", "\x1b[2Jdog", "\x1b[2Jmouse")(arrays)
    reseal(tmp_path / "index", arrays, about)
    monkeypatch.setattr(sys, "argv", ["codebooks", "search", str(tmp_path / "index"), "cat"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    done = capsys.readouterr()
    assert not ended.value.code
    assert "[2Jdog" in done.out
    assert "\x1b" not in done.out


# -- caches of embeddings --------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path):
    """A cache of the embeddings of TEXTS."""
    path = tmp_path / "cache.db"
    embedder(path).transform(TEXTS)
    return path


def embedder(path):
    return TextEmbedder(embed, cache=path, cache_key="letters")


def run_sql(path, *statements):
    """Run SQL; vectors are changed together with their checksums."""
    db = sqlite3.connect(path)
    db.create_function("sealed", 2, lambda key, vector: crc32(key + vector))
    with db:
        for statement in statements:
            db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    "vector",
    [np.full(3, np.nan, "<f4"), np.array([1, np.inf, 1], "<f4"), np.zeros(0, "<f4"), np.zeros(5, np.uint8)],
    ids=["NaN", "infinite", "empty", "no whole numbers"],
)
def test_invalid_cached_embedding_is_encoded_again(cache, vector):
    hexed = vector.tobytes().hex()
    run_sql(cache, f"UPDATE vectors SET vector = x'{hexed}', checksum = sealed(key, x'{hexed}') WHERE rowid <= 2")
    with pytest.warns(UserWarning, match="2 vectors in .* are damaged; their texts are encoded again"):
        np.testing.assert_array_equal(embedder(cache).transform(TEXTS), embed(TEXTS))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(embedder(cache).transform(TEXTS), embed(TEXTS))


def test_cached_embedding_of_another_length(cache):
    hexed = np.ones(7, "<f4").tobytes().hex()
    run_sql(cache, f"UPDATE vectors SET vector = x'{hexed}', checksum = sealed(key, x'{hexed}') WHERE rowid <= 2")
    with pytest.raises(ValueError, match=r"rows of one length, got rows of 3 and 7 numbers.* or delete the cache"):
        embedder(cache).transform(TEXTS)


ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i AS key, i AS used, i AS checksum, i AS vector FROM n"
)
CACHE_EDITS = {
    "later format": (["PRAGMA user_version = 2"], r"got format 2; .* pip install -U"),
    "another table": (["CREATE TABLE mine (a)"], "other tables"),
    "missing index": (["DROP INDEX by_use"], "other tables"),
    "missing table": (["DROP TABLE vectors"], "other tables"),
    "other columns": (["DROP TABLE vectors", "CREATE TABLE vectors (key, used)"], "other tables"),
    "endless view": (["DROP TABLE vectors", f"CREATE VIEW vectors AS {ENDLESS}"], "other tables"),
    "trigger": (["CREATE TRIGGER t AFTER UPDATE ON vectors BEGIN DELETE FROM vectors; END"], "other tables"),
    "of something else": (["PRAGMA application_id = 5"], "another database"),
}


@pytest.mark.parametrize("edit", CACHE_EDITS)
def test_embedding_cache_with_other_content_is_not_modified(cache, edit):
    statements, reason = CACHE_EDITS[edit]
    run_sql(cache, *statements)
    before = cache.read_bytes()
    with pytest.raises(OSError, match=rf"cache\.db cannot be used as a cache of embeddings: .*{reason}.* delete it"):
        embedder(cache).transform(TEXTS)
    assert cache.read_bytes() == before


def test_truncated_embedding_cache(tmp_path):
    words = [f"word {i}" for i in range(300)]
    embedder(tmp_path / "cache.db").transform(words)
    whole, n_refused = (tmp_path / "cache.db").read_bytes(), 0
    for n_bytes in range(1, len(whole), len(whole) // 25):
        (tmp_path / "cut.db").write_bytes(whole[:n_bytes])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                np.testing.assert_array_equal(embedder(tmp_path / "cut.db").transform(words), embed(words))
            except OSError as error:
                if "cannot be used as a cache" not in str(error):
                    raise
                n_refused += 1
    assert n_refused > 10


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ("a\0b", ValueError, "without NUL characters"),
        (b"cache", TypeError, "str or Path, got bytes"),
        (5, TypeError, "str or Path, got int"),
        ("~no-such-user-here/cache", ValueError, "exists or can be created"),
        ("x" * 300, OSError, "cannot be used as a cache"),
        ("\ud800.db", OSError, "cannot be used as a cache"),
    ],
    ids=repr,
)
def test_embedding_cache_at_an_invalid_path(tmp_path, monkeypatch, place, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        embedder(place).transform(TEXTS)


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_new_embedding_cache_is_always_private(tmp_path, monkeypatch):
    modes = set()
    connect = vector_cache._open_connection

    def look(*args, **options):
        db = connect(*args, **options)
        modes.update(path.stat().st_mode & 0o777 for path in (tmp_path / "a" / "b").iterdir())
        return db

    monkeypatch.setattr(vector_cache, "_open_connection", look)
    before = os.umask(0)
    try:
        with VectorCache(tmp_path / "a" / "b" / "cache.db", "e", 1) as cache:
            cache.put(["text"], np.ones((1, 3), np.float32))
            modes |= {path.stat().st_mode & 0o777 for path in (tmp_path / "a" / "b").iterdir()}
    finally:
        os.umask(before)
    assert modes == {0o600}
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")} == {0o700}
    (tmp_path / "a" / "b" / "cache.db").chmod(0o640)
    with VectorCache(tmp_path / "a" / "b" / "cache.db", "e", 1):
        pass
    assert (tmp_path / "a" / "b" / "cache.db").stat().st_mode & 0o777 == 0o640


# -- random edits ----------------------------------------------------------------------------------------------------

INTEGERS = [0, 1, -1, 2, 7, 8, 9, 2**15, 2**31 - 1, 2**31, -(2**31), 2**62, 2**63 - 2, 2**63 - 1, -(2**63)]
FLOATS = [0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e-45, 1e-30, 1e15, -1e15, 1.1e15, 3e38, 0.5]
VALUES = [
    *(None, True, False, 0, 1, -1, 2, 10, 11, 2**31, 2**63 - 2, 2**63 - 1, 2**63, 2**70, -(2**63), 10**300),
    *(0.0, -0.5, 0.5, 1.5, 1e-300, 1e6, 1e308, -1e308),
    *("", "x", "own", "bm25", "english", "given", "content", "filename", "file", "word", "char", "char_wb", "\0", "é"),
    *("float64", "int8", "object", "O", "strict", "unicode", "ascii", "utf-8", "lucene", "bm25l", "bm25+", "bm25-adpt"),
    *(SLOW, "(a+)+$", "(", r"(?u)\b\w+\b", r"(.*)*x", "CountVectorizer", "BM25Transformer"),
    *([], {}, [1, 2], [2, 2], [1, 10**9], [0, 1], ["cat"], ["cat", 1], [[]], {"class": "x"}, {"settings": {}}),
]
DTYPES = "?bBhHiIqQefdFD"


def edit_array(draw, arrays):
    """Change an array in one of many ways."""
    name = draw.choice(list(arrays))
    array = np.atleast_1d(arrays[name]).copy()
    n, is_integer = array.size, array.dtype.kind in "iu"
    extremes = [value for value in INTEGERS if fits(value, array.dtype)] if is_integer else FLOATS
    how = draw.randrange(16)
    if how in (0, 1, 2) and n:  # single values to extremes
        for _ in range(draw.choice([1, 1, 3])):
            array.flat[draw.randrange(n)] = draw.choice(extremes)
    elif how in (3, 4) and n:  # off by one
        place = draw.randrange(n)
        array.flat[place] += array.dtype.type(1) if draw.random() < 0.5 or array.dtype.kind == "u" else -1
    elif how == 5:
        array = array[: draw.choice([0, 1, n // 2, max(n - 1, 0)])]
    elif how == 6:
        array = np.concatenate([array, array[: draw.choice([1, n])]])
    elif how == 7:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = array.astype(draw.choice(DTYPES))
    elif how == 8:
        array = array.astype(array.dtype.newbyteorder(">"))
    elif how == 9 and array.ndim:
        array = array[np.array(draw.sample(range(len(array)), len(array)), int)]
    elif how == 10 and array.dtype.kind not in "u":
        array = -array
    elif how == 11:
        other = draw.choice(list(arrays))
        arrays[name], arrays[other] = arrays[other], arrays[name]
        return
    elif how == 12:
        array = draw.choice([array.reshape(1, -1), array.reshape(-1, 1), array.reshape(-1), np.array(array.sum())])
    elif how == 13:
        del arrays[name]
        return
    elif how == 14:
        arrays[draw.choice(["ids", "ids_text", "embeddings", "texts_text", "terms_offsets", "more"])] = array
        return
    elif how == 15 and n:
        array.flat[draw.randrange(n) :] = array.flat[draw.randrange(n)]
    arrays[name] = array


def fits(value, dtype):
    return np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def edit_about(draw, about):
    """Change the description at any depth in one of many ways."""
    places = list(walk(about))
    parent, key = draw.choice(places)
    how = draw.randrange(8)
    if how in (0, 1, 2):
        parent[key] = draw.choice(VALUES)
    elif how == 3:
        del parent[key]
    elif how == 4 and isinstance(parent, dict):
        parent[draw.choice(["more", "", "n_terms", "analyzer", "k1", "feedback"])] = draw.choice(VALUES)
    elif how == 5 and isinstance(parent, dict):
        parent[draw.choice(["x", key.upper(), key + "_"])] = parent.pop(key)
    elif how == 6:
        value = parent[key]
        retyped = [[value], {"value": value}, str(value)[:50], json.dumps(value)[:50]]
        if isinstance(value, int | float):
            retyped += [float(value) if abs(value) < 1e300 else 0.0, value + 1, value - 1, -value, bool(value)]
        parent[key] = draw.choice(retyped)
    else:
        other, there = draw.choice(places)
        if there in other if isinstance(other, dict) else there < len(other):
            parent[key] = json.loads(json.dumps(other[there]))


def walk(value):
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from walk(value[key])


def edited(number, saved):
    """Return the edit `number` of an index, which is reproducible: kind, arrays, description."""
    draw = random.Random(f"edit {number}")
    kind = draw.choice(list(saved))
    arrays, about, _ = saved[kind]
    arrays, about = dict(arrays), json.loads(json.dumps(about))
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        if draw.random() < 0.6 and arrays:
            edit_array(draw, arrays)
        elif about:
            edit_about(draw, about)
    if draw.random() < 0.5:
        repair(arrays)
    return kind, arrays, about


def repair(arrays):
    """Recompute the document frequencies from the edited counts, so that the edit passes simple checks."""
    indices, df = arrays.get("counts_indices"), arrays.get("document_frequencies")
    if indices is None or df is None or indices.dtype.kind != "i" or not indices.ndim == df.ndim == 1:
        return
    if len(indices) and indices.min() >= 0 and indices.max() < len(df):
        arrays["document_frequencies"] = np.bincount(indices, minlength=len(df))


CPU_SECONDS = 2.0


def try_edits(first, last):
    """Try edits in this process, which ends after a crash or 2 s of processor time for one edit."""
    import resource

    os.fsync = lambda _: None
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "index")
        saved = contents(Path(folder))
        for kind, (arrays, about, parts) in saved.items():  # compiles
            reseal(path, arrays, about)
            use(path, parts)
            assert kind
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**33, -1))
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        n_loaded = 0
        for number in range(first, last):
            kind, arrays, about = edited(number, saved)
            print(f"edit {number} of {kind}", file=sys.stderr, flush=True)
            try:
                reseal(path, arrays, about)
            except TypeError:  # JSON cannot represent it
                continue
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            try:
                use(path, saved[kind][2])
                n_loaded += 1
            except DamagedFileError as error:
                if not str(error).startswith(str(path)):
                    raise
            except ValueError as error:  # a valid index of which the caller has a part, or has another part
                parts = ("must be given because", "`vectorizer` must return", "with other embeddings")
                if not any(words in str(error) for words in parts):
                    raise
            signal.setitimer(signal.ITIMER_PROF, 0)
    print(n_loaded, last - first)


def run_edits(n_edits, n_in_one=500):
    """Try random edits in separate processes, and return the number of valid ones that were loaded."""
    n_loaded = 0
    for first in range(0, n_edits, n_in_one):
        last = min(first + n_in_one, n_edits)
        code = f"from test_untrusted_files import try_edits; try_edits({first}, {last})"
        paths = [str(Path(__file__).parents[1]), *filter(None, sys.path)]
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=1200,
        )
        assert done.returncode == 0, "\n".join([f"exit code {done.returncode} at", *done.stderr.splitlines()[-30:]])
        n_loaded += int(done.stdout.split()[0])
    return n_loaded


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_random_edits_raise_or_give_valid_results():
    n_edits = int(os.environ.get("CODEBOOKS_FUZZ", 120))
    n_loaded = run_edits(n_edits)
    assert 0.02 * n_edits < n_loaded < 0.6 * n_edits  # edits of both kinds


if __name__ == "__main__":
    n_edits = int(sys.argv[1])
    print(f"{n_edits} edits: {run_edits(n_edits)} loaded and gave well-formed results, the others were refused")
