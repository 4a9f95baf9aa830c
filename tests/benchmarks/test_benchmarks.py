"""The benchmark scripts run, and write what they print."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import oracles
import pytest
from numba.core import config
from scipy import sparse
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info

import benchmarks.__main__
from benchmarks import (
    associative_memory,
    corpora,
    engines,
    heads,
    images,
    memory,
    model_fits,
    peers,
    quality,
    readme,
    report,
    retrieval,
    retrieval_collections,
    search_scale,
    search_throughput,
    speed,
    speed_gpu,
)
from benchmarks.engines import BM25, RM3, Found, Rocchio, are_equal_up_to_ties, keep_largest, list_tokens
from benchmarks.models import MODELS, RECOMMENDED, get_labels, is_installed
from benchmarks.topic_words import evaluate_words
from codebooks import HopfieldMemory, PairedHead
from codebooks.metrics import agreement


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.parametrize(("command", "option"), [("quality", "--models"), ("retrieval", "--engines")])
def test_names_are_checked_first(monkeypatch, capsys, command, option):
    names = benchmarks.__main__.MODEL_NAMES if command == "quality" else benchmarks.__main__.ENGINE_NAMES
    monkeypatch.setattr(sys, "argv", ["benchmarks", command, option, names[0], "KrotovHopfield"])
    monkeypatch.setattr(corpora, "load", None)  # nothing is computed
    with pytest.raises(SystemExit):
        benchmarks.__main__.main()
    assert "invalid choice: 'KrotovHopfield'" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["benchmarks", command, "--help"])
    with pytest.raises(SystemExit):
        benchmarks.__main__.main()
    said = "".join(capsys.readouterr().out.split())
    assert all("".join(name.split()) in said for name in names)
    with pytest.raises(ValueError, match="expected models among multinomial"):
        quality.run([("digits", 10)], ["KrotovHopfield"], 1, "trial", "a command")


def test_quality_keeps_rows_and_fits_of_peers(results, capsys):
    quality.run([("digits", 10)], ["Krotov-Hopfield", "KMeans", "NMF"], 2, "trial", "a command")
    written = json.loads((results / "trial.json").read_text())
    assert written["command"] == "a command"
    assert [row["model"] for row in written["rows"]] == ["Krotov-Hopfield", "NMF", "KMeans"]
    quality.run([("digits", 10)], ["Krotov-Hopfield"], 1, "trial", "another command")
    quality.run([("digits", 10)], ["KMeans"], 2, "trial", "another command")
    again = json.loads((results / "trial.json").read_text())["rows"]
    assert again[1:] == written["rows"][1:]  # NMF was kept, and KMeans computed from its kept fits
    assert again[0]["seconds"] != written["rows"][0]["seconds"]
    for row in written["rows"]:
        assert 0.2 < row["NMI"] <= 1
        assert row["AMI"] < row["NMI"]
        assert 8 <= row["used"] <= 10
        assert row["seconds"] > 0
        assert row["seeds"] == 2
        low, high = row["range"]["ARI"]
        assert low <= row["ARI"] <= high
    assert again[0]["seeds"] == 1
    assert "Krotov-Hopfield less the best of its peers" in capsys.readouterr().out


def test_quality_names_a_peer_that_is_not_installed(results, monkeypatch, capsys):
    report.write("trial", [{"corpus": "digits", "K": 10, "model": "GSDMM", "NMI": 0.5}], "")
    monkeypatch.setattr(quality, "is_installed", lambda name: name != "GSDMM")
    quality.run([("digits", 10)], ["MiniBatchNMF", "GSDMM"], 1, "trial", "a command")
    assert [row["model"] for row in report.read("trial")] == ["MiniBatchNMF", "GSDMM"]
    assert "GSDMM is left out, its earlier rows are kept: pip install topica" in capsys.readouterr().out


def test_slow_peers_are_fitted_with_fewer_seeds(results, monkeypatch):
    monkeypatch.setattr(quality, "SLOW_SECONDS", 0)
    monkeypatch.setattr(quality, "measure_peak_memory", lambda *which: 1.0)
    assert quality.measure("KMeans", corpora.load("digits"), 10, 5)["seeds"] == quality.N_SLOW_SEEDS
    assert quality.measure("OSC", corpora.load("digits"), 10, 4)["seeds"] == 4


def test_cells_are_counted_against_the_best_peer():
    figures = dict.fromkeys((*quality.ALIKE.figures, *quality.OWN.figures), 0.5)
    ours = {"corpus": "a", "K": 2, "model": RECOMMENDED, **figures}
    rows = [
        ours,
        {**ours, "model": "NMF", "NMI": 0.504},
        {**ours, "model": "GSDMM", "ARI": 0.506, "purity": 0.1, "own NPMI": 0.8},
        {**ours, "corpus": "bbc_raw"},
        {**ours, "corpus": "bbc_raw", "model": "NMF", "NMI": 0.9},  # a new form of a choosing corpus is not counted
        {**ours, "corpus": "no peer"},
    ]
    first, second = quality.compare_with_peers(rows, quality.ALIKE)
    assert first["ARI"] == pytest.approx(-0.006)
    assert first["purity"] == 0
    assert second["NMI"] == pytest.approx(-0.4)
    assert "best of 2 peers less 0.005 in 4 of 5 cells (80%); worst cell a 2 ARI -0.006" in quality.summarize_cells(
        rows, quality.ALIKE
    )
    assert "in 3 of 5 cells (60%); worst cell a 2 own NPMI -0.300" in quality.summarize_cells(rows, quality.OWN)
    assert quality.summarize_cells(rows[:1]) == "no peer to compare with"


def test_every_contender_labels_every_row():
    X = np.random.default_rng(0).integers(0, 4, (60, 8)) + np.eye(1, 8, dtype=int)
    for name, spec in MODELS.items():
        if not is_installed(name):
            continue
        labels = get_labels(spec.build(3, 0).fit(X), X)
        assert labels.shape == (60,)
        assert set(labels) <= {0, 1, 2}
    np.testing.assert_array_equal(get_labels(model := KMeans(3, n_init=1, random_state=0).fit(X), X), model.labels_)


@pytest.mark.parametrize(("package", "build"), [("topica", peers.GSDMM), ("tomotopy", peers.TomotopyLDA)])
def test_peers_that_learn_from_tokens(package, build):
    pytest.importorskip(package)
    rng = np.random.default_rng(0)
    groups = np.arange(90) % 3
    counts = np.zeros((90, 31), np.float32)  # the last term occurs nowhere
    for row, group in zip(counts, groups, strict=True):
        row[10 * group : 10 * group + 10] = rng.poisson(2.0, 10)
        row[10 * group] += 5
    counts = sparse.csr_matrix(counts)
    model = build(3, 0).fit(counts)
    assert agreement(groups, model.labels_).nmi == pytest.approx(1)
    assert model.components_.shape == (3, 31)
    np.testing.assert_allclose(model.components_.sum(axis=1), 1, atol=1e-3)
    for k in range(3):
        assert model.components_[k].argmax() == 10 * groups[model.labels_ == k][0]
    again = build(3, 0)
    again.train(again.tokenize(counts))
    np.testing.assert_array_equal(again.labels_, model.labels_)


def test_tokens_repeat_terms_as_often_as_they_are_counted():
    counts = sparse.csr_matrix(np.array([[0, 2, 1], [0, 0, 0], [1, 0, 0]], np.float32))
    assert peers.make_tokens(counts) == [["1", "1", "2"], [], ["0"]]


def test_fit_times_are_multiples_of_the_recommended_one(monkeypatch, capsys):
    monkeypatch.setattr(speed, "REPEATS", {"KMeans": 1})
    rows = speed.measure_fits(corpora.load("digits"), 10, [RECOMMENDED, "KMeans"])
    assert [row["what"] for row in rows] == ["fit, digits, K=10"] * 2
    assert rows[0]["times ours"] == 1
    assert rows[1]["times ours"] == rows[1]["seconds"] / rows[0]["seconds"] > 0
    assert "KMeans" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="counts memory as Linux does")
def test_memory_of_a_fit_is_measured_in_a_fresh_process(results):
    assert 0 <= model_fits.measure_peak_memory("KMeans", corpora.load("digits"), 10) < 500


def test_the_large_matrix_is_what_it_says():
    X = memory.make_sparse_rows(1000, 200, 20)
    assert X.shape == (1000, 200)
    assert X.has_canonical_format
    assert (np.diff(X.indptr) == 20).all()
    assert X.data.dtype == np.float32


def test_planted_bases_and_the_published_rule(monkeypatch):
    monkeypatch.setattr(images, "N_SEEDS", 1)
    row = images.measure_recovery("geodesic")
    assert row["atoms recovered"] == row["worst seed"] == 1
    W, X = np.eye(3, 4), np.random.default_rng(0).random((5, 4))
    expected = oracles.orthogonal_sparse_coding_epoch(W, X, 0.1, 2)
    np.testing.assert_allclose(images.run_published_rule(W, X, 0.1, 2), expected, atol=1e-12)


@pytest.fixture(scope="module")
def collection():
    """Documents of three subjects, a query and its judgements for each."""
    rng = np.random.default_rng(0)
    subjects = [[f"{subject}{i}" for i in range(80)] for subject in ("ship", "tree", "coin")]
    texts = [" ".join(rng.choice(subjects[i % 3] + subjects[(i + 1) % 3][:9], 20)) for i in range(60)]
    queries = [" ".join(rng.choice(words, 10)) for words in subjects]
    relevant = [dict.fromkeys(range(subject, 60, 3), 1) for subject in range(3)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engines, "THREADS", 1)  # half as much is compiled
        yield retrieval_collections.make_collection("planted", texts, queries, relevant)


def slow_feedback(query, documents, scores, n_terms, mean_of, combined):
    """Feedback as Anserini gives it, in dictionaries; documents and query are dicts of counts."""
    total = {}
    for document, score in zip(documents, scores, strict=True):
        for term, weight in mean_of(document, score).items():
            total[term] = total.get(term, 0) + weight
    first = dict(sorted(total.items(), key=lambda item: (-item[1], item[0]))[:n_terms])
    return {term: combined(query, first, term) for term in {*query, *first}}


def share(vector, term, power):
    norm = sum(abs(value) ** power for value in vector.values()) ** (1 / power)
    return vector.get(term, 0) / norm if norm else 0


def cut(document, n_terms):
    return dict(sorted(document.items(), key=lambda item: (-item[1], item[0]))[:n_terms])


def as_dict(row):
    return {term: float(row[term]) for term in np.flatnonzero(row)}


@pytest.mark.parametrize("kind", [RM3, Rocchio])
def test_feedback_is_that_of_a_slow_transcription(collection, kind):
    pytest.importorskip("bm25s", minversion="0.2.14")
    engine, n_terms = kind(collection.counts, n_documents=5, n_terms=7), 7
    first = BM25(collection.counts).search(collection.queries, 5)
    counts = collection.counts.toarray()
    counts[:, (counts > 0).sum(axis=0) > 0.1 * len(counts)] = 0
    mean_of, combined = {
        RM3: (
            lambda document, score: {t: score * share(cut(document, n_terms), t, 1) for t in cut(document, n_terms)},
            lambda query, model, t: 0.5 * share(query, t, 1) + 0.5 * share(model, t, 1),
        ),
        Rocchio: (
            lambda document, score: {t: share(document, t, 2) / 5 for t in document},
            lambda query, model, t: share(query, t, 2) + 0.75 * share(model, t, 2),
        ),
    }[kind]
    expanded = engine.expanded(collection.queries).toarray()
    for query, ids, scores, got in zip(collection.queries.toarray(), *first, expanded, strict=True):
        documents = [as_dict(counts[i]) for i in ids]
        expected = slow_feedback(as_dict(query), documents, scores, n_terms, mean_of, combined)
        np.testing.assert_allclose(got, [expected.get(term, 0) for term in range(len(got))], rtol=1e-5)
        assert any(documents)  # there was something to learn from


def test_the_second_search_weighs_terms(collection):
    pytest.importorskip("bm25s", minversion="0.2.14")
    engine = BM25(collection.counts)
    plain, weighted = engine.search(collection.queries, 10), engine.search_weighted(2 * collection.queries, 10)
    assert are_equal_up_to_ties(plain, Found(weighted.ids, weighted.scores / 2)).all()
    nothing = engine.search(0 * collection.queries, 4)
    assert (nothing.ids == -1).all()


def test_parts_of_engines():
    counts = sparse.csr_matrix(np.array([[0, 2, 1], [0, 0, 0], [1, 0, 0]], np.float32))
    assert list_tokens(counts) == [[1, 1, 2], [], [0]]
    np.testing.assert_array_equal(keep_largest(np.array([[1, 3, 3, 2.0]]), 2), [[0, 3, 3, 0]])
    one = Found(np.array([[1, 2, 3]]), np.array([[3.0, 2, 1]]))
    assert are_equal_up_to_ties(one, Found(np.array([[1, 2, 7]]), one.scores)).all()
    assert not are_equal_up_to_ties(one, Found(np.array([[1, 7, 3]]), one.scores)).any()
    assert not are_equal_up_to_ties(one, Found(one.ids, 2 * one.scores)).any()


def test_search_is_measured_and_shown(collection, results, monkeypatch):
    pytest.importorskip("bm25s", minversion="0.2.14")
    pytest.importorskip("faiss")
    monkeypatch.setattr(retrieval_collections, "REPORT", ("planted",))
    monkeypatch.setattr(retrieval_collections, "load", lambda name: collection)
    retrieval.run("report")
    retrieval.run("report", ["BM25"])  # the others stay
    rows = report.read("retrieval-report")
    assert [row["engine"] for row in rows if "MAP" in row] == list(retrieval.ENGINES)
    assert all(0.5 < row["MAP"] <= 1 for row in rows if "MAP" in row)
    monkeypatch.setattr(readme, "RESULTS", results)
    monkeypatch.setattr(search_throughput, "N_ROUNDS", 1)
    monkeypatch.setattr(search_throughput, "N_WORDS", 300)
    search_throughput.run(200, 10)
    same = [row["same ten as bm25s"] for row in report.read("retrieval-speed") if "same ten as bm25s" in row]
    assert same == [1, 1]
    report.write("retrieval-large", [{"what": "A", "patterns": 5, "b ms": 1, "matrix MB": 2, "growth MB": 3}], "")
    report.write("retrieval-mnist", [{"what": "C", "seconds of transform": 4, "ratio": 5, "peak MB": 6}], "")
    assert "BM25 + RM3" in readme.format_retrieval()
    assert "b 1.0 ms" in readme.format_search_speed()


def test_a_difference_between_engines_has_an_interval_and_a_chance():
    rng = np.random.default_rng(0)
    base = rng.random(50)
    same = retrieval.compare(base, base)
    assert same["MAP gain"] == 0
    assert same["p"] == 1
    better = retrieval.compare(base + 0.1 * rng.random(50), base)
    assert 0 < better["low"] < better["MAP gain"] < better["high"]
    assert better["p"] < 0.001


def test_recall_of_words():
    patterns = associative_memory.draw_word_sets(50, 300, 8, seed=0)
    assert patterns.has_canonical_format
    queries = associative_memory.mask_words(patterns, 0.5, seed=0)
    assert (queries.getnnz(axis=1) >= 1).all()
    assert abs(queries - patterns.multiply(queries)).sum() == 0
    rows = associative_memory.measure_words("trial", [patterns], {"defaults": HopfieldMemory(threshold=0.5)})
    assert rows[0]["30% masked"] > 0.9
    assert len(associative_memory.make_word_memories()) == 21


def test_recall_of_images():
    pictures = np.random.default_rng(0).random((30, 784), dtype=np.float32)
    trial = associative_memory.Trial("trial", 5, noise=0.1, masked=0.5)
    harmed = associative_memory.corrupt_images(pictures, trial, np.random.default_rng(0))
    assert not harmed[:, 392:].any()
    assert 0 <= harmed.min() < harmed.max() <= 1
    found = associative_memory.measure_images(trial, pictures, seeds=[0])
    assert found["defaults"] == found["NearestNeighbors(1)"] == 1


def test_large_memories_are_what_they_say():
    X = search_scale.draw_word_sets(200, 5000, 10)
    assert X.has_canonical_format
    assert (X.getnnz(axis=1) == 10).all()
    assert search_scale.measure_product_seconds(np.ones((300, 4), np.float32), np.ones((5, 4), np.float32)) > 0
    pictures = np.random.default_rng(0).random((30, 784), dtype=np.float32)
    memory = HopfieldMemory(similarity="cosine").fit(pictures)
    assert search_scale.compute_largest_difference(memory, pictures, pictures[:7, ::-1]) < 1e-5
    np.testing.assert_allclose(search_scale.compute_sparsemax(np.array([0.5, 0.1, -2])), [0.7, 0.3, 0])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="counts memory as Linux does")
@pytest.mark.parametrize("which", list(search_scale.QUERY_METHODS))
def test_latency_and_growth_are_measured(which, monkeypatch):
    monkeypatch.setattr(search_scale, "N_WORDS", 2000)
    figures = search_scale.measure_large(which, n_patterns=2000)
    assert all(value >= 0 for value in figures.values())
    assert {f"{method} ms" for method in search_scale.QUERY_METHODS[which]} <= set(figures)


def test_tables_are_markdown():
    rows = [{"model": "A", "NMI": 0.5, "passes": 12.0}, {"model": "B", "NMI": 0.25}]
    assert report.format_table(rows, ["model", "NMI", "passes"]).splitlines() == [
        "| model | NMI | passes |",
        "|---|---|---|",
        "| A | 0.500 | 12.0 |",
        "| B | 0.250 |  |",
    ]


def test_heads_are_judged_on_groups_that_they_have_not_seen():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    X = rng.standard_normal((40, 8))[groups] + rng.standard_normal((200, 8)) * np.repeat([2.0, 0.1], 4)
    raw, head = heads.measure_held_out_groups("planted", X, groups, {heads.DEFAULT: lambda: PairedHead(ridge=0.1)})
    assert (raw["head"], head["head"]) == (heads.RAW, heads.DEFAULT)
    assert head["MRR"] > raw["MRR"] + 0.1
    assert head["kept"] == "5 of 5"
    assert all(head[f"accuracy@{k}"] <= head[f"accuracy@{k + 1}"] for k in range(1, 10))
    assert heads.compute_nearest_accuracy(X[::5], groups[::5], X, groups) == 1
    assert heads.compute_ranking_figures(np.array([1.0, 4.0])) == pytest.approx(
        {"MRR": 0.625, **{f"accuracy@{k}": 0.5 if k < 4 else 1.0 for k in range(1, 11)}}
    )


# -- on a GPU: what can be known of it without one ---------------------------------------------------------------------

TINY = speed_gpu.Sizes(
    copy_bytes=4096,
    images=(300, 784),
    units=20,
    image_batches=(100, 150),
    documents=400,
    words=3000,
    topics=5,
    document_batches=("auto", 200),
    memories=300,
    dimensions=16,
    queries=40,
    query_block=16,
    fit_units=5,
)


def test_shares_and_bars():
    assert speed_gpu.compute_ratio(10.0, 0.25) == 40
    assert speed_gpu.compute_ratio(None, 0.25) is speed_gpu.compute_ratio(1.0, None) is None
    # 60 million entries, 100 units: 48 GB there and back, in 30 ms, where 4 TB/s can be moved
    assert speed_gpu.compute_bandwidth_share(2 * 60e6 * 100 * 4, 0.03, 4e12) == pytest.approx(0.4)
    assert speed_gpu.compute_bandwidth_share(1.0, 1.0, None) is None
    assert speed_gpu.require_at_least(40.0, 40, "times") == {
        "asked": "at least 40 times",
        "measured": 40.0,
        "met": "yes",
    }
    assert speed_gpu.require_at_least(39.9, 40, "times")["met"] == "no"
    assert speed_gpu.require_at_least(None, 40, "times")["met"] == "unknown"
    assert speed_gpu.require_at_least(3.0, None, "GB/s") == {"asked": "(GB/s)", "measured": 3.0, "met": ""}
    assert [speed_gpu.require_at_most(x, 0.01, "apart")["met"] for x in (0.01, 0.02)] == ["yes", "no"]
    assert [speed_gpu.require_below(x, 1, "of it")["met"] for x in (0.1, 1.0)] == ["yes", "no"]


def test_synthetic_documents_have_different_words_and_few_frequent_ones():
    X = speed_gpu.draw_documents(np, 3000, 3000, 60, 10)
    assert X.shape == (3000, 3000)
    assert X.data.dtype == np.float32
    assert X.indices.dtype == np.int32
    assert X.has_canonical_format
    assert (X.getnnz(axis=1) == 60).all()
    assert 0.5 <= X.data.min() <= X.data.max() <= 1.5
    counts = X.getnnz(axis=0).reshape(60, 50)
    in_common = counts[:30].sum(axis=0)
    expected = in_common.sum() / np.arange(1, 51) / (1 / np.arange(1, 51)).sum()
    np.testing.assert_allclose(in_common, expected, rtol=0.2)
    of_topics = counts[30:].sum(axis=0)
    assert of_topics[::5].min() > 1.5 * np.delete(of_topics, np.s_[::5]).max()  # where the orders of topics begin


def test_the_stand_in_for_images_is_as_large_and_as_dense(monkeypatch):
    monkeypatch.delenv("CODEBOOKS_DATA", raising=False)
    pixels, name = speed_gpu.load_images((2000, 784))
    assert "random" in name
    assert pixels.shape == (2000, 784)
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() < pixels.max() < 1
    assert (pixels != 0).mean() == pytest.approx(0.19, abs=0.005)
    assert speed_gpu.Sizes().images == (60_000, 784)


def test_two_cores_are_given_back():
    before = config.NUMBA_NUM_THREADS
    with speed_gpu.limit_to_two_cores():
        assert config.NUMBA_NUM_THREADS <= 2
        assert all(pool["num_threads"] <= 2 for pool in threadpool_info())
    assert before == config.NUMBA_NUM_THREADS


@pytest.fixture
def without_data(monkeypatch):
    monkeypatch.delenv("CODEBOOKS_DATA", raising=False)
    monkeypatch.setattr(speed_gpu, "load_corpus", lambda: corpora.load("digits"))


@pytest.mark.parametrize("part", list(speed_gpu.PARTS))
def test_every_part_runs_with_numpy_for_a_device(part, without_data):
    rows = list(speed_gpu.measure_parts(np, TINY, speed_gpu.Budget(), [part]))
    assert [row for row in rows if row.get("met", "").startswith("failed")] == []
    assert all(row["part"] == part for row in rows)
    for row in rows:
        if not row.get("met", "").startswith("left out"):
            assert row.get("seconds", 1) > 0
    if part == "recall":
        [found] = [row for row in rows if "share of queries whose original comes first" in row]
        assert found["share of queries whose original comes first"] > 0.5
        assert any("against all cores" in row["what"] for row in rows)
    if part == "Krotov-Hopfield":
        differences = [row["largest difference of units"] for row in rows if "CPU seconds" in row]
        assert differences == pytest.approx([0, 0], abs=1e-6)


def test_what_fails_is_told_and_the_others_go_on(monkeypatch, results, capsys, without_data):
    def broken(cp, sizes, budget, known):
        def breaks():
            yield {"what": "half", "seconds": 1.0}
            raise RuntimeError("out of | memory\nat once")

        yield "one", breaks()
        yield "two", iter([{"what": "two", "seconds": np.float32(2)}])
        raise KeyError("the rest")

    def fine(cp, sizes, budget, known):
        yield "fine", iter([{"what": "fine", "seconds": 3.0, **speed_gpu.require_at_least(50, 40, "times")}])

    monkeypatch.setattr(speed_gpu, "PARTS", {"broken": broken, "fine": fine})
    monkeypatch.setattr(speed_gpu, "import_cupy", lambda: np)
    monkeypatch.setattr(speed_gpu, "describe_device", lambda cp: {"device": "NVIDIA Test (16GB)"})
    speed_gpu.run(TINY)
    about, *rows = report.read("speed-gpu-nvidia-test-16gb")
    assert about["total seconds"] > 0
    assert [row["what"] for row in rows] == ["half", "one", "two", "broken", "fine"]
    assert rows[1]["met"] == "failed: RuntimeError: out of / memory at once"
    assert "breaks" in rows[1]["traceback"]
    assert rows[3]["met"].startswith("failed: KeyError")
    assert "| fine | fine | at least 40 times | 50 | yes | 3.000 |" in capsys.readouterr().out


def test_late_cases_are_left_out(monkeypatch):
    budget = speed_gpu.Budget()
    assert budget.repeats() == 5
    monkeypatch.setattr(speed_gpu, "FRUGAL_AFTER", 0)
    assert budget.repeats() == 1
    monkeypatch.setattr(speed_gpu, "STOP_AFTER", 0)
    rows = list(speed_gpu.measure_parts(np, TINY, budget))
    assert [row["met"] for row in rows] == ["left out: No time was left."] * len(speed_gpu.PARTS)


def test_without_a_device_the_command_says_so(monkeypatch):
    monkeypatch.setenv("CUPY_TF32", "1")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.setattr("sys.argv", ["benchmarks", "speed", "--device", "gpu"])
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(SystemExit, match="wants CuPy, which cannot be imported here") as stopped:
        benchmarks.__main__.main()
    assert isinstance(stopped.value.code, str)  # which Python prints, and ends with 1
    runtime = SimpleNamespace(getDeviceCount=lambda: 0)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    with pytest.raises(SystemExit, match="wants a CUDA device, and there is none here"):
        benchmarks.__main__.main()
    assert "CUPY_TF32" not in os.environ


def test_judge_words_chooses_on_one_half_and_judges_on_both():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    rare = sparse.random(400, 60, 0.02, "csr", random_state=0)
    planted = sparse.csr_matrix((np.arange(30) // 10 == labels[:, None]) & (rng.random((400, 30)) < 0.4), dtype=float)
    X, terms = sparse.hstack([planted, rare]).tocsr(), [f"w{column}" for column in range(90)]
    found = evaluate_words(labels, X, X, terms, 4, seed=0)
    assert list(found) == ["TD", "NPMI same half", "NPMI other half"]
    assert found["TD"] == 1.0
    assert min(found["NPMI same half"], found["NPMI other half"]) > 0.2
    chance = evaluate_words(rng.permutation(labels), X, X, terms, 4, seed=0)
    assert chance["NPMI same half"] > chance["NPMI other half"]
    assert evaluate_words(labels, X, X, terms, 4, seed=0) == found != evaluate_words(labels, X, X, terms, 4, seed=1)
    own = evaluate_words(labels, X, X, terms, 4, seed=0, words=[list(range(10)), list(range(30, 40))])
    assert own == evaluate_words(labels, X, X, terms, 4, seed=0, words=[terms[:10], terms[30:40]])
    assert own["NPMI other half"] < found["NPMI other half"]
