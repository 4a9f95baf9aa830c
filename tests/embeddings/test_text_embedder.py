"""TextEmbedder without torch: encoders that are stubs, the cache on disk, and what is said where something is wrong."""

import os
import pickle
import sqlite3
import sys
import threading
import types
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from codebooks import HopfieldRetriever, TextEmbedder
from codebooks.embeddings import cache as vector_cache
from codebooks.embeddings.cache import VectorCache
from codebooks.embeddings.text_embedder import cut_into_passages
from codebooks.validation.texts import check_encoder_output

TEXTS = ["a tree", "the sea", "", "a tree", "trees by the sea", "été ☃", "the sea"]


def letters(texts):
    return [[len(text), text.count("e"), text.count("s")] for text in texts]


def lengths(texts):
    return [[len(text)] for text in texts]


WANTED = np.array(letters(TEXTS), dtype=np.float32)
ORDINARY_USER = pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may write everywhere")


class Encoder:
    """Counts what it is asked."""

    def __init__(self, answer=letters):
        self.answer, self.batches = answer, []

    def encode(self, texts):
        self.batches.append(list(texts))
        return self.answer(texts)

    @property
    def texts(self):
        return [text for batch in self.batches for text in batch]


class TestWhatItTakes:
    def test_passages_are_averaged_by_their_words(self):
        text = "see tree sea " * 7 + "s"
        passages = [" ".join(text.split()[start : start + 8]) for start in (0, 8, 16)]
        assert cut_into_passages(text, 10) == passages
        rows, n_words = np.array(letters(passages)), np.array([8, 8, 6])
        found = TextEmbedder(letters, chunk=10).transform([text, "sea", ""])
        np.testing.assert_allclose(found[0], n_words @ rows / 22, rtol=1e-6)
        np.testing.assert_array_equal(found[1:], letters(["sea", ""]))

    def test_texts_without_blanks_have_passages_too(self):
        passages = cut_into_passages("北" * 1000, 10)
        assert "".join(passages).replace(" ", "") == "北" * 1000
        assert max(map(len, passages)) <= 10 * 21

    def test_a_callable_and_an_object_with_encode(self):
        for encoder in (letters, Encoder()):
            found = TextEmbedder(encoder).transform(TEXTS)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, WANTED)

    @pytest.mark.parametrize("kind", [tuple, np.array, lambda t: np.array(t, dtype=object), pd.Series, iter])
    def test_sequences_of_texts(self, kind):
        encoder = Encoder()
        np.testing.assert_array_equal(TextEmbedder(encoder).transform(kind(TEXTS)), WANTED)
        assert {type(text) for text in encoder.texts} == {str}

    def test_a_series_with_an_index_of_its_own(self):
        found = TextEmbedder(letters).transform(pd.Series(TEXTS, index=range(10, 17)))
        np.testing.assert_array_equal(found, WANTED)

    def test_no_encoder_takes_embeddings(self):
        embedder = TextEmbedder(None)
        np.testing.assert_array_equal(embedder.fit(WANTED).transform(WANTED.astype(np.float64)), WANTED)
        assert embedder.transform(WANTED.tolist()).dtype == np.float32
        given = WANTED.copy()
        TextEmbedder(None, normalize=True).transform(given)
        np.testing.assert_array_equal(given, WANTED)

    def test_tensors(self):
        class Tensor:  # what is called on one of torch
            detach = cpu = float = lambda self: self

            def numpy(self):
                return WANTED[:1]

        np.testing.assert_array_equal(TextEmbedder(lambda texts: Tensor()).transform(TEXTS[:1]), WANTED[:1])

    def test_tensors_of_bfloat16(self):
        class Tensor:  # of bfloat16
            detach = cpu = lambda self: self

            def numpy(self):
                raise TypeError("Got unsupported ScalarType BFloat16")

            def float(self):
                return types.SimpleNamespace(numpy=lambda: WANTED[:1])

        for dtypes in ((np.float32,), (np.float64, np.float32)):
            np.testing.assert_array_equal(check_encoder_output(Tensor(), 1, "encoder", dtypes), WANTED[:1])


