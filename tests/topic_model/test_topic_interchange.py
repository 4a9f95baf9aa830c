"""`TopicModel` in other tools: the columns of BERTopic, pyLDAvis, topicwizard and datamapplot."""

import sys

import numpy as np
import pytest
from planted_texts import THEMES, make_texts

from codebooks import TopicModel

TEXTS, _ = make_texts(n=20)
VECTORS = dict(zip(" ".join(THEMES.values()).split(), np.repeat(np.eye(4), 10, axis=0), strict=True))
MODULES = {"get_topic_info": "pandas", "to_pyldavis": "pyLDAvis", "to_datamapplot": "datamapplot"}


def embed(texts):
    """Embed texts by their themes, with noise."""
    rng = np.random.default_rng(0)
    rows = [np.sum([VECTORS.get(word, np.zeros(4)) for word in text.split()], axis=0) for text in texts]
    return np.hstack([rows, np.zeros((len(rows), 12))]) + 0.3 * rng.standard_normal((len(rows), 16))


@pytest.fixture(scope="module", params=["words", "embeddings"])
def model(request):
    """A model after edits: ids are 1, 2 and 3, the first document is moved, and the last one has no topic."""
    embedder = embed if request.param == "embeddings" else None
    fitted = TopicModel(4, embedder=embedder, random_state=0).fit(TEXTS)
    edited = fitted.merge([[1, 0]]).rename({3: "third"})
    edited = edited.move([0], 3)
    edited.labels_[-1] = edited._kept_labels[-1] = -1
    edited._describe_topics()
    return edited


def test_topic_info_has_the_columns_of_bertopic(model):
    pytest.importorskip("pandas")
    info = model.get_topic_info()
    names = ["Topic", "Count", "Name", "CustomName", "Representation", "Representative_Docs"]
    assert info.columns.tolist() == names
    labels, counts = np.unique(model.labels_, return_counts=True)
    assert labels[0] == -1
    np.testing.assert_array_equal(info["Topic"], labels)
    np.testing.assert_array_equal(info["Count"], counts)
    assert info["CustomName"].tolist()[0::3] == ["no topic", "third"]
    assert info["Representative_Docs"][0] == [TEXTS[-1]]
    last = model.topics_[-1]
    assert info["Representation"].tolist()[-1] == list(last.words)
    assert info["Name"].tolist()[-1] == "_".join([str(last.id), *last.words[:4]])


def test_pyldavis_shows_the_words_of_topics(model, tmp_path):
    tool = pytest.importorskip("pyLDAvis")
    prepared = model.to_pyldavis(R=10)
    frame = prepared.topic_info
    for position, topic in enumerate(model.topics_):
        shown = frame[frame["Category"] == f"Topic{position}"]
        own = [text for text, label in zip(TEXTS, model.labels_, strict=True) if label == topic.id]
        assert len(shown) >= 10
        assert set(shown["Term"]) <= set(" ".join(own).split())
    np.testing.assert_allclose(sorted(prepared.topic_coordinates["Freq"]), [24, 26, 50], atol=1.5)
    tool.save_html(prepared, str(tmp_path / "topics.html"))
    assert "striker" in (tmp_path / "topics.html").read_text(encoding="utf-8")


def test_word_distributions_of_topics(model):
    """They are those of the documents, positive in every topic, and the moved document counts for its new topic."""
    data = model.to_topicwizard()
    counts, shares, words = (data[f"{name}_matrix"] for name in ("document_term", "document_topic", "topic_term"))
    np.testing.assert_allclose(words.sum(axis=1), 1)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert words.min() > 0
    assert shares[0].tolist() == (model.topic_ids_ == 3).tolist()
    texts = [text.split() for text in TEXTS]
    for column, term in enumerate(data["vocab"]):
        assert counts[:, [column]].toarray().ravel().tolist() == [text.count(term) for text in texts]
    expected = shares.T @ counts
    np.testing.assert_allclose(words, expected / expected.sum(axis=1, keepdims=True), atol=0.01)


@pytest.mark.filterwarnings("ignore")  # of umap
def test_topicwizard_draws_figures(model):
    figures = pytest.importorskip("topicwizard.figures")
    data = model.to_topicwizard()
    names = {trace.name or "" for trace in figures.topic_barcharts(data).data}
    assert names
    assert len(figures.document_map(data).data) >= 1
    assert data["transform"](TEXTS[:2]).shape == (2, 3)


@pytest.mark.filterwarnings("error:Cannot reach Google")  # nothing is downloaded
def test_datamapplot_labels_topics(model):
    pytest.importorskip("datamapplot")
    import matplotlib.pyplot as plt

    figure = model.to_datamapplot(title="Planted")
    shown = " ".join(text.get_text() for text in figure.axes[0].texts).replace("\n", " ")
    plt.close(figure)
    for topic in model.topics_:
        assert topic.name in shown
    assert "no topic" not in shown


def test_map_positions_separate_topics(model):
    from codebooks.topic_model.interchange import _compute_positions

    positions = _compute_positions(model._documents.features)
    themes = np.arange(len(TEXTS)) % 4
    distances = np.linalg.norm(positions[:, None] - positions, axis=2) + np.diag(np.full(len(TEXTS), np.inf))
    assert (themes[distances.argmin(axis=1)] == themes).mean() > 0.95


@pytest.mark.parametrize("method", MODULES)
def test_a_missing_package_is_named(model, method, monkeypatch):
    monkeypatch.setitem(sys.modules, MODULES[method], None)
    with pytest.raises(ImportError, match=f"`{method}` needs {MODULES[method]}. Install it: pip install"):
        getattr(model, method)()


def test_too_few_topics_or_documents():
    pytest.importorskip("pyLDAvis")
    with pytest.raises(ValueError, match="at least 2 topics, got 1"):
        TopicModel(1, random_state=0).fit(TEXTS).to_pyldavis()
    pytest.importorskip("datamapplot")
    with pytest.raises(ValueError, match="at least 4 documents, got 3"):
        TopicModel(1, random_state=0).fit(TEXTS[:3]).to_datamapplot()
