"""Tuned by GridSearchCV, through a pipeline that begins with text."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer
from sklearn.metrics import normalized_mutual_info_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from codebooks import KrotovHopfield
from codebooks.datasets import make_planted_corpus
from codebooks.metrics import npmi_scorer


def texts_of(corpus):
    words = np.asarray(corpus.terms)
    return [" ".join(np.repeat(words[row.indices], row.data.astype(int))) for row in corpus.X]


@pytest.fixture(scope="module")
def texts():
    return texts_of(make_planted_corpus(600, 10, random_state=0))


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(TfidfVectorizer(sublinear_tf=True), KrotovHopfield(random_state=0))


@pytest.mark.many_fits
def test_npmi_finds_the_number_of_topics(texts, pipeline):
    grid = {"krotovhopfield__n_components": [2, 5, 10, 30], "krotovhopfield__inhibition": ["mean", None]}
    search = GridSearchCV(pipeline, grid, scoring=npmi_scorer, cv=2).fit(texts)
    assert search.best_params_["krotovhopfield__n_components"] == 10
    assert search.best_score_ > 0.5


def test_the_default_score_needs_no_scoring(texts, pipeline):
    grid = {"krotovhopfield__n_components": [2, 5, 10], "krotovhopfield__inhibition": ["mean", None]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(texts)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["krotovhopfield__n_components"] == 10
    assert search.predict(texts[:5]).shape == (5,)


@pytest.mark.many_fits
@pytest.mark.parametrize("seed", [0, 3])
def test_npmi_chooses_inhibition_where_topics_share_most_words(seed):
    corpus = make_planted_corpus(600, 10, purity=0.1, random_state=seed)
    X = TfidfTransformer(sublinear_tf=True).fit_transform(corpus.X)
    model = KrotovHopfield(10, inhibition_strength=1.0, revive=False, random_state=0)
    without, with_it = (model.set_params(inhibition=kind).fit(X).labels_ for kind in (None, "mean"))
    agreements = [normalized_mutual_info_score(corpus.labels, labels) for labels in (without, with_it)]
    assert agreements[0] + 0.1 < agreements[1]
    search = GridSearchCV(model, {"inhibition": [None, "mean"]}, scoring=npmi_scorer, cv=2)
    assert search.fit(X).best_params_ == {"inhibition": "mean"}


def test_folds_of_many_processes_are_those_of_one(texts, pipeline):
    one, two = (cross_val_score(pipeline, texts, cv=3, n_jobs=n_jobs) for n_jobs in (1, 2))
    np.testing.assert_array_equal(one, two)