class TestEncoding:
    def test_equal_texts_are_encoded_once_and_long_ones_first(self):
        encoder = Encoder()
        TextEmbedder(encoder, batch_size=2).transform(TEXTS)
        assert sorted(encoder.texts) == sorted(set(TEXTS))
        assert [len(batch) for batch in encoder.batches] == [2, 2, 1]
        lengths = [len(text) for text in encoder.texts]
        assert lengths == sorted(lengths, reverse=True)

    def test_rows_of_length_1(self):
        found = TextEmbedder(lambda texts: [[len(text), 0] for text in texts], normalize=True).transform(TEXTS)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), [bool(text) for text in TEXTS])

    def test_progress_bar_only_with_verbose(self, capsys):
        TextEmbedder(letters).transform(TEXTS)
        assert capsys.readouterr() == ("", "")
        TextEmbedder(letters, verbose=True).transform(TEXTS)
        assert "TextEmbedder" in capsys.readouterr().out


class TestAsTransformer:
    def test_transform_does_not_require_fit(self):
        embedder = TextEmbedder(letters)
        check_is_fitted(embedder)
        assert not embedder.__sklearn_tags__().requires_fit
        assert embedder.fit(TEXTS) is embedder
        np.testing.assert_array_equal(embedder.fit_transform(TEXTS), WANTED)

    def test_fit_loads_no_model(self):
        encoder = Encoder()
        TextEmbedder(encoder).fit(TEXTS)
        TextEmbedder("nobody/nothing").fit(TEXTS)
        assert encoder.batches == []

    def test_clone_and_pickle(self):
        embedder = TextEmbedder(letters, batch_size=3, normalize=True)
        embedder.transform(TEXTS)
        for copy in (clone(embedder), pickle.loads(pickle.dumps(embedder))):
            assert copy.get_params() == embedder.get_params()
            np.testing.assert_array_equal(copy.transform(TEXTS), embedder.transform(TEXTS))

    def test_names_of_columns(self):
        names = ["textembedder0", "textembedder1", "textembedder2"]
        assert TextEmbedder(letters).get_feature_names_out().tolist() == names
        frame = TextEmbedder(letters).set_output(transform="pandas").transform(TEXTS)
        assert frame.columns.tolist() == names
        without = TextEmbedder(None)
        with pytest.raises(NotFittedError):
            without.get_feature_names_out()
        without.transform(WANTED)
        assert without.get_feature_names_out().tolist() == names

    def test_feature_names_follow_the_current_encoder(self):
        embedder = TextEmbedder(letters)
        embedder.transform(TEXTS)
        embedder.set_params(encoder=lambda texts: np.ones((len(texts), 2)))
        assert embedder.get_feature_names_out().tolist() == ["textembedder0", "textembedder1"]
        embedder.set_params(encoder=None)
        with pytest.raises(NotFittedError):
            embedder.get_feature_names_out()
        embedder.transform(np.eye(4))
        assert len(embedder.get_feature_names_out()) == 4

    def test_pickle_keeps_the_number_of_columns_and_no_replaced_encoder(self):
        embedder = TextEmbedder(lambda texts: letters(texts))  # this one has no pickle
        embedder.transform(TEXTS)
        copy = pickle.loads(pickle.dumps(embedder.set_params(encoder=lengths)))
        assert len(copy.get_feature_names_out()) == 1
        embedder.set_params(encoder=None).transform(WANTED)
        copy = pickle.loads(pickle.dumps(embedder))
        assert len(copy.get_feature_names_out()) == 3

    def test_in_a_pipeline_and_a_column_transformer(self):
        pipeline = make_pipeline(TextEmbedder(letters), KMeans(2, n_init=1, random_state=0))
        assert pipeline.fit(TEXTS).predict(TEXTS).shape == (7,)
        table = pd.DataFrame({"text": TEXTS, "n": range(7)})
        columns = make_column_transformer((TextEmbedder(letters), "text"), ("passthrough", ["n"]))
        np.testing.assert_array_equal(columns.fit_transform(table)[:, :3], WANTED)

    def test_in_the_retriever(self):
        retriever = HopfieldRetriever(embedder=TextEmbedder(letters)).fit(["a tree", "the sea", "sea trees"])
        assert len(retriever.search("tree", k=2).ids[0]) == 2


