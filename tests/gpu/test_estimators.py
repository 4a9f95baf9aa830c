"""Estimators on a device: CuPy in, CuPy out, results equal to the CPU, and models copied back to the host."""

import pickle
from itertools import product

import numpy as np
import pytest
import simulated
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from test_contract import CASES, PATHS, build

import codebooks
from codebooks import (
    HopfieldMemory,
    InhibitedMixture,
    KrotovHopfield,
    MultinomialMixture,
    NeighborSmoothing,
    OrthogonalSparseCoding,
    PairedHead,
    PartialWhitening,
    TextEmbedder,
    ops,
)
from codebooks.datasets import make_planted_corpus

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The gates (give|share) nearly all rows"),
    pytest.mark.filterwarnings("ignore:.*components? wins? no sample"),
]
STEP = {np.float32: 1e-4, np.float64: 1e-9}


def moved(X):
    """A matrix of the host on the device."""
    import cupy
    from cupyx.scipy.sparse import csr_matrix

    return csr_matrix(X) if sparse.issparse(X) else cupy.asarray(X)


@pytest.fixture(scope="module")
def planted():
    corpus = make_planted_corpus(160, 5, random_state=0)
    return corpus.X.astype(np.float64), corpus.labels


@pytest.fixture(params=["dense", "csr"])
def X(request, planted):
    return planted[0].toarray() if request.param == "dense" else planted[0]


@pytest.fixture(scope="module")
def fitted_on_device(cp):
    """Models fitted on the device, each once; tests must not modify them."""
    models = {}

    def fitted(learner, settings, X):
        key = learner, *settings.items(), sparse.issparse(X)
        if key not in models:
            models[key] = build(learner, settings).fit(moved(X))
        return models[key]

    return fitted


@pytest.mark.parametrize(
    ("learner", "X"),
    [
        *product([KrotovHopfield, InhibitedMixture, MultinomialMixture, OrthogonalSparseCoding], ["csr"]),
        (KrotovHopfield, "dense"),
    ],
    indirect=["X"],
)
def test_an_update_with_empty_samples_only_changes_nothing(cp, learner, X):
    model = build(learner, {}).partial_fit(moved(X[:100]))
    before = [np.copy(ops.to_host(field)) for field in model._get_state()]
    model.partial_fit(moved(0 * X[:30]))
    assert ops.to_host(model.labels_).tolist() == [-1] * 30
    for old, new in zip(before, model._get_state(), strict=True):
        assert_array_equal(ops.to_host(new), old)
    how = {"shuffle": False, "max_iter": 2}
    expected = build(learner, {}, **how).fit(moved(X))
    stack = sparse.vstack if sparse.issparse(X) else np.vstack
    padded = stack([X[:100], 0 * X[:100], X[100:]])
    found = build(learner, {}, **how).fit(moved(padded.tocsr() if sparse.issparse(X) else padded))
    assert found.n_updates_ == expected.n_updates_
    assert_allclose(ops.to_host(found.components_), ops.to_host(expected.components_), atol=1e-8)


@pytest.mark.parametrize(("learner", "settings"), CASES)
def test_one_step_equals_that_of_the_cpu(cp, learner, settings, X):
    for dtype, tolerance in STEP.items():
        rows = X[:100].astype(dtype)
        model = build(learner, settings)
        here = model._initialize(rows, np.random.RandomState(0))
        there = type(here)(*(moved(field) if isinstance(field, np.ndarray) else field for field in here))
        here, there = model._partial_step(rows, here, 0)[0], model._partial_step(moved(rows), there, 0)[0]
        for name in ("components", "usage", "inhibition"):
            found, expected = ops.to_host(getattr(there, name)), getattr(here, name)
            assert found.dtype == expected.dtype == dtype
            assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture, OrthogonalSparseCoding, MultinomialMixture])
def test_a_weighted_fit_equals_that_of_the_cpu(cp, learner, X):
    weights = np.arange(120) % 4
    how = {"shuffle": False, "max_iter": 2}
    here = build(learner, {}, **how).fit(X[:120], sample_weight=weights)
    there = build(learner, {}, **how).fit(moved(X[:120]), sample_weight=cp.asarray(weights))
    assert_allclose(ops.to_host(there.components_), here.components_, atol=1e-8)
    assert_allclose(ops.to_host(there.usage_), here.usage_)
    score = here.score(X[:120], sample_weight=weights)
    assert there.score(moved(X[:120]), sample_weight=weights) == pytest.approx(score)


