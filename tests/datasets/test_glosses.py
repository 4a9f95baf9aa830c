"""The shipped corpus of glosses."""

from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import normalized_mutual_info_score

import codebooks.datasets
from codebooks import MultinomialMixture
from codebooks.datasets import load_glosses


def test_glosses_have_documented_sizes_and_labels():
    corpus = load_glosses()
    assert len(corpus.documents) == len(corpus.labels) == len(set(corpus.ids)) == 4034
    names, counts = np.unique(corpus.target, return_counts=True)
    assert names.tolist() == list(range(13))
    assert [corpus.target_names[label] for label in corpus.target] == corpus.labels
    assert set(counts) == {228, 286, 320}
    assert corpus.target_names[np.argmin(counts)] == "phenomenon"
    assert corpus.documents == sorted(corpus.documents, key=str.casefold)
    for term, document in zip(corpus.ids, corpus.documents, strict=True):
        assert document.startswith(f"{term}: ")
        assert 12 <= len(document.removeprefix(f"{term}: ").split()) <= 24


def test_glosses_load_fast():
    load_glosses()
    seconds = []
    for _ in range(5):
        start = perf_counter()
        load_glosses()
        seconds.append(perf_counter() - start)
    assert min(seconds) < 0.05


def test_multinomial_mixture_finds_the_labels_of_glosses():
    corpus = load_glosses()
    X = TfidfVectorizer(stop_words="english", min_df=5, max_df=0.5, sublinear_tf=True).fit_transform(corpus.documents)
    model = MultinomialMixture(15, random_state=0).fit(X)
    assert normalized_mutual_info_score(corpus.target, model.labels_) > 0.42  # 0.47 to 0.49 over seeds


def test_glosses_have_their_licence_beside_them():
    notice = Path(codebooks.datasets.__file__).with_name("data") / "LICENSE-WordNet.txt"
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in notice.read_text(encoding="utf-8")