class TestCache:
    def embedder(self, place, encoder=None, **settings):
        encoder = encoder or Encoder()
        return TextEmbedder(encoder, cache=place, cache_key=settings.pop("cache_key", "letters"), **settings), encoder

    @pytest.mark.parametrize("name", ["folder", "folder/in/folder", "file.sqlite", "some/file.db"])
    def test_a_second_run_encodes_nothing(self, tmp_path, name):
        for place in (tmp_path / name, str(tmp_path / name)):
            embedder, encoder = self.embedder(place)
            np.testing.assert_array_equal(embedder.transform(TEXTS), WANTED)
        assert encoder.batches == []
        made = tmp_path / name
        assert made.is_file() if made.suffix else [path.name for path in made.iterdir()] == ["embeddings.sqlite"]

    def test_only_new_texts_are_encoded(self, tmp_path):
        self.embedder(tmp_path)[0].transform(TEXTS[:3])
        embedder, encoder = self.embedder(tmp_path)
        np.testing.assert_array_equal(embedder.transform(TEXTS), WANTED)
        assert sorted(encoder.texts) == sorted(set(TEXTS) - set(TEXTS[:3]))

    def test_cache_separates_encoders(self, tmp_path):
        self.embedder(tmp_path)[0].transform(TEXTS)
        embedder, encoder = self.embedder(tmp_path, cache_key="other")
        embedder.transform(TEXTS)
        assert len(encoder.texts) == len(set(TEXTS))

    def test_cache_is_shared_with_and_without_normalize(self, tmp_path):
        self.embedder(tmp_path, normalize=True)[0].transform(TEXTS)
        embedder, encoder = self.embedder(tmp_path)
        np.testing.assert_array_equal(embedder.transform(TEXTS), WANTED)
        assert encoder.batches == []

    def test_interrupted_run_keeps_its_batches_in_the_cache(self, tmp_path):
        def breaks(texts):
            if "" in texts:
                raise RuntimeError("out of something")
            return letters(texts)

        with pytest.raises(RuntimeError):
            self.embedder(tmp_path, Encoder(breaks), batch_size=1)[0].transform(TEXTS)
        embedder, encoder = self.embedder(tmp_path)
        np.testing.assert_array_equal(embedder.transform(TEXTS), WANTED)
        assert encoder.texts == [""]

    def test_cache_requires_cache_key_for_an_object(self, tmp_path):
        with pytest.raises(ValueError, match=r"cache_key=\.\.\."):
            TextEmbedder(letters, cache=tmp_path).transform(TEXTS)

    def test_equal_cache_key_of_two_encoders_is_detected_by_dimension(self, tmp_path):
        self.embedder(tmp_path)[0].transform(TEXTS[:3])
        wider = Encoder(lambda texts: np.ones((len(texts), 5)))
        with pytest.raises(ValueError, match="3 and 5"):
            self.embedder(tmp_path, wider)[0].transform(TEXTS)
        self.embedder(tmp_path, wider)[0].transform(TEXTS[4:6])
        with pytest.raises(ValueError, match="3 and 5"):
            self.embedder(tmp_path)[0].transform(TEXTS)

    def test_least_recently_used_entries_are_removed(self, tmp_path):
        def vectors(texts):
            return np.arange(len(texts), dtype=np.float32)[:, None] + np.zeros((1, 500), np.float32)

        words = [f"word {i}" for i in range(1000)]
        with VectorCache(tmp_path, "e", megabytes=1) as cache:
            for start in range(0, 1000, 100):
                part = words[start : start + 100]
                cache.put(part, vectors(part))
                assert len(cache.get(words[:100])) == 100  # used again and again
            there = cache.get(words)
            assert 250 < len(there) < 500
            assert set(words[-100:]) <= set(there)
            assert not set(words[100:300]) & set(there)
        assert (tmp_path / "embeddings.sqlite").stat().st_size < 1.5e6

    def test_results_do_not_depend_on_the_bound(self, tmp_path):
        words = [f"word {i}" for i in range(200)]
        small = TextEmbedder(letters, cache=tmp_path, cache_size=0.001, cache_key="letters", batch_size=7)
        for _ in range(2):
            np.testing.assert_array_equal(small.transform(words), np.array(letters(words), np.float32))

    def test_damaged_entries_are_encoded_again(self, tmp_path):
        self.embedder(tmp_path)[0].transform(TEXTS)
        with sqlite3.connect(tmp_path / "embeddings.sqlite") as db:
            db.execute("UPDATE vectors SET vector = ? WHERE rowid = 2", [np.zeros(3, np.float32).tobytes()])
            db.execute("UPDATE vectors SET vector = x'00' WHERE rowid = 3")
        db.close()
        embedder, encoder = self.embedder(tmp_path)
        with pytest.warns(UserWarning, match="2 vectors .* damaged"):
            np.testing.assert_array_equal(embedder.transform(TEXTS), WANTED)
        assert len(encoder.texts) == 2
        np.testing.assert_array_equal(embedder.transform(TEXTS), WANTED)

    @pytest.mark.parametrize("content", [b"no database, but some bytes " * 300, b"SQLite format 3\0" + b"\xff" * 5000])
    def test_other_file_is_not_modified(self, tmp_path, content):
        (tmp_path / "notes.db").write_bytes(content)
        embedder, encoder = self.embedder(tmp_path / "notes.db")
        with pytest.raises(OSError, match="cannot be used as a cache"):
            embedder.transform(TEXTS)
        assert (tmp_path / "notes.db").read_bytes() == content
        assert encoder.batches == []

    def test_other_database_is_not_modified(self, tmp_path):
        with sqlite3.connect(tmp_path / "mine.db") as db:
            db.execute("CREATE TABLE vectors (a)")
        db.close()
        with pytest.raises(OSError, match="another database"):
            self.embedder(tmp_path / "mine.db")[0].transform(TEXTS)

    def test_overwritten_bytes_never_give_a_wrong_row(self, tmp_path):
        words = [f"word {i}" for i in range(300)]
        wanted = np.array(letters(words), np.float32)
        self.embedder(tmp_path)[0].transform(words)
        whole = (tmp_path / "embeddings.sqlite").read_bytes()
        rng = np.random.default_rng(0)
        for _ in range(30):
            broken = bytearray(whole)
            start = rng.integers(0, len(whole) - 200)
            broken[start : start + 200] = rng.bytes(200)
            (tmp_path / "broken.db").write_bytes(broken)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    found = self.embedder(tmp_path / "broken.db")[0].transform(words)
                except OSError:
                    continue
            np.testing.assert_array_equal(found, wanted)

    def test_result_is_returned_if_the_cache_cannot_be_written(self, tmp_path, monkeypatch):
        monkeypatch.setattr(VectorCache, "_remove_excess", lambda self, db: db.execute("SELECT * FROM nowhere"))
        embedder, _ = self.embedder(tmp_path, batch_size=1)
        with pytest.warns(UserWarning, match="could not be stored") as warned:
            np.testing.assert_array_equal(embedder.transform(TEXTS), WANTED)
        assert len(warned) == 1

    def test_cache_path_that_cannot_be_created(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="cannot be used as a cache"):
            self.embedder(tmp_path / "file" / "folder")[0].transform(TEXTS)

    @pytest.mark.parametrize("question", ["application_id", "user_version"])
    def test_cache_created_by_another_process_meanwhile(self, tmp_path, question, monkeypatch):
        number, met = vector_cache._fetch_number, []

        def meets_another(db, asked):
            answer = number(db, asked)
            if question in asked and not met and not db.in_transaction:
                met.append(asked)
                with VectorCache(tmp_path, "e", 1):
                    pass
            return answer

        monkeypatch.setattr(vector_cache, "_fetch_number", meets_another)
        embedder, _ = self.embedder(tmp_path)
        np.testing.assert_array_equal(embedder.transform(TEXTS), WANTED)

    def test_threads_share_the_cache(self, tmp_path):
        words = [f"word {i}" for i in range(400)]
        wanted, failed = np.array(letters(words), np.float32), []

        def work(seed):
            order = np.random.default_rng(seed).permutation(len(words))
            embedder = self.embedder(tmp_path, letters, batch_size=16)[0]
            try:
                np.testing.assert_array_equal(embedder.transform([words[i] for i in order]), wanted[order])
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed

    def test_processes_share_the_cache(self, tmp_path, fresh_python):
        code = (
            "import os, sys, numpy as np\n"
            "from codebooks import TextEmbedder\n"
            "from test_text_embedder import letters\n"
            "words = [f'word {i}' for i in range(300)]\n"
            "e = TextEmbedder(letters, cache=os.environ['CACHE'], cache_key='letters', batch_size=8)\n"
            "print((e.transform(words) == np.array(letters(words), np.float32)).all())"
        )
        said = []
        run = threading.Thread(target=lambda: said.append(fresh_python(code, CACHE=str(tmp_path))))
        run.start()
        said.append(fresh_python(code, CACHE=str(tmp_path)))
        run.join()
        assert [line.strip() for line in said] == ["True", "True"]
        with VectorCache(tmp_path, '["letters", null, null]', 10) as cache:
            assert len(cache.get([f"word {i}" for i in range(300)])) == 300

    def test_texts_that_are_no_utf8(self, tmp_path):
        for _ in range(2):
            assert self.embedder(tmp_path)[0].transform(["\ud800"]).shape == (1, 3)


