"""Tests of the benchmarks: commands, measurements on small data, and stored results."""

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
def test_command_refuses_unknown_names_before_computing(monkeypatch, capsys, command, option):
    names = benchmarks.__main__.MODEL_NAMES if command == "quality" else benchmarks.__main__.ENGINE_NAMES
    monkeypatch.setattr(sys, "argv", ["benchmarks", command, option, names[0], "KrotovHopfield"])
    monkeypatch.setattr(corpora, "load", None)  # no corpus is loaded
    with pytest.raises(SystemExit):
        benchmarks.__main__.main()
    assert "invalid choice: 'KrotovHopfield'" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["benchmarks", command, "--help"])
    with pytest.raises(SystemExit):
        benchmarks.__main__.main()
    printed = "".join(capsys.readouterr().out.split())
    assert all("".join(name.split()) in printed for name in names)
    with pytest.raises(ValueError, match="`models` must be among multinomial"):
        quality.run([("digits", 10)], ["KrotovHopfield"], 1, "trial", "a command")


def test_quality_keeps_rows_of_other_models_and_cached_fits_of_peers(results, monkeypatch, capsys):
    monkeypatch.setattr(quality, "measure_peak_memory", lambda *which: 1.0)  # starts a process
    quality.run([("digits", 10)], ["Krotov-Hopfield", "KMeans", "NMF"], 2, "trial", "a command")
    written = json.loads((results / "trial.json").read_text())
    assert written["command"] == "a command"
    assert [row["model"] for row in written["rows"]] == ["Krotov-Hopfield", "NMF", "KMeans"]
    quality.run([("digits", 10)], ["Krotov-Hopfield"], 1, "trial", "another command")
    quality.run([("digits", 10)], ["KMeans"], 2, "trial", "another command")
    again = json.loads((results / "trial.json").read_text())["rows"]
    assert again[1:] == written["rows"][1:]  # NMF is kept, KMeans is computed from its cached fits
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


def test_quality_names_missing_packages(results, monkeypatch, capsys):
    report.write("trial", [{"corpus": "digits", "K": 10, "model": "GSDMM", "NMI": 0.5}], "")
    monkeypatch.setattr(quality, "is_installed", lambda name: name != "GSDMM")
    monkeypatch.setattr(quality, "measure_peak_memory", lambda *which: 1.0)
    quality.run([("digits", 10)], ["MiniBatchNMF", "GSDMM"], 1, "trial", "a command")
    assert [row["model"] for row in report.read("trial")] == ["MiniBatchNMF", "GSDMM"]
    assert "GSDMM is not installed, its earlier rows are kept: pip install topica" in capsys.readouterr().out


def test_slow_peers_are_fitted_with_fewer_seeds(results, monkeypatch):
    monkeypatch.setattr(quality, "SLOW_SECONDS", 0)
    monkeypatch.setattr(quality, "measure_peak_memory", lambda *which: 1.0)
    assert quality.measure("KMeans", corpora.load("digits"), 10, 5)["seeds"] == quality.N_SLOW_SEEDS
    assert quality.measure("OSC", corpora.load("digits"), 10, 4)["seeds"] == 4


