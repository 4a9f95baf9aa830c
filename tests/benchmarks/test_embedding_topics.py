"""Tests of the benchmark of topics on embeddings, on planted groups and without peers."""

import numpy as np
import pytest
from scipy import sparse

pytest.importorskip("benchmarks")

from benchmarks import embedding_models, embedding_topics
from benchmarks.embedding_models import EmbeddedCorpus, Grouping, Seconds

TOPIC_MODELS = ("TopicModel", "TopicModel, words")
EMBEDDING_MODELS = [name for name in embedding_topics.OURS | embedding_topics.KMEANS if name not in TOPIC_MODELS]


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 30)
    embeddings = 2 + rng.standard_normal((3, 16))[labels] + 0.2 * rng.standard_normal((90, 16))
    counts = sparse.csr_matrix(np.repeat(np.eye(3), 4, axis=1)[labels] * rng.integers(1, 3, (90, 12)), dtype=np.float32)
    terms = np.array([f"word{w}" for w in range(12)])
    documents = [" ".join(np.repeat(terms, row.astype(int))) for row in counts.toarray()]
    tokens = embedding_topics.count_tokens(documents)
    return EmbeddedCorpus("planted", embeddings.astype(np.float32), counts, counts, terms, labels, documents, *tokens)


@pytest.mark.parametrize("name", EMBEDDING_MODELS)
def test_every_model_recovers_planted_groups(corpus, name):
    (row,) = embedding_topics.measure((embedding_topics.OURS | embedding_topics.KMEANS)[name], corpus, 3, 2)
    assert (row["model"], row["corpus"], row["K"], row["seeds"]) == (name, "planted", 3, 2)
    assert row["NMI"] == row["ARI"] == row["purity"] == row["TD"] == pytest.approx(1)
    assert row["NPMI"] == pytest.approx(1)
    assert row["outliers"] == 0


@pytest.mark.parametrize("name", TOPIC_MODELS)
def test_topic_models_recover_planted_groups_and_list_their_words(corpus, name):
    rows = list(embedding_topics.measure(embedding_topics.OURS[name], corpus, 3, 1))
    assert [row["model"] for row in rows] == [name, f"{name}, auto"]
    for row in rows:
        assert row["NMI"] == row["NMI with outliers"] == row["TD of own words"] == pytest.approx(1)
        assert row["NPMI of own words"] == pytest.approx(1)
        assert row["outliers"] == 0
        assert row["CPU seconds"] > 0


def test_evaluate_compares_groups_with_labels_and_counts_outliers(corpus):
    original = np.where(np.arange(90) % 10 < 3, -1, corpus.labels)
    right = embedding_topics.evaluate(Grouping(corpus.labels, original), corpus)
    assert right["topics"] == 3
    assert right["outliers"] == pytest.approx(0.3)
    assert right["NMI"] == pytest.approx(1)
    assert right["NMI with outliers"] < 0.8
    wrong = embedding_topics.evaluate(Grouping(np.arange(90) % 3), corpus)
    assert wrong["NMI"] < 0.1
    assert wrong["NPMI"] < right["NPMI"]


def test_count_tokens_has_those_of_both_tokenizations():
    tokens, names = embedding_topics.count_tokens(["C++ of the C++ kind", "c++, kind"])
    columns = [names.tolist().index(name) for name in ("c++", "the", "kind")]
    assert tokens[:, columns].toarray().tolist() == [[1, 1, 1], [1, 0, 1]]


def test_bertopic_outliers_are_assigned_and_its_topic_of_outliers_is_not_listed(corpus):
    class Fitted:
        topics_ = np.where(np.arange(90) % 10 < 3, -1, corpus.labels).tolist()

        def get_topic(self, id):
            return [(f"word{4 * id + j}", 0.5) for j in range(2)] + [("", 1e-5)]

        def reduce_outliers(self, documents, topics, strategy, embeddings):
            return [0 if topic < 0 else topic for topic in topics]

    grouping = embedding_models._assign_outliers(Fitted(), corpus, Seconds(1, 2))
    assert grouping.words == [["word0", "word1"], ["word4", "word5"], ["word8", "word9"]]
    assert (grouping.original < 0).mean() == pytest.approx(0.3)
    assert (grouping.labels == np.where(grouping.original < 0, 0, corpus.labels)).all()


def test_take_documents_repeats_rows(corpus):
    part = embedding_topics._take_documents(corpus, 100)
    assert (part.embeddings[90:] == corpus.embeddings[:10]).all()
    assert part.documents == corpus.documents + corpus.documents[:10]
    assert len(part.labels) == part.X.shape[0] == 100


def test_format_verdict_shows_differences_in_nmi():
    rows = [
        {"corpus": "a", "model": model, "NMI": nmi}
        for model, nmi in ((embedding_topics.RECOMMENDED, 0.6), ("KMeans", 0.5))
    ]
    assert embedding_topics.format_verdict(rows) == "a: Krotov-Hopfield, smoothed NMI 0.600, ahead +0.100 of KMeans"


def test_format_verdict_compares_topic_model_with_bertopic():
    shared = {"corpus": "a", "outliers": 0.0}
    rows = [
        {**shared, "model": embedding_topics.RECOMMENDED, "NMI": 0.6},
        {**shared, "model": "TopicModel, auto", "NMI": 0.7, "CPU seconds": 2},
        {"corpus": "a", "model": "BERTopic", "NMI": 0.5, "NMI with outliers": 0.4, "outliers": 0.17, "CPU seconds": 25},
    ]
    assert embedding_topics.format_verdict(rows).splitlines()[1] == (
        "a: TopicModel, auto NMI 0.700, BERTopic at most 0.500, with 17% outliers; fit 12.5 times faster"
    )
