"""Laws that hold for every public estimator of arrays."""

import pickle
from contextlib import nullcontext
from io import BytesIO

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import normalized_mutual_info_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_transformer_preserve_dtypes, parametrize_with_checks
from threadpoolctl import threadpool_limits

import codebooks
from codebooks.datasets import make_planted_corpus
from codebooks.models.base import CodebookLearner

# Planted groups are so far apart that a mixture shares no row, and some of scikit-learn's data has no groups at all;
# the warnings are correct.
pytestmark = pytest.mark.filterwarnings("ignore:The gates (give|share) nearly all rows")

LEARNERS = [
    getattr(codebooks, name)
    for name in codebooks.__all__
    if isinstance(getattr(codebooks, name), type) and issubclass(getattr(codebooks, name), CodebookLearner)
]
# The settings in which a learner follows another path through its code.
VARIANTS = {
    codebooks.InhibitedMixture: [
        {},
        {"n_active": 1},
        {"n_active": None},
        {"orthogonality": 0.0},
        {"orthogonality": 1.0},
        {"inhibition": "load"},
        {"inhibition": None},
        {"annealing_updates": 0},
    ],
    codebooks.KrotovHopfield: [
        {},
        {"algorithm": "hebbian"},
        {"transform_n_active": 2},
        {"p": 3, "rival_rank": 3},
        {"inhibition": "load"},
        {"inhibition": None},
        {"inhibition_strength": 1.0},
        {"prune": True},
    ],
    codebooks.MultinomialMixture: [{}],
    codebooks.OrthogonalSparseCoding: [
        {},
        {"algorithm": "geodesic"},
        {"algorithm": "online"},
        {"signed": True},
        {"algorithm": "geodesic", "signed": True},
        {"n_active": 1},
        {"n_active": None},
        {"inhibition": "mean"},
        {"threshold": 0.01},
    ],
}
# The settings in which other code reads the data or writes the codes.
PATHS = [
    {},
    {"n_active": None},
    {"algorithm": "hebbian"},
    {"p": 3, "rival_rank": 3},
    {"prune": True},
    {"algorithm": "geodesic"},
    {"algorithm": "online"},
    {"signed": True},
    {"algorithm": "geodesic", "signed": True},
    {"threshold": 0.01},
]


def list_cases(is_listed):
    return [
        pytest.param(learner, settings, id=f"{learner.__name__}-{'-'.join(map(str, settings.values())) or 'default'}")
        for learner in LEARNERS
        for settings in VARIANTS.get(learner, [{}])
        if is_listed(settings)
    ]


CASES = list_cases(lambda settings: True)
every_setting = pytest.mark.parametrize(("learner", "settings"), CASES)
every_path = pytest.mark.parametrize(("learner", "settings"), list_cases(lambda settings: settings in PATHS))
every_learner = pytest.mark.parametrize(("learner", "settings"), list_cases(lambda settings: not settings))
# Their codes sum to 1.
GATED = (codebooks.InhibitedMixture, codebooks.MultinomialMixture)
FORMATS = {
    "csr_matrix": sparse.csr_matrix,
    "csr_array": sparse.csr_array,
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_matrix,
    "int64 indices": lambda X: _with_int64_indices(sparse.csr_matrix(X)),
    "duplicate entries": lambda X: _with_halved_duplicates(sparse.csr_matrix(X)),
    "Fortran order": np.asfortranarray,
    "lists": lambda X: X.tolist(),
}


def _with_int64_indices(X):
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def _with_halved_duplicates(X):
    parts = np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), X.indptr * 2
    return sparse.csr_matrix(parts, shape=X.shape)


@pytest.fixture(scope="module")
def planted():
    corpus = make_planted_corpus(400, 5, random_state=0)
    return corpus.X.toarray().astype(np.float64), corpus.labels


def build(learner, settings, **more):
    return learner(**{"n_components": 5, "random_state": 0, "max_iter": 10, "batch_size": 100, **settings, **more})


def expected_failures(estimator):
    """Checks of scikit-learn that a learner is not made for, each with its reason."""
    # Without shuffling they pass: see tests/models/test_sample_weight.py.
    reason = "the draws from random_state that shuffle the rows depend on their number, and the start follows them"
    failures = {f"check_sample_weight_equivalence_on_{form}_data": reason for form in ("dense", "sparse")}
    if isinstance(estimator, codebooks.MultinomialMixture):
        # Blobs around the origin, although the tags of the estimator exclude negative values.
        failures["check_clustering"] = "negative values are no counts of words"
    return failures


@pytest.mark.filterwarnings("ignore:.*components? wins? no sample")
@parametrize_with_checks([learner() for learner in LEARNERS], expected_failed_checks=expected_failures)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


# The checks of scikit-learn whose result depends on the rule that is learned or on the form of the codes.
NUMERIC_CHECKS = [
    estimator_checks.check_clustering,
    estimator_checks.check_estimators_nan_inf,
    estimator_checks.check_estimators_overwrite_params,
    estimator_checks.check_estimators_pickle,
    estimator_checks.check_fit_idempotent,
    estimator_checks.check_fit2d_1feature,
    estimator_checks.check_fit2d_1sample,
    estimator_checks.check_methods_sample_order_invariance,
    estimator_checks.check_methods_subset_invariance,
    estimator_checks.check_readonly_memmap_input,
    estimator_checks.check_transformer_general,
]


