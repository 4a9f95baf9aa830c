"""Data on which components remain unused or share one group: repeated rows, rows that nearly agree, many components."""

import re
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import normalized_mutual_info_score

from codebooks import InhibitedMixture, KrotovHopfield, OrthogonalSparseCoding
from codebooks.datasets import planted_corpus

LEARNERS = [KrotovHopfield, InhibitedMixture, OrthogonalSparseCoding]
# Groups without spread share no row; that is said, and not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:The gates give nearly all rows to one")


def fit_silently(model, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X)


def warnings_of(model, X):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X)
    return [str(warning.message) for warning in caught if "win no sample" in str(warning.message)]


def n_used(model):
    return len(set(model.labels_) - {-1})


# -- rows that nearly agree ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bumps():
    """A smooth bump at one of 12 places on a background of 1: cosines of groups are near .8."""
    rng = np.random.default_rng(0)
    t, labels = np.linspace(0, 1, 784), rng.integers(0, 12, 1500)
    X = 1 + 2 * np.exp(-((((t - (labels[:, None] + 0.5) / 12)) / 0.06) ** 2)) + 0.05 * rng.random((1500, 784))
    return X, labels


@pytest.mark.parametrize("n_components", [12, 20])
@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_groups_are_found_on_a_common_background(bumps, learner, n_components):
    X, labels = bumps
    model = fit_silently(learner(n_components, random_state=0), X)
    unrevived = fit_silently(learner(n_components, revive=False, random_state=0), X)
    # More components than groups may divide groups; none holds rows of two.
    table = np.zeros((n_components, 12))
    np.add.at(table, (model.labels_, labels), 1)
    assert (table > 0).sum(axis=1).max() == 1
    assert model.score(X) > unrevived.score(X) - 0.01
    if learner is KrotovHopfield:
        assert normalized_mutual_info_score(labels, model.labels_) > 0.99


@pytest.mark.parametrize("n_components", [12, 20])
def test_orthogonal_units_explain_bumps_on_a_common_background(bumps, n_components):
    X, _ = bumps
    model = fit_silently(OrthogonalSparseCoding(n_components, random_state=0), X)
    unrevived = fit_silently(OrthogonalSparseCoding(n_components, revive=False, random_state=0), X)
    assert model.score(X) > unrevived.score(X) - 0.01
    print(model.score(X), unrevived.score(X), n_used(model))


@pytest.mark.slow
@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_no_component_is_unused_on_digits(learner):
    assert n_used(fit_silently(learner(300, random_state=0), load_digits().data)) == 300


# -- repeated rows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "CSR"])
@pytest.mark.parametrize("n_copies", [80, 160, 300, 1000])
@pytest.mark.parametrize("learner", LEARNERS)
def test_each_of_six_repeated_rows_has_its_component(learner, n_copies, form):
    X = form(np.repeat(np.eye(6), [n_copies, 20, 20, 20, 20, 20], axis=0))
    for seed in range(3):
        model = learner(6, random_state=seed)
        assert warnings_of(model, X) == []
        assert n_used(model) == 6


@pytest.fixture(scope="module")
def templates():
    """Eight topics in titles, and 40 % of the rows a template of eight words with a changing number."""
    rng = np.random.default_rng(0)
    corpus = planted_corpus(720, 8, purity=0.6, random_state=0)
    copies = np.zeros((480, 8 + 60))
    copies[:, :8], copies[np.arange(480), 8 + rng.integers(0, 60, 480)] = 1, 1
    X = sparse.block_diag([corpus.X, sparse.csr_matrix(copies)]).tocsr()
    return TfidfTransformer(sublinear_tf=True).fit_transform(X), np.r_[corpus.labels, np.full(480, 8)]


@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_a_template_with_a_changing_number_has_one_component(templates, learner):
    X, labels = templates
    for seed in range(3):
        model = fit_silently(learner(9, random_state=seed), X)
        nmi = normalized_mutual_info_score(labels, model.labels_)
        print(learner.__name__, seed, n_used(model), nmi)
        assert n_used(model) == 9
        assert nmi > 0.97


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_a_repeated_sentence_does_not_hide_topics(learner, part):
    corpus = planted_corpus(800, 8, random_state=0)
    n_copies = round(part / (1 - part) * 800)
    sentence = sparse.csr_matrix(np.ones((n_copies, 10)))
    X = TfidfTransformer(sublinear_tf=True).fit_transform(sparse.block_diag([corpus.X, sentence]).tocsr())
    alone = TfidfTransformer(sublinear_tf=True).fit_transform(corpus.X)
    for seed in range(3):
        model = fit_silently(learner(9, random_state=seed), X)
        expected = fit_silently(learner(8, random_state=seed), alone)
        found, reference = (normalized_mutual_info_score(corpus.labels, m.labels_[:800]) for m in (model, expected))
        print(learner.__name__, part, seed, n_used(model), found, reference)
        assert n_used(model) == 9
        assert found > reference - 0.03