# Whole fits are slow on the simulated device. Those of dense samples are made with default settings only, and not with
# `MultinomialMixture`, which converts samples to CSR.
WHOLE_FITS = [
    pytest.param(*case.values, form, id=f"{case.id}-{form}")
    for case in CASES
    for form in ("csr", "dense")
    if form == "csr" or (not case.values[1] and case.values[0] is not MultinomialMixture)
]


@pytest.mark.parametrize(("learner", "settings", "X"), WHOLE_FITS, indirect=["X"])
class TestLearners:
    def test_fit_finds_the_labels_of_the_cpu(self, fitted_on_device, learner, settings, X):
        here, there = build(learner, settings).fit(X), fitted_on_device(learner, settings, X)
        assert ops.is_on_gpu(there.components_)
        assert ops.is_on_gpu(there.labels_)
        if settings.get("algorithm") != "hebbian":  # without margins of its own after a few steps
            assert_array_equal(ops.to_host(there.labels_), here.labels_)
            assert_allclose(ops.to_host(there.components_), here.components_, rtol=1e-6, atol=1e-8)
            assert there.n_iter_ == here.n_iter_
            assert there.score(moved(X)) == pytest.approx(here.score(X), rel=1e-8)

    def test_cupy_in_cupy_out(self, fitted_on_device, learner, settings, X):
        on, model = moved(X), fitted_on_device(learner, settings, X)
        codes, labels = model.transform(on), model.predict(on)
        assert ops.is_on_gpu(codes)
        assert codes.dtype == X.dtype
        strength = model._orient_scores(codes)
        assert_array_equal(ops.to_host(strength.argmax(axis=1))[:50], ops.to_host(labels)[:50])
        assert ops.is_on_gpu(model.inverse_transform(codes))
        assert isinstance(model.score(on), float)

    def test_back_to_the_host(self, fitted_on_device, learner, settings, X):
        model = fitted_on_device(learner, settings, X)
        for copy in (codebooks.to_host(model), pickle.loads(pickle.dumps(model))):
            assert not any(map(ops.is_on_gpu, vars(copy).values()))
            assert_array_equal(copy.predict(X), ops.to_host(model.predict(moved(X))))
            assert_allclose(copy.transform(X), ops.to_host(model.transform(moved(X))), rtol=1e-9, atol=1e-9)
            copy.partial_fit(X[:50])  # and it learns on
        assert ops.is_on_gpu(model.components_)

    def test_sparse_codes(self, fitted_on_device, learner, settings, X):
        model = clone(fitted_on_device(learner, settings, X))
        vars(model).update(vars(fitted_on_device(learner, settings, X)))
        dense = model.transform(moved(X))
        codes = model.set_params(sparse_output=True).transform(moved(X))
        assert ops.is_on_gpu(codes)
        assert ops.is_sparse(codes)
        assert_array_equal(ops.to_host(codes).toarray(), ops.to_host(dense))
        rows = model.inverse_transform(codes)
        assert not ops.is_sparse(rows)
        assert_allclose(ops.to_host(rows), ops.to_host(model.inverse_transform(dense)), atol=1e-6)


@pytest.mark.parametrize(
    ("learner", "settings", "X"),
    [
        case
        for case in WHOLE_FITS
        if case.values[1] in PATHS
        and not case.values[1].get("prune")  # components are removed
        and case.values[1].get("algorithm") not in ("geodesic", "online", "hebbian")  # the schedule counts epochs
    ],
    indirect=["X"],
)
def test_partial_fit_over_minibatches_equals_one_epoch(cp, learner, settings, X):
    on = moved(X)
    model = build(learner, settings, max_iter=1, shuffle=False).fit(on)
    again = build(learner, settings)
    for start in range(0, X.shape[0], 100):
        again.partial_fit(ops.take_rows(on, slice(start, start + 100)))
    assert_allclose(ops.to_host(again.components_), ops.to_host(model.components_), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("learner", "settings", "X"), [case for case in WHOLE_FITS if case.values[1] in PATHS], indirect=["X"]
)
def test_labels_of_empty_samples(cp, learner, settings, X):
    rows = X.toarray() if sparse.issparse(X) else X.copy()
    rows[[0, 7]] = 0
    on = moved(sparse.csr_matrix(rows) if sparse.issparse(X) else rows)
    model = build(learner, settings, max_iter=2).fit(on)
    assert (ops.to_host(model.labels_)[[0, 7]] == -1).all()
    assert (ops.to_host(model.predict(on))[[0, 7]] == -1).all()


