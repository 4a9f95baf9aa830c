"""Data on which components remain unused or share one group: repeated rows, rows that nearly agree, many components."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import normalized_mutual_info_score
from sklearn.pipeline import make_pipeline

from codebooks import InhibitedMixture, KrotovHopfield, NeighborSmoothing, OrthogonalSparseCoding, PartialWhitening
from codebooks.datasets import make_planted_corpus

LEARNERS = [KrotovHopfield, InhibitedMixture, OrthogonalSparseCoding]
# Groups without spread share no row; that is said, and not what is tested here.
pytestmark = [pytest.mark.many_fits, pytest.mark.filterwarnings("ignore:The gates give nearly all rows to one")]


def fit_silently(model, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X)


def warnings_of(model, X):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X)
    return [str(warning.message) for warning in caught if "win no" in str(warning.message)]


def n_used(model):
    return len(set(model.labels_) - {-1})


# -- rows that nearly agree ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bumps():
    """A smooth bump at one of 12 places on a background of 1: cosines of groups are near .8."""
    rng = np.random.default_rng(0)
    t, labels = np.linspace(0, 1, 784), rng.integers(0, 12, 1500)
    X = 1 + 2 * np.exp(-(((t - (labels[:, None] + 0.5) / 12) / 0.06) ** 2)) + 0.05 * rng.random((1500, 784))
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
def test_orthogonal_components_explain_bumps_on_a_common_background(bumps, n_components):
    X, labels = bumps
    model = fit_silently(OrthogonalSparseCoding(n_components, random_state=0), X)
    unrevived = fit_silently(OrthogonalSparseCoding(n_components, revive=False, random_state=0), X)
    assert model.score(X) > unrevived.score(X) - 0.01
    assert normalized_mutual_info_score(labels, model.labels_) > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("n_components", [300, 500])
@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_no_component_is_unused_on_digits(learner, n_components):
    model = learner(n_components, random_state=2)
    assert warnings_of(model, load_digits().data) == []
    assert n_used(model) == n_components


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


@pytest.mark.parametrize("n_copies", [160, 1000])
@pytest.mark.parametrize("learner", LEARNERS)
def test_each_of_six_nearly_repeated_rows_has_its_component(learner, n_copies):
    labels = np.repeat(np.arange(6), [n_copies, 20, 20, 20, 20, 20])
    for seed in range(3):
        X = np.eye(6, 40)[labels] + 0.02 * np.random.default_rng(seed).random((len(labels), 40))
        model = fit_silently(learner(6, random_state=seed), X)
        assert normalized_mutual_info_score(labels, model.labels_) > 0.99


@pytest.mark.parametrize("n_copies", [400, 800])
@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_a_template_with_a_changing_number_does_not_hide_topics(learner, n_copies):
    """A third or half of the documents have the same twenty words and a number of their own."""
    template = sparse.hstack([np.ones((n_copies, 20)), sparse.identity(n_copies)])
    for seed in range(3):
        corpus = make_planted_corpus(800, 8, random_state=seed)
        X = TfidfTransformer(sublinear_tf=True).fit_transform(sparse.block_diag([corpus.X, template]).tocsr())
        model = fit_silently(learner(9, random_state=seed), X)
        assert n_used(model) == 9
        assert normalized_mutual_info_score(np.r_[corpus.labels, np.full(n_copies, 8)], model.labels_) > 0.99


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_a_repeated_sentence_does_not_hide_topics(learner, part):
    corpus = make_planted_corpus(800, 8, random_state=0)
    n_copies = round(part / (1 - part) * 800)
    sentence = sparse.csr_matrix(np.ones((n_copies, 10)))
    X = TfidfTransformer(sublinear_tf=True).fit_transform(sparse.block_diag([corpus.X, sentence]).tocsr())
    alone = TfidfTransformer(sublinear_tf=True).fit_transform(corpus.X)
    for seed in range(3):
        model = fit_silently(learner(9, random_state=seed), X)
        expected = fit_silently(learner(8, random_state=seed), alone)
        found, reference = (normalized_mutual_info_score(corpus.labels, m.labels_[:800]) for m in (model, expected))
        assert n_used(model) == 9
        assert found > reference - 0.03


# -- what the warning advises ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("learner", "n_components"), [(KrotovHopfield, 20), (InhibitedMixture, 7), (OrthogonalSparseCoding, 7)]
)
def test_fewer_components_are_advised_where_all_samples_are_explained(learner, n_components):
    X = np.repeat(np.eye(4, 24), [30, 20, 10, 5], axis=0)
    model = learner(n_components, random_state=0)
    (advice,) = warnings_of(model, X)
    assert advice.startswith(f"{n_components - 4} of {n_components} components win no sample: ")
    assert advice.endswith("The others explain all samples, so n_components=4 is enough.")
    smaller = learner(4, random_state=0)
    assert warnings_of(smaller, X) == []
    # Repulsion turns units of Krotov and Hopfield away from the rows of their rivals.
    assert smaller.score(X) > model.score(X) - (0.01 if learner is KrotovHopfield else 1e-9)


@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_revival_is_advised_where_it_is_off_and_helps(learner):
    X = load_digits().data
    model = learner(500, revive=False, random_state=0)
    (advice,) = warnings_of(model, X)
    assert advice.endswith("Set revive=True to relocate them to samples that are explained poorly.")
    n_before, score = n_used(model), model.score(X)
    assert warnings_of(model.set_params(revive=True), X) == []
    assert n_used(model) == 500 > n_before
    assert model.score(X) > score


@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_more_passes_are_advised_where_learning_ended_early(learner):
    X = load_digits().data
    model = learner(500, max_iter=1, random_state=0)
    (advice,) = warnings_of(model, X)
    assert advice.endswith("Learning ended before it converged: raise max_iter, which is 1.")
    assert warnings_of(model.set_params(max_iter=50), X) == []


def test_unused_components_are_named():
    X = np.repeat(np.eye(2, 9), 10, axis=0)
    (advice,) = warnings_of(KrotovHopfield(20, random_state=0), X)
    model = fit_silently(KrotovHopfield(20, random_state=0), X)
    unused = np.flatnonzero(model.usage_ == 0)
    assert advice.startswith(f"18 of 20 components win no sample: {', '.join(map(str, unused[:10]))}, .... ")


# -- many groups of similar size ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.12, 0.15])
def test_revival_does_not_divide_many_similar_groups(noise):
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((150, 384)) + rng.standard_normal((15, 384))[rng.integers(15, size=150)]
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    labels = np.repeat(np.arange(150), rng.integers(20, 61, 150))
    X = centers[labels] + noise * rng.standard_normal((len(labels), 384))
    embeddings = make_pipeline(PartialWhitening(), NeighborSmoothing()).fit_transform(X.astype(np.float32))
    with_revival, without = (
        normalized_mutual_info_score(labels, fit_silently(model, embeddings).labels_)
        for model in (KrotovHopfield(150, random_state=0), KrotovHopfield(150, revive=False, random_state=0))
    )
    assert with_revival > without - 0.005
