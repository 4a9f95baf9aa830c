"""Tests of `TopicModel.partial_fit`."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import NMF
from sklearn.feature_extraction.text import CountVectorizer

from codebooks import TopicModel
from codebooks.topic_model import streaming

N_WORDS = 12


def draw_texts(themes, n, seed=0):
    """Return texts of 6 of the 12 words of a theme and 2 common words, and the themes."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.resize(themes, n))
    texts = []
    for theme in labels:
        own = [f"{'abcdefgh'[theme]}word{'abcdefghijkl'[k]}" for k in rng.choice(N_WORDS, 6, replace=False)]
        texts.append(" ".join([*own, *(f"common{'abcdef'[k]}" for k in rng.choice(6, 2, replace=False))]))
    return texts, labels


def compute_purity(labels, predicted):
    """Return the share of documents whose theme is the most frequent one of their topic."""
    return sum(np.bincount(labels[predicted == id]).max() for id in np.unique(predicted)) / len(labels)


@pytest.fixture
def model():
    return TopicModel(3, language=None, random_state=0).fit(draw_texts([0, 1, 2], 90)[0])


def test_partial_fit_first_call_equals_fit(model):
    texts = draw_texts([0, 1, 2], 90)[0]
    streamed = TopicModel(3, language=None, random_state=0).partial_fit(texts)
    assert streamed.labels_.tolist() == model.labels_.tolist()
    assert [topic.words for topic in streamed.topics_] == [topic.words for topic in model.topics_]


def test_partial_fit_keeps_ids_and_predictions(model):
    texts, labels = draw_texts([0, 1, 2], 60, seed=1)
    before = model.predict(texts)
    model.partial_fit(texts)
    assert model.topic_ids_.tolist() == [0, 1, 2]
    assert model.labels_.tolist() == model.predict(texts).tolist() == before.tolist()
    assert compute_purity(labels, model.labels_) == 1


def test_new_words_get_columns_and_decide_topics(model):
    words = "newa newb newc newd"
    [topic] = model.predict(["aworda awordb awordc"])
    assert model.predict([words]) == [-1]
    model.partial_fit([f"aworda awordb awordc {words}"])
    assert "newa" not in model.vectorizer_.vocabulary_
    model.partial_fit([f"awordd aworde awordf {words}"] * 3)
    assert {"newa", "newb", "newc", "newd"} <= set(model.vectorizer_.vocabulary_)
    assert model.predict([words]) == [topic]
    n_terms = len(model.vectorizer_.vocabulary_)
    assert model.learner_.components_.shape == (3, n_terms)
    assert model._documents.words.shape == (94, n_terms)
    # Documents before the word had a column contain it too.
    assert model._documents.words[:, model.vectorizer_.vocabulary_["newa"]].nnz == 4


def test_documents_are_bounded(model, monkeypatch):
    monkeypatch.setattr(streaming, "_N_RECENT", 10)
    monkeypatch.setattr(streaming, "_N_SAMPLED", 30)
    for seed in range(4):
        texts = draw_texts([0, 1, 2], 25, seed=seed)[0]
        model.partial_fit(texts)
    kept = model._documents
    assert len(kept.texts) == kept.words.shape[0] == 40
    assert kept.texts[-10:] == texts[-10:]
    assert (model._stream.numbers < 90).any()
    assert len(model.labels_) == 25
    assert sum(topic.size for topic in model.topics_) == 40


def test_history_refers_to_the_documents_that_are_kept(model, monkeypatch):
    monkeypatch.setattr(streaming, "_N_RECENT", 10)
    monkeypatch.setattr(streaming, "_N_SAMPLED", 20)
    edited = model.move([80], int(model.topic_ids_[model.topic_ids_ != model.labels_[80]][0]))
    text = edited._documents.texts[80]
    edited.partial_fit(draw_texts([0, 1, 2], 30, seed=5)[0])
    [row] = edited.history_[0].arguments["documents"]
    assert edited._documents.texts[row] == text


