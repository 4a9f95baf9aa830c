"""`HopfieldRetriever`: BM25, feedback against an oracle, adding and removing documents, hybrid search, saving."""

import os
import pickle
import threading
from contextlib import nullcontext

import numpy as np
import oracles
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from codebooks import BM25Transformer, HopfieldRetriever, TextAnalyzer
from codebooks.retrieval.feedback import compute_shares
from codebooks.storage import DamagedFileError

bm25s = pytest.importorskip("bm25s")


def corpus(n=300, n_words=200, seed=0):
    """Documents of a few topics each, with common words."""
    rng = np.random.default_rng(seed)
    names = np.array([f"w{i}" for i in range(n_words)])
    share = 1 / np.arange(1, n_words + 1)
    texts = []
    for _ in range(n):
        about = rng.choice(n_words, 6)
        chosen = rng.choice(n_words, rng.integers(5, 40), p=share / share.sum())
        texts.append(" ".join(names[np.concatenate([about, about[:3], chosen])]))
    return texts


def questions(n=40, n_words=200, seed=1):
    rng = np.random.default_rng(seed)
    return [" ".join(f"w{i}" for i in rng.choice(n_words, rng.integers(1, 8))) for _ in range(n)]


TEXTS, QUERIES = corpus(), questions()


def same_results(one, other):
    """Assert that two searches return the same ids and scores."""
    for results, expected in zip(one, other, strict=True):
        assert len(results) == len(expected)
        for a, b in zip(results, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def dense(retriever, queries=QUERIES):
    return retriever.transform(queries).toarray()


@pytest.fixture(scope="module")
def fitted():
    return HopfieldRetriever().fit(TEXTS)


class TestPlain:
    """`feedback=0` is BM25."""

    @pytest.mark.parametrize("variant", ["lucene", "robertson", "atire", "bm25l", "bm25+"])
    def test_search_without_feedback_equals_bm25s(self, variant):
        retriever = HopfieldRetriever(feedback=0, weighting=BM25Transformer(variant)).fit(TEXTS)
        analyze = retriever.vectorizer_.build_analyzer()
        peer = bm25s.BM25(method=variant, k1=1.5, b=0.75, delta=0.5)
        peer.index([analyze(text) for text in TEXTS], show_progress=False)
        hits = retriever.search(QUERIES, k=10)
        for query, ids, weights in zip(QUERIES, hits.ids, hits.scores, strict=True):
            scores, n = peer.get_scores(analyze(query)), len(ids)
            np.testing.assert_allclose(weights, np.sort(scores)[::-1][:n], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(scores[ids], weights, rtol=1e-5, atol=1e-6)  # ids may differ in ties
            assert n == 10 or len(np.unique(scores)) <= n + 1  # the others share no word with the query

    def test_repeated_query_words_count_twice(self):
        retriever = HopfieldRetriever(feedback=0).fit(TEXTS)
        once, twice = (retriever.search(text, k=3).scores for text in ("w1 w7", "w1 w7 w7 w1"))
        np.testing.assert_allclose(twice[0], 2 * once[0], rtol=1e-6)

    def test_transform_without_feedback_returns_counts(self):
        retriever = HopfieldRetriever(feedback=0).fit(TEXTS)
        np.testing.assert_array_equal(dense(retriever), retriever.vectorizer_.transform(QUERIES).toarray())
        assert retriever.expand("w1") == []


class TestFeedback:
    @pytest.mark.parametrize(
        ("n_documents", "n_terms", "weight"), [(20, 30, 2.0), (1, 3, 0.5), (400, 1000, 1.0), (5, 1, 0)]
    )
    def test_one_feedback_step_equals_oracle(self, n_documents, n_terms, weight):
        settings = {"feedback_documents": n_documents, "feedback_terms": n_terms, "feedback_weight": weight}
        retriever = HopfieldRetriever(**settings).fit(TEXTS)
        counts = retriever.vectorizer_.transform(QUERIES).toarray()
        W = retriever.weights_.toarray()
        completed = dense(retriever)
        for q, row in zip(counts, completed, strict=True):
            np.testing.assert_allclose(row, oracles.feedback_step(q, W, n_documents, n_terms, weight), atol=2e-4)
        hits = retriever.search(QUERIES, k=5)
        for q, row, ids, scores in zip(counts, completed, hits.ids, hits.scores, strict=True):
            expected = oracles.limited_scores(q, row, W)
            np.testing.assert_allclose(scores, -np.sort(-expected)[: len(scores)], rtol=1e-4)
            np.testing.assert_allclose(expected[ids], scores, rtol=1e-4)
            assert len(ids) == min(5, (expected > 1e-9).sum())

    def test_two_best_documents_of_the_original_query_stay_first(self, fitted):
        plain = HopfieldRetriever(feedback=0).fit(TEXTS)
        for n in (1, 2, 3, 40):
            expected, results = plain.search(QUERIES, k=n), fitted.search(QUERIES, k=n)
            for one, other in zip(expected.ids, results.ids, strict=True):
                np.testing.assert_array_equal(one[:2], other[:2])
        assert any((a != b[: len(a)]).any() for a, b in zip(expected.ids, results.ids, strict=True))

    @pytest.mark.parametrize("k", [1, 7, 290])
    def test_smaller_k_returns_the_first_results_of_larger_k(self, fitted, k):
        every, some = fitted.search(QUERIES, k=300), fitted.search(QUERIES, k=k)
        for a, b in zip((*every.ids, *every.scores), (*some.ids, *some.scores), strict=True):
            np.testing.assert_array_equal(a[:k], b)

    @pytest.mark.parametrize("n", [3, 60])
    def test_exact_matches_come_first(self, n):
        """Also if many longer documents contain the added words."""
        texts = [
            "red lamp with extra information",
            "red lamp",
            *[f"red lamp with extra information {i}" for i in range(n)],
        ]
        assert HopfieldRetriever().fit(texts).search("red lamp", k=1).ids[0].tolist() == [1]
        parts = [
            f"{letters} {i} {' '.join(f'note{(i + j) % 9}' for j in range(i % 7))}"
            for i in range(300, 340)
            for letters in ("zk", "bx")
        ]
        retriever = HopfieldRetriever(CountVectorizer()).fit(parts)
        for row, part in enumerate(parts):
            assert retriever.search(" ".join(part.split()[:2]), k=1).ids[0].tolist() == [row]

    def test_feedback_shares_equal_sparsemax(self, fitted):
        """At the inverse temperature at which the next document has no weight."""
        index = fitted._state.stored
        counts = fitted.vectorizer_.transform(QUERIES)
        position, share = compute_shares(counts, index.weighted, 20)
        scores = (counts @ index.weighted.rows.T).toarray()
        for row, where, weights in zip(scores, position, share, strict=True):
            falling = np.sort(row.clip(0))[::-1]
            beta = 1 / (falling[:20] - falling[20]).sum()
            expected = oracles.sparsemax_weights(beta * row.clip(0))
            np.testing.assert_allclose(expected[where], weights, atol=1e-5)
            assert expected.sum() == pytest.approx(expected[where].sum())

    def test_two_feedback_steps(self, fitted):
        twice = HopfieldRetriever(feedback=2).fit(TEXTS)
        W = fitted.weights_.toarray()
        once = dense(fitted, QUERIES[:5])
        counts = fitted.vectorizer_.transform(QUERIES[:5]).toarray()
        for q, first, row in zip(counts, once, dense(twice, QUERIES[:5]), strict=True):
            added = oracles.feedback_step(first, W, 20, 60, 2.0) - oracles.wide(first) / np.sqrt(first @ first)
            np.testing.assert_allclose(row, q / np.sqrt(q @ q) + added, atol=2e-4)

    def test_feedback_finds_documents_without_query_words(self):
        texts = ["car engine wheel", "engine wheel road", "automobile engine wheel", "banana bread", "car road"]
        hits = HopfieldRetriever(feedback_documents=2).fit(texts).search("car", k=5)
        assert 2 in hits.ids[0]
        assert 3 not in hits.ids[0]
        assert 2 not in HopfieldRetriever(feedback=0).fit(texts).search("car", k=5).ids[0]

    def test_expand_returns_terms_and_source_documents(self, fitted):
        for query in QUERIES[:10]:
            added = fitted.expand(query, n_terms=5)
            row = dict(zip(fitted.terms_, dense(fitted, [query])[0], strict=True))
            assert [a.weight for a in added] == sorted((a.weight for a in added), reverse=True)
            for term, weight, because in added:
                assert weight == pytest.approx(row[term])
                assert term not in query.split()
                assert 0 < sum(share for _, share in because) <= 1 + 1e-6
                assert all(term in TEXTS[id].split() for id, _ in because)

    def test_explain_contributions_sum_to_the_score(self, fitted):
        hits = fitted.search(QUERIES, k=3)
        for query, ids, weights in zip(QUERIES, hits.ids, hits.scores, strict=True):
            for id, weight in zip(ids, weights, strict=True):
                matched, added = fitted.explain(query, int(id))
                assert sum(matched.values()) + sum(added.values()) == pytest.approx(weight, rel=1e-4)
                assert set(matched) <= set(query.split())
        with pytest.raises(ValueError, match="id of a stored document"):
            fitted.explain(QUERIES[0], 5000)

    def test_explain_validates_query_and_parameters(self):
        retriever = HopfieldRetriever().fit(["a1 b1 c1", "a1 d1", "b1 e1"])
        for queries in (["a1", "b1"], []):
            with pytest.raises(ValueError, match=f"must be one query, got {len(queries)}"):
                retriever.explain(queries, 0)
        assert retriever.explain(["a1"], 0) == retriever.explain("a1", 0)
        retriever.set_params(feedback_terms=0)
        with pytest.raises(ValueError, match="`feedback_terms` must be an integer >= 1"):
            retriever.explain("a1", 0)


NEWS = [f"the price of item{i} is in the report of the day and it is so" for i in range(400)]
WANTED = ["the water bill is too high", "a fire in the harbour", "the interest rate rises", "to be or not to be"]


@pytest.fixture(scope="module")
def news():
    return HopfieldRetriever().fit([*NEWS, *WANTED])


class TestFunctionWords:
    def test_rare_stop_words_are_searched(self, news):
        for row, query in enumerate(["bill", "fire", "interest rate rise", "to be or not to be"]):
            assert news.search(query, k=1).ids[0].tolist() == [400 + row]
        assert HopfieldRetriever().fit(["the water bill is too high"]).search("bill").ids[0].tolist() == [0]

    def test_ignored_terms_lists_function_words(self, news):
        assert news.ignored_terms("the price is in the bill") == ["in", "is", "the"]
        with_them, without = (news.search(query) for query in ("the price is in the bill", "price bill"))
        np.testing.assert_allclose(with_them.scores[0], without.scores[0], rtol=0.01)
        assert news.ignored_terms("the of") == []
        assert len(news.search("the of").ids[0]) == 10  # a query of stop words only

    def test_function_words_have_no_effect_on_document_length(self, news):
        """Weights of other words are the same as without the function words."""
        ignored = news.ignored_terms("the price is in the report of the day and it is so")
        without = TextAnalyzer(language="en", stop_words=ignored)
        bare = HopfieldRetriever(CountVectorizer(analyzer=without)).fit([*NEWS, *WANTED])
        columns = [news.terms_.tolist().index(term) for term in bare.terms_]
        np.testing.assert_allclose(news.weights_.toarray()[:, columns], bare.weights_.toarray(), rtol=0.01)
        assert len(ignored) > 5
        assert all(news.weights_.toarray()[:, news.terms_.tolist().index(term)].any() for term in ignored)

    @pytest.mark.parametrize("feedback", [0, 1])
    def test_function_words_break_ties(self, feedback):
        titles = [
            "Matrix",
            "The Matrix",
            "The Matrix Reloaded",
            "The Thing",
            "Thing",
            "The Office",
            "Office",
            "The Who",
        ]
        retriever = HopfieldRetriever(feedback=feedback).fit(titles * 2)
        for query in titles[:-1]:
            first = retriever.search(query).ids[0][:2].tolist()
            assert first == [titles.index(query), titles.index(query) + len(titles)]
        assert retriever.ignored_terms("the matrix") == ["the"]

    def test_vectorizer_of_the_user_ignores_no_terms(self):
        for vectorizer in (CountVectorizer(), TfidfVectorizer()):
            retriever = HopfieldRetriever(vectorizer).fit([*NEWS, *WANTED])
            assert retriever.ignored_terms("the price") == []
        by_counts = HopfieldRetriever().fit(np.eye(3))
        assert by_counts.ignored_terms("the price") == []

    def test_loaded_index_ignores_the_same_terms(self, news, tmp_path):
        news.save(tmp_path / "index")
        loaded = HopfieldRetriever.load(tmp_path / "index")
        assert loaded.ignored_terms("the price is in") == news.ignored_terms("the price is in") != []


class TestAddAndRemove:
    @pytest.mark.parametrize("feedback", [0, 1])
    def test_add_equals_fit_of_all_documents(self, feedback):
        at_once = HopfieldRetriever(feedback=feedback).fit(TEXTS)
        step_by_step = HopfieldRetriever(feedback=feedback).fit(TEXTS[:3])
        for start in (3, 4, 100):
            step_by_step.search(QUERIES[:2])
            step_by_step.add(TEXTS[start : {3: 4, 4: 100, 100: 300}[start]])
        a, b = (r.search(QUERIES, k=20) for r in (at_once, step_by_step))
        # Terms of equal weight are ordered by their columns.
        assert np.isclose(np.concatenate(a.scores), np.concatenate(b.scores), rtol=1e-4, atol=1e-6).mean() > 0.97
        assert (np.concatenate(a.ids) == np.concatenate(b.ids)).mean() > 0.97
        assert sorted(step_by_step.terms_) == sorted(at_once.terms_)

    def test_remove_equals_fit_without_the_documents(self):
        kept = [i for i in range(len(TEXTS)) if i % 3]
        fresh = HopfieldRetriever(feedback=0).fit([TEXTS[i] for i in kept])
        thinned = HopfieldRetriever(feedback=0).fit(TEXTS).remove(np.arange(0, len(TEXTS), 3))
        a, b = fresh.search(QUERIES), thinned.search(QUERIES)
        np.testing.assert_allclose(np.concatenate(a.scores), np.concatenate(b.scores), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(np.array(kept)[np.concatenate(a.ids)], np.concatenate(b.ids))

    def test_add_extends_the_vocabulary(self):
        retriever = HopfieldRetriever().fit(["one apple", "two pears"]).add(["a zebra eats apple"])
        assert retriever.search("zebra").ids[0][0] == 2
        assert "zebra" in retriever.get_feature_names_out()
        fixed = HopfieldRetriever(CountVectorizer(vocabulary=["apple", "pears"])).fit(["apple", "pears"])
        assert len(fixed.add(["zebra"]).search("zebra").ids[0]) == 0

    def test_ids_are_not_reused(self):
        retriever = HopfieldRetriever().fit(TEXTS[:5]).remove([4]).add([TEXTS[5]])
        np.testing.assert_array_equal(retriever.ids_, [0, 1, 2, 3, 5])
        retriever.remove(retriever.ids_)
        assert len(retriever.search("w1").ids[0]) == 0
        np.testing.assert_array_equal(retriever.add(TEXTS[:1]).ids_, [6])
        assert retriever.search(TEXTS[0], k=1).ids == [6]

    def test_string_ids(self):
        retriever = HopfieldRetriever().fit(TEXTS[:3], ids=["c", "a", "long name"])
        assert retriever.search(TEXTS[2], k=5).ids[0][0] == "long name"
        retriever.add(TEXTS[3:5], ids=["d", "even longer name"]).remove("a")
        assert retriever.ids_.tolist() == ["c", "long name", "d", "even longer name"]
        assert retriever.search("nothing", k=2).ids[0].tolist() == []
        numbered = HopfieldRetriever().fit(TEXTS[:2], ids=[70, 7]).add([TEXTS[2]])
        assert numbered.ids_.tolist() == [70, 7, 71]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda r: r.add(["x"], ids=[1]), "occur twice: 1"),
            (lambda r: r.add(["x", "y"], ids=[9, 9]), "occur twice: 9"),
            (lambda r: r.add(["x"], ids=["nine"]), "must be (integers|strings), as the existing"),
            (lambda r: r.add(["x"], ids=[8, 9]), "one for each document"),
            (lambda r: r.add(["x"], ids=[-1]), "integers >= 0"),
            (lambda r: r.add(["x"], ids=[0.5]), "integers or"),
            (lambda r: r.remove([1, 99]), "got 99"),
        ],
    )
    def test_failed_change_keeps_the_fitted_state(self, change, message):
        retriever = HopfieldRetriever().fit(TEXTS[:5])
        with pytest.raises(ValueError, match=message):
            change(retriever)
        np.testing.assert_array_equal(retriever.ids_, range(5))

    def test_remove_with_a_mask_raises_an_error(self):
        retriever = HopfieldRetriever().fit(TEXTS[:5])
        for mask in (retriever.ids_ > 2, [False, False, False, True, True]):
            with pytest.raises(TypeError, match=r"remove expected ids, got a mask. Use ids_\[mask\]"):
                retriever.remove(mask)
        np.testing.assert_array_equal(retriever.remove(retriever.ids_[retriever.ids_ > 2]).ids_, range(3))

    def test_large_ids_are_not_rounded(self):
        ids = (2**62 + 2**50 * np.arange(20)[:, None] + [0, 1]).ravel()
        for dtype in (np.int64, np.uint64):
            retriever = HopfieldRetriever().fit(TEXTS[:40], ids=ids)
            np.testing.assert_array_equal(retriever.remove(ids[1::2].astype(dtype)).ids_, ids[::2])

    def test_remove_with_ids_of_another_type_raises_an_error(self):
        """For any number of ids, which NumPy would compare otherwise."""
        for numbered in (5, 200):
            for ids, wrong in ((None, ["1"]), ([str(i) for i in range(numbered)], [1])):
                with pytest.raises(ValueError, match=r"got 1\."):
                    HopfieldRetriever().fit(TEXTS[:numbered], ids=ids).remove(wrong)

    def test_keep_texts(self):
        retriever = HopfieldRetriever(keep_texts=True).fit(TEXTS[:4]).add([TEXTS[4]]).remove([1])
        assert list(retriever.texts_) == [TEXTS[i] for i in (0, 2, 3, 4)]
        assert HopfieldRetriever().fit(TEXTS[:4]).texts_ is None

    def test_search_during_add_and_remove(self, query_in_threads):
        retriever = HopfieldRetriever(feedback=0).fit(TEXTS[:100])

        def search():
            np.testing.assert_array_equal(np.concatenate(retriever.search(TEXTS[:20], k=1).ids), np.arange(20))

        with query_in_threads(search) as failures:
            for i in range(100, 200, 10):
                retriever.add(TEXTS[i : i + 10]).remove(retriever.ids_[-3:])
        assert not failures

    def test_add_after_concurrent_fit_keeps_the_fit(self):
        other = threading.Thread(target=lambda: retriever.fit(TEXTS[:5]))

        def analyze(text):
            if text == "w3 w4":
                other.start()
                other.join(0.2)  # it may wait for `add`
            return text.split()

        retriever = HopfieldRetriever(CountVectorizer(analyzer=analyze, vocabulary=["w1", "w3"])).fit(TEXTS[:2])
        retriever.add(["w3 w4"])
        other.join()
        np.testing.assert_array_equal(retriever.ids_, range(5))

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="forks nothing")
    def test_add_in_a_forked_process(self, fresh_python):
        code = """
import os, threading
from codebooks import HopfieldRetriever
from sklearn.feature_extraction.text import CountVectorizer
inside, enough = threading.Event(), threading.Event()
def analyze(text):
    if text == "slow":
        inside.set()
        enough.wait()
    return text.split()
one, two = (HopfieldRetriever(CountVectorizer(analyzer=analyze)).fit(["a b", "c"]) for _ in range(2))
threading.Thread(target=lambda: one.add(["slow"])).start()
inside.wait()
child = os.fork()
if child == 0:
    two.add(["b", "d"]).remove([0])
    os._exit(len(two))
status = os.waitpid(child, 0)[1]
enough.set()
print(os.waitstatus_to_exitcode(status))
"""
        assert fresh_python(code).split() == ["3"]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="forks nothing")
    def test_search_in_a_forked_process(self, fresh_python):
        code = """
import os, signal, threading
from codebooks import BM25Transformer, HopfieldRetriever, TextAnalyzer
inside, enough, parent = threading.Event(), threading.Event(), os.getpid()
class Slow(BM25Transformer):
    def fit_transform(self, X, y=None):
        if X.shape[0] == 3 and os.getpid() == parent:
            inside.set()
            enough.wait()
        return super().fit_transform(X)
retriever = HopfieldRetriever(weighting=Slow()).fit(["a1 b1", "c1"]).add(["d1"])
threading.Thread(target=lambda: retriever.search("d1")).start()
inside.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    os._exit(int(retriever.search("d1", k=1).ids[0][0]))
status = os.waitpid(child, 0)[1]
enough.set()
print(os.waitstatus_to_exitcode(status))
"""
        assert fresh_python(code).split() == ["2"]


