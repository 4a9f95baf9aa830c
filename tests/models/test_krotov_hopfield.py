"""Krotov-Hopfield units against plain transcriptions of their rules, and where these could go wrong."""

import warnings

import numpy as np
import oracles
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import normalized_mutual_info_score

from codebooks import KrotovHopfield
from codebooks.datasets import make_planted_corpus
from codebooks.models.initialization import initialize_directions

FORMATS = {"dense": np.asarray, "csr": sparse.csr_matrix}


@pytest.fixture(scope="module")
def planted():
    corpus = make_planted_corpus(300, 10, random_state=3)
    return TfidfTransformer(sublinear_tf=True).fit_transform(corpus.X.astype(np.float64)), corpus.labels


def published(p, rank, **settings):
    return KrotovHopfield(
        10,
        algorithm="hebbian",
        p=p,
        rival_rank=rank,
        inhibition=None,
        revive=False,
        shuffle=False,
        random_state=0,
        **settings,
    )


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("rank", [2, 7])
@pytest.mark.parametrize("p", [2, 3])
class TestHebbian:
    """`algorithm="hebbian"` is the published rule on rows as they are, in the given order, from directions of rows."""

    def start(self, X, p):
        W = initialize_directions(X, 10, np.random.RandomState(0))
        return W / (np.abs(W) ** p).sum(axis=1, keepdims=True) ** (1 / p)

    def test_one_step(self, planted, p, rank, form):
        X = planted[0].toarray()[:100]
        model = published(p, rank, learning_rate=0.05).partial_fit(FORMATS[form](X))
        expected = oracles.krotov_hopfield_step(self.start(X, p), X, p, rank, 0.3, 0.05)
        np.testing.assert_allclose(model.components_, expected, rtol=1e-6, atol=1e-12)
        assert np.abs(expected - self.start(X, p)).max() == pytest.approx(0.05)

    @pytest.mark.filterwarnings("ignore:.*components have a norm farther")
    def test_ten_steps(self, planted, p, rank, form):
        X = planted[0].toarray()
        model = published(p, rank, learning_rate=0.05, batch_size=60, max_iter=2, tol=0).fit(FORMATS[form](X))
        expected = self.start(X[:60], p)
        for epoch in range(2):
            for start in range(0, 300, 60):
                batch, rate = X[start : start + 60], 0.05 * (1 - epoch / 2)
                expected = oracles.krotov_hopfield_step(expected, batch, p, rank, 0.3, rate)
        np.testing.assert_allclose(model.components_, expected, rtol=1e-6, atol=1e-12)
        assert model.n_updates_ == 10


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("p", "rank"), [(2, 2), (2, 4), (3, 2), (1.5, 3)])
@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_batch_steps(planted, p, rank, form, strength):
    """Six minibatches of the default algorithm, from its own start, against the plain loops of the oracle.

    The first four are warm: units share rows. In the last two the winner takes all.
    """
    X = planted[0].toarray()
    settings = {"p": p, "rival_rank": rank, "inhibition_strength": strength, "annealing_updates": 4}
    model = KrotovHopfield(10, **settings, revive=False, shuffle=False, random_state=0)
    state = model._initialize_state(FORMATS[form](X[:50]), 10, np.random.RandomState(0))
    W, mass, inhibition, usage = state.components, state.mass, state.inhibition, state.usage
    model.partial_fit(FORMATS[form](X[:50]))
    for step in range(6):
        batch = X[50 * step : 50 * step + 50]
        if step:
            model.partial_fit(FORMATS[form](batch))
        keep = 1 - 50 / max(2 * 50, 50 * 10)  # memory: two minibatches, or fifty rows for each unit
        norms = np.linalg.norm(batch, axis=1)
        directions = oracles.metric(W, p)
        scores = oracles.similarity(batch / norms[:, None], directions)
        warmth = 0.5 * (0.003 / 0.5) ** (step / 4) if step < 4 else None
        W, mass, winners = oracles.krotov_hopfield_batch_step(
            W, mass, inhibition, usage, batch, p, rank, 0.3, keep, warmth
        )
        contrast = oracles.unexplained_energy(batch, directions, winners)
        inhibition = keep * inhibition + (1 - keep) * strength * contrast * scores.mean(axis=0)
        usage = keep * usage + (1 - keep) * np.bincount(winners, minlength=10) / 50
        np.testing.assert_allclose(model.components_, W, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(model.mass_, mass, rtol=1e-9)
        np.testing.assert_allclose(model.inhibition_, inhibition, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(model.usage_, usage, rtol=1e-9, atol=1e-12)


@pytest.mark.many_fits
@pytest.mark.parametrize("p", [1.5, 2, 3])
@pytest.mark.parametrize(("n_units", "repulsion"), [(10, 0.0), (2, 0.4)])
def test_fixed_points_of_the_batch_rule_are_those_of_the_published_rule(planted, p, n_units, repulsion):
    """Both have their fixed point at the p-normalised sums of rows won less rows all but won (ALGORITHMS 1.6.2).

    With a rival this holds where it is pushed as published, whatever its size.
    """
    X = planted[0].toarray()
    X = X / np.linalg.norm(X, axis=1, keepdims=True)
    model = KrotovHopfield(n_units, p=p, repulsion=repulsion, inhibition=None, random_state=0)
    model._spares_rivals = False
    for _ in range(200):
        model.partial_fit(X)
    W = model.components_
    order = oracles.top_k(oracles.similarity(X, oracles.metric(W, p)), 2)
    pull = np.zeros_like(W)
    for row, (winner, rival) in zip(X, order, strict=True):
        pull[winner] += row
        pull[rival] -= repulsion * row
    np.testing.assert_allclose(W, pull / (np.abs(pull) ** p).sum(axis=1, keepdims=True) ** (1 / p), atol=1e-6)
    moved = oracles.krotov_hopfield_step(W, X, p, 2, repulsion, rate=1.0, precision=1.0)
    np.testing.assert_allclose(moved, W, atol=1e-4)


def test_codes_by_hand():
    """Codes are dot products less inhibition times length; with `transform_n_active`, what stands above the rest."""
    model = KrotovHopfield(3, random_state=0).fit(np.eye(3) + 0.1)
    model.components_ = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0.6, 0.8]])
    model.inhibition_ = np.array([0.1, 0.2, 0.3])
    x = np.array([[3.0, 4.0, 0.0]])
    np.testing.assert_allclose(model.transform(x), [[3 - 0.5, 4 - 1.0, 2.4 - 1.5]])
    np.testing.assert_allclose(model.set_params(transform_n_active=2).transform(x), [[2.5 - 0.9, 3.0 - 0.9, 0]])
    np.testing.assert_allclose(model.set_params(transform_n_active=1).transform(x), [[0, 3.0 - 2.5, 0]])
    np.testing.assert_allclose(model.set_params(transform_n_active=3).transform(x), [[2.5, 3.0, 0.9]])
    assert model.score(x) == pytest.approx(0.8**2)  # the best unit's cosine is 4/5, whatever the inhibition


