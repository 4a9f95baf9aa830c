"""Measures of embeddings against slow loops, sums done by hand, and what they are said to be blind to."""

import csv
import gzip
import json
from itertools import pairwise
from math import isnan, log

import numpy as np
import oracles
import pytest
from scipy import sparse
from scipy.stats import ortho_group

from benchmarks import geometry, report
from codebooks.datasets import Corpus
from codebooks.metrics import alignment, average_cosine, isoscore, uniformity

MEASURES = {"average_cosine": average_cosine, "isoscore": isoscore, "uniformity": uniformity}


def cone(n=40, d=7, seed=0):
    rng = np.random.default_rng(seed)
    return 2 + rng.standard_normal((n, d)) * np.geomspace(3, 0.1, d)


def ball(k, d, n=20_000):
    """Rows that vary alike in the first k of d directions."""
    X = np.full((n, d), 5.0)
    X[:, :k] = np.random.default_rng(0).standard_normal((n, k))
    return X


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(40, 7), (5, 30), (2, 2), (1100, 3)])
@pytest.mark.parametrize("name", MEASURES)
def test_metrics_equal_slow_loops(name, shape, dtype):
    X = cone(*shape).astype(dtype)
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    assert MEASURES[name](X) == pytest.approx(getattr(oracles, name)(X), rel=tolerance, abs=tolerance)
    assert type(MEASURES[name](X)) is float


@pytest.mark.parametrize("alpha", [1, 2, 3.5])
@pytest.mark.parametrize("shape", [(40, 7), (1, 3), (2500, 4)])
def test_alignment_equals_slow_loops(shape, alpha):
    A, B = cone(*shape), cone(*shape, seed=1)
    assert alignment(A, B, alpha) == pytest.approx(oracles.alignment(A, B, alpha), rel=1e-12)
    assert alignment(A, 3 * A) == pytest.approx(0, abs=1e-12)
    assert alignment(A, -A, alpha) == pytest.approx(2**alpha)


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (2, 0.5), (3, 1.0)])
def test_isoscore_of_a_line_a_disk_and_a_ball(k, expected):
    assert isoscore(ball(k, 3)) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("k", [1, 4, 9])
def test_isoscore_counts_the_directions_in_use(k):
    corners = np.vstack([np.eye(k, 9), -np.eye(k, 9)])
    assert isoscore(corners) == pytest.approx((k - 1) / 8)


@pytest.mark.parametrize("shape", [(40, 7), (5, 30)])
def test_isoscore_does_not_depend_on_mean_scale_and_rotation(shape):
    X = cone(*shape)
    turned = X @ ortho_group.rvs(shape[1], random_state=0)
    for other in (X + 100, 1e-6 * X, -X, turned):
        assert isoscore(other) == pytest.approx(isoscore(X), rel=1e-6)


def test_isoscore_upper_bound_for_few_rows():
    X = np.random.default_rng(0).standard_normal((10, 500))
    assert isoscore(X) <= (10 - 2) / (500 - 1)


@pytest.mark.parametrize("X", [[[1.0], [2.0]], [[0.1, 0.2]], [[0.1, 0.2, 0.3]] * 7, np.zeros((3, 2))], ids=str)
def test_isoscore_without_variance_is_nan(X):
    assert isnan(isoscore(X))


def test_average_cosine_of_zero_rows_and_sparse_ones():
    X = np.array([[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]])
    assert average_cosine(X) == pytest.approx(1 / 3)
    assert average_cosine(sparse.csr_matrix(X)) == pytest.approx(1 / 3)
    assert average_cosine(sparse.csc_array(X)) == pytest.approx(1 / 3)
    assert average_cosine(np.zeros((2, 3))) == 0
    assert isnan(average_cosine([[1.0, 2.0]]))


def test_uniformity_of_equal_and_of_random_directions():
    assert uniformity([[1.0, 0.0], [-1.0, 0.0]], t=3) == pytest.approx(-12)
    assert uniformity([[1.0, 2.0], [2.0, 4.0]]) == pytest.approx(0, abs=1e-12)
    everywhere = np.random.default_rng(0).standard_normal((2000, 300))
    assert uniformity(everywhere) == pytest.approx(-4, abs=0.03)
    assert uniformity([[1.0, 0.0], [-1.0, 0.0]], t=1e4) == pytest.approx(-4e4)  # exp alone would be zero
    assert isnan(uniformity([[1.0, 2.0]]))


