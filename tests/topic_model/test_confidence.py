"""Confidence of `TopicModel`, rejection of documents, and the mark of mixed topics."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from codebooks import TopicModel
from codebooks.topic_model.calibration import calibrate
from codebooks.topic_model.description import describe_topics
from codebooks.topic_model.nearest import draw_reference, score_rows
from codebooks.topic_model.word_likelihood import build_word_likelihood, count_terms


def make_texts(n, prefix, seed, n_topics=4, n_words=40, length=(3, 15)):
    """Return texts about topics with words of their own, and words that all topics share."""
    rng = np.random.RandomState(seed)
    texts = []
    for i in range(n):
        size = rng.randint(*length)
        own = rng.zipf(1.3, 2 * size) % n_words
        shared = rng.randint(n_words, size=size // 2)
        words = [f"{prefix}{'abcdefghij'[i % n_topics]}{w}x" for w in own[:size]] + [f"common{w}x" for w in shared]
        texts.append(" ".join(words))
    return texts


@pytest.fixture(scope="module")
def texts():
    return make_texts(800, "q", 0)


@pytest.fixture(scope="module")
def model(texts):
    return TopicModel(4, language=None, reject_below="auto", random_state=0).fit(texts)


def test_reject_below_auto_keeps_unseen_documents_and_rejects_another_corpus(model):
    unseen, others = make_texts(400, "q", 1), make_texts(400, "z", 2)
    assert 0.01 <= np.mean(model.predict(unseen) == -1) <= 0.1
    assert np.mean(model.predict(others) == -1) >= 0.9


def test_confidence_is_the_share_of_unseen_documents_that_fit_less_well(model):
    confidence = model.confidence(make_texts(800, "q", 3))
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    for level in (0.1, 0.5, 0.9):
        assert abs(np.mean(confidence < level) - level) < 0.08
    assert model.confidence(["", "unknown words"]).tolist() == [0, 0]
    assert model.confidence([]).shape == (0,)


def test_confidence_does_not_depend_on_reject_below_and_labels_are_predictions(texts, model):
    plain = TopicModel(4, language=None, random_state=0).fit(texts)
    assert np.array_equal(plain.confidence(texts[:50]), model.confidence(texts[:50]))
    assert np.array_equal(model.predict(texts), model.labels_)
    assert (plain.labels_ >= 0).all()
    assert np.array_equal(model.labels_ == -1, model.confidence(texts) < model.reject_below_)


def test_short_and_long_documents_are_rejected_equally_often(texts):
    model = TopicModel(4, language=None, reject_below=0.1, random_state=0).fit(texts)
    for length in ((3, 4), (13, 15)):
        assert 0.02 <= np.mean(model.predict(make_texts(400, "q", 4, length=length)) == -1) <= 0.22


@pytest.mark.parametrize("n", [1, 2, 12])
def test_few_documents_are_kept(n):
    texts = make_texts(n, "q", 0)
    model = TopicModel(min(n, 2), language=None, reject_below="auto", random_state=0).fit(texts)
    assert np.mean(model.labels_ == -1) <= 0.1
    assert np.isfinite(model.confidence(texts)).all()


@pytest.mark.parametrize("settings", [{"vectorizer": CountVectorizer(min_df=2)}, {"learner": KMeans(n_init=1)}])
def test_confidence_with_other_vectorizers_and_learners(settings, texts):
    model = TopicModel(4, reject_below="auto", random_state=0, **settings).fit(texts)
    assert np.mean(model.predict(make_texts(400, "q", 1)) == -1) <= 0.1
    assert np.mean(model.predict(make_texts(400, "z", 2)) == -1) >= 0.9


def embed(texts):
    """Return embeddings whose direction depends on the first letters of words, and which have a common direction."""
    themes = CountVectorizer(token_pattern=r"\b[qz][a-z]", vocabulary=[f"{p}{t}" for p in "qz" for t in "abcd"])
    rows = themes.transform(texts).toarray() @ np.random.RandomState(0).standard_normal((8, 32))
    rows += 0.3 * np.random.RandomState(len(texts)).standard_normal(rows.shape) + 2
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_confidence_of_embeddings():
    texts = make_texts(300, "q", 0)
    model = TopicModel(4, embedder=embed, language=None, reject_below="auto", random_state=0).fit(texts)
    assert np.mean(model.labels_ == -1) <= 0.1
    assert np.mean(model.predict(make_texts(200, "q", 1)) == -1) <= 0.12
    assert np.mean(model.predict(make_texts(200, "z", 2)) == -1) >= 0.8


def test_edits_and_files_keep_the_confidence(model, texts, tmp_path):
    unseen, others = make_texts(200, "q", 1), make_texts(200, "z", 2)
    edited = model.merge([[0, 1]]).forbid(["common1x"])
    assert np.mean(edited.predict(unseen) == -1) <= 0.1
    assert np.mean(edited.predict(others) == -1) >= 0.9
    pytest.importorskip("skops")
    edited.save(tmp_path / "model.skops")
    loaded = TopicModel.load(tmp_path / "model.skops")
    assert np.allclose(loaded.confidence(unseen), edited.confidence(unseen))
    assert np.array_equal(loaded.predict(unseen), edited.predict(unseen))


def test_left_out_score_equals_score_without_the_document():
    texts = ["a b b2", "a b", "a c c2", "c d", "d c c2", "d e", "b a b2", "c c2 d"]
    positions = np.array([0, 0, 1, 1, 1, 1, 0, 1])
    vectorizer = CountVectorizer(token_pattern=r"\w+").fit(texts)
    words = vectorizer.transform(texts)
    n_terms = count_terms(vectorizer, texts, words)
    left_out = build_word_likelihood(words, positions, 2).score_left_out(words, n_terms, positions)
    others = np.arange(1, len(texts))
    alone = build_word_likelihood(words[others], positions[others], 2).score(words[:1], n_terms[:1])
    assert left_out[0] == pytest.approx(alone[0], abs=0.1)
    assert left_out[0] < build_word_likelihood(words, positions, 2).score(words[:1], n_terms[:1])[0]


def test_count_terms_counts_unknown_terms():
    vectorizer = CountVectorizer(min_df=2).fit(["red car", "red bus", "red car"])
    texts = ["red car red bicycle", "tram", ""]
    assert count_terms(vectorizer, texts, vectorizer.transform(texts)).tolist() == [3, 1, 0]


def test_calibration_of_equal_scores():
    calibration = calibrate(np.zeros(5), np.full(5, 3))
    assert calibration.compute_levels(np.array([0.0]), np.array([3]))[0] > 0.1
    assert calibration.compute_levels(np.array([-1.0]), np.array([3]))[0] == pytest.approx(0)
    assert calibration.compute_levels(np.array([1.0]), np.array([3]))[0] > 0.8


@pytest.mark.parametrize("value", [-0.1, 1.5, True, "always", float("nan")])
def test_reject_below_out_of_range(value):
    with pytest.raises(ValueError, match="`reject_below` must be a number from 0 to 1"):
        TopicModel(2, reject_below=value).fit(["red car", "ripe apple"])


class TestMixedTopics:
    def test_clean_topics_are_not_mixed(self, model):
        assert not any(topic.is_mixed for topic in model.topics_)
        assert not any(topic.is_mixed for topic in model.merge([[0, 1]]).topics_)

    def test_a_topic_of_random_documents_is_mixed(self):
        texts = make_texts(900, "q", 0, n_topics=6)
        words = CountVectorizer(min_df=2, dtype=np.float32).fit_transform(texts)
        positions = np.arange(900) % 6
        positions[np.random.RandomState(0).rand(900) < 0.2] = 6
        topics = describe_topics(
            words, texts, words, positions, ids=range(7), terms=[str(i) for i in range(words.shape[1])], names={}
        )
        assert [topic.id for topic in topics if topic.is_mixed] == [6]
        assert ", mixed" in str(topics)

    def test_few_documents_are_not_mixed(self):
        assert not any(topic.is_mixed for topic in TopicModel(3, language=None).fit(make_texts(12, "q", 0)).topics_)


@pytest.mark.parametrize("convert", [np.asarray, csr_matrix])
def test_score_rows_is_the_mean_cosine_with_the_nearest_other_rows(convert):
    X = np.random.RandomState(0).poisson(0.5, (30, 20)).astype(float) + np.eye(30, 20)
    cosines = cosine_similarity(X)
    np.fill_diagonal(cosines, -1)
    expected = np.sort(cosines, axis=1)[:, -10:].mean(axis=1)
    rows = convert(X)
    np.testing.assert_allclose(score_rows(rows, draw_reference(rows), np.arange(30)), expected)
