"""The file that `write_report` writes. What a browser makes of it is in `test_page`."""

import json
import os
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from planted_texts import make_texts
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer

from codebooks import Topic, TopicModel
from codebooks.report import content, write_report
from codebooks.report.advice import list_advice
from codebooks.report.document_map import place_documents
from codebooks.report.examples import find_examples
from codebooks.report.label_table import count_labels

pytest.importorskip("jinja2", reason="The report needs Jinja2.")

TEXTS, LABELS = make_texts(n=12)
DATES = [f"2024-{1 + i % 6:02}-01" for i in range(len(TEXTS))]
HOSTILE = "</script><script>alert(1)</script>\"'&\u2028<img/src=x/onerror=alert(2)>"


class Page(HTMLParser):
    """The parts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.scripts, self.text, self.inside = [], [], [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data
        else:
            self.text += data

    @property
    def data(self):
        return json.loads(self.scripts[0])


def fit(texts=TEXTS, n_topics=4, **settings):
    return TopicModel(n_topics, language=None, random_state=0, **settings).fit(texts)


def list_strings(value):
    if isinstance(value, str):
        return [value]
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in values for text in list_strings(part)]


def read(model, path, **settings):
    return Page(write_report(model, path / "report.html", **settings).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def model():
    return fit()


@pytest.fixture
def no_map(monkeypatch):
    """Leave out the map, which takes most of the time."""
    monkeypatch.setattr(content, "place_documents", lambda features: np.full((features.shape[0], 2), np.nan))


def test_report_content(model, tmp_path):
    page = read(model, tmp_path, labels=LABELS, timestamps=DATES, title="All texts")
    for text in ("All texts", "Coherence", "n_topics=4", "48 documents, 4 topics", "Agreement with labels1.00"):
        assert text in page.text
    data = page.data
    assert [topic["size"] for topic in data["topics"]] == [topic.size for topic in model.topics_]
    assert data["texts"] == TEXTS
    assert data["rows"] == [*range(48)]
    assert np.ptp(data["map"]["x"]) == np.ptp(data["map"]["y"]) == 1000
    assert len(data["trends"]["starts"]) == len(data["trends"]["shares"][0]) == 6
    assert np.sum(data["labels"]["counts"]) == 48
    for k, topic in enumerate(data["topics"]):
        shown = [*topic["representative"], *topic["typical"], *topic["ambiguous"]]
        assert {data["shares"][i][0] for i in shown} == {k}
        assert [TEXTS[i] for i in topic["representative"]] == list(model.topics_[k].documents)


def test_report_loads_nothing(model, tmp_path, no_map):
    page = read(model, tmp_path)
    links = [value for name, value in page.attributes if name in ("src", "href", "action", "srcset")]
    assert all(value.startswith(("#", "data:")) for value in links)
    assert page.tags.count("script") == 2
    assert any(name == "content" and value.startswith("default-src 'none'") for name, value in page.attributes)


def test_report_is_the_same_at_each_call(model, tmp_path):
    first = write_report(model, tmp_path / "1.html", labels=LABELS).read_bytes()
    assert write_report(model, tmp_path / "2.html", labels=LABELS).read_bytes() == first


@pytest.mark.parametrize("place", ["document", "rejected document", "term", "name", "label", "title", "seed word"])
def test_report_escapes(model, tmp_path, no_map, place):
    settings, expected = {}, HOSTILE
    if place == "document":
        model = fit([f"{TEXTS[0]} {HOSTILE}", *TEXTS[1:]], vectorizer=CountVectorizer(token_pattern="[a-z]+"))
    elif place == "rejected document":
        vectorizer = CountVectorizer(vocabulary=sorted({word for text in TEXTS for word in text.split()}))
        model = fit([HOSTILE, *TEXTS], vectorizer=vectorizer)
    elif place == "term":
        vectorizer = CountVectorizer(token_pattern=r"\S+", lowercase=False)
        expected = HOSTILE.replace("\u2028", "")
        model = fit([f"{expected} {text}" for text in TEXTS[::4]] + TEXTS, vectorizer=vectorizer)
    elif place == "name":
        model = model.rename({2: HOSTILE})
    elif place == "label":
        settings["labels"] = [HOSTILE, *LABELS[1:]]
    elif place == "title":
        settings["title"] = HOSTILE
    else:
        model = fit(seed_words={HOSTILE: ["guitar", "band"]})
    page = read(model, tmp_path, **settings)
    assert page.tags.count("script") == 2
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not set("<>&\u2028") & set(page.scripts[0])
    assert any(expected in text for text in [page.text, *list_strings(page.data)])


def test_report_writes_text_that_is_not_utf8(tmp_path, no_map):
    page = read(fit([f"{TEXTS[0]} caf\udce9", *TEXTS[1:]]), tmp_path)
    assert page.data["texts"][0].endswith("caf\udce9")


def test_report_of_a_sample(model, tmp_path, monkeypatch):
    monkeypatch.setattr(content, "_N_DOCUMENTS", 20)
    monkeypatch.setattr(content, "_ALL_CHARACTERS", 0)
    monkeypatch.setattr(content, "_FEWEST_CHARACTERS", 30)
    page = read(model, tmp_path)
    data = page.data
    assert "a random sample of 20 of the 48 documents" in page.text
    assert len(data["map"]["x"]) == 20 < len(data["rows"]) == len(set(data["rows"])) < 48
    assert len(data["assigned"]) == 48
    examples = {i for topic in data["topics"] for i in (*topic["representative"], *topic["typical"])}
    lengths = [len(text) for i, text in enumerate(data["texts"]) if i not in examples]
    assert max(lengths) == 30


@pytest.mark.parametrize("texts", [["red car"], ["red car", "fast car", "red apple", "ripe apple"], ["same words"] * 9])
def test_report_of_few_documents(texts, tmp_path):
    page = read(fit(texts, "auto"), tmp_path, labels=[None] * (len(texts) - 1) + ["a"])
    assert "There is no map" in page.text


def test_report_of_edited_and_loaded_model(model, tmp_path, no_map):
    model.merge([[0, 1]]).split(2).save(tmp_path / "model")
    page = read(TopicModel.load(tmp_path / "model"), tmp_path)
    assert "Edited since: merge, split." in page.text
    assert [topic["id"] for topic in page.data["topics"]] == TopicModel.load(tmp_path / "model").topic_ids_.tolist()


def test_report_of_embeddings(tmp_path, no_map):
    themes = sorted(set(LABELS))
    noise = np.random.default_rng(0).normal(0, 0.1, (len(TEXTS), 8))
    lookup = {text: np.eye(8)[themes.index(label)] + e for text, label, e in zip(TEXTS, LABELS, noise, strict=True)}
    model = fit(embedder=lambda texts: np.array([lookup[text] for text in texts]))
    assert len(read(model, tmp_path).data["map"]["x"]) == 48


def test_report_file_is_replaced_only_when_complete(model, tmp_path, no_map, monkeypatch):
    file = tmp_path / "report.html"
    file.write_text("before")

    def fail(*args):
        raise OSError("disk is full")

    with monkeypatch.context() as context:
        context.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="disk is full"):
            write_report(model, file)
    assert file.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_report_errors(model, tmp_path):
    file = tmp_path / "report.html"
    cases = [
        (TypeError, "`model` must be a fitted TopicModel, got \\[0\\]", ([0], file), {}),
        (NotFittedError, "not fitted", (TopicModel(), file), {}),
        (IsADirectoryError, "`path` must be a file, got the folder", (model, tmp_path), {}),
        (FileNotFoundError, "`path` must be in a folder that exists", (model, tmp_path / "a" / "b"), {}),
        (TypeError, "`title` must be a string or None, got 3", (model, file), {"title": 3}),
        (
            ValueError,
            "`labels` must have one label for each of the 48",
            (model, file),
            {"labels": [1]},
        ),
        (TypeError, "`labels` must be a sequence", (model, file), {"labels": "abc"}),
        (ValueError, "`labels` must have a label for at least", (model, file), {"labels": [None] * 48}),
        (ValueError, "`timestamps` must have one time for each of the 48", (model, file), {"timestamps": [1]}),
    ]
    for error, message, arguments, settings in cases:
        with pytest.raises(error, match=message):
            write_report(*arguments, **settings)
    assert not list(tmp_path.iterdir())


def test_report_without_jinja2(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"pip install 'codebooks-learn\[report\]'"):
        write_report(model, tmp_path / "report.html")


def test_list_advice_names_the_edit():
    sizes, coherence = [300, 280, 5, 0, 250], [0.3, 0.2, 0.4, np.nan, -0.2]
    topics = [Topic(10 + k, ("w",), (1.0,), 0.1, size=sizes[k], coherence=coherence[k]) for k in range(5)]
    topics[1] = Topic(11, ("w",), (1.0,), 0.1, size=280, coherence=0.2, is_mixed=True)
    similarity = np.eye(5)
    similarity[0, 1] = similarity[1, 0] = 0.7
    similarity[2, 4] = similarity[4, 2] = 0.3
    similarity[3] = similarity[:, 3] = 1  # of a topic without documents, it means nothing
    edits = {item.kind: item.edit for item in list_advice(topics, similarity)}
    assert edits == {
        "empty": "model.remove([13])",
        "similar": "model.merge([[10, 11]])",
        "small": "model.merge([[14, 12]])",
        "mixed": "model.split(11)",
        "incoherent": "model.split(14)",
    }


def test_find_examples():
    angles = np.linspace(0, 1, 11) ** 1.3
    features = np.column_stack([np.cos(angles), np.sin(angles)])
    shares = np.tile([0.95, 0.05], (11, 1))
    shares[[0, 10]] = [[0.55, 0.45], [0.7, 0.3]]
    fit = features @ features.mean(axis=0)
    [first, second] = find_examples(features, np.zeros(11, np.intp), shares)
    assert first.representative == np.argsort(-fit)[:3].tolist()
    assert first.ambiguous == [0, 10]
    others = [row for row in np.argsort(fit).tolist() if row not in (*first.representative, 0, 10)]
    assert first.typical == others[1:4]
    assert second == ([], [], [])


def test_count_labels_of_many_labels():
    table = count_labels([f"l{i % 40}" for i in range(85)], np.arange(85) % 2 - 1, 1)
    assert (len(table.names), table.names[0], table.names[-1], table.n_labels) == (30, "l0", "other labels", 40)
    assert table.counts.sum() == 42  # the others have no topic


def test_place_documents_separates_planted_groups():
    features = np.repeat(np.eye(3), 20, axis=0) + 0.05 * np.random.default_rng(0).random((60, 3))
    features[0] = 0
    positions = place_documents(features)
    assert np.isnan(positions[0]).all()
    centers = [positions[20 * g + 1 : 20 * g + 20].mean(axis=0) for g in range(3)]
    distances = np.linalg.norm(positions[1:, None] - centers, axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), np.arange(1, 60) // 20)


def test_report_of_a_stream_shows_the_documents_that_are_kept(tmp_path):
    texts, _ = make_texts(n=10)
    model = TopicModel(4, random_state=0).fit(texts[:30]).partial_fit(texts[30:])
    page = write_report(model, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "40" in page
    assert len(model.labels_) == 10
