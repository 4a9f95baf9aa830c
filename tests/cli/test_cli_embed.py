"""`codebooks topics --embed`: documents by meaning, with a stand-in for the encoder."""

import csv
import random
import sys
from io import StringIO

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin

from codebooks import cli, datasets
from codebooks.cli.models import load_model
from codebooks.cli.topics import MODELS
from codebooks.datasets import Corpus
from codebooks.topic_model import files

THEMES = {
    "sport": ["goal", "match", "team", "league", "striker", "referee", "penalty", "stadium"],
    "money": ["loan", "bank", "rate", "credit", "savings", "cheque", "mortgage", "deposit"],
    "food": ["dough", "soup", "bread", "pepper", "onion", "garlic", "salt", "oven"],
}
MISSING = ("sentence_transformers", "transformers")


def texts(n=30):
    rng = random.Random(0)
    return [" ".join(rng.choices(words, k=4)) for _, words in zip(range(n), list(THEMES.values()) * n, strict=False)]


class StandIn(TransformerMixin, BaseEstimator):
    """A stand-in for an encoder: embeddings by theme in a narrow cone."""

    def __init__(self, encoder):
        self.encoder = encoder

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        if self.encoder == "unknown":
            raise OSError("no model 'unknown';\nlook at the spelling.")
        rng = np.random.default_rng(0)
        cone, directions = 3 * rng.standard_normal(8), rng.standard_normal((3, 8))
        counts = np.array([[sum(word in words for word in text.split()) for words in THEMES.values()] for text in X])
        return (cone + counts @ directions).astype(np.float32)

    def __sklearn_is_fitted__(self):
        return True


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in this process, in a temporary folder; return exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("\n".join(texts()), encoding="utf-8")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["codebooks", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def encoder(monkeypatch):
    monkeypatch.setattr("codebooks.embeddings.text_embedder.TextEmbedder", StandIn)
    monkeypatch.setattr(files, "_TRUSTED", [*files._TRUSTED, f"{StandIn.__module__}.StandIn"])
    return "stand-in"


def table(text):
    return list(csv.DictReader(StringIO(text)))


@pytest.mark.parametrize("model", [None, *(name for name in MODELS if name != "multinomial")])
def test_topics_embed_describes_topics_by_words(run, encoder, tmp_path, model):
    options = () if model is None else ("--model", model)
    code, out, err = run("topics", "text.txt", "-k", 3, "--embed", encoder, *options)
    assert (code, err) == (0, "")
    assert "30 documents, 24 terms; fitted in " in out
    rows = table((tmp_path / "topics/topics.csv").read_text(encoding="utf-8"))
    assert [int(row["documents"]) for row in rows] == [10, 10, 10]

    assert all(any(set(row["words"].split()) <= set(words) for words in THEMES.values()) for row in rows)


def test_multinomial_model_with_embed_raises_an_error(run, encoder):
    code, out, err = run("topics", "text.txt", "-k", 3, "--embed", encoder, "--model", "multinomial")
    assert (code, out) == (2, "")
    assert "--model multinomial requires words, not embeddings" in err


def test_saved_model_contains_the_name_of_the_encoder(run, encoder, tmp_path):
    run("topics", "text.txt", "-k", 3, "--embed", encoder, "--quiet")
    model = load_model(tmp_path / "topics")
    assert model.preparation_[0].encoder == encoder
    (tmp_path / "new.txt").write_text("goal team\nloan bank\nnothing that is known", encoding="utf-8")
    code, out, err = run("assign", "topics", "new.txt")
    assert (code, err) == (0, "")
    rows = table(out)
    assert set(rows[0]["words"].split()) <= set(THEMES["sport"])
    assert set(rows[1]["words"].split()) <= set(THEMES["money"])
    assert [int(row["topic"]) for row in rows] == model.predict(["goal team", "loan bank", "nothing"]).tolist()
    codes = table((tmp_path / "topics/codes.csv").read_text(encoding="utf-8"))
    assert [int(row["topic"]) for row in codes] == model.predict(texts()).tolist()
    assert all(0 < float(row["strength"]) <= 1 for row in codes)


def test_demo_with_embed(run, encoder, monkeypatch, tmp_path):
    ids = [f"a.b{number}" for number in range(30)]
    monkeypatch.setattr(datasets, "load_glosses", lambda: Corpus(texts(), ids, "glosses", ids))
    assert run("topics", "--demo", "--embed", encoder, "--quiet") == (0, "", "")
    assert (tmp_path / "topics/model.skops").is_file()


def test_encoder_folder_is_stored_as_an_absolute_path(run, encoder, tmp_path):
    (tmp_path / "model").mkdir()
    run("topics", "text.txt", "-k", 3, "--embed", "model", "--quiet")
    assert load_model(tmp_path / "topics").preparation_[0].encoder == str((tmp_path / "model").resolve())


def test_missing_encoder_is_one_sentence_and_writes_no_files(run, encoder, tmp_path):
    code, out, err = run("topics", "text.txt", "--embed", "unknown")
    assert (code, out, err) == (2, "", "error: no model 'unknown'; look at the spelling.\n")
    assert not (tmp_path / "topics").exists()


def test_missing_extra_names_the_pip_command(run, monkeypatch):
    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name in MISSING:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for name in MISSING:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    code, out, err = run("topics", "text.txt", "--embed", "some/model")
    assert (code, out) == (2, "")
    assert "pip install 'codebooks-learn[text]'" in err
    assert len(err.splitlines()) == 1
