"""The mixture of experts against plain loops, its gates by hand, and what it says about itself."""

import re
import warnings

import numpy as np
import oracles
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer

from codebooks import InhibitedMixture, ops
from codebooks.datasets import load_glosses, make_planted_corpus
from codebooks.models import inhibited_mixture
from codebooks.models.statistics import compute_gates

FORMATS = {"dense": np.asarray, "csr": sparse.csr_matrix}
# Planted groups lie so far apart that nothing is shared at the default temperature; that is judged at the end.
WHOLE = pytest.mark.filterwarnings("ignore:The gates give nearly all rows to one")


@pytest.fixture(scope="module")
def planted():
    corpus = make_planted_corpus(300, 10, words_per_topic=8, n_background=10, random_state=3)
    return TfidfTransformer(sublinear_tf=True).fit_transform(corpus.X.astype(np.float64))


def experts_on_axes(n_experts, n_active):
    """A model that has seen something, with experts that are easy to reckon with and nothing held back."""
    model = InhibitedMixture(n_experts, n_active=n_active, orthogonality=0, random_state=0)
    model.partial_fit(np.eye(n_experts) + 0.1)
    model.components_, model.inhibition_ = np.eye(n_experts), np.zeros(n_experts)
    model.unexplained_ = np.ones(())
    return model


@pytest.mark.parametrize("inhibition", ["mean", "load", None])
@pytest.mark.parametrize(("n_active", "form"), [(1, "csr"), (3, "dense"), (3, "csr"), (None, "csr")])
@pytest.mark.parametrize("orthogonality", [0, 0.25, 1])
def test_steps(planted, orthogonality, n_active, inhibition, form):
    """Eight minibatches, from the initial state. The temperature has come down at the fifth; experts lean at two."""
    X = planted.toarray()
    X[[3, 70]] = 0  # empty rows do not count
    settings = {"orthogonality": orthogonality, "n_active": n_active, "inhibition": inhibition}
    model = InhibitedMixture(10, **settings, annealing_updates=4, inhibition_strength=0.7, revive=False, random_state=0)
    W, mass, usage, inhibited, rest, *_ = model._initialize_state(FORMATS[form](X[:30]), 10, np.random.RandomState(0))
    for step in range(8):
        batch = X[30 * step : 30 * step + 30]
        model.partial_fit(FORMATS[form](batch))
        n_rows = int(batch.any(axis=1).sum())
        keep = 1 - n_rows / max(2 * n_rows, 50 * 10)  # memory: two minibatches, or fifty rows for each expert
        coldest = 0.05 * max(rest, 1e-3)
        temperature = coldest * (0.5 / coldest) ** (1 - min(step / 4, 1))
        lean = orthogonality * rest if step in (3, 7) else 0
        W, mass, scores, wins, contrast = oracles.inhibited_mixture_step(
            W, mass, inhibited, batch, n_active or 10, temperature, lean, keep
        )
        if inhibition == "mean":
            inhibited = keep * inhibited + (1 - keep) * 0.7 * contrast * scores
        elif inhibition == "load":
            inhibited = inhibited + 0.7 * 0.02 * (wins - 1 / 10)
        usage = keep * usage + (1 - keep) * wins
        rest = keep * rest + (1 - keep) * contrast
        np.testing.assert_allclose(model.components_, W, rtol=0, atol=1e-9)
        np.testing.assert_allclose(model.mass_, mass, rtol=1e-9)
        np.testing.assert_allclose(model.inhibition_, inhibited, rtol=0, atol=1e-9)
        np.testing.assert_allclose(model.usage_, usage, rtol=0, atol=1e-9)
        np.testing.assert_allclose(model.unexplained_, rest, rtol=1e-9)
    assert inhibited.any() == (inhibition is not None)


# -- gates -----------------------------------------------------------------------------------------------------------

SCORES, MEANS = np.array([0.8, 0.015, 0.12]), np.array([0.7, 0.01, 0.1])
EXAMPLE = {"without": (np.zeros(3), [0.9016, 0.0390, 0.0594]), "with": (MEANS, [0.4149, 0.2838, 0.3013])}