@pytest.mark.parametrize("learner", sorted({case.values[0] for case in CASES}, key=lambda learner: learner.__name__))
def test_labels_of_float32_equal_those_of_the_cpu(cp, learner):
    rows = make_planted_corpus(160, 5, random_state=1).X.astype(np.float32)
    here, there = (learner(5, random_state=1, max_iter=8).fit(given) for given in (rows, moved(rows)))
    assert_array_equal(ops.to_host(there.labels_), here.labels_)


@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_revival_in_minibatches_of_one_row(cp, learner, X):
    """Most components win no sample of such a minibatch."""
    models = [learner(5, random_state=0) for _ in range(2)]
    for row in range(40):
        batch = X[row : row + 1]
        for model, given in zip(models, (batch, moved(batch)), strict=True):
            if row % 10 == 9:
                usage = np.array([0, 0.6, 0.2, 0.2, 0])
                model.usage_ = moved(usage) if given is not batch else usage
            model.partial_fit(given)
    here, there = models
    assert (here.usage_ > 0).all()
    assert_allclose(ops.to_host(there.components_), here.components_, atol=1e-8)


class TestInputValidation:
    def test_a_model_of_the_host_refuses_a_cupy_array(self, cp, X):
        model = KrotovHopfield(3, random_state=0).fit(X)
        for call in (model.predict, model.transform, model.partial_fit, model.score):
            with pytest.raises(TypeError, match=r"fitted on the CPU .* got a CuPy array\. Use X\.get\(\)"):
                call(moved(X))
        with pytest.raises(TypeError, match="fitted on the CPU"):
            model.inverse_transform(moved(model.transform(X)))

    def test_a_model_of_the_device_refuses_an_array_of_the_host(self, cp, X):
        model = KrotovHopfield(3, random_state=0).fit(moved(X))
        before = model.n_updates_
        for call in (model.predict, model.transform, model.partial_fit, model.score):
            with pytest.raises(TypeError, match=r"the GPU .* got .*(asarray|csr_matrix)\(X\), or .*to_host\(model\)"):
                call(X)
        assert model.n_updates_ == before
        model.fit(X)  # a new fit may be anywhere
        assert not ops.is_on_gpu(model.components_)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda cp: cp.full((3, 2), cp.nan), "finite numbers, got NaN"),
            (lambda cp: cp.full((3, 2), cp.inf), "finite numbers, got NaN"),
            (lambda cp: cp.zeros((3, 2)), "only zeros"),
            (lambda cp: cp.zeros((0, 2)), "at least one row"),
            (lambda cp: cp.zeros((3, 0)), "at least one feature"),
            (lambda cp: cp.zeros(3), r"2 dimensions.*reshape\(1, -1\)"),
            (lambda cp: cp.ones((3, 2), dtype=complex), "real numbers, got .*complex128"),
            (lambda cp: cp.full((3, 2), 1e200), "squares would overflow"),
        ],
    )
    def test_invalid_input_raises_and_keeps_the_fitted_model(self, cp, make, message):
        model = KrotovHopfield(2, random_state=0).fit(cp.asarray([[1.0, 0.0], [0.0, 1.0]]))
        before = model.components_
        with pytest.raises(ValueError, match=message):
            model.fit(make(cp))
        assert model.components_ is before

    def test_other_features_are_refused(self, cp):
        model = KrotovHopfield(2, random_state=0).fit(cp.eye(3))
        with pytest.raises(ValueError, match="expecting 3 features"):
            model.predict(cp.eye(4))
        with pytest.raises(ValueError, match="expected codes of shape"):
            model.inverse_transform(cp.eye(4))

    def test_before_fit(self, cp):
        with pytest.raises(NotFittedError):
            KrotovHopfield().predict(cp.eye(3))

    @pytest.mark.parametrize("dtype", ["int8", "int64", "bool", "float16"])
    def test_other_numbers_become_float64(self, cp, dtype):
        on = cp.asarray([[1, 0, 1], [0, 1, 0], [1, 0, 0]]).astype(dtype)
        model = KrotovHopfield(2, random_state=0).fit(on)
        assert model.components_.dtype == np.float64

    def test_any_sparse_format(self, cp):
        import cupyx.scipy.sparse as on_device

        dense = np.array([[3.0, 1, 0], [0, 0, 2], [2, 1, 0], [0, 0, 1]])
        expected = KrotovHopfield(2, random_state=0).fit(dense).labels_
        for form in (on_device.csr_matrix, on_device.csc_matrix, on_device.coo_matrix):
            model = KrotovHopfield(2, random_state=0).fit(form(sparse.csr_matrix(dense)))
            assert_array_equal(ops.to_host(model.labels_), expected)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda cp, X: setattr(X, "indices", X.indices + 99),
            lambda cp, X: setattr(X, "indices", X.indices - 3),
            lambda cp, X: setattr(X, "indptr", X.indptr + 2),
            lambda cp, X: setattr(X, "indptr", X.indptr[:2]),
            lambda cp, X: setattr(X, "indptr", cp.asarray([0, 4, 2, 5, 6], dtype=np.int32)),
            lambda cp, X: setattr(X, "data", X.data[:2]),
        ],
    )
    def test_damaged_sparse_matrices_are_refused(self, cp, damage):
        model = KrotovHopfield(2, random_state=0)
        on = moved(sparse.csr_matrix(np.array([[3.0, 1, 0], [0, 0, 2], [2, 1, 0], [0, 0, 1]])))
        model.fit(on)
        damage(cp, on)
        for call in (model.fit, model.transform, model.partial_fit):
            with pytest.raises(ValueError, match=r"valid indices, got csr_matrix of float64 shape \(4, 3\) in which"):
                call(on)

    def test_choosing_the_number_of_units(self, cp, planted):
        X = planted[0]
        here = codebooks.choose_n_components(KrotovHopfield(), X, candidates=(3, 5), n_seeds=2)
        there = codebooks.choose_n_components(KrotovHopfield(), moved(X), candidates=(3, 5), n_seeds=2)
        assert there.n_components == here.n_components