@pytest.mark.parametrize("inhibition", ["mean", "load", None])
@pytest.mark.parametrize("repulsion", [0.0, 0.4, 1.0])
def test_initial_components_all_win_rows(planted, inhibition, repulsion):
    X, labels = planted
    model = KrotovHopfield(10, inhibition=inhibition, repulsion=repulsion, revive=False, random_state=0).fit(X)
    assert normalized_mutual_info_score(labels, model.labels_) > 0.85
    assert (model.usage_ > 0.02).all()


def test_idle_components_are_revived(planted):
    X, labels = planted
    lost = KrotovHopfield(10, random_state=0, inhibition=None, revive=False).fit(X)
    lost.components_[5:] = -np.abs(lost.components_[5:])  # half of the units point away from every row
    lost.usage_ = np.r_[np.full(5, 0.2), np.zeros(5)]
    again = lost.set_params(revive=True)
    for _ in range(30):
        again.partial_fit(X)
    assert (np.bincount(again.labels_, minlength=10) > 0).all()
    assert normalized_mutual_info_score(labels, again.labels_) > 0.8


def test_idle_components_stay_idle_without_revival(planted):
    X, _ = planted
    model = KrotovHopfield(10, random_state=0, inhibition=None, revive=False).fit(X)
    model.components_[5:] = -np.abs(model.components_[5:])
    for _ in range(30):
        model.partial_fit(X)
    assert (np.bincount(model.labels_, minlength=10)[5:] == 0).all()


def test_learning_stops_on_a_plateau(planted):
    X, _ = planted
    model = KrotovHopfield(10, max_iter=40, tol=0.5, annealing_updates=0, random_state=0).fit(X)
    assert model.n_iter_ == 4  # the first pass sets the mark, three do not pass it
    assert model.set_params(annealing_updates=9).fit(X).n_iter_ == 12  # a pass has one update; the ninth is cold
    hebbian = KrotovHopfield(10, algorithm="hebbian", max_iter=12, tol=0.5, random_state=0).fit(X)
    assert hebbian.n_iter_ == 4
    assert hebbian.set_params(tol=0).fit(X).n_iter_ == 12  # the learning rate falls to the last pass


