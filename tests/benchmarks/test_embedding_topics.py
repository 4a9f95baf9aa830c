"""Tests of the benchmark of topics on embeddings, on planted groups and without peers."""

import numpy as np
import pytest
from scipy import sparse

pytest.importorskip("benchmarks")

from benchmarks import embedding_topics
from benchmarks.embedding_topics import EmbeddedCorpus, Grouping


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 30)
    embeddings = 2 + rng.standard_normal((3, 16))[labels] + 0.2 * rng.standard_normal((90, 16))
    counts = sparse.csr_matrix(np.repeat(np.eye(3), 4, axis=1)[labels] * rng.integers(1, 3, (90, 12)), dtype=np.float32)
    terms = np.array([f"word{w}" for w in range(12)])
    return EmbeddedCorpus("planted", embeddings.astype(np.float32), counts, counts, terms, labels, ["text"] * 90)


@pytest.mark.parametrize("name", embedding_topics.OURS | embedding_topics.KMEANS)
def test_every_model_recovers_planted_groups(corpus, name):
    (row,) = embedding_topics.measure((embedding_topics.OURS | embedding_topics.KMEANS)[name], corpus, 3, 2)
    assert (row["model"], row["corpus"], row["K"], row["seeds"]) == (name, "planted", 3, 2)
    assert row["NMI"] == row["ARI"] == row["purity"] == row["TD"] == pytest.approx(1)
    assert row["NPMI"] == pytest.approx(1)
    assert row["outliers"] == 0


def test_evaluate_compares_groups_with_labels_and_counts_outliers(corpus):
    right = embedding_topics.evaluate(Grouping(corpus.labels, 0.25), corpus)
    assert right["topics"] == 3
    assert right["outliers"] == 0.25
    wrong = embedding_topics.evaluate(Grouping(np.arange(90) % 3), corpus)
    assert wrong["NMI"] < 0.1
    assert wrong["NPMI"] < right["NPMI"]


def test_format_verdict_shows_differences_in_nmi():
    rows = [
        {"corpus": "a", "model": model, "NMI": nmi}
        for model, nmi in ((embedding_topics.RECOMMENDED, 0.6), ("KMeans", 0.5))
    ]
    assert embedding_topics.format_verdict(rows) == "a: Krotov-Hopfield, smoothed NMI 0.600, ahead +0.100 of KMeans"