class TestForms:
    def test_matrices_of_counts_equal_texts(self, fitted):
        counts = fitted.vectorizer_.transform(TEXTS)
        query_counts = fitted.vectorizer_.transform(QUERIES)
        expected = fitted.search(QUERIES)
        for form in (sparse.csr_matrix, sparse.csc_matrix, sparse.coo_array, lambda X: X.toarray()):
            by_counts = HopfieldRetriever().fit(form(counts))
            hits = by_counts.search(form(query_counts))
            np.testing.assert_array_equal(hits.ids, expected.ids)
            np.testing.assert_array_equal(hits.scores, expected.scores)
        by_counts.add(counts[:2])
        assert len(by_counts) == len(TEXTS) + 2
        with pytest.raises(ValueError, match="`documents` must have"):
            by_counts.add(counts[:, :5])
        with pytest.raises(ValueError, match="`queries` must have"):
            by_counts.search(query_counts[:, :5])
        with pytest.raises(TypeError, match="matrix of counts"):
            by_counts.search("w1")

    def test_other_vectorizers_and_weights(self):
        by_cosine = HopfieldRetriever(TfidfVectorizer(), weighting=None, feedback=0).fit(TEXTS)
        X, Q = (by_cosine.vectorizer_.transform(t) for t in (TEXTS, QUERIES))
        np.testing.assert_allclose(
            by_cosine.search(QUERIES, k=3).scores, -np.sort(-(Q @ X.T).toarray(), axis=1)[:, :3], rtol=1e-5
        )
        assert (
            HopfieldRetriever(CountVectorizer(ngram_range=(1, 2)))
            .fit(["new york", "york"])
            .search("new york")
            .ids[0][0]
            == 0
        )

    def test_k_above_the_number_of_documents(self, fitted):
        hits = HopfieldRetriever().fit(TEXTS[:3]).search(QUERIES, k=50)
        assert len(hits.ids) == len(hits.scores) == len(QUERIES)
        for ids, scores in zip(*hits, strict=True):
            assert len(ids) == len(scores) == len(set(ids.tolist()) & {0, 1, 2})
            assert (scores > 0).all()

    def test_search_without_matches_returns_empty_arrays(self, fitted):
        hits = fitted.search(["", "unheard of", "the"], k=4)
        assert [ids.tolist() for ids in (*hits.ids, *hits.scores)] == 6 * [[]]
        assert hits.ids[0].dtype == fitted.ids_.dtype
        with pytest.raises(IndexError):
            TEXTS[hits.ids[0][0]]
        assert fitted.search([], k=4) == ([], [])
        assert fitted.expand("unheard of") == []

    def test_blocks_of_queries_return_the_same_results(self, fitted):
        many = QUERIES * 60
        hits = fitted.search(many)
        for i in (0, 1023, 1024, 2047, 2399):
            np.testing.assert_array_equal(fitted.search(many[i]).ids[0], hits.ids[i])
            np.testing.assert_array_equal(fitted.search(many[i]).scores[0], hits.scores[i])

    def test_empty_documents_are_not_found(self):
        retriever = HopfieldRetriever().fit(["", *TEXTS[:5], "the"])
        hits = retriever.search(QUERIES, k=7)
        assert not np.isin(np.concatenate(hits.ids), [0, 6]).any()

    def test_pickle_and_clone(self, fitted):
        expected = fitted.search(QUERIES)
        for other in (pickle.loads(pickle.dumps(fitted)), clone(fitted).fit(TEXTS)):
            same_results(other.search(QUERIES), expected)

    @pytest.mark.parametrize(
        ("use", "error", "message"),
        [
            (lambda r: r.fit("one text"), TypeError, "list of texts"),
            (lambda r: r.fit([1, 2]), TypeError, "int at index 0"),
            (lambda r: r.fit([]), ValueError, "must contain words, got none in 0 texts"),
            (lambda r: r.fit(["", ""]), ValueError, "must contain words, got none in 2 texts"),
            (lambda r: r.fit(["...", "- -"]), ValueError, "must contain words, got none in 2 texts"),
            (
                lambda r: r.set_params(vectorizer=CountVectorizer(min_df=2)).fit(["cat", "dog"]),
                ValueError,
                "After pruning",
            ),
            (lambda r: r.fit(["a cat", None]), TypeError, "NoneType at index 1"),
            (lambda r: r.search("cat"), Exception, "not fitted"),
            (lambda r: r.fit(TEXTS).search("w1", k=0), ValueError, "`k` must be"),
            (lambda r: r.fit(TEXTS).search("w1", k=True), ValueError, "`k` must be an integer >= 1"),
            (lambda r: r.fit(TEXTS).search(3), TypeError, "list of texts"),
            (lambda r: r.fit(TEXTS).expand("w1", -1), ValueError, "`n_terms` must be an integer >= 0"),
            (lambda r: r.fit(TEXTS).expand("w1", None), ValueError, "`n_terms` must be an integer >= 0"),
            (lambda r: r.fit(TEXTS).expand("w1", 2.5), ValueError, "`n_terms` must be an integer >= 0"),
            (lambda r: r.fit(TEXTS).expand(["w1", "w2"]), ValueError, "one query"),
            (lambda r: r.set_params(feedback=-1).fit(TEXTS), ValueError, "`feedback` must be an integer >= 0"),
            (lambda r: r.set_params(feedback=True).fit(TEXTS), ValueError, "feedback"),
            (lambda r: r.set_params(feedback_terms=0).fit(TEXTS), ValueError, "`feedback_terms` must be"),
            (lambda r: r.set_params(feedback_weight=1e300).fit(TEXTS), ValueError, "`feedback_weight` must be"),
            (lambda r: r.set_params(feedback_weight=np.nan).fit(TEXTS), ValueError, "`feedback_weight` must be"),
            (
                lambda r: r.set_params(embedding_weight=1.5).fit(TEXTS),
                ValueError,
                "`embedding_weight` must be a number from 0",
            ),
            (lambda r: r.set_params(weighting="bm52").fit(TEXTS), ValueError, "`weighting` must be"),
            (lambda r: r.set_params(embedder=3).fit(TEXTS), TypeError, "`embedder` must have encode"),
            (lambda r: r.fit(np.array([[1.0, -1.0]])).search(np.array([[1.0, 0.0]])), ValueError, "negative"),
        ],
    )
    def test_invalid_input_raises_an_error(self, use, error, message):
        with pytest.raises(error, match=message):
            use(HopfieldRetriever())