class TestCacheThatCannotBeWritten:
    @pytest.fixture(params=["plain", "a?b#c %20é", "link", pytest.param("folder", marks=ORDINARY_USER)])
    def place(self, tmp_path, request):
        """A cache of TEXTS that can be read and not written. For root: a file SQLite wants beside it cannot be made."""
        folder = tmp_path / request.param
        place = folder / "cache.db"
        TextEmbedder(letters, cache=place, cache_key="letters").transform(TEXTS)
        if request.param == "folder":
            folder.chmod(0o555)
        else:
            (folder / "cache.db-shm").symlink_to("nowhere/at-all")
        if request.param == "link":
            place = tmp_path / "link.db"
            place.symlink_to(folder / "cache.db")
        yield place
        folder.chmod(0o755)

    def embedder(self, place):
        encoder = Encoder()
        return TextEmbedder(encoder, cache=place, cache_key="letters", batch_size=1), encoder

    def test_read_only_cache_is_read(self, place):
        embedder, encoder = self.embedder(place)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(embedder.transform(TEXTS), WANTED)
        assert encoder.batches == []

    def test_read_only_cache_gives_one_warning_for_new_texts(self, place):
        before = place.read_bytes()
        texts = ["new", *TEXTS, "newer"]
        for _ in range(2):
            embedder, encoder = self.embedder(place)
            with pytest.warns(UserWarning, match=r"could not be stored in .* \(.+\)\. Continue without") as warned:
                np.testing.assert_array_equal(embedder.transform(texts), np.array(letters(texts), np.float32))
            assert len(warned) == 1
            assert encoder.texts == ["newer", "new"]
        assert place.read_bytes() == before

    def test_entry_damaged_meanwhile_is_encoded_again(self, place, monkeypatch):
        def breaks_off(db, keys):
            yield from list(rows(db, keys))[:2]
            raise sqlite3.DatabaseError("database disk image is malformed")

        rows = vector_cache._fetch_rows
        monkeypatch.setattr(vector_cache, "_fetch_rows", breaks_off)
        embedder, encoder = self.embedder(place)
        with pytest.warns(UserWarning, match="could not be stored"):
            np.testing.assert_array_equal(embedder.transform(TEXTS), WANTED)
        assert len(encoder.texts) == len(set(TEXTS)) - 2

    @pytest.fixture
    def unwritable(self, monkeypatch):
        """SQLite, played: it opens nothing for writing."""

        def connect(to, **settings):
            if "mode=ro" not in str(to):
                raise sqlite3.OperationalError("unable to open database file")
            return really(to, **settings)

        really = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", connect)

    @pytest.mark.parametrize(("end", "content"), [("-wal", b""), ("-wal", b"rows"), ("-journal", b"rows")])
    def test_read_only_cache_with_a_journal_is_rejected(self, place, end, content, unwritable):
        file = place.resolve()
        file.parent.chmod(0o755)
        file.with_name(file.name + end).write_bytes(content)
        embedder, encoder = self.embedder(place)
        if content:
            with pytest.raises(OSError, match="unable to open database file"):
                embedder.transform(TEXTS)
        else:
            np.testing.assert_array_equal(embedder.transform(TEXTS), WANTED)
        assert encoder.batches == []

    @pytest.mark.parametrize("content", [b"", b"no database, but some bytes " * 300])
    def test_read_only_file_that_is_not_a_cache_is_rejected(self, tmp_path, content, unwritable):
        (tmp_path / "notes.db").write_bytes(content)
        embedder, encoder = self.embedder(tmp_path / "notes.db")
        with pytest.raises(OSError, match="unable to open database file"):
            embedder.transform(TEXTS)
        assert encoder.batches == []