# -- the loop waits for the device once an epoch -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["KrotovHopfield", "InhibitedMixture"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_synchronizations_of_an_epoch_do_not_depend_on_the_number_of_minibatches(cp, is_simulated, X, name, shuffle):
    if not is_simulated:
        pytest.skip("only the simulation counts how often it is waited for")
    on, counted = moved(X), []
    for batch_size in (120, 20):
        model = getattr(codebooks, name)(5, random_state=0, batch_size=batch_size, shuffle=shuffle)
        rng = np.random.RandomState(0)
        state, *_ = model._run_epoch(on, None, 0, rng)
        with simulated.counting() as counts:
            model._run_epoch(on, state, 1, rng)
        counted.append(counts.synchronizations)
    assert counted[0] == counted[1] <= 6, counted


def test_asynchronous_epochs_equal_synchronous_ones(cp, X, monkeypatch):
    """Idle components are revived in the same minibatch as by a loop that checks after each minibatch."""
    settings = {"random_state": 0, "batch_size": 40, "max_iter": 8, "annealing_updates": 0}
    there = KrotovHopfield(9, **settings).fit(moved(X))
    monkeypatch.setattr("codebooks.ops.gpu.is_asynchronous", lambda a: False)
    careful = KrotovHopfield(9, **settings).fit(moved(X))
    here = KrotovHopfield(9, **settings).fit(X)
    for other in (careful, here):
        assert there.n_updates_ == other.n_updates_
        assert_allclose(ops.to_host(there.components_), ops.to_host(other.components_), rtol=1e-6, atol=1e-8)


# -- the memory --------------------------------------------------------------------------------------------------------

PATTERNS = np.random.default_rng(0).standard_normal((60, 30))
WORDS = (np.random.default_rng(1).random((60, 80)) < 0.15).astype(float)
MEMORIES = [
    pytest.param(PATTERNS, {"similarity": similarity, "separation": separation}, id=f"{similarity}-{separation}")
    for similarity in ("dot", "cosine", "euclidean")
    for separation in ("sparsemax", "softmax", "entmax15", "max")
] + [
    pytest.param(WORDS, {}, id="words"),
    pytest.param(sparse.csr_matrix(WORDS), {}, id="sparse words"),
    pytest.param(sparse.csr_matrix(WORDS), {"similarity": "cosine", "n_steps": 3, "threshold": 0.5}, id="steps"),
    pytest.param(np.vstack([WORDS, WORDS[:9]]), {"separation": "softmax"}, id="copies"),
]