class TestHybrid:
    def embed(self, texts):
        """Random directions of words."""
        words = np.random.default_rng(0).standard_normal((1000, 16))
        return np.array(
            [sum((words[int(w[1:])] for w in text.split() if w[0] == "w"), np.zeros(16)) + 1e-3 for text in texts]
        )

    @pytest.mark.parametrize("weight", [0, 0.3, 1])
    def test_scores_are_weighted_means(self, weight):
        plain = HopfieldRetriever().fit(TEXTS)
        hybrid = HopfieldRetriever(embedder=self.embed, embedding_weight=weight).fit(TEXTS)
        E, Q, W = self.embed(TEXTS), self.embed(QUERIES), plain.weights_.toarray()
        counts, completed = plain.vectorizer_.transform(QUERIES).toarray(), dense(plain)
        hits = hybrid.search(QUERIES, k=10)
        for q, row, embedded, ids, scores in zip(counts, completed, Q, *hits, strict=True):
            expected = oracles.hybrid_scores(q, row, W, embedded, E, weight)
            np.testing.assert_allclose(scores, -np.sort(-expected)[: len(ids)], rtol=1e-4)
            np.testing.assert_allclose(expected[ids], scores, rtol=1e-4)
            assert (scores <= 1).all()

    def test_scores_of_different_queries_can_be_compared(self):
        hybrid = HopfieldRetriever(embedder=self.embed).fit(TEXTS)
        known, nonsense = (hybrid.search(query, k=1).scores[0] for query in (TEXTS[7], "w900 w901"))
        assert known[0] > 0.5
        assert known[0] > 1.5 * nonsense.max(initial=0)
        for least in (0.3, 0.6):
            every, some = hybrid.search(QUERIES), hybrid.search(QUERIES, min_score=least)
            for ids, scores, left in zip(*every, some.ids, strict=True):
                np.testing.assert_array_equal(ids[scores >= least], left)
        for least in ("high", float("nan"), True):
            with pytest.raises(ValueError, match="`min_score` must be a number"):
                hybrid.search("w1", min_score=least)

    @pytest.mark.parametrize("feedback", [0, 1])
    def test_empty_documents_and_queries_find_nothing_and_are_not_found(self, feedback):
        """Also if the encoder returns a nonzero embedding of an empty text."""
        texts = ["", *TEXTS[:4], " \n"]
        retriever = HopfieldRetriever(embedder=self.embed, feedback=feedback).fit(texts)
        hits = retriever.search([*QUERIES[:9], "", "  "], k=9)
        assert not np.isin(np.concatenate(hits.ids), [0, 5]).any()
        assert [len(ids) for ids in hits.ids[-2:]] == [0, 0]
        retriever.set_params(embedder=lambda texts: np.zeros((len(texts), 16)))
        assert len(retriever.search("unheard of").ids[0]) == 0

    def test_surrogates_are_replaced_before_encoding(self):
        seen = []

        def embed(texts):
            seen.extend(texts)
            return self.embed(texts)

        HopfieldRetriever(embedder=embed).fit(["w1 refund \ud83d never came", "w2"]).search("w1 \ude00")
        assert seen == ["w1 refund \ufffd never came", "w2", "w1 \ufffd"]

    def test_hybrid_add_and_remove(self):
        new = HopfieldRetriever(feedback=0, embedder=self.embed)
        changed = clone(new).fit(TEXTS[:100]).add(TEXTS[100:150]).remove(range(0, 150, 2))
        fresh = clone(new).fit([TEXTS[i] for i in range(1, 150, 2)], ids=range(1, 150, 2))
        for a, b in zip(changed.search(QUERIES, k=5).ids, fresh.search(QUERIES, k=5).ids, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_search_does_not_wait_for_embedding_of_added_documents(self):
        added, in_time = threading.Event(), []

        def embed(texts):
            if texts == ["w3 w4"]:
                in_time.append(added.wait(60))
            return self.embed(texts)

        one, two = HopfieldRetriever(embedder=embed).fit(TEXTS[:3]), HopfieldRetriever().fit(TEXTS[:3])
        other = threading.Thread(target=lambda: one.add(["w3 w4"]))
        other.start()
        two.add(["w5"]).remove([0])
        one.add(["w6"])
        added.set()
        other.join()
        assert in_time == [True]
        assert (one.ids_.tolist(), two.ids_.tolist()) == ([0, 1, 2, 3, 4], [1, 2, 3])
        np.testing.assert_array_equal(one._state.memory.patterns_, self.embed([*TEXTS[:3], "w6", "w3 w4"]))

    def test_invalid_ids_are_refused_before_embedding(self):
        embedded = []

        def embed(texts):
            embedded.append(texts)
            return self.embed(texts)

        retriever = HopfieldRetriever(embedder=embed).fit(TEXTS[:3])
        with pytest.raises(ValueError, match="occur twice: 1"):
            retriever.add(["w1"], ids=[1])
        assert embedded == [TEXTS[:3]]

    def test_failing_embedder_adds_nothing(self):
        def embed(texts):
            if texts == ["w3"]:
                raise OSError("no answer")
            return self.embed(texts)

        retriever = HopfieldRetriever(embedder=embed).fit(TEXTS[:3])
        with pytest.raises(OSError, match="no answer"):
            retriever.add(["w3"])
        np.testing.assert_array_equal(retriever.ids_, range(3))
        np.testing.assert_array_equal(retriever.add(["w4"]).ids_, range(4))

    def test_documents_are_embedded_again_after_a_concurrent_fit(self):
        def wide(texts):
            return np.hstack([self.embed(texts)] * 2)

        def fit_anew():  # as in another thread
            retriever.set_params(embedder=wide).fit(TEXTS[:5])

        def embed(texts):
            if texts == ["w3"]:
                fit_anew()
            return self.embed(texts)

        def documents():
            fit_anew()
            yield "w3"

        for embedder, following, added in ((embed, embed, ["w3"]), (None, wide, documents())):
            retriever = HopfieldRetriever(embedder=embedder).fit(TEXTS[:3]).set_params(embedder=following)
            retriever.add(added)
            np.testing.assert_array_equal(retriever._state.memory.patterns_, wide([*TEXTS[:5], "w3"]))

    def test_embedders_may_have_encode_or_transform(self):
        class Encoder:
            encode = staticmethod(self.embed)

        class Transformer:
            transform = staticmethod(self.embed)

        expected = HopfieldRetriever(embedder=self.embed).fit(TEXTS).search(QUERIES[:3])
        for embedder in (Encoder(), Transformer()):
            same_results(HopfieldRetriever(embedder=embedder).fit(TEXTS).search(QUERIES[:3]), expected)

    @pytest.mark.parametrize("wrong", [0, 1, 4, 6])
    def test_embedder_with_wrong_number_of_rows_raises_an_error(self, wrong):
        def embed(texts):
            return self.embed((texts * 2)[:wrong] if "w3" in texts else texts).reshape(-1, 16)

        message = rf"The embedder must return .* shape \(5, n_dims\).*, got shape \({wrong}, 16\)"
        with pytest.raises(ValueError, match=message):
            HopfieldRetriever(embedder=embed).fit([*TEXTS[:4], "w3"])
        retriever = HopfieldRetriever(embedder=embed).fit(TEXTS[:5])
        for method in (retriever.add, retriever.search):
            with pytest.raises(ValueError, match=message):
                method(["w3", *TEXTS[:4]])
        np.testing.assert_array_equal(retriever.ids_, range(5))

    @pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64])
    def test_tensors_of_an_embedder_equal_arrays(self, dtype):
        def embed(texts):
            return (8 * self.embed(texts)).astype(dtype)

        class Tensor:  # like a torch tensor that requires gradients
            def __init__(self, texts):
                self.texts = texts

            detach = cpu = lambda self: self

            def numpy(self):
                return embed(self.texts)

        patterns, expected = (
            HopfieldRetriever(embedder=embedder).fit(TEXTS)._state.memory.patterns_ for embedder in (Tensor, embed)
        )
        assert patterns.dtype == expected.dtype == (np.float32 if dtype == np.float32 else np.float64)
        np.testing.assert_array_equal(patterns, expected)

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (lambda texts: np.ones(5), r"The embedder must return .* got shape \(5,\)"),
            (lambda texts: np.full((5, 2), np.inf), "The embedder must return finite numbers"),
            (lambda texts: sparse.eye(5), "The embedder must return an array of numbers"),
            (lambda texts: 1j * np.eye(5), "The embedder must return an array of numbers.*complex128"),
        ],
    )
    def test_embedder_with_invalid_output_raises_an_error(self, answer, message):
        with pytest.raises(ValueError, match=message):
            HopfieldRetriever(embedder=answer).fit(TEXTS[:5])

    def test_empty_lists_of_queries_and_documents(self):
        hybrid, plain = (HopfieldRetriever(embedder=embedder).fit(TEXTS[:5]) for embedder in (self.embed, None))
        for k in (3, 50):
            assert hybrid.search([], k) == plain.search([], k) == ([], [])
        assert len(hybrid.add([])) == len(plain.add([])) == 5
        assert hybrid.search(TEXTS[0], k=1).ids == [0]

    def test_missing_embedder_raises_an_error(self):
        retriever = HopfieldRetriever(embedder=self.embed).fit(TEXTS[:5]).set_params(embedder=None)
        for method in (retriever.search, retriever.add):
            with pytest.raises(ValueError, match="`embedder` must be the one of the fitted retriever"):
                method(["w1"])
        assert retriever.set_params(embedder=self.embed).search(TEXTS[0], k=1).ids == [0]

    def test_embedder_with_counts_raises_an_error(self):
        with pytest.raises(ValueError, match="`documents` must be texts"):
            HopfieldRetriever(embedder=self.embed).fit(sparse.csr_matrix(np.eye(3)))