@pytest.mark.parametrize(("means", "expected"), EXAMPLE.values(), ids=EXAMPLE)
class TestTheExampleOfTheSeeds:
    """Three experts whose scores are divided by T = 1/4, without inhibition and with it."""

    def test_final_temperature_in_learning(self, means, expected):
        order = np.argsort(means - SCORES)
        found = ops.Nearest(order[None], SCORES[order][None], np.ones(1), SCORES)
        np.testing.assert_array_equal(compute_gates(found, means, 0.25, 3).round(4), np.array([expected])[:, order])

    def test_final_temperature_of_codes(self, means, expected):
        model = InhibitedMixture(3, temperature=0.25, random_state=0).partial_fit(np.eye(4) + 0.1)
        model.components_ = np.c_[SCORES, np.diag(np.sqrt(1 - SCORES**2))]
        model.inhibition_, model.unexplained_ = means, np.ones(())
        np.testing.assert_array_equal(model.transform([[2.0, 0, 0, 0]]).round(4), [expected])


@pytest.mark.parametrize(
    ("shape", "n_rows", "period"),
    [((5, 40), 30, 4), ((6, 40), 30, 4), ((10, 40), 30, 8), ((40, 10), 30, 8), ((10, 40), 7, 20), ((40, 40), 30, 20)],
)
def test_updates_between_orthogonalizations(shape, n_rows, period, monkeypatch):
    """Every fourth update; of a large order, after a number of rows, at most twenty updates apart."""
    monkeypatch.setattr(inhibited_mixture, "_LARGE_ORDER", 5)
    leaned = []
    monkeypatch.setattr(ops, "orthogonalize_partially", lambda W, amount: leaned.append(len(leaned)) or W)
    model = InhibitedMixture(shape[0], random_state=0)
    X = np.random.default_rng(0).random((n_rows, shape[1]))
    found = []
    for update in range(1, 41):
        before = len(leaned)
        model.partial_fit(X)
        found += [update] * (len(leaned) - before)
    assert found == list(range(period, 41, period))


def test_active_components_are_ranked_after_inhibition():
    model = experts_on_axes(3, 2).set_params(temperature=0.5)
    model.inhibition_ = np.array([0.7, 0.0, 0.0])
    x = np.array([[3.0, 1.0, 2.0]])
    cosines = x[0] / np.sqrt(14)
    assert cosines[0] - 0.7 < cosines[1]
    first, second = np.exp(cosines[1:] / 0.5)
    np.testing.assert_allclose(model.transform(x), [[0, first / (first + second), second / (first + second)]])
    assert model.predict(x).tolist() == [2]


@pytest.mark.parametrize(("unexplained", "factor"), [(1.0, 1.0), (0.25, 0.25), (1e-3, 1e-3), (1e-9, 1e-3), (0.0, 1e-3)])
def test_the_temperature_is_a_multiple_of_the_unexplained_energy(unexplained, factor):
    """It is no smaller than for rows of which a thousandth of the energy is unexplained."""
    model = experts_on_axes(3, None).set_params(temperature=2.0)
    model.unexplained_ = np.array(unexplained)
    x = np.array([[1.0, 0.999, 0.998]])
    shares = np.exp(x[0] / np.linalg.norm(x) / (2 * factor))
    np.testing.assert_allclose(model.transform(x)[0], shares / shares.sum())


@pytest.mark.filterwarnings("error")
def test_gates_of_well_explained_rows_differ():
    """Groups whose cosines are .999: gates at the default temperature depend on the differences between them."""
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=500)
    X = 20 + np.eye(5, 20)[labels] * 4 + 0.5 * rng.standard_normal((500, 20))
    codes = InhibitedMixture(5, random_state=0).fit_transform(X)
    for k in range(5):
        assert len(set(codes[labels == k].argmax(axis=1))) == 1
    assert codes.max(axis=1).mean() > 0.8


