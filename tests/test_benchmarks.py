"""The benchmark scripts run, and write what they print."""

import json

import numpy as np
import oracles
import pytest
from sklearn.cluster import KMeans

from benchmarks import images, memory, quality, report
from benchmarks.contenders import CONTENDERS, labels_of


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def test_quality_on_what_everybody_has(results, capsys):
    quality.run([("digits", 10)], ["Krotov-Hopfield", "KMeans", "NMF"], 2, "trial", "a command")
    written = json.loads((results / "trial.json").read_text())
    assert written["command"] == "a command"
    assert [row["model"] for row in written["rows"]] == ["Krotov-Hopfield", "NMF", "KMeans"]
    quality.run([("digits", 10)], ["Krotov-Hopfield"], 1, "trial", "another command")
    again = json.loads((results / "trial.json").read_text())["rows"]
    assert again[1:] == written["rows"][1:]  # the peers have not been measured again
    assert again[0]["seconds"] != written["rows"][0]["seconds"]
    for row in written["rows"]:
        assert 0.2 < row["NMI"] <= 1
        assert row["seconds"] > 0
    assert "Krotov-Hopfield less the best of its peers" in capsys.readouterr().out


def test_cells_are_counted_against_the_best_peer():
    figures = dict.fromkeys(quality.FIGURES, 0.5)
    rows = [
        {"corpus": "a", "K": 2, "model": "Krotov-Hopfield", "seconds": 1.0, **figures},
        {"corpus": "a", "K": 2, "model": "NMF", "seconds": 9.0, **figures, "NMI": 0.504},
        {"corpus": "a", "K": 2, "model": "KMeans", "seconds": 2.0, **figures, "ARI": 0.506, "purity": 0.1},
    ]
    (row,) = quality.compared(rows)
    assert row["seconds"] == 0.5
    assert row["ARI"] == pytest.approx(-0.006)
    assert row["purity"] == 0
    assert "best peer in 4 of 5 cells, not behind NMF in 5" in quality.summary(rows)


def test_every_contender_labels_every_row():
    X = np.random.default_rng(0).random((60, 8))
    for contender in CONTENDERS.values():
        labels = labels_of(contender.build(3, 0).fit(X), X)
        assert labels.shape == (60,)
        assert set(labels) <= {0, 1, 2}
    np.testing.assert_array_equal(labels_of(model := KMeans(3, n_init=1, random_state=0).fit(X), X), model.labels_)


def test_the_large_matrix_is_what_it_says():
    X = memory.synthetic(1000, 200, 20)
    assert X.shape == (1000, 200)
    assert X.has_canonical_format
    assert (np.diff(X.indptr) == 20).all()
    assert X.data.dtype == np.float32


def test_planted_bases_and_the_published_rule(monkeypatch):
    monkeypatch.setattr(images, "N_SEEDS", 1)
    row = images.recovery("geodesic")
    assert row["atoms recovered"] == row["worst seed"] == 1
    W, X = np.eye(3, 4), np.random.default_rng(0).random((5, 4))
    expected = oracles.orthogonal_sparse_coding_epoch(W, X, 0.1, 2)
    np.testing.assert_allclose(images.transcription(W, X, 0.1, 2), expected, atol=1e-12)


def test_tables_are_markdown():
    rows = [{"model": "A", "NMI": 0.5, "passes": 12.0}, {"model": "B", "NMI": 0.25}]
    assert report.table(rows, ["model", "NMI", "passes"]).splitlines() == [
        "| model | NMI | passes |",
        "|---|---|---|",
        "| A | 0.500 | 12.0 |",
        "| B | 0.250 |  |",
    ]