def test_long_rows_do_not_outweigh_short_ones(planted):
    X, _ = planted
    lengths = np.random.default_rng(0).uniform(1e-3, 1e3, X.shape[0])
    one = KrotovHopfield(10, random_state=0).fit(X)
    two = KrotovHopfield(10, random_state=0).fit(sparse.diags(lengths) @ X)
    np.testing.assert_array_equal(one.labels_, two.labels_)
    np.testing.assert_allclose(one.components_, two.components_, atol=1e-8)


class TestPruning:
    """`prune=True` begins with too many units and ends with as many as there are groups."""

    @pytest.mark.many_fits
    @pytest.mark.parametrize("seed", [0, 1, 2])
    @pytest.mark.parametrize("balance", [1.0, 0.8], ids=["even", "skewed"])
    @pytest.mark.parametrize(("n_topics", "n_begun"), [(10, 30), (5, 20), (3, 3)])
    def test_pruning_leaves_the_planted_number(self, n_topics, n_begun, balance, seed):
        corpus = make_planted_corpus(1000, n_topics, balance=balance, random_state=seed)
        X = TfidfTransformer(sublinear_tf=True).fit_transform(corpus.X)
        model = KrotovHopfield(n_begun, prune=True, random_state=seed).fit(X)
        assert len(model.components_) == n_topics
        assert normalized_mutual_info_score(corpus.labels, model.labels_) > 0.95

    @pytest.mark.parametrize("settings", [{}, {"algorithm": "hebbian"}, {"p": 3}, {"inhibition": None}])
    def test_all_attributes_have_the_number_of_components_left(self, planted, settings):
        X, _ = planted
        model = KrotovHopfield(30, prune=True, random_state=0, **settings).fit(X)  # an idle unit would warn, and fail
        n = len(model.components_)
        assert 8 <= n <= 12
        for field in ("usage_", "inhibition_", "mass_", "get_feature_names_out"):
            value = getattr(model, field)
            assert len(value() if callable(value) else value) == n
        assert set(model.labels_) == set(range(n))
        assert (model.usage_ > 0).all()
        assert model.transform(X).shape == (X.shape[0], n)
        np.testing.assert_array_equal(model.predict(X), model.labels_)

    def test_partial_fit_after_pruning(self, planted):
        X, _ = planted
        model = KrotovHopfield(30, prune=True, random_state=0).fit(X)
        n, seen = len(model.components_), model.n_updates_
        model.partial_fit(X[:100])
        assert len(model.components_) == len(model.mass_) == n
        assert model.n_updates_ == seen + 1
        assert len(KrotovHopfield(30, prune=True).partial_fit(X).components_) == 30

    def test_components_share_topics_without_pruning(self, planted):
        X, _ = planted
        model = KrotovHopfield(30, random_state=0).fit(X)
        assert len(model.components_) == 30
        assert (model.usage_ > 0).all()

    @pytest.mark.parametrize("seed", range(3))
    def test_pruning_keeps_components_of_similar_groups(self, seed):
        """All cosines are large, so each unit is a strong rival to all: no avalanche that leaves one unit."""
        rng = np.random.default_rng(seed)
        centres = 2 + rng.standard_normal((8, 40))
        X = np.repeat(centres, 60, axis=0) + 0.3 * rng.standard_normal((480, 40))
        model = KrotovHopfield(24, prune=True, random_state=seed).fit(X)
        assert len(model.components_) >= 4

    def test_output_of_pruning(self, planted, capsys):
        X, _ = planted
        model = KrotovHopfield(20, prune=True, max_iter=12, random_state=0, verbose=1).fit(X)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == model.n_iter_
        assert 0 < sum(line.startswith("[KrotovHopfield, pruning]") for line in lines) < len(lines)


# -- the published rule at its defaults ------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("purity", [0.8, 0.3])
def test_hebbian_defaults_converge_on_tfidf(purity, seed):
    corpus = make_planted_corpus(1000, 10, purity=purity, random_state=seed)
    X = TfidfTransformer(sublinear_tf=True).fit_transform(corpus.X)
    model = KrotovHopfield(10, algorithm="hebbian", random_state=seed).fit(X)
    np.testing.assert_allclose(np.linalg.norm(model.components_, axis=1), 1, atol=0.1)
    assert normalized_mutual_info_score(corpus.labels, model.labels_) > 0.95
    assert model.score(X) > KrotovHopfield(10, random_state=seed).fit(X).score(X) - 0.02