@pytest.mark.filterwarnings("ignore:.*components? wins? no sample")
@pytest.mark.parametrize("check", NUMERIC_CHECKS)
@pytest.mark.parametrize(
    ("learner", "settings"),
    [
        *list_cases(bool),
        *[pytest.param(learner, {"sparse_output": True}, id=f"{learner.__name__}-sparse") for learner in LEARNERS],
    ],
)
def test_scikit_learn_contract_of_other_settings(learner, settings, check):
    if check is estimator_checks.check_clustering:
        if learner is codebooks.MultinomialMixture:
            pytest.skip("negative values are no counts of words")
        if settings.get("signed") or settings.get("algorithm") == "geodesic":
            # Three blobs around the origin in two features, so two components at most. A signed component wins on both
            # of its sides; and while all rows keep both components no rotation explains more.
            pytest.skip("two orthogonal axes through the middle of three blobs are no clustering of them")
    check(learner.__name__, learner(**settings))


def over_all_columns(sums, n_features):
    """Expand statistics of some columns, with zeros in the others."""
    if "columns" not in sums._fields:
        return sums
    pull = np.zeros((len(sums.pull), n_features))
    pull[:, sums.columns] = sums.pull
    return sums._replace(pull=pull, columns=0)


class TestLaws:
    @every_setting
    def test_codes_and_labels_agree(self, learner, settings, planted):
        X, _ = planted
        model = build(learner, settings).fit(X)
        strength = model._orient_scores(model.transform(X))  # signed codes compete by their magnitude
        np.testing.assert_array_equal(strength.argmax(axis=1), model.predict(X))
        np.testing.assert_array_equal(model.labels_, model.predict(X))
        np.testing.assert_array_equal(clone(model).fit_predict(X), model.labels_)

    @every_setting
    def test_codes_and_labels_agree_on_signed_data(self, learner, settings):
        if learner is codebooks.MultinomialMixture:
            pytest.skip("it refuses negative values")
        X = np.random.default_rng(3).standard_normal((300, 5))
        model = build(learner, settings).fit(X)
        strength, labels = model._orient_scores(model.transform(X)), model.predict(X)
        known = labels >= 0
        np.testing.assert_array_equal(strength.argmax(axis=1)[known], labels[known])
        # A row has no label only if a threshold leaves no code.
        assert known.all() or ("threshold" in settings and not strength[~known].any())

    @every_setting
    def test_empty_rows_have_no_label(self, learner, settings, planted):
        X, _ = planted
        with_empty = np.vstack([X[:50], np.zeros((3, X.shape[1])), X[50:]])
        model = build(learner, settings).fit(with_empty)
        # The gates of an empty row are even.
        nothing = 1 / 5 if learner in GATED else 0
        assert (model.transform(with_empty)[50:53] == nothing).all()
        assert (model.predict(with_empty)[50:53] == -1).all()
        assert (model.labels_[50:53] == -1).all()
        assert model.usage_.sum() == pytest.approx(1)

    @every_setting
    def test_empty_rows_have_no_influence(self, learner, settings, planted):
        X, _ = planted
        batch, empty = X[:100], np.zeros((20, X.shape[1]))
        one = build(learner, settings).partial_fit(batch).partial_fit(X[100:200])
        two = build(learner, settings).partial_fit(batch).partial_fit(np.vstack([empty, X[100:200], empty]))
        np.testing.assert_allclose(one.components_, two.components_, atol=1e-12)
        np.testing.assert_allclose(one.inhibition_, two.inhibition_, atol=1e-12)
        np.testing.assert_allclose(one.usage_, two.usage_, atol=1e-12)

    @every_path
    @pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "CSR"])
    def test_an_update_without_entries_changes_nothing(self, learner, settings, planted, form):
        X, _ = planted
        model = build(learner, settings).partial_fit(form(X[:100]))
        before = [np.copy(field) for field in model._get_state()]
        for n_rows in (1, 30):
            model.partial_fit(form(np.zeros((n_rows, X.shape[1]))))
            assert model.labels_.tolist() == [-1] * n_rows
        for old, new in zip(before, model._get_state(), strict=True):
            np.testing.assert_array_equal(new, old)
        with pytest.raises(ValueError, match="only zeros"):
            build(learner, settings).partial_fit(form(np.zeros((3, 5))))

    @every_path
    @pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "CSR"])
    def test_a_minibatch_without_entries_changes_no_fit(self, learner, settings, planted, form):
        X, _ = planted
        empty = np.zeros((100, X.shape[1]))
        how = {"shuffle": False, "max_iter": 6}
        expected = build(learner, settings, **how).fit(form(X))
        found = build(learner, settings, **how).fit(form(np.vstack([X[:100], empty, X[100:], empty])))
        assert found.n_updates_ == expected.n_updates_
        np.testing.assert_allclose(found.components_, expected.components_, atol=1e-8)
        np.testing.assert_allclose(found.inhibition_, expected.inhibition_, atol=1e-8)

    @every_learner
    @pytest.mark.parametrize("name", FORMATS)
    def test_any_format_gives_the_same_step(self, learner, settings, planted, name):
        X, _ = planted
        dense = build(learner, settings).partial_fit(X[:100]).partial_fit(X[100:200])
        other = build(learner, settings)
        for rows in (X[:100], X[100:200]):
            other.partial_fit(FORMATS[name](rows))
        assert not np.shares_memory(dense.components_, other.components_)
        np.testing.assert_allclose(other.components_, dense.components_, atol=1e-10)
        np.testing.assert_allclose(other.transform(FORMATS[name](X)), dense.transform(X), atol=1e-8)

    @every_setting
    def test_sparse_and_dense_fits_find_the_same(self, learner, settings, planted):
        X, labels = planted
        dense = build(learner, settings).fit(X)
        csr = build(learner, settings).fit(sparse.csr_matrix(X))
        np.testing.assert_allclose(csr.components_, dense.components_, atol=1e-8)
        if set(settings) <= {"n_active", "transform_n_active"}:
            assert normalized_mutual_info_score(labels, dense.labels_) > 0.9

    @every_setting
    def test_float32_is_kept_and_close(self, learner, settings, planted):
        X, _ = planted
        wide = build(learner, settings).fit(X)
        narrow = build(learner, settings).fit(X.astype(np.float32))
        assert wide.components_.dtype == wide.transform(X).dtype == np.float64
        narrow_codes = narrow.transform(X.astype(np.float32))
        assert narrow.components_.dtype == narrow_codes.dtype == np.float32
        assert narrow.inhibition_.dtype == narrow.usage_.dtype == np.float32
        one = build(learner, settings).partial_fit(X[:100])
        two = build(learner, settings).partial_fit(X[:100].astype(np.float32))
        np.testing.assert_allclose(two.components_, one.components_, atol=1e-3 * np.abs(one.components_).max())

    @every_path
    def test_read_only_and_memory_mapped_input(self, learner, settings, planted, tmp_path):
        X, _ = planted
        expected = build(learner, settings).fit(X).components_
        path = tmp_path / "X.npy"
        np.save(path, X)
        mapped = np.load(path, mmap_mode="r")
        # A map begins elsewhere in memory, and BLAS may round by that; our own kernels do not.
        np.testing.assert_allclose(build(learner, settings).fit(mapped).components_, expected, atol=1e-10)
        csr = sparse.csr_matrix(X)
        expected = build(learner, settings).fit(csr).components_
        for part in (csr.data, csr.indices, csr.indptr):
            part.flags.writeable = False
        np.testing.assert_array_equal(build(learner, settings).fit(csr).components_, expected)

    @every_path
    def test_input_is_not_modified(self, learner, settings, planted):
        X, _ = planted
        csr = sparse.csr_matrix(X)
        before = [part.copy() for part in (csr.data, csr.indices, csr.indptr)]
        model = build(learner, settings).fit(csr)
        model.transform(csr)
        model.score(csr)
        for part, old in zip((csr.data, csr.indices, csr.indptr), before, strict=True):
            np.testing.assert_array_equal(part, old)

    @every_path
    def test_equal_seeds_give_equal_models(self, learner, settings, planted):
        X = sparse.csr_matrix(planted[0])
        one, two, other = (build(learner, settings, random_state=seed).fit(X) for seed in (7, 7, 8))
        assert not np.shares_memory(one.components_, two.components_)
        np.testing.assert_array_equal(one.components_, two.components_)
        np.testing.assert_array_equal(one.labels_, two.labels_)
        assert not np.array_equal(one.components_, other.components_)

    @every_setting
    def test_partial_fit_on_minibatches_equals_an_epoch_of_fit(self, learner, settings, planted):
        if settings.get("prune"):
            pytest.skip("fit drops units before its first epoch, partial_fit drops none")
        X, _ = planted
        whole = build(learner, settings, max_iter=1, shuffle=False).fit(X)
        parts = build(learner, settings, max_iter=1)
        for start in range(0, len(X), 100):
            parts.partial_fit(X[start : start + 100])
        assert not np.shares_memory(whole.components_, parts.components_)
        np.testing.assert_array_equal(parts.components_, whole.components_)
        np.testing.assert_array_equal(parts.inhibition_, whole.inhibition_)
        assert parts.n_updates_ == whole.n_updates_ == 4

    @every_setting
    def test_blocks_of_rows_add_up(self, learner, settings, planted):
        X, _ = planted
        model = build(learner, settings).fit(X)
        state = model._get_state()
        cuts = (slice(None), slice(0, 7), slice(7, 250), slice(250, None))
        whole, *blocks = [over_all_columns(model._compute_statistics(X[rows], state), X.shape[1]) for rows in cuts]
        for name, total in whole._asdict().items():
            summed = sum(np.asarray(getattr(block, name), dtype=float) for block in blocks)
            np.testing.assert_allclose(summed, total, rtol=1e-9, atol=1e-9)

    @every_setting
    def test_transform_of_permuted_rows(self, learner, settings, planted):
        X = sparse.csr_matrix(planted[0])
        model = build(learner, settings).fit(X)
        order = np.random.default_rng(0).permutation(X.shape[0])
        np.testing.assert_array_equal(model.transform(X[order]), model.transform(X)[order])
        np.testing.assert_array_equal(model.predict(X[order]), model.predict(X)[order])

    @every_path
    def test_initialization_does_not_depend_on_the_order_of_rows(self, learner, settings, planted):
        X, _ = planted
        batch = sparse.csr_matrix(X[:100])
        order = np.random.default_rng(0).permutation(100)
        model = build(learner, settings)
        one = model._initialize_state(batch, 5, np.random.RandomState(0))
        two = model._initialize_state(batch[order], 5, np.random.RandomState(0))
        np.testing.assert_allclose(one.components, two.components, atol=1e-10)

    @every_path
    def test_pickle_joblib_clone_and_set_params(self, learner, settings, planted):
        X, _ = planted
        model = build(learner, settings).fit(X)
        codes = model.transform(X)
        buffer = BytesIO()
        joblib.dump(model, buffer)
        for copy in (pickle.loads(pickle.dumps(model)), joblib.load(BytesIO(buffer.getvalue()))):
            np.testing.assert_array_equal(copy.transform(X), codes)
            np.testing.assert_array_equal(
                copy.partial_fit(X[:100]).components_,
                pickle.loads(pickle.dumps(model)).partial_fit(X[:100]).components_,
            )
        fresh = clone(model)
        assert fresh.get_params() == model.get_params()
        assert learner().set_params(**model.get_params()).get_params() == model.get_params()
        np.testing.assert_array_equal(fresh.fit(X).transform(X), codes)

    @every_learner
    def test_predict_and_transform_restore_no_attributes_after_an_error(self, learner, settings, planted):
        X, _ = planted
        model = build(learner, settings).fit(X)
        wanted = clone(model).fit(X).partial_fit(X[:50]).components_

        class Learning:
            """An invalid query; another thread fits the model while it is validated."""

            def __array__(self, dtype=None, copy=None):
                model.partial_fit(X[:50])
                raise ValueError("no good")

        for method in (model.predict, model.transform):
            vars(model).update(vars(clone(model).fit(X)))
            with pytest.raises(ValueError, match="no good"):
                method(Learning())
            np.testing.assert_array_equal(model.components_, wanted)

    @every_setting
    def test_more_components_than_rows(self, learner, settings):
        X = np.eye(3, 6) + 0.1
        model = build(learner, settings, n_components=5)
        if settings.get("prune"):
            assert len(model.fit(X).components_) <= 3  # and no warning
            return
        # If rows keep several components, some are used without winning.
        several = learner is codebooks.OrthogonalSparseCoding and (model.n_active != 1 or model.threshold is not None)
        with nullcontext() if several else pytest.warns(UserWarning, match="win no sample"):
            model.fit(X)
        assert model.components_.shape == (5, 6)
        assert np.isfinite(model.transform(X)).all()

    @every_setting
    def test_tiny_first_minibatches(self, learner, settings, planted):
        X, _ = planted
        model = build(learner, settings)
        for row in X[:20]:
            model.partial_fit(row[None])
        assert np.isfinite(model.components_).all()
        assert model.n_updates_ == 20

    @every_setting
    def test_one_component_and_one_feature(self, learner, settings):
        X = np.array([[1.0], [2.0], [3.0]])
        model = build(learner, settings, n_components=1).fit(X)
        np.testing.assert_array_equal(model.predict(X), [0, 0, 0])
        # Explained energy, or the log likelihood of the only word.
        assert model.score(X) == pytest.approx(0 if learner is codebooks.MultinomialMixture else 1)

    @every_path
    def test_score_does_not_depend_on_parameters_of_transform(self, learner, settings, planted):
        others = {"n_active": 1, "transform_n_active": 1, "inhibition_strength": 0.1}
        others = {name: value for name, value in others.items() if name in learner().get_params()}
        if not others:
            pytest.skip("it has no such settings")
        X, _ = planted
        model = build(learner, settings).fit(X)
        score = model.score(X)
        assert 0 < score <= 1
        assert model.set_params(**others).score(X) == score

    @every_path
    def test_reject_below(self, learner, settings, planted):
        X, _ = planted
        model = build(learner, settings).fit(X)
        if learner is codebooks.MultinomialMixture:
            X = X + np.random.default_rng(0).random(X.shape)  # gates that are not all whole
            gates, winners = model.confidence(X), model.predict(X)
            limit = np.median(gates)
            expected = np.where(gates >= limit, winners, -1)
            np.testing.assert_array_equal(model.predict(X, reject_below=limit), expected)
            assert 0 < (expected >= 0).mean() < 1
            return
        won = model.components_[model.predict(X)]
        cosines = (X * won).sum(axis=1) / np.linalg.norm(X, axis=1) / np.linalg.norm(won, axis=1)
        cosines = model._orient_scores(cosines)
        np.testing.assert_allclose(model.confidence(X), cosines, atol=1e-6)
        limit = np.quantile(cosines, 0.3, method="midpoint")
        every, some, none = (model.predict(X, reject_below=below) for below in (-1.0, limit, 1.0))
        np.testing.assert_array_equal(every, model.predict(X))
        assert cosines.max() < 1
        assert (none == -1).all()
        kept = some >= 0
        np.testing.assert_array_equal(some[kept], every[kept])
        np.testing.assert_array_equal(kept, cosines >= limit)
        assert 0 < kept.mean() < 1

    @every_path
    @pytest.mark.parametrize(
        ("form", "dtype"), [(np.asarray, np.float64), (sparse.csr_matrix, np.float32)], ids=["dense", "CSR"]
    )
    def test_sparse_codes_are_the_dense_ones(self, learner, settings, planted, form, dtype, monkeypatch):
        X = form(planted[0].astype(dtype))
        model = build(learner, settings).fit(X)
        for block in (8192, 70):  # rows at a time
            monkeypatch.setattr("codebooks.models.base._BLOCK", block)
            dense = model.set_params(sparse_output=False).transform(X)
            codes = model.set_params(sparse_output=True).transform(X)
            assert codes.format == "csr"
            assert codes.dtype == dense.dtype == dtype
            assert codes.nnz == np.count_nonzero(dense)
            np.testing.assert_array_equal(codes.toarray(), dense)
        np.testing.assert_array_equal(model._orient_scores(dense).argmax(axis=1), model.predict(X))
        rows = model.inverse_transform(codes)
        assert isinstance(rows, np.ndarray)
        np.testing.assert_allclose(rows, model.inverse_transform(dense), atol=1e-6 * np.abs(rows).max())
        assert clone(model).fit_transform(X).format == "csr"

    @every_learner
    def test_inverse_transform(self, learner, settings, planted):
        X, _ = planted
        model = build(learner, settings).fit(X)
        np.testing.assert_allclose(model.inverse_transform(np.eye(5)), model.components_)
        with pytest.raises(ValueError, match=r"expected codes of shape \(n_samples, 5\)"):
            model.inverse_transform(np.eye(4))
        with pytest.raises(ValueError, match="NaN"):
            model.inverse_transform(np.full((2, 5), np.nan))

    @every_learner
    def test_invalid_input_changes_no_fitted_model(self, learner, settings, planted):
        X, _ = planted
        model = build(learner, settings).fit(X)
        codes = model.transform(X)
        for bad in (X[:, :3] * np.nan, np.zeros((4, 2)), np.full((4, 2), np.inf), np.empty((0, 3))):
            with pytest.raises(ValueError):
                model.fit(bad)
            with pytest.raises(ValueError):
                model.partial_fit(bad)
        np.testing.assert_array_equal(model.transform(X), codes)

    @every_path
    def test_an_interrupted_fit_changes_no_fitted_model(self, learner, settings, planted, monkeypatch):
        X, _ = planted
        model = build(learner, settings).fit(X)
        codes = model.transform(X)
        updates = []

        def interrupted(*_):
            updates.append(1)
            raise KeyboardInterrupt

        for call in (model.fit, model.partial_fit):
            with monkeypatch.context() as patch:
                patch.setattr(model, "_compute_statistics", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    call(X if call == model.partial_fit else X[:, :100] + 1)
        assert len(updates) == 2
        np.testing.assert_array_equal(model.transform(X), codes)

    @every_path
    def test_empty_rows_in_the_first_minibatches(self, learner, settings, planted):
        X, _ = planted
        model = build(learner, settings, shuffle=False)
        model.fit(np.vstack([np.zeros((250, X.shape[1])), X]))
        assert (model.labels_[:250] == -1).all()
        assert (model.labels_[250:] >= 0).all()

    @every_learner
    def test_column_names(self, learner, settings, planted):
        pd = pytest.importorskip("pandas")
        X, _ = planted
        frame = pd.DataFrame(X, columns=[f"word {j}" for j in range(X.shape[1])])
        model = build(learner, settings).set_output(transform="pandas").fit(frame)
        codes = model.transform(frame)
        assert list(codes.columns) == list(model.get_feature_names_out())
        assert list(model.feature_names_in_) == list(frame.columns)


@pytest.mark.parametrize("learner", LEARNERS)
class TestSparseCodes:
    def test_pipeline_with_a_linear_classifier(self, learner):
        corpus = make_planted_corpus(300, 4, random_state=0)
        model = make_pipeline(learner(4, sparse_output=True, random_state=0), LogisticRegression())
        assert model.fit(corpus.X, corpus.labels).score(corpus.X, corpus.labels) > 0.9
        assert model[0].get_feature_names_out().tolist() == [f"{learner.__name__.lower()}{k}" for k in range(4)]
        has_n_active = "n_active" in learner().get_params()
        setting, values = ("n_active", [1, 2]) if has_n_active else ("batch_size", [50, 100])
        searched = GridSearchCV(model, {f"{learner.__name__.lower()}__{setting}": values}, cv=2)
        assert searched.fit(corpus.X, corpus.labels).best_score_ > 0.8

    def test_tables_hold_no_sparse_codes(self, learner):
        pytest.importorskip("pandas")
        model = learner(2, sparse_output=True, random_state=0).fit(np.eye(4)).set_output(transform="pandas")
        with pytest.raises(ValueError, match=r"sparse .*set_output\(transform='default'\)"):
            model.transform(np.eye(4))

    def test_topics_of_sparse_codes(self, learner):
        corpus = make_planted_corpus(300, 4, random_state=0)
        model = learner(4, random_state=0).fit(corpus.X)
        expected = codebooks.topic_words(model, corpus.X, feature_names=corpus.terms)
        ranked = codebooks.rank_documents(model, corpus.X, 0)
        model.set_params(sparse_output=True)
        assert codebooks.topic_words(model, corpus.X, feature_names=corpus.terms) == expected
        assert (
            codebooks.topic_words(model, corpus.X, feature_names=corpus.terms, labels=model.transform(corpus.X))
            == expected
        )
        np.testing.assert_array_equal(codebooks.rank_documents(model, corpus.X, 0).rows, ranked.rows)


@pytest.mark.many_fits
@pytest.mark.parametrize("learner", VARIANTS)
def test_planted_topics_one_row_at_a_time(learner):
    corpus = make_planted_corpus(600, 5, random_state=0)
    model = learner(5, batch_size=1, max_iter=5, random_state=0).fit(corpus.X)
    assert normalized_mutual_info_score(corpus.labels, model.labels_) > 0.9


@pytest.mark.parametrize("learner", LEARNERS)
class TestLearning:
    @pytest.mark.many_fits
    @pytest.mark.parametrize("kind", ["counts", "binary", "scaled", "skewed", "embeddings"])
    def test_planted_topics_at_the_defaults(self, learner, kind):
        if kind == "embeddings" and learner is codebooks.MultinomialMixture:
            pytest.skip("it refuses negative values")
        corpus = make_planted_corpus(800, 6, balance=0.6 if kind == "skewed" else 1.0, random_state=2)
        X, labels = corpus.X, corpus.labels
        if kind == "binary":
            X = (X > 0).astype(np.float32)
        elif kind == "scaled":
            X = X * 1e6
        elif kind == "embeddings":
            rng = np.random.default_rng(0)
            centres = rng.standard_normal((6, 50))
            X = centres[labels] + 0.5 * rng.standard_normal((len(labels), 50))
        model = learner(6, random_state=0).fit(X)
        assert normalized_mutual_info_score(labels, model.labels_) > 0.85
        assert (model.usage_ > 0).all()

    def test_output_of_verbose(self, learner, capsys):
        X = make_planted_corpus(200, 3, random_state=0).X
        learner(3, random_state=0, max_iter=2).fit(X)
        captured = capsys.readouterr()
        assert captured.out == captured.err == ""
        learner(3, random_state=0, max_iter=2, verbose=1).fit(X)
        assert "epoch 1/2" in capsys.readouterr().out
        learner(3, random_state=0, max_iter=2, verbose=2).fit(X)
        assert learner.__name__ in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:.*components? wins? no sample")
@pytest.mark.parametrize(
    "transformer",
    [
        *LEARNERS,
        codebooks.HopfieldMemory,
        codebooks.BM25Transformer,
        codebooks.PartialWhitening,
        codebooks.NeighborSmoothing,
    ],
)
def test_dtypes_are_preserved_and_scikit_learn_checks_it(transformer):
    assert transformer().__sklearn_tags__().transformer_tags.preserves_dtype == ["float64", "float32"]
    check_transformer_preserve_dtypes(transformer.__name__, transformer())


@pytest.mark.slow
def test_any_number_of_threads_gives_the_same_bits(fresh_python):
    code = f"""
import hashlib
import codebooks
from codebooks.datasets import make_planted_corpus
X = make_planted_corpus(6000, 20, length=60, random_state=0).X
for name in {[learner.__name__ for learner in LEARNERS]}:
    model = getattr(codebooks, name)(40, random_state=0, max_iter=3).fit(X)
    for array in (model.components_, model.inhibition_, model.labels_, model.transform(X)):
        print(name, hashlib.sha256(array.tobytes(order="C")).hexdigest())
"""
    one, three = (fresh_python(code, NUMBA_NUM_THREADS=str(n)).splitlines() for n in (1, 3))
    assert len(one) == 4 * len(LEARNERS)
    assert one == three


@pytest.mark.many_fits
# Without `MultinomialMixture`, which converts rows to CSR, whose kernels give the same bits for any number of threads.
@pytest.mark.parametrize("learner", [learner for learner in LEARNERS if learner is not codebooks.MultinomialMixture])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_dense_fits_on_several_threads_differ_by_the_rounding_of_blas_only(learner, dtype, tolerance):
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((5, 300))
    X = (centres[rng.integers(5, size=1000)] + 0.5 * rng.standard_normal((1000, 300))).astype(dtype)
    begun = pickle.dumps(learner(5, random_state=0).partial_fit(X))
    steps, labels = [], []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            steps.append(pickle.loads(begun).partial_fit(X).components_)
            labels.append(learner(5, max_iter=5, random_state=0).fit_predict(X))
    np.testing.assert_allclose(*steps, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(*labels)


BAD_INPUT = {
    "text": (["some text", "more text"], TypeError, "got text. Add a vectorizer before it"),
    "NaN": (np.array([[1.0, np.nan]]), ValueError, "NaN"),
    "infinity": (np.array([[1.0, np.inf]]), ValueError, "infinity"),
    "no rows": (np.empty((0, 3)), ValueError, "0 sample"),
    "only zeros": (np.zeros((4, 3)), ValueError, "only zeros"),
    "only zeros, sparse": (sparse.csr_matrix((4, 3)), ValueError, "only zeros"),
    "one dimension": (np.ones(4), ValueError, "2D array"),
    "text in an array": (np.array(["some text", "more text"]), TypeError, "got text. Add a vectorizer before it"),
    "underflow": (np.full((2, 2), 1e-165), ValueError, "Scale the data"),
    "underflow, sparse": (sparse.csr_matrix(np.full((2, 2), 1e-25, np.float32)), ValueError, "Scale the data"),
    "overflow": (np.array([[1e200, 0.0], [0.0, 1.0]]), ValueError, "Scale the data"),
    "complex": (np.array([[1j, 1.0]]), ValueError, "[Cc]omplex"),
}


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("kind", BAD_INPUT)
def test_invalid_input_of_fit(learner, kind):
    X, error, words = BAD_INPUT[kind]
    for call in (learner().fit, learner().partial_fit):
        with pytest.raises(error, match=words):
            call(X)


@pytest.mark.parametrize("learner", LEARNERS)
def test_fit_refuses_a_dask_array(learner):
    collection = type("Array", (), {"__module__": "dask.array.core"})()
    with pytest.raises(TypeError, match="Dask collection"):
        learner().fit(collection)


@pytest.mark.parametrize("learner", LEARNERS)
def test_other_features_are_refused(learner):
    model = learner(2, random_state=0).fit(np.eye(4))
    with pytest.raises(ValueError, match="expecting 4 features"):
        model.transform(np.eye(3))


COUNTS = pytest.mark.parametrize(
    ("learner", "setting"),
    [
        *[(learner, "n_components") for learner in LEARNERS],
        (codebooks.KrotovHopfield, "max_iter"),
        (codebooks.KrotovHopfield, "batch_size"),
        (codebooks.KrotovHopfield, "transform_n_active"),
        (codebooks.InhibitedMixture, "n_active"),
        (codebooks.OrthogonalSparseCoding, "n_active"),
    ],
)


@COUNTS
def test_settings_out_of_range_are_refused(learner, setting):
    with pytest.raises(ValueError, match=f"The '{setting}' parameter"):
        learner(**{setting: 0}).fit(np.eye(4))


@COUNTS
def test_true_is_not_accepted_as_a_number(learner, setting):
    with pytest.raises(ValueError, match=f"The '{setting}' parameter .* Got True"):
        learner(**{setting: True}).fit(np.eye(4))


@pytest.mark.parametrize("learner", [codebooks.KrotovHopfield, codebooks.MultinomialMixture])
@pytest.mark.parametrize("below", [50, -1.5, np.nan, "0.5", True, [0.5]])
def test_reject_below_out_of_range(learner, below):
    model = learner(2, random_state=0).fit(np.eye(4))
    measure = "gate, a number from 0" if learner is codebooks.MultinomialMixture else "cosine, a number from -1"
    with pytest.raises(ValueError, match=f"`reject_below` must be a {measure} to 1, or None, got "):
        model.predict(np.eye(4), reject_below=below)
    model.predict(np.eye(4), reject_below=np.float32(0.5))


@pytest.mark.parametrize("learner", LEARNERS)
def test_rows_whose_squares_underflow_are_not_empty(learner):
    X = np.eye(4)
    model = learner(2, random_state=0).fit(X)
    for read in (model.predict, model.transform, model.score):
        with pytest.raises(ValueError, match="Scale the data"):
            read(X * 1e-170)
    np.testing.assert_array_equal(model.predict(X * 1e-150), model.predict(X))


# -- every estimator of arrays ---------------------------------------------------------------------------------------

SILENT = pytest.mark.filterwarnings("ignore:invalid value", "ignore:PairedHead keeps embeddings as they are")
GROUPS = np.repeat(np.arange(4), 5)
ESTIMATORS = {
    "InhibitedMixture": lambda: codebooks.InhibitedMixture(4, random_state=0),
    "KrotovHopfield": lambda: codebooks.KrotovHopfield(4, random_state=0),
    "MultinomialMixture": lambda: codebooks.MultinomialMixture(4, random_state=0),
    "OrthogonalSparseCoding": lambda: codebooks.OrthogonalSparseCoding(4, random_state=0),
    "HopfieldMemory": lambda: codebooks.HopfieldMemory(),
    "BM25Transformer": lambda: codebooks.BM25Transformer(),
    "PartialWhitening": lambda: codebooks.PartialWhitening(),
    "NeighborSmoothing": lambda: codebooks.NeighborSmoothing(3),
    "PairedHead": lambda: codebooks.PairedHead(),
}
METHODS = ["transform", "predict", "score", "confidence", "inverse_transform", "recall", "kneighbors", "energy"]
METHODS += ["partial_fit", "perplexity"]
DENSE_ONLY = ("PartialWhitening", "NeighborSmoothing", "PairedHead")
OTHER_DATA = {
    "NaN": lambda X: X * np.nan,
    "infinity": lambda X: X * np.inf,
    "one feature less": lambda X: X[:, :-1],
    "one feature more": lambda X: np.hstack([X, X[:, :1]]),
    "one dimension": lambda X: X[0],
    "three dimensions": lambda X: X[None],
    "no rows": lambda X: X[:0],
    "text": lambda X: ["some text"] * len(X),
    "a text": lambda X: "some text",
    "complex": lambda X: X + 1j,
    "dates": lambda X: X.astype("M8[s]"),
    "masked": lambda X: np.ma.array(X, mask=X > 1),
    "objects": lambda X: np.array([[object()] * X.shape[1]] * len(X)),
    "None": lambda X: None,
    "a number": lambda X: 3.0,
    "ragged": lambda X: [[1.0, 2.0], [3.0]],
    "sparse NaN": lambda X: sparse.csr_matrix(X * np.nan),
    "sparse, one feature less": lambda X: sparse.csr_matrix(X[:, :-1]),
    "sparse complex": lambda X: sparse.csr_matrix(X + 1j),
}


# Estimators and methods with a validation of their own; all others use one of these, which four kinds of data show.
VALIDATIONS = [
    ("KrotovHopfield", "transform"),
    ("KrotovHopfield", "inverse_transform"),
    ("HopfieldMemory", "transform"),
    ("HopfieldMemory", "partial_fit"),
    ("BM25Transformer", "transform"),
    ("PartialWhitening", "transform"),
    ("PairedHead", "transform"),
]
SHOWN_BY = ["infinity", "one feature more", "text", "sparse, one feature less"]
INVALID_CALLS = [
    pytest.param(name, method, kind, id=f"{name}.{method}-{kind}")
    for name, make in ESTIMATORS.items()
    for method in METHODS
    if hasattr(make(), method)
    for kind in (OTHER_DATA if (name, method) in VALIDATIONS else SHOWN_BY)
    if name != "HopfieldMemory" or "NaN" not in kind  # which stands for missing values
]


@pytest.fixture(scope="module")
def rows():
    """Counts in four groups."""
    rng = np.random.default_rng(0)
    return rng.poisson(0.2 + 4 * np.repeat(np.eye(4), 3, axis=1)[GROUPS]).astype(float)


@pytest.fixture(scope="module")
def fitted(rows):
    return {name: make().fit(rows, GROUPS) for name, make in ESTIMATORS.items()}


@SILENT
@pytest.mark.parametrize(("name", "method", "kind"), INVALID_CALLS)
def test_invalid_input_of_every_method(name, method, kind, rows, fitted):
    model = fitted[name]
    given = model.transform(rows) if method == "inverse_transform" else rows
    before = pickle.dumps(model)
    with pytest.raises((TypeError, ValueError)) as refused:
        getattr(model, method)(OTHER_DATA[kind](given))
    assert len(str(refused.value)) > 20  # what was expected, what was received
    assert pickle.dumps(model) == before


@SILENT
@pytest.mark.parametrize("name", ESTIMATORS)
def test_results_do_not_depend_on_the_format_of_the_matrix(name, rows, tmp_path):
    np.save(tmp_path / "X.npy", rows)
    read_only = rows.copy()
    read_only.flags.writeable = False
    forms = {
        "read-only": read_only,
        "memory-mapped": np.load(tmp_path / "X.npy", mmap_mode="r"),
        "Fortran order": np.asfortranarray(rows),
        "every other column": np.repeat(rows, 2, axis=1)[:, ::2],
        "int64": rows.astype(np.int64),
        "lists": rows.tolist(),
    }
    if name not in DENSE_ONLY:
        for form in ("csr_matrix", "csr_array", "csc", "coo", "int64 indices", "duplicate entries"):
            forms[form] = FORMATS[form](rows)
        frozen = sparse.csr_matrix(rows)
        for part in (frozen.data, frozen.indices, frozen.indptr):
            part.flags.writeable = False
        forms["read-only CSR"] = frozen
        zeros = sparse.csr_matrix(
            (np.append(frozen.data, 0.0), np.append(frozen.indices, 1), frozen.indptr.copy()), rows.shape
        )
        forms["entries out of use"] = zeros
        forms["explicit zeros"] = sparse.csr_matrix(rows + 1) - sparse.csr_matrix(np.ones(rows.shape))
        shuffled = frozen.copy()
        for start, stop in zip(shuffled.indptr[:-1], shuffled.indptr[1:], strict=True):
            shuffled.indices[start:stop] = shuffled.indices[start:stop][::-1].copy()
            shuffled.data[start:stop] = shuffled.data[start:stop][::-1].copy()
        forms["unsorted"] = shuffled
    model = ESTIMATORS[name]().fit(rows, GROUPS)
    codes = _dense(model.transform(rows))
    for form, X in forms.items():
        other = ESTIMATORS[name]().fit(X, GROUPS)
        np.testing.assert_allclose(_dense(other.transform(X)), codes, atol=1e-8, err_msg=form)
        np.testing.assert_allclose(_dense(model.transform(X)), codes, atol=1e-8, err_msg=form)
        for method in ("predict", "score"):
            if hasattr(model, method):
                np.testing.assert_allclose(getattr(other, method)(X), getattr(model, method)(rows), rtol=1e-9)


@SILENT
@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_dtype_of_every_transformer_is_that_of_its_input(name, rows):
    for dtype in (np.float32, np.float64):
        model = ESTIMATORS[name]().fit(rows.astype(dtype), GROUPS)
        assert model.transform(rows.astype(dtype)).dtype == dtype
        if name not in DENSE_ONLY:
            assert model.transform(sparse.csr_matrix(rows.astype(dtype))).dtype == dtype


def _dense(codes):
    return codes.toarray() if sparse.issparse(codes) else codes