class TestSaving:
    def embed(self, texts):
        return np.array([[text.count("w1"), text.count("w2") + 1.0, len(text)] for text in texts])

    def same(self, a, b):
        for x, y in ((a.search(QUERIES), b.search(QUERIES)), (a.search(TEXTS[:5], k=400), b.search(TEXTS[:5], k=400))):
            same_results(x, y)
        assert a.expand(QUERIES[0]) == b.expand(QUERIES[0])
        np.testing.assert_array_equal(a.terms_, b.terms_)

    @pytest.mark.parametrize("verify", [True, False])
    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"feedback": 0, "keep_texts": True},
            {"weighting": BM25Transformer("bm25+", k1=1.2)},
            {"weighting": None, "feedback_terms": 5},
            {"vectorizer": CountVectorizer(ngram_range=(1, 2), stop_words=["w3"])},
            {"vectorizer": CountVectorizer(vocabulary=[f"w{i}" for i in range(50)])},
        ],
    )
    def test_save_and_load_round_trip(self, settings, verify, tmp_path):
        saved = HopfieldRetriever(**settings).fit(TEXTS[:250]).add(TEXTS[250:]).remove([7])
        saved.save(tmp_path / "index")
        loaded = HopfieldRetriever.load(tmp_path / "index", verify=verify)
        self.same(saved, loaded)
        assert str(loaded.get_params()) == str(saved.get_params())
        assert (loaded.texts_ is None) == (saved.texts_ is None)
        if saved.texts_:
            assert list(loaded.texts_) == saved.texts_
        for retriever in (saved, loaded):
            retriever.add(["a zebra and w1", "w2 w2 w3"]).remove([3])
        self.same(saved, loaded)
        assert loaded.ids_.tolist() == saved.ids_.tolist()
        grows = "vocabulary" not in str(settings)
        assert (300 in loaded.search("zebra", k=400).ids[0]) == grows

    @pytest.mark.parametrize("stored", ["bm25", None, BM25Transformer("bm25+")])
    @pytest.mark.parametrize("set_later", ["bm25", None, BM25Transformer("bm25l")])
    def test_save_uses_the_fitted_weighting(self, stored, set_later, tmp_path):
        saved = HopfieldRetriever(weighting=stored).fit(TEXTS[:250]).set_params(weighting=set_later)
        saved.save(tmp_path / "index")
        loaded = HopfieldRetriever.load(tmp_path / "index")
        assert str(loaded.weighting) == str(stored)
        for retriever in (saved, loaded):
            retriever.add(TEXTS[250:])
        self.same(saved, loaded)

    def test_add_validates_counts_by_the_fitted_weighting(self):
        for stored, set_later in (("bm25", None), (None, "bm25")):
            retriever = HopfieldRetriever(weighting=stored).fit(np.eye(3)).set_params(weighting=set_later)
            with pytest.raises(ValueError, match="got negative numbers") if stored else nullcontext():
                retriever.add(-np.eye(3))

    def test_save_and_load_of_string_ids_counts_and_an_empty_index(self, tmp_path, fitted):
        named = HopfieldRetriever().fit(TEXTS, ids=[f"document {i} \N{SNOWMAN}" for i in range(len(TEXTS))])
        by_counts = HopfieldRetriever().fit(fitted.vectorizer_.transform(TEXTS))
        query_counts = fitted.vectorizer_.transform(QUERIES)
        emptied = HopfieldRetriever().fit(TEXTS[:2]).remove([0, 1])
        for i, (saved, queries) in enumerate([(named, QUERIES), (by_counts, query_counts), (emptied, QUERIES)]):
            saved.save(tmp_path / str(i))
            hits, expected = HopfieldRetriever.load(tmp_path / str(i)).search(queries), saved.search(queries)
            same_results(hits, expected)

    def test_save_over_a_loaded_index(self, tmp_path, fitted):
        fitted.save(tmp_path / "index")
        in_use = HopfieldRetriever.load(tmp_path / "index")
        in_use.add(["something new"]).save(tmp_path / "index")
        again = HopfieldRetriever.load(tmp_path / "index")
        assert len(again) == len(fitted) + 1
        self.same(in_use, again)

    def test_load_requires_parts_that_are_not_saved(self, tmp_path):
        def analyze(text):
            return text.split()

        own = HopfieldRetriever(CountVectorizer(analyzer=analyze), embedder=self.embed).fit(TEXTS)
        own.save(tmp_path / "index")
        with pytest.raises(ValueError, match=r"vectorizer=\.\.\."):
            HopfieldRetriever.load(tmp_path / "index", embedder=self.embed)
        with pytest.raises(ValueError, match=r"embedder=\.\.\."):
            HopfieldRetriever.load(tmp_path / "index", vectorizer=own.vectorizer_)
        for other in (lambda texts: self.embed(texts)[:, ::-1], lambda texts: np.eye(len(texts))):
            with pytest.raises(ValueError, match="got one with other embeddings"):
                HopfieldRetriever.load(tmp_path / "index", vectorizer=own.vectorizer_, embedder=other)
        loaded = HopfieldRetriever.load(tmp_path / "index", vectorizer=own.vectorizer_, embedder=self.embed)
        self.same(own, loaded)
        loaded.add(TEXTS[:3]).remove([1])
        self.same(own.add(TEXTS[:3]).remove([1]), loaded)

    def test_load_of_a_damaged_file_raises_an_error(self, tmp_path, fitted):
        fitted.save(tmp_path / "index")
        file = tmp_path / "index"
        whole = file.read_bytes()
        for place in range(150, len(whole), len(whole) // 20):
            for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
                file.write_bytes(damaged)
                with pytest.raises(DamagedFileError, match=str(file)):
                    HopfieldRetriever.load(tmp_path / "index")
        file.write_bytes(whole)
        self.same(HopfieldRetriever.load(tmp_path / "index"), fitted)

    def test_load_of_a_missing_file_and_save_over_a_folder(self, tmp_path, fitted):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            HopfieldRetriever.load(tmp_path / "nowhere")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("years of work")
        with pytest.raises(FileExistsError, match="a folder"):
            fitted.save(tmp_path / "mine")


def test_add_from_several_threads():
    retriever = HopfieldRetriever(feedback=0).fit(TEXTS[:10])
    threads = [threading.Thread(target=lambda: [retriever.add([text]) for text in TEXTS[10:60]]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.sort(retriever.ids_), np.arange(160))