def test_summarize_cells_compares_with_the_best_peer():
    figures = dict.fromkeys((*quality.ALIKE.figures, *quality.OWN.figures), 0.5)
    ours = {"corpus": "a", "K": 2, "model": RECOMMENDED, **figures}
    rows = [
        ours,
        {**ours, "model": "NMF", "NMI": 0.504},
        {**ours, "model": "GSDMM", "ARI": 0.506, "purity": 0.1, "own NPMI": 0.8},
        {**ours, "corpus": "bbc_raw"},
        {**ours, "corpus": "bbc_raw", "model": "NMF", "NMI": 0.9},  # corpora of NEW_FORMS are not counted
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


def test_every_model_labels_every_row():
    X = np.random.default_rng(0).integers(0, 4, (60, 8)) + np.eye(1, 8, dtype=int)
    for name, spec in MODELS.items():
        if not is_installed(name):
            continue
        labels = get_labels(spec.build(3, 0).fit(X), X)
        assert labels.shape == (60,)
        assert set(labels) <= {0, 1, 2}
    np.testing.assert_array_equal(get_labels(model := KMeans(3, n_init=1, random_state=0).fit(X), X), model.labels_)


@pytest.mark.parametrize(("package", "build"), [("topica", peers.GSDMM), ("tomotopy", peers.TomotopyLDA)])
def test_token_models_recover_planted_topics(package, build):
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


def test_make_tokens_repeats_terms_by_their_counts():
    counts = sparse.csr_matrix(np.array([[0, 2, 1], [0, 0, 0], [1, 0, 0]], np.float32))
    assert peers.make_tokens(counts) == [["1", "1", "2"], [], ["0"]]


def test_measure_fits_returns_multiples_of_the_recommended_model(monkeypatch, capsys):
    monkeypatch.setattr(speed, "REPEATS", {"KMeans": 1})
    rows = speed.measure_fits(corpora.load("digits"), 10, [RECOMMENDED, "KMeans"])
    assert [row["what"] for row in rows] == ["fit, digits, K=10"] * 2
    assert rows[0]["times ours"] == 1
    assert rows[1]["times ours"] == rows[1]["seconds"] / rows[0]["seconds"] > 0
    assert "KMeans" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads /proc of Linux")
def test_measure_peak_memory_in_a_fresh_process(results):
    assert 0 <= model_fits.measure_peak_memory("KMeans", corpora.load("digits"), 10) < 500


def test_make_sparse_rows_has_the_requested_shape_and_format():
    X = memory.make_sparse_rows(1000, 200, 20)
    assert X.shape == (1000, 200)
    assert X.has_canonical_format
    assert (np.diff(X.indptr) == 20).all()
    assert X.data.dtype == np.float32


def test_images_recovers_planted_basis_and_published_rule_equals_oracle(monkeypatch):
    monkeypatch.setattr(images, "N_SEEDS", 1)
    row = images.measure_recovery("geodesic")
    assert row["atoms recovered"] == row["worst seed"] == 1
    W, X = np.eye(3, 4), np.random.default_rng(0).random((5, 4))
    expected = oracles.orthogonal_sparse_coding_epoch(W, X, 0.1, 2)
    np.testing.assert_allclose(images.run_published_rule(W, X, 0.1, 2), expected, atol=1e-12)


@pytest.fixture(scope="module")
def collection():
    """Documents of three subjects, with a query and its relevance judgements for each."""
    rng = np.random.default_rng(0)
    subjects = [[f"{subject}{i}" for i in range(80)] for subject in ("ship", "tree", "coin")]
    texts = [" ".join(rng.choice(subjects[i % 3] + subjects[(i + 1) % 3][:9], 20)) for i in range(60)]
    queries = [" ".join(rng.choice(words, 10)) for words in subjects]
    relevant = [dict.fromkeys(range(subject, 60, 3), 1) for subject in range(3)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engines, "THREADS", 1)  # halves the compilation
        yield retrieval_collections.make_collection("planted", texts, queries, relevant)


def compute_feedback(query, documents, scores, n_terms, get_weights, combine):
    """Expand a query as Anserini does; query and documents are dictionaries of counts."""
    total = {}
    for document, score in zip(documents, scores, strict=True):
        for term, weight in get_weights(document, score).items():
            total[term] = total.get(term, 0) + weight
    first = dict(sorted(total.items(), key=lambda item: (-item[1], item[0]))[:n_terms])
    return {term: combine(query, first, term) for term in {*query, *first}}


def normalize_term(vector, term, power):
    norm = sum(abs(value) ** power for value in vector.values()) ** (1 / power)
    return vector.get(term, 0) / norm if norm else 0


def keep_top_terms(document, n_terms):
    return dict(sorted(document.items(), key=lambda item: (-item[1], item[0]))[:n_terms])


def convert_to_dict(row):
    return {term: float(row[term]) for term in np.flatnonzero(row)}


@pytest.mark.parametrize("kind", [RM3, Rocchio])
def test_feedback_engines_equal_plain_python(collection, kind):
    pytest.importorskip("bm25s", minversion="0.2.14")
    engine, n_terms = kind(collection.counts, n_documents=5, n_terms=7), 7
    first = BM25(collection.counts).search(collection.queries, 5)
    counts = collection.counts.toarray()
    counts[:, (counts > 0).sum(axis=0) > 0.1 * len(counts)] = 0
    get_weights, combine = {
        RM3: (
            lambda document, score: {
                t: score * normalize_term(keep_top_terms(document, n_terms), t, 1)
                for t in keep_top_terms(document, n_terms)
            },
            lambda query, model, t: 0.5 * normalize_term(query, t, 1) + 0.5 * normalize_term(model, t, 1),
        ),
        Rocchio: (
            lambda document, score: {t: normalize_term(document, t, 2) / 5 for t in document},
            lambda query, model, t: normalize_term(query, t, 2) + 0.75 * normalize_term(model, t, 2),
        ),
    }[kind]
    expanded = engine.expand_queries(collection.queries).toarray()
    for query, ids, scores, got in zip(collection.queries.toarray(), *first, expanded, strict=True):
        documents = [convert_to_dict(counts[i]) for i in ids]
        expected = compute_feedback(convert_to_dict(query), documents, scores, n_terms, get_weights, combine)
        np.testing.assert_allclose(got, [expected.get(term, 0) for term in range(len(got))], rtol=1e-5)
        assert any(documents)  # feedback is not empty


def test_bm25_search_weighted_scales_with_query_weights(collection):
    pytest.importorskip("bm25s", minversion="0.2.14")
    engine = BM25(collection.counts)
    plain, weighted = engine.search(collection.queries, 10), engine.search_weighted(2 * collection.queries, 10)
    assert are_equal_up_to_ties(plain, Found(weighted.ids, weighted.scores / 2)).all()
    empty = engine.search(0 * collection.queries, 4)
    assert (empty.ids == -1).all()


def test_list_tokens_keep_largest_and_ties_of_engines():
    counts = sparse.csr_matrix(np.array([[0, 2, 1], [0, 0, 0], [1, 0, 0]], np.float32))
    assert list_tokens(counts) == [[1, 1, 2], [], [0]]
    np.testing.assert_array_equal(keep_largest(np.array([[1, 3, 3, 2.0]]), 2), [[0, 3, 3, 0]])
    one = Found(np.array([[1, 2, 3]]), np.array([[3.0, 2, 1]]))
    assert are_equal_up_to_ties(one, Found(np.array([[1, 2, 7]]), one.scores)).all()
    assert not are_equal_up_to_ties(one, Found(np.array([[1, 7, 3]]), one.scores)).any()
    assert not are_equal_up_to_ties(one, Found(one.ids, 2 * one.scores)).any()


def test_retrieval_and_search_throughput_write_results_and_tables(collection, results, monkeypatch):
    pytest.importorskip("bm25s", minversion="0.2.14")
    pytest.importorskip("faiss")
    monkeypatch.setattr(retrieval_collections, "REPORT", ("planted",))
    monkeypatch.setattr(retrieval_collections, "load", lambda name: collection)
    retrieval.run("report")
    retrieval.run("report", ["BM25"])  # rows of other engines are kept
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


def test_compare_gives_bootstrap_interval_and_p_value():
    rng = np.random.default_rng(0)
    base = rng.random(50)
    same = retrieval.compare(base, base)
    assert same["MAP gain"] == 0
    assert same["p"] == 1
    better = retrieval.compare(base + 0.1 * rng.random(50), base)
    assert 0 < better["low"] < better["MAP gain"] < better["high"]
    assert better["p"] < 0.001


def test_recall_of_word_sets():
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
    corrupted = associative_memory.corrupt_images(pictures, trial, np.random.default_rng(0))
    assert not corrupted[:, 392:].any()
    assert 0 <= corrupted.min() < corrupted.max() <= 1
    shares = associative_memory.measure_images(trial, pictures, seeds=[0])
    assert shares["defaults"] == shares["NearestNeighbors(1)"] == 1


def test_search_scale_draws_word_sets_and_equals_plain_numpy():
    X = search_scale.draw_word_sets(200, 5000, 10)
    assert X.has_canonical_format
    assert (X.getnnz(axis=1) == 10).all()
    assert search_scale.measure_product_seconds(np.ones((300, 4), np.float32), np.ones((5, 4), np.float32)) > 0
    pictures = np.random.default_rng(0).random((30, 784), dtype=np.float32)
    memory = HopfieldMemory(similarity="cosine").fit(pictures)
    assert search_scale.compute_largest_difference(memory, pictures, pictures[:7, ::-1]) < 1e-5
    np.testing.assert_allclose(search_scale.compute_sparsemax(np.array([0.5, 0.1, -2])), [0.7, 0.3, 0])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads /proc of Linux")
@pytest.mark.parametrize("which", list(search_scale.QUERY_METHODS))
def test_search_scale_measures_latency_and_memory_growth(which, monkeypatch):
    monkeypatch.setattr(search_scale, "N_WORDS", 2000)
    figures = search_scale.measure_large(which, n_patterns=2000)
    assert all(value >= 0 for value in figures.values())
    assert {f"{method} ms" for method in search_scale.QUERY_METHODS[which]} <= set(figures)


def test_format_table_writes_markdown():
    rows = [{"model": "A", "NMI": 0.5, "passes": 12.0}, {"model": "B", "NMI": 0.25}]
    assert report.format_table(rows, ["model", "NMI", "passes"]).splitlines() == [
        "| model | NMI | passes |",
        "|---|---|---|",
        "| A | 0.500 | 12.0 |",
        "| B | 0.250 |  |",
    ]


def test_heads_are_evaluated_on_held_out_groups():
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


# -- the GPU benchmark, without a GPU ----------------------------------------------------------------------------------

TINY = speed_gpu.Sizes(
    copy_bytes=4096,
    images=(300, 784),
    components=20,
    image_batches=(100, 150),
    documents=400,
    words=3000,
    topics=5,
    document_batches=("auto", 200),
    memories=300,
    dimensions=16,
    queries=40,
    query_block=16,
    fit_components=5,
)


def test_gpu_ratios_and_required_figures():
    assert speed_gpu.compute_ratio(10.0, 0.25) == 40
    assert speed_gpu.compute_ratio(None, 0.25) is speed_gpu.compute_ratio(1.0, None) is None
    # 60 million entries, 100 components: 48 GB read and written in 30 ms, at a bandwidth of 4 TB/s
    assert speed_gpu.compute_bandwidth_share(2 * 60e6 * 100 * 4, 0.03, 4e12) == pytest.approx(0.4)
    assert speed_gpu.compute_bandwidth_share(1.0, 1.0, None) is None
    assert speed_gpu.require_at_least(40.0, 40, "times") == {
        "required": "at least 40 times",
        "measured": 40.0,
        "met": "yes",
    }
    assert speed_gpu.require_at_least(39.9, 40, "times")["met"] == "no"
    assert speed_gpu.require_at_least(None, 40, "times")["met"] == "unknown"
    assert speed_gpu.require_at_least(3.0, None, "GB/s") == {"required": "(GB/s)", "measured": 3.0, "met": ""}
    assert [speed_gpu.require_at_most(x, 0.01, "apart")["met"] for x in (0.01, 0.02)] == ["yes", "no"]
    assert [speed_gpu.require_below(x, 1, "of it")["met"] for x in (0.1, 1.0)] == ["yes", "no"]


def test_gpu_draw_documents_has_distinct_words_and_zipf_frequencies():
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
    assert (
        of_topics[::5].min() > 1.5 * np.delete(of_topics, np.s_[::5]).max()
    )  # the first words of the orders of topics


def test_gpu_random_images_have_shape_and_density_of_mnist(monkeypatch):
    monkeypatch.delenv("CODEBOOKS_DATA", raising=False)
    pixels, name = speed_gpu.load_images((2000, 784))
    assert "random" in name
    assert pixels.shape == (2000, 784)
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() < pixels.max() < 1
    assert (pixels != 0).mean() == pytest.approx(0.19, abs=0.005)
    assert speed_gpu.Sizes().images == (60_000, 784)


def test_limit_to_two_cores_restores_threads():
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
def test_every_gpu_part_runs_with_numpy(part, without_data):
    rows = list(speed_gpu.measure_parts(np, TINY, speed_gpu.Budget(), [part]))
    assert [row for row in rows if row.get("met", "").startswith("failed")] == []
    assert all(row["part"] == part for row in rows)
    for row in rows:
        if not row.get("met", "").startswith("left out"):
            assert row.get("seconds", 1) > 0
    if part == "recall":
        [recall] = [row for row in rows if "share of queries whose original comes first" in row]
        assert recall["share of queries whose original comes first"] > 0.5
        assert any("against all cores" in row["what"] for row in rows)
    if part == "Krotov-Hopfield":
        differences = [row["largest difference of components"] for row in rows if "CPU seconds" in row]
        assert differences == pytest.approx([0, 0], abs=1e-6)


def test_failed_gpu_cases_are_reported_and_others_continue(monkeypatch, results, capsys, without_data):
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


def test_gpu_cases_after_the_time_limit_are_left_out(monkeypatch):
    budget = speed_gpu.Budget()
    assert budget.get_repeats() == 5
    monkeypatch.setattr(speed_gpu, "FRUGAL_AFTER", 0)
    assert budget.get_repeats() == 1
    monkeypatch.setattr(speed_gpu, "STOP_AFTER", 0)
    rows = list(speed_gpu.measure_parts(np, TINY, budget))
    assert [row["met"] for row in rows] == ["left out: No time was left."] * len(speed_gpu.PARTS)


def test_gpu_command_without_cupy_or_device_raises(monkeypatch):
    monkeypatch.setenv("CUPY_TF32", "1")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.setattr("sys.argv", ["benchmarks", "speed", "--device", "gpu"])
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(SystemExit, match="needs CuPy, which cannot be imported") as stopped:
        benchmarks.__main__.main()
    assert isinstance(stopped.value.code, str)  # Python prints it and exits with 1
    runtime = SimpleNamespace(getDeviceCount=lambda: 0)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    with pytest.raises(SystemExit, match="needs a CUDA device"):
        benchmarks.__main__.main()
    assert "CUPY_TF32" not in os.environ


def test_evaluate_words_chooses_on_one_half_and_evaluates_on_both():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    rare = sparse.random(400, 60, 0.02, "csr", random_state=0)
    planted = sparse.csr_matrix((np.arange(30) // 10 == labels[:, None]) & (rng.random((400, 30)) < 0.4), dtype=float)
    X, terms = sparse.hstack([planted, rare]).tocsr(), [f"w{column}" for column in range(90)]
    figures = evaluate_words(labels, X, X, terms, 4, seed=0)
    assert list(figures) == ["TD", "NPMI same half", "NPMI other half"]
    assert figures["TD"] == 1.0
    assert min(figures["NPMI same half"], figures["NPMI other half"]) > 0.2
    chance = evaluate_words(rng.permutation(labels), X, X, terms, 4, seed=0)
    assert chance["NPMI same half"] > chance["NPMI other half"]
    assert evaluate_words(labels, X, X, terms, 4, seed=0) == figures != evaluate_words(labels, X, X, terms, 4, seed=1)
    own = evaluate_words(labels, X, X, terms, 4, seed=0, words=[list(range(10)), list(range(30, 40))])
    assert own == evaluate_words(labels, X, X, terms, 4, seed=0, words=[terms[:10], terms[30:40]])
    assert own["NPMI other half"] < figures["NPMI other half"]