class TestCacheWhileAnotherWrites:
    @pytest.fixture
    def writer(self, tmp_path, monkeypatch):
        """Another connection that is writing into a cache of one text."""
        monkeypatch.setattr(vector_cache, "_TIMEOUT", 600.0)
        with VectorCache(tmp_path, "e", 1) as cache:
            cache.put(["there"], np.ones((1, 3), np.float32))
        db = sqlite3.connect(tmp_path / "embeddings.sqlite", isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        yield db
        db.close()

    @pytest.mark.parametrize("text", ["there", "not there"])
    def test_readers_do_not_wait_for_a_writer(self, tmp_path, writer, text):
        found = []

        def read():
            with VectorCache(tmp_path, "e", 1) as cache:
                found.append(list(cache.get([text])))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        reader.join(60)
        held = writer.in_transaction and not reader.is_alive()
        writer.execute("ROLLBACK")
        reader.join()
        assert held
        assert found == [["there"] if text == "there" else []]

    def test_writers_wait_for_a_writer(self, tmp_path, writer):
        has_read, warned = threading.Event(), []

        def work():
            with VectorCache(tmp_path, "e", 1) as cache, warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                cache.get(["there"])
                has_read.set()
                cache.put(["new"], np.ones((1, 3), np.float32))
                warned.extend(caught)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert has_read.wait(60)
        thread.join(0.5)  # it has come to its wait, or gives up
        writer.execute("ROLLBACK")
        thread.join()
        assert warned == []
        with VectorCache(tmp_path, "e", 1) as cache:
            assert list(cache.get(["new"])) == ["new"]


# A thread of the parent is within its encoder and has the cache open; the child and another process use the cache too.
FORK_WHILE_ANOTHER_ENCODES = """
import os, sys, sqlite3, subprocess, threading
from codebooks import TextEmbedder
place, inside, enough = os.environ["CACHE"], threading.Event(), threading.Event()

def texts(kind, n=300):
    return [f"{kind} {i}" for i in range(n)]

def embed(texts, wait=lambda texts: None):
    def encode(texts):
        wait(texts)
        return [[float(len(text)), 2.0] * 300 for text in texts]
    TextEmbedder(encode, cache=place, cache_key="x", batch_size=50).transform(texts)

if len(sys.argv) > 1:
    embed(texts("other"))
    sys.exit()
embed(texts("first"))
thread = threading.Thread(target=embed, args=(texts("slow", 1), lambda texts: (inside.set(), enough.wait())))
thread.start()
inside.wait()
child_is_in, parent_is_on = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    def wait(texts):
        os.write(child_is_in[1], b".")
        os.read(parent_is_on[0], 1)
    try:
        embed(texts("early"))
        embed(texts("within", 1), wait)
        embed(texts("late"))
    except BaseException as error:
        print(error, flush=True)
        os.write(child_is_in[1], b".")
        os._exit(1)
    os._exit(0)
os.read(child_is_in[0], 1)
enough.set()
thread.join()
subprocess.run([sys.executable, "-W", "error", "-c", os.environ["CODE"], "other"], check=True)
os.write(parent_is_on[1], b".")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
db = sqlite3.connect(place)
print(*db.execute("PRAGMA integrity_check").fetchone(), *db.execute("SELECT count(*) FROM vectors").fetchone())
"""

# A thread is storing when the process forks: what the child sees must be the time after it.
FORK_WHILE_ANOTHER_STORES = """
import os, threading, time
import numpy as np
from codebooks.embeddings import cache as vector_cache
stores, forks, stored = threading.Event(), threading.Event(), []

def slowly(*_):
    stores.set()
    forks.wait()
    time.sleep(0.5)
    stored.append(True)

def store():
    with vector_cache.VectorCache(os.environ["CACHE"], "e", 1) as cache:
        cache.put(["text"], np.ones((1, 3), np.float32))
        stays.wait()

stays = threading.Event()
vector_cache.VectorCache._remove_excess = slowly
threading.Thread(target=store, daemon=True).start()
stores.wait()
os.register_at_fork(before=forks.set)
child = os.fork()
if child == 0:
    print(len(stored), sorted(os.listdir(os.path.dirname(os.environ["CACHE"]))), flush=True)
    os._exit(0)
os.waitpid(child, 0)
stays.set()
"""

# A thread has its turn with a model when the process forks: the child must not wait for it.
FORK_WHILE_ANOTHER_HAS_ITS_TURN = """
import os, signal, threading
from codebooks import TextEmbedder

class Model:
    max_seq_length = 256
    def encode(self, texts, **settings):
        if texts == ["slow"]:
            inside.set()
            enough.wait()
        return [[1.0]] * len(texts)

Model.__module__ = "sentence_transformers.model"
inside, enough = threading.Event(), threading.Event()
threading.Thread(target=TextEmbedder(Model()).transform, args=(["slow"],)).start()
inside.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    TextEmbedder(Model()).transform(["quick"])
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
enough.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks nothing")
class TestForks:
    def test_while_another_thread_encodes(self, tmp_path, fresh_python):
        code = FORK_WHILE_ANOTHER_ENCODES
        said = fresh_python(code, CACHE=str(tmp_path / "cache.db"), CODE=code)
        assert said.splitlines() == ["0", f"ok {4 * 300 + 2}"]

    def test_while_another_thread_stores(self, tmp_path, fresh_python):
        said = fresh_python(FORK_WHILE_ANOTHER_STORES, CACHE=str(tmp_path / "cache.db"))
        assert said.splitlines() == ["1 ['cache.db']"]  # stored, and nobody has it open

    def test_fork_while_another_thread_runs_the_model(self, fresh_python):
        assert fresh_python(FORK_WHILE_ANOTHER_HAS_ITS_TURN).split() == ["0"]


@pytest.fixture
def library(monkeypatch):
    """sentence-transformers, played: what it loads is noted, and gives letters."""
    loaded = []

    class SentenceTransformer:
        max_seq_length = 256

        def __init__(self, place, device=None):
            if "nothing" in place:
                raise OSError("We couldn't connect.\nMore is said here.")
            loaded.append((place, device))

        def encode(self, texts, **settings):
            assert settings == {"batch_size": len(texts), "show_progress_bar": False, "convert_to_numpy": True}
            return np.array(letters([text[: self.max_seq_length] for text in texts]), dtype=np.float32)

    SentenceTransformer.__module__ = "sentence_transformers.model"
    module = types.SimpleNamespace(SentenceTransformer=SentenceTransformer, loaded=loaded)
    logging = types.SimpleNamespace(
        is_progress_bar_enabled=lambda: True, disable_progress_bar=lambda: None, enable_progress_bar=lambda: None
    )
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    monkeypatch.setitem(sys.modules, "transformers", types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "transformers.utils", types.SimpleNamespace(logging=logging))
    _forget_models()
    yield module
    _forget_models()


def _forget_models():
    from codebooks.embeddings.encoders import load_encoder

    load_encoder.cache_clear()


class TestNamedModels:
    def test_model_is_loaded_at_the_first_text_and_shared(self, library):
        embedder = TextEmbedder("some/name", device="cpu")
        assert embedder.fit(TEXTS) is embedder
        assert library.loaded == []
        for one in (embedder, clone(embedder), pickle.loads(pickle.dumps(embedder))):
            np.testing.assert_array_equal(one.transform(TEXTS), WANTED)
        assert library.loaded == [("some/name", "cpu")]

    def test_pickle_contains_the_name_and_no_weights(self, library):
        embedder = TextEmbedder("some/name")
        embedder.transform(TEXTS)
        assert len(pickle.dumps(embedder)) < 1000

    def test_cached_texts_need_no_library(self, library, tmp_path, monkeypatch):
        TextEmbedder("some/name", cache=tmp_path).transform(TEXTS)
        monkeypatch.setitem(sys.modules, "sentence_transformers", None)
        _forget_models()
        np.testing.assert_array_equal(TextEmbedder("some/name", cache=tmp_path).transform(TEXTS), WANTED)

    @pytest.mark.parametrize("other", [{"encoder": "other/name"}, {"max_length": 3}])
    def test_cache_separates_parameters(self, library, tmp_path, other):
        TextEmbedder("some/name", cache=tmp_path).transform(TEXTS)
        changed = {"encoder": "some/name", **other}
        wanted = TextEmbedder(**changed).transform(TEXTS)
        np.testing.assert_array_equal(TextEmbedder(**changed, cache=tmp_path).transform(TEXTS), wanted)

    def test_changed_folder_is_another_model(self, library, tmp_path):
        folder, cache = tmp_path / "model", tmp_path / "cache"
        folder.mkdir()
        (folder / "weights").write_text("1")
        embedder = TextEmbedder(folder, cache=cache)
        embedder.transform(TEXTS)
        TextEmbedder(str(folder), cache=cache).transform(TEXTS)
        assert len(library.loaded) == 1
        os.utime(folder / "weights", ns=(1, 1))
        embedder.transform(TEXTS)
        assert len(library.loaded) == 2

    def test_max_length_of_the_model_is_restored(self, library):
        model = library.SentenceTransformer("mine")
        short = TextEmbedder(model, max_length=2).transform(TEXTS)
        np.testing.assert_array_equal(short[:, 0], [min(len(text), 2) for text in TEXTS])
        assert model.max_seq_length == 256

    def test_a_missing_library(self, monkeypatch):
        _forget_models()
        for package in ("sentence_transformers", "transformers", "torch"):
            monkeypatch.setitem(sys.modules, package, None)
        for pooling in (None, "mean"):
            with pytest.raises(ImportError, match=r"pip install 'codebooks-learn\[text\]'"):
                TextEmbedder("some/name", pooling=pooling).transform(TEXTS)

    def test_an_unknown_model(self, library, monkeypatch, tmp_path):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(
            OSError, match=r"could not load 'nobody/nothing': We couldn't connect\. .*network is disabled"
        ):
            TextEmbedder("nobody/nothing").transform(TEXTS)
        monkeypatch.delenv("HF_HUB_OFFLINE")
        with pytest.raises(OSError, match="check the spelling and the network"):
            TextEmbedder("nobody/nothing").transform(TEXTS)
        (tmp_path / "nothing").mkdir()
        with pytest.raises(OSError, match="folder with a model"):
            TextEmbedder(tmp_path / "nothing").transform(TEXTS)

    @pytest.mark.parametrize("place", ["./nowhere", "/no/where", "some/where/else"])
    def test_a_folder_that_is_not_there(self, place):
        with pytest.raises(FileNotFoundError, match="existing folder"):
            TextEmbedder(place).transform(TEXTS)


class TestRefusals:
    @pytest.mark.parametrize("method", ["fit", "transform"])
    @pytest.mark.parametrize(
        ("X", "says"),
        [
            ("a tree", "list of texts, got one text"),
            (b"a tree", "list of texts"),
            (["a tree", None], "NoneType at index 1"),
            (["a tree", 3.5], "float at index 1"),
            (7, "list of texts"),
            ({"a": "tree"}, "dict"),
            ({"a tree"}, "set"),
            (np.array([["a tree"]]), r"shape \(1, 1\)"),
            (pd.DataFrame({"text": TEXTS}), "DataFrame"),
        ],
    )
    def test_other_input_than_a_list_of_texts_is_rejected(self, X, says, method):
        with pytest.raises(TypeError, match=says):
            getattr(TextEmbedder(letters), method)(X)

    def test_no_texts(self):
        with pytest.raises(ValueError, match="at least one text"):
            TextEmbedder(letters).transform([])

    @pytest.mark.parametrize("X", [TEXTS, TEXTS[0]])
    def test_texts_without_an_encoder(self, X):
        with pytest.raises(TypeError, match=r"encoder=\.\.\."):
            TextEmbedder(None).transform(X)

    @pytest.mark.parametrize("X", [[[1.0, np.nan]], [1.0, 2.0], [[1e300, 1.0]]])
    def test_bad_embeddings(self, X):
        with pytest.raises(ValueError):
            TextEmbedder(None).transform(X)

    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            (lambda texts: np.ones(3), r"got shape \(3,\)"),
            (lambda texts: np.ones((len(texts) + 1, 3)), r"shape \(5, n_dims\).*, got shape \(6, 3\)"),
            (lambda texts: np.ones((len(texts), 0)), "shape"),
            (lambda texts: np.full((len(texts), 2), np.nan), "NaN or infinity"),
            (lambda texts: [["x"]] * len(texts), "array of numbers"),
            (lambda texts: [[1.0], [1.0, 2.0]], "array of numbers"),
            (lambda texts: None, "encoder must return"),
        ],
    )
    def test_invalid_output_of_the_encoder_is_rejected(self, answer, says):
        with pytest.raises(ValueError, match=says):
            TextEmbedder(answer).transform(TEXTS)

    def test_encoder_with_rows_of_different_lengths_is_rejected(self):
        with pytest.raises(ValueError, match="rows of one length"):
            TextEmbedder(lambda texts: np.ones((1, 1 + len(texts[0]))), batch_size=1).transform(TEXTS)

    @pytest.mark.parametrize(
        "settings",
        [
            {"encoder": 3},
            {"encoder": Encoder},
            {"batch_size": 0},
            {"batch_size": 1.5},
            {"pooling": "max", "encoder": "some/name"},
            {"pooling": "mean"},
            {"device": "cpu"},
            {"max_length": 12},
            {"max_length": 0, "encoder": "some/name"},
            {"cache_size": 0},
        ],
    )
    def test_invalid_parameters_are_rejected(self, settings):
        named = next(name for name in settings)
        with pytest.raises((TypeError, ValueError), match=named):
            TextEmbedder(**{"encoder": letters, **settings}).fit(TEXTS)