@WHOLE
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_active", [1, 3, 99, None])
def test_gates_are_shares(planted, n_active, dtype, monkeypatch):
    X = planted.astype(dtype)
    X = sparse.vstack([X, sparse.csr_matrix((2, X.shape[1]), dtype=dtype)], "csr")
    model = InhibitedMixture(10, n_active=n_active, temperature=0.2, random_state=0).fit(X)
    codes = model.transform(X)
    assert codes.dtype == dtype
    np.testing.assert_allclose(codes.sum(axis=1), 1, atol=1e-6)
    assert (codes >= 0).all()
    assert (codes[:-2] > 0).sum(axis=1).max() == min(n_active or 10, 10)
    expected = oracles.gates(
        oracles.similarity(X[:-2].toarray(), model.components_) / oracles.row_norms(X[:-2].toarray())[:, None],
        model.inhibition_,
        0.2 * max(model.unexplained_, 1e-3),
        min(n_active or 10, 10),
    )
    np.testing.assert_allclose(codes[:-2], expected, atol=1e-5 if dtype == np.float32 else 1e-12)
    np.testing.assert_allclose(codes[-2:], 0.1, rtol=1e-6)
    assert model.labels_[-2:].tolist() == model.predict(X)[-2:].tolist() == [-1, -1]

    for block in (8192, 7):
        monkeypatch.setattr("codebooks.models.base._BLOCK", block)
        found = model.set_params(sparse_output=True).transform(X)
        assert sparse.issparse(found)
        assert found.format == "csr"
        assert found.dtype == dtype
        assert found.nnz == np.count_nonzero(codes)
        np.testing.assert_allclose(found.toarray(), codes, rtol=1e-6)
        np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_a_row_without_common_features_has_even_gates_and_no_label():
    model = experts_on_axes(4, 2)
    model.components_ = np.eye(5)[:4]
    model.n_features_in_ = 5
    np.testing.assert_array_equal(model.transform([[0, 0, 0, 0, 3.0]]), [[0.25] * 4])
    assert model.predict([[0, 0, 0, 0, 3.0]]).tolist() == [-1]


# -- what it says about itself ---------------------------------------------------------------------------------------


@WHOLE
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("n_active", "temperature"), [(3, 0.05), (3, 0.3), (None, 0.1), (1, 0.05)])
def test_diagnostics(planted, n_active, temperature, form, monkeypatch):
    X = np.vstack([planted.toarray(), np.zeros((20, planted.shape[1]))])  # empty rows are left out
    monkeypatch.setattr("codebooks.models.base._BLOCK", 64)
    model = InhibitedMixture(10, n_active=n_active, temperature=temperature, random_state=0).fit(FORMATS[form](X))
    share = model.transform(X[:300])
    np.testing.assert_allclose(model.load_, share.mean(axis=0), rtol=1e-9)
    assert model.load_.sum() == pytest.approx(1)
    assert model.max_violation_ == pytest.approx(share.mean(axis=0).max() * 10 - 1)
    entropy = [-sum(g * np.log(g) for g in row if g > 0) for row in share]
    assert model.gate_entropy_ == pytest.approx(np.mean(entropy) / np.log(max(n_active or 10, 2)), abs=1e-12)
    assert 0 <= model.gate_entropy_ <= 1
    assert (model.gate_entropy_ == 0) == (n_active == 1)


def test_diagnostics_by_hand():
    model = experts_on_axes(4, 2).set_params(temperature=1e-3)
    both, none, one = [1, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 1, 0, 0]
    model.components_ = np.eye(5)[:4]
    X = np.array([both, one, one, none], dtype=float)
    summaries = []
    model._find_winners(X, model._get_state(), summaries=summaries)
    model._store_summary(X, summaries)
    np.testing.assert_allclose(model.load_, [0.75 / 4, 0.75 / 4, 2.25 / 4, 0.25 / 4])
    assert model.max_violation_ == pytest.approx(1.25)
    assert model.gate_entropy_ == pytest.approx(0.5)  # two rows are whole, two even; none can be more
    assert model._largest_gate == pytest.approx((0.5 + 1 + 1 + 0.5) / 4)


def complaints(X, *, n_components=10, n_batches=0, **settings):
    """What a fit warns of, or as many minibatches."""
    model = InhibitedMixture(n_components, random_state=0, **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if n_batches:
            for k in range(n_batches):
                model.partial_fit(X[k % 4 :: 4])
        else:
            model.fit(X)
    return [str(warning.message) for warning in caught]


@pytest.fixture(scope="module")
def text():
    """Words of documents, as they come."""
    return TfidfVectorizer(min_df=3, stop_words="english", sublinear_tf=True).fit_transform(
        load_glosses().documents[::3]
    )


@pytest.mark.parametrize("n_batches", [0, 40], ids=["fit", "partial_fit"])
@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 1e3},
        {"temperature": 1},
        {"temperature": 0.5, "n_active": None, "n_components": 50},
        {"n_active": 2, "temperature": 1},
    ],
)
def test_warning_of_even_gates(text, settings, n_batches):
    n_active = settings.get("n_active", 3) or 50
    (even,) = complaints(text, n_batches=n_batches, **settings)
    assert f"share nearly all rows evenly among {n_active} components" in even
    assert f"Lower the temperature, which is {settings['temperature']:g}, for instance to 0.0" in even