def test_hebbian_batch_size_is_100_by_default(planted):
    X, _ = planted
    how = {"algorithm": "hebbian", "max_iter": 4, "random_state": 0}
    model = KrotovHopfield(10, **how).fit(X)
    assert model.n_updates_ == 3 * model.n_iter_
    np.testing.assert_array_equal(model.components_, KrotovHopfield(10, batch_size=100, **how).fit(X).components_)


@pytest.mark.filterwarnings("ignore:.*components? wins? no sample")
@pytest.mark.parametrize("p", [2, 3])
def test_warning_of_hebbian_norms_far_from_1(planted, p):
    X, _ = planted
    model = KrotovHopfield(10, algorithm="hebbian", p=p, learning_rate=5, max_iter=1, revive=False, random_state=0)
    with pytest.warns(UserWarning, match="components have a norm farther than") as caught:
        model.fit(X)
    norms = np.linalg.norm(model.components_, ord=p, axis=1)
    far = int((np.abs(norms - 1) > 0.1).sum())
    message = next(str(warning.message) for warning in caught if "norm farther" in str(warning.message))
    assert message.startswith(f"{far} of 10 components have a norm farther than 0.1 from 1: the Hebbian rule has not")
    assert 'Raise max_iter or learning_rate, lower batch_size, or use algorithm="batch".' in message


# -- p-norms ---------------------------------------------------------------------------------------------------------


def p_norms(W, p):
    """The p-norms of the rows of `W` in float64; the largest entry is taken out, or its power would overflow."""
    W = np.abs(W.astype(np.float64))
    peaks = W.max(axis=1)
    return peaks * ((W / peaks[:, None]) ** p).sum(axis=1) ** (1 / p)


def with_idle_units(model, X):
    """The fitted model with three of its units pointing away from all rows and unused."""
    model.fit(X)
    model.components_[:3] = -np.abs(model.components_[:3])
    usage = np.r_[np.zeros(3, X.dtype), np.full(len(model.usage_) - 3, 1 / (len(model.usage_) - 3), X.dtype)]
    model.usage_ = usage
    return model


@pytest.mark.filterwarnings("ignore:.*components? wins? no sample")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [1.2, 2, 3, 40, 500, 1e6])
def test_components_have_p_norm_1_after_revival(planted, p, dtype):
    X = planted[0].astype(dtype)
    model = with_idle_units(KrotovHopfield(10, p=p, max_iter=5, random_state=0), X)
    for _ in range(3):
        model.partial_fit(X)
        np.testing.assert_allclose(p_norms(model.components_, p), 1, rtol=1e-5 if dtype == np.float32 else 1e-9)
        assert np.isfinite(model.mass_).all()
        assert np.isfinite(model.transform(X)).all()


@pytest.mark.filterwarnings("ignore:.*components? wins? no sample")
@pytest.mark.parametrize("algorithm", ["batch", "hebbian"])
@pytest.mark.parametrize("p", [500, 1e6])
def test_a_huge_p_is_finite(planted, p, algorithm):
    X, _ = planted
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        model = KrotovHopfield(10, p=p, algorithm=algorithm, random_state=0).fit(X)
    assert np.isfinite(model.components_).all()
    assert np.isfinite(model.inhibition_).all()
    np.testing.assert_allclose(p_norms(model.components_, p), 1, atol=1e-9 if algorithm == "batch" else 0.1)


@pytest.mark.parametrize("p", [1, 1.0, 0.5, 0, np.inf, np.nan])
def test_p_outside_of_its_range_is_refused(p):
    """The scores of p=1 are the same for all units with the same signs."""
    with pytest.raises(ValueError, match=r"'p' parameter.*must be a float in the range \(1.0, inf\)"):
        KrotovHopfield(2, p=p).fit(np.eye(4))


@pytest.mark.filterwarnings("error")
def test_a_large_p_overflows_nothing():
    p = 40
    X = np.repeat(np.abs(np.random.default_rng(0).standard_normal((30, 8))), 100, axis=0).astype(np.float32)
    model = KrotovHopfield(2, p=p, batch_size=1500, annealing_updates=0, random_state=0).fit(X)
    norms = np.linalg.norm(model.components_.astype(np.float64), ord=p, axis=1)
    np.testing.assert_allclose(norms, 1, rtol=1e-4)
    assert np.isfinite(model.mass_).all()