def test_vocabulary_is_bounded(model, monkeypatch):
    monkeypatch.setattr(streaming, "_N_TERMS", 60)
    monkeypatch.setattr(streaming, "_N_CANDIDATES", 50)
    model = model.seed({0: ["aworda"]})
    for seed in range(6):
        texts = draw_texts([0, 1, 2], 30, seed=seed)[0]
        model.partial_fit([f"{text} rare{seed}{k % 15}x once{seed}{k}x" for k, text in enumerate(texts)])
    vocabulary = model.vectorizer_.vocabulary_
    assert len(vocabulary) <= 60
    assert len(model._stream.candidates) <= 50
    assert {"aworda", "bwordb", "cwordc"} <= set(vocabulary)
    assert model.learner_.components_.shape[1] == model._documents.words.shape[1] == len(vocabulary)
    np.testing.assert_allclose(model.learner_.components_.sum(axis=1), 1, rtol=1e-4)


def test_chunks_of_one_document():
    texts, labels = draw_texts([0, 1], 30)
    model = TopicModel(2, language=None, random_state=0)
    for text in texts:
        model.partial_fit([text])
        assert len(model.labels_) == 1
    assert compute_purity(labels, model.predict(texts)) > 0.9


def test_chunk_of_empty_texts_changes_nothing(model):
    before = pickle.dumps([model.learner_, model.topics_, model.vectorizer_.vocabulary_])
    model.partial_fit(["", "  "])
    assert pickle.dumps([model.learner_, model.topics_, model.vectorizer_.vocabulary_]) == before
    assert model.labels_.tolist() == [-1, -1]


@pytest.mark.parametrize("documents", [[], "text", [1], None])
def test_error_leaves_the_model_unchanged(model, documents):
    before = dict(vars(model))
    with pytest.raises((TypeError, ValueError), match="TopicModel"):
        model.partial_fit(documents)
    assert vars(model) == before