@pytest.mark.parametrize(("patterns", "settings"), MEMORIES)
class TestMemory:
    def queries(self, patterns):
        dense = patterns.toarray() if sparse.issparse(patterns) else patterns
        some = dense[:8] * (np.random.default_rng(2).random(dense[:8].shape) < 0.6)
        some[3] = 0
        return sparse.csr_matrix(some) if sparse.issparse(patterns) else some

    def test_recall_equals_that_of_the_cpu(self, cp, patterns, settings):
        Q = self.queries(patterns)
        here, there = HopfieldMemory(**settings).fit(patterns), HopfieldMemory(**settings).fit(moved(patterns))
        assert there.beta_ == pytest.approx(here.beta_, rel=1e-9)
        assert there.retrievable_ == here.retrievable_
        for name in ("transform", "energy"):
            found, expected = getattr(there, name)(moved(Q)), getattr(here, name)(Q)
            assert ops.is_on_gpu(found)
            found, expected = (a.toarray() if sparse.issparse(a) else a for a in (ops.to_host(found), expected))
            assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
        for name, n in (("recall", 4), ("recall", 100), ("kneighbors", 4)):
            for found, expected in zip(getattr(there, name)(moved(Q), n), getattr(here, name)(Q, n), strict=True):
                assert ops.is_on_gpu(found)
                if expected.dtype == np.int64 and name == "kneighbors":
                    found, expected = np.sort(ops.to_host(found), axis=1), np.sort(expected, axis=1)
                assert_allclose(ops.to_host(found), expected, rtol=1e-7, atol=1e-7)

    def test_missing_values(self, cp, patterns, settings):
        Q = self.queries(patterns)
        Q = Q.toarray() if sparse.issparse(Q) else Q.copy()
        Q[np.random.default_rng(3).random(Q.shape) < 0.3], Q[2] = np.nan, np.nan
        Q = sparse.csr_matrix(Q) if sparse.issparse(patterns) else Q
        here, there = HopfieldMemory(**settings).fit(patterns), HopfieldMemory(**settings).fit(moved(patterns))
        found, expected = ops.to_host(there.transform(moved(Q))), here.transform(Q)
        found, expected = (a.toarray() if sparse.issparse(a) else a for a in (found, expected))
        assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
        for found, expected in zip(there.recall(moved(Q), 4), here.recall(Q, 4), strict=True):
            assert_allclose(ops.to_host(found), expected, rtol=1e-7, atol=1e-7)

    def test_transform_of_stored_patterns(self, cp, patterns, settings):
        there = HopfieldMemory(**settings).fit(moved(patterns))
        expected, found = HopfieldMemory(**settings).fit(patterns).transform(patterns), there.transform(moved(patterns))
        found, expected = (a.toarray() if sparse.issparse(a) else a for a in (ops.to_host(found), expected))
        assert_allclose(found, expected, rtol=1e-8, atol=1e-9)

    def test_partial_fit_and_remove(self, cp, patterns, settings):
        here, there = (
            HopfieldMemory(**settings).fit(patterns[:40]),
            HopfieldMemory(**settings).fit(moved(patterns[:40])),
        )
        here.partial_fit(patterns[40:]).remove([3, 41])
        there.partial_fit(moved(patterns[40:])).remove([3, 41])
        Q = self.queries(patterns)
        found, expected = ops.to_host(there.transform(moved(Q))), here.transform(Q)
        found, expected = (a.toarray() if sparse.issparse(a) else a for a in (found, expected))
        assert_allclose(found, expected, rtol=1e-8, atol=1e-9)

    def test_back_to_the_host(self, cp, patterns, settings):
        there = HopfieldMemory(**settings).fit(moved(patterns), np.arange(patterns.shape[0]) % 3)
        Q = self.queries(patterns)
        labels = there.predict(moved(Q))
        assert isinstance(labels, np.ndarray)  # labels may be words
        back = codebooks.to_host(there)
        assert not ops.is_on_gpu(back.patterns_)
        assert_array_equal(back.predict(Q), labels)
        assert back.score(Q) == there.score(moved(Q))
        with pytest.raises(TypeError, match="fitted on the GPU"):
            there.transform(Q)
        with pytest.raises(TypeError, match="fitted on the CPU"):
            back.transform(moved(Q))