def test_uniformity_of_a_random_sample_is_close_to_the_full_value():
    X = cone(3000, 20)
    everything = uniformity(X, n_rows=None)
    assert uniformity(X, n_rows=1000) == pytest.approx(everything, abs=0.05)
    assert uniformity(X, n_rows=1000) == uniformity(X, n_rows=1000) != uniformity(X, n_rows=1000, random_state=1)
    assert uniformity(X, n_rows=3000) == everything
    assert everything == pytest.approx(log(np.exp(-4 * (1 - cosines(X))).mean()), rel=1e-9)


def cosines(X):
    X = X / np.linalg.norm(X, axis=1, keepdims=True)
    return (X @ X.T)[np.triu_indices(len(X), 1)]


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_nan_and_infinity_are_rejected(measure):
    for bad in ([[np.nan, 1.0]], [[np.inf, 1.0]], np.empty((0, 3))):
        with pytest.raises(ValueError):
            measure(bad)


def test_invalid_arguments_are_rejected():
    X = cone()
    with pytest.raises(ValueError, match=r"same shape.*got \(40, 7\) and \(39, 7\)"):
        alignment(X, X[1:])
    with pytest.raises(ValueError, match="`alpha` must be"):
        alignment(X, X, 0)
    with pytest.raises(ValueError, match="`t` must be"):
        uniformity(X, -1)
    with pytest.raises(ValueError, match="`n_rows` must be an integer >= 2"):
        uniformity(X, n_rows=1)
    for measure in (isoscore, uniformity):
        with pytest.raises(TypeError, match="dense"):
            measure(sparse.csr_matrix(X))


# -- the benchmark ---------------------------------------------------------------------------------------------------


def test_benchmark_reports_whether_its_thresholds_are_met():
    y = np.repeat(np.arange(4), 50)
    X = cone(200, 12) + 4 * np.eye(4, 12)[y]
    for rows in (
        geometry.measure_spread("trial", X, y),
        geometry.measure_spread("trial", X[::2], y[::2], X[1::2], y[1::2]),
    ):
        assert [row["model"] for row in rows] == list(geometry.MODELS)
        for row in rows:
            assert row["times raw"] == pytest.approx(row["IsoScore"] / rows[0]["IsoScore"])
            assert 0 < row["accuracy@1"] <= 1
            assert ("bar" in row) == (row["model"] in geometry.BARS)
    people = np.einsum("ij,ij->i", X[::2], X[1::2])
    rows = geometry.measure_correlation("trial", X[::2], X[1::2], people, X, "itself")
    assert all(-1 <= row["Spearman"] <= 1 for row in rows)
    assert [row["model"] for row in rows if "bar" in row] == [geometry.DEFAULTS]


def test_benchmark_neighbours_exclude_the_row_itself():
    X = np.array([[1.0, 0.0], [5.0, 1.0], [0.0, 1.0]])
    assert geometry.find_nearest(X).tolist() == [1, 0, 1]
    assert geometry.find_nearest(X[:2], X[1:]).tolist() == [0, 0]


def test_benchmark_reads_its_data_and_writes_a_file(tmp_path, monkeypatch, capsys):
    def lay(path, lines):
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t" if "tsv" in path.name else ",").writerows(lines)

    texts = [f"{word} {number}" for number in range(6) for word in ("goal", "bank")]
    monkeypatch.setenv("CODEBOOKS_DATA", str(tmp_path))
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    for part in ("train", "test"):
        lay(tmp_path / f"banking77/{part}.csv.gz", [["text", "category"], *([text, text[:4]] for text in texts)])
    for part in ("train", "dev", "test"):
        lay(tmp_path / f"stsb_en/stsb-en-{part}.csv.gz", [[a, b, i] for i, (a, b) in enumerate(pairwise(texts))])
    stories = Corpus([*texts], [text[:4] for text in texts], "bbc_news", None)
    monkeypatch.setattr(geometry, "load_corpus", lambda name: stories)

    def embed(texts):
        return np.array([np.random.default_rng([*text.encode()]).standard_normal(8) + 1 for text in texts], np.float32)

    geometry.run(embed)
    rows = json.loads((tmp_path / "results/embeddings-geometry.json").read_text())["rows"]
    assert len(rows) == (3 + 4) * len(geometry.MODELS)
    assert "| stsb_en test | training sentences | PartialWhitening() |" in capsys.readouterr().out