def test_error_in_learning_leaves_the_model_unchanged(model, monkeypatch):
    before = dict(vars(model))
    monkeypatch.setattr(TopicModel, "_assign_documents", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.partial_fit([*["aworda neww"] * 3])
    assert vars(model) == before


def test_pickle_and_clone_of_a_streamed_model(model):
    texts = draw_texts([0, 1, 2], 30, seed=1)[0]
    copied = pickle.loads(pickle.dumps(model.partial_fit(texts)))
    copied.partial_fit(texts)
    model.partial_fit(texts)
    np.testing.assert_array_equal(copied.transform(texts), model.transform(texts))
    assert not hasattr(clone(copied.set_params(grow=True)), "learner_")


def test_edits_after_partial_fit(model):
    texts, labels = draw_texts([0, 1, 2], 30, seed=1)
    model.partial_fit(texts)
    merged = model.merge([[0, 1]])
    assert len(merged.labels_) == 120
    assert len(merged.topics_) == 2
    split = model.split(0)
    assert split.topic_ids_.tolist() == [0, 1, 2, 3]
    moved = model.move(len(texts), 2)
    assert moved.labels_[len(texts)] == 2
    forbidden = model.forbid(["aworda"]).partial_fit([f"{text} aworda" for text in texts])
    assert "aworda" not in forbidden.vectorizer_.vocabulary_
    assert compute_purity(labels, forbidden.labels_) == 1


def test_partial_fit_after_edits_keeps_them(model):
    texts = draw_texts([0, 1, 2], 240, seed=1)[0]
    [a, b, c] = model.predict(["aworda awordb", "bworda bwordb", "cworda cwordb"]).tolist()
    edited = model.merge([[a, b]]).rename({c: "third"}).seed({c: ["common" + "a"]}).pin(c)
    edited = edited.move(5, c)
    text = edited._documents.texts[5]
    pinned = edited._component_topics == edited._get_positions([c])[0]
    before = edited.learner_.components_[pinned]
    edited.partial_fit(texts)
    assert len(edited.topics_) == 2
    assert edited.topics_[edited._get_positions([c])[0]].name == "third"
    np.testing.assert_allclose(edited.learner_.components_[pinned][:, : before.shape[1]], before, rtol=1e-5)
    column = edited.vectorizer_.vocabulary_["commona"]
    assert edited.learner_.components_[~pinned][:, column].max() == 0
    assert edited._restrictions.moved == {edited._documents.texts.index(text): c}
    assert edited.predict(["aworda awordb"]) == edited.predict(["bworda bwordb"])
    # The model before the edits does not change.
    assert len(model.topics_) == 3
    assert model._documents.words.shape[0] == 90


def stream_with_growth(chunks):
    model, n_topics = TopicModel(2, language=None, grow=True, random_state=0), []
    for texts, _ in chunks:
        model.partial_fit(texts)
        n_topics.append(len(model.topic_ids_))
    return model, n_topics


def test_grow_adds_a_topic_for_each_new_theme():
    chunks = [draw_texts(themes, 250, seed) for seed, themes in enumerate([[0, 1], [0, 1], [0, 1, 2], [0, 1, 2, 3]])]
    model, n_topics = stream_with_growth(chunks)
    assert n_topics == [2, 2, 3, 4]
    assert model.topic_ids_.tolist() == [0, 1, 2, 3]
    labels = chunks[-1][1]
    assert compute_purity(labels, model.labels_) > 0.95
    assert set(model.labels_[labels == 3]) <= {2, 3}  # not those of the first themes
    assert len(set(model.labels_[labels >= 2])) == 2


def test_grow_adds_no_topic_on_a_stationary_stream():
    _, n_topics = stream_with_growth([draw_texts([0, 1, 2], 250, seed) for seed in range(5)])
    assert n_topics == [2] * 5


def test_custom_learners():
    texts = draw_texts([0, 1, 2], 90)[0]
    model = TopicModel(3, learner=MiniBatchKMeans(n_init=3), language=None, random_state=0).partial_fit(texts)
    n_terms = len(model.vectorizer_.vocabulary_)
    edited = model.rename({0: "first"})
    centers = model.learner_.cluster_centers_.copy()
    edited.partial_fit([f"{text} newword" for text in texts])
    assert len(edited.vectorizer_.vocabulary_) == n_terms
    np.testing.assert_array_equal(model.learner_.cluster_centers_, centers)
    with pytest.raises(TypeError, match="`learner` must have `partial_fit`, got NMF"):
        TopicModel(3, learner=NMF(), language=None).partial_fit(texts)


def test_custom_vectorizers():
    texts = draw_texts([0, 1, 2], 90)[0]
    for vectorizer, grows in ((CountVectorizer(), True), (CountVectorizer(vocabulary=["aworda", "bworda"]), False)):
        model = TopicModel(2, vectorizer=vectorizer, random_state=0).partial_fit(texts)
        model.partial_fit(["aworda newword"] * 2)
        assert ("newword" in model.vectorizer_.vocabulary_) is grows
        assert vectorizer.get_params() == model.vectorizer_.get_params()


def test_embeddings_with_new_words():
    def embed(texts):
        return np.array([[sum(word.startswith(c) for word in text.split()) + 0.1 for c in "abc"] for text in texts])

    texts, labels = draw_texts([0, 1, 2], 60)
    model = TopicModel(3, embedder=embed, language=None, random_state=0).partial_fit(texts)
    model.partial_fit([f"{text} newword" for text in texts])
    assert "newword" in model.vectorizer_.vocabulary_
    assert model._documents.features.shape[0] == model._documents.words.shape[0] == 120
    assert compute_purity(labels, model.labels_) > 0.9


def test_save_and_load_of_a_streamed_model(model, tmp_path):
    texts = draw_texts([0, 1, 2], 30, seed=1)[0]
    model.partial_fit([f"{text} once{k}x" for k, text in enumerate(texts)]).save(tmp_path / "model")
    loaded = TopicModel.load(tmp_path / "model")
    assert loaded._stream.candidates == model._stream.candidates
    np.testing.assert_array_equal(loaded.partial_fit(texts).transform(texts), model.partial_fit(texts).transform(texts))


def test_rejection_in_a_stream():
    model = TopicModel(3, language=None, reject_below="auto", random_state=0)
    for seed in range(3):
        model.partial_fit(draw_texts([0, 1, 2], 90, seed)[0])
    assert model._documents.evidence.shape == (270,)
    assert (model.labels_ == -1).mean() < 0.2
    assert model.partial_fit(["common" + "a"] * 2 + ["aworda bwordb cwordc dworde eworda"]).labels_[2] == -1