# -- what comes before the learners ------------------------------------------------------------------------------------


def test_isotropy(cp):
    X = PATTERNS + 3
    here, there = PartialWhitening().fit(X), PartialWhitening().fit(moved(X))
    assert ops.is_on_gpu(there.transform(moved(X)))
    assert_allclose(ops.to_host(there.transform(moved(X))), here.transform(X), rtol=1e-8, atol=1e-9)
    back = there.inverse_transform(there.transform(moved(X)))
    assert_allclose(ops.to_host(back), X, rtol=1e-8, atol=1e-8)
    assert_allclose(codebooks.to_host(there).transform(X), here.transform(X), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("algorithm", ["exact", "approximate"])
def test_neighbor_smoothing(cp, algorithm):
    X = np.vstack([PATTERNS - PATTERNS.mean(axis=0), np.zeros((1, PATTERNS.shape[1]))])
    here = NeighborSmoothing(3, algorithm=algorithm).fit(X)
    there = NeighborSmoothing(3, algorithm=algorithm).fit(moved(X))
    assert ops.is_on_gpu(there.transform(moved(X)))
    assert_allclose(ops.to_host(there.transform(moved(X))), here.transform(X), rtol=1e-8, atol=1e-9)
    assert_allclose(codebooks.to_host(there).transform(X), here.transform(X), rtol=1e-8, atol=1e-9)
    with pytest.raises(TypeError, match="fitted on the GPU"):
        there.transform(X)


def test_paired_head(cp):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 4)
    X = rng.standard_normal((40, 20))[groups] + 2 * rng.standard_normal((160, 20)) * (np.arange(20) < 8)
    here, there = PairedHead().fit(X, groups), PairedHead().fit(moved(X), groups)
    assert here.improved_
    assert there.improved_
    assert ops.is_on_gpu(there.transform(moved(X)))
    assert_allclose(ops.to_host(there.transform(moved(X))), here.transform(X), rtol=1e-8, atol=1e-9)
    assert_allclose(codebooks.to_host(there).transform(X), here.transform(X), rtol=1e-8, atol=1e-9)
    with pytest.raises(TypeError, match="fitted on the GPU"):
        there.transform(X)


def test_text_embedder_without_an_encoder(cp):
    found = TextEmbedder(None, normalize=True).transform(moved(PATTERNS))
    assert ops.is_on_gpu(found)
    assert_allclose(ops.to_host(found), TextEmbedder(None, normalize=True).transform(PATTERNS), rtol=1e-5)
    with pytest.raises(TypeError, match="dense"):
        TextEmbedder(None).transform(moved(sparse.csr_matrix(WORDS)))
    with pytest.raises(ValueError, match="finite"):
        TextEmbedder(None).transform(cp.full((2, 2), cp.nan))


@pytest.mark.parametrize("build", [PartialWhitening, NeighborSmoothing, PairedHead])
def test_estimators_of_dense_input_refuse_sparse_input(cp, planted, build):
    with pytest.raises((TypeError, ValueError), match="dense"):
        build().fit(moved(planted[0]), planted[1])


def test_bm25_transformer_refuses_cupy_arrays(cp, planted):
    with pytest.raises(TypeError, match=r"X\.get\(\)"):
        codebooks.BM25Transformer().fit(moved(planted[0]))


def test_pipeline(cp, planted):
    X, labels = planted[0].toarray(), planted[1]
    model = make_pipeline(TextEmbedder(None), PartialWhitening(power=0), KrotovHopfield(5, random_state=0))
    here, there = clone(model).fit(X), clone(model).fit(moved(X))
    for model, rows in ((here, X), (there, moved(X)), (codebooks.to_host(there), X)):
        assert codebooks.metrics.agreement(labels, ops.to_host(model.predict(rows))).nmi > 0.99


def test_topics_of_a_model_on_the_device(cp, planted):
    corpus = make_planted_corpus(240, 5, random_state=0)
    on = moved(corpus.X)
    model = KrotovHopfield(5, random_state=0).fit(on)
    here = KrotovHopfield(5, random_state=0).fit(corpus.X)
    for given, same in ((None, None), (on, corpus.X)):
        found = codebooks.topic_words(model, feature_names=corpus.terms, X=given)
        expected = codebooks.topic_words(here, feature_names=corpus.terms, X=same)
        assert [topic.words for topic in found] == [topic.words for topic in expected]