@pytest.mark.parametrize("n_batches", [0, 40], ids=["fit", "partial_fit"])
@pytest.mark.parametrize(
    "settings", [{"temperature": 1e-4}, {"temperature": 1e-3}, {"temperature": 5e-4, "n_active": None}]
)
def test_warning_of_whole_gates(text, settings, n_batches):
    (whole,) = complaints(text, n_batches=n_batches, **settings)
    assert "give nearly all rows to one component alone" in whole
    assert f"Raise the temperature, which is {settings['temperature']:g}, for instance to 0." in whole


@pytest.mark.parametrize("settings", [{"temperature": 1}, {"temperature": 1e-3}, {"temperature": 1, "n_active": None}])
def test_no_warning_at_the_advised_temperature(text, settings):
    (message,) = complaints(text, **settings)
    advised = float(re.search(r"for instance to ([0-9.e-]+?)[.;]( |$)", message)[1])
    assert complaints(text, **{**settings, "temperature": advised}) == []


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"n_active": None},
        {"n_active": 1},
        {"n_active": 1, "temperature": 1e3},
        {"temperature": 0.1},
        {"temperature": 0.01},
    ],
)
def test_no_warning_of_informative_gates(text, settings):
    assert complaints(text, **settings) == []


def test_no_warning_at_the_defaults(planted):
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((10, 60))[rng.integers(10, size=1000)]
    noise = rng.standard_normal((1000, 60))
    sets = {
        "digits": load_digits().data,
        "counts": planted,
        "far groups": centers + 0.1 * noise,
        "near groups": centers + noise,
        "a cone": 1 + 0.4 * (centers + noise),
        "noise": noise,
    }
    for name, X in sets.items():
        for n_batches in (0, 40):
            found = complaints(X, n_batches=n_batches)
            assert [message for message in found if "gates" in message] == [], name


def test_idle_components_give_no_warning_of_temperature():
    X = np.repeat(np.eye(5)[:1], 100, axis=0)
    [found] = complaints(X, n_components=4, revive=False)
    assert "n_components=1 is enough" in found


def test_diagnostics_of_minibatches(planted):
    X = planted.toarray()
    model = InhibitedMixture(5, random_state=0)
    with pytest.raises(AttributeError):
        model.load_  # noqa: B018
    for start in range(0, 300, 30):
        model.partial_fit(X[start : start + 30])
        assert model.load_.sum() == pytest.approx(1)
    model.partial_fit(np.zeros((5, X.shape[1])))
    assert model._n_gates == 300
    share = model.transform(X)  # by the last state: diagnostics are by the states on the way
    np.testing.assert_allclose(model.load_, share.mean(axis=0), atol=0.2)
    whole = InhibitedMixture(5, random_state=0).fit(X)
    before = whole.load_.copy()
    whole.partial_fit(np.vstack([X] * 4))  # more rows than diagnostics go back
    share = whole.transform(X)
    np.testing.assert_allclose(whole.load_, share.mean(axis=0), rtol=1e-9)
    entropies = -(share * np.log(np.maximum(share, 1e-300))).sum(axis=1) / np.log(3)
    assert whole.gate_entropy_ == pytest.approx(entropies.mean())
    assert not np.array_equal(before, whole.load_)


# -- more experts than topics ----------------------------------------------------------------------------------------


def n_idle(seed, **settings):
    """How many of thirty experts win no document of ten planted topics."""
    X = make_planted_corpus(1000, 10, random_state=seed).X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = InhibitedMixture(30, random_state=seed, **settings).fit(X).labels_
    return 30 - len(set(labels[labels >= 0]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("settings", [{}, {"n_active": None, "temperature": 0.2}], ids=["default", "all share, warm"])
def test_no_component_is_idle(settings, seed):
    assert n_idle(seed, **settings) == 0


@pytest.mark.parametrize("seed", range(3))
def test_components_without_inhibition_and_orthogonality_become_equal(seed):
    """While T is high all experts learn the mean of all rows, and with this T they stay there, all but equal.

    It takes gates that leave no expert out and such a T: at the defaults otherwise hardly any expert is lost.
    """
    free = {"n_active": None, "temperature": 0.2, "inhibition": None, "revive": False, "orthogonality": 0}
    assert n_idle(seed, **free) >= 8
    assert n_idle(seed, **{**free, "orthogonality": 0.5}) <= 2
