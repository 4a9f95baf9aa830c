"""BM25 weights against reference loops and bm25s, and the checks of scikit-learn."""

import pickle

import bm25s
import numpy as np
import oracles
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from codebooks import BM25Transformer, KrotovHopfield

VARIANTS = ["lucene", "robertson", "atire", "bm25l", "bm25+", "bm25-adpt"]
SETTINGS = [{}, {"k1": 0.9, "b": 0.4, "delta": 1.0}, {"b": 0.0}, {"b": 1.0}, {"k1": 0.0}, {"delta": 0.0}]
SETTINGS += [{"k1": 0.0, "delta": 0.0}]


@pytest.fixture(scope="module")
def counts():
    """Bursty counts of common and of rare terms, an empty document, and a term of no document."""
    rng = np.random.default_rng(0)
    X = rng.poisson(rng.gamma(0.4, rng.uniform(0.05, 4.0, 25) / 0.4, (60, 25))).astype(np.float64)
    X[17], X[:, 9] = 0, 0
    X[:, 3] += 1  # a term of all documents except the empty one
    X[17, 3] = 0
    return X


def whole_scores(model, X):
    """Weights including those of absent terms."""
    return model.transform(X).toarray() + model.absent_


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_equal_reference_loops(variant, settings, counts):
    model = BM25Transformer(variant, **settings).fit(counts)
    expected = oracles.bm25(counts, variant, **settings, k1_of_terms=model.k1_)
    np.testing.assert_allclose(whole_scores(model, counts), expected, rtol=1e-12, atol=1e-12)
    assert expected.any()
    if variant not in ("bm25l", "bm25+"):
        assert not model.absent_.any()


@pytest.mark.parametrize("b", [0.0, 0.4, 0.75])
def test_bm25_adpt_fits_k1_of_each_term(b, counts):
    model = BM25Transformer("bm25-adpt", b=b, k1=1.2).fit(counts)
    expected = [oracles.adapted_k1(counts, t, 1.2, b) for t in range(counts.shape[1])]
    # Values alone determine a minimum only to the square root of the machine precision.
    np.testing.assert_allclose(model.k1_, expected, rtol=1e-6)
    assert len(np.unique(model.k1_)) > 8
    assert 1.2 in model.k1_
    assert model.k1_.min() >= 0.01
    assert model.k1_.max() <= 100


def test_bm25_adpt_counts_at_most_20_occurrences():
    X = np.random.default_rng(0).poisson([0.3, 40.0], (200, 2)).astype(float)
    X[:150, 1] = 0
    model = BM25Transformer("bm25-adpt").fit(X)
    expected = [oracles.adapted_k1(X, t, 1.5, 0.75) for t in range(2)]
    np.testing.assert_allclose(model.k1_, expected, rtol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"k1": 0.9, "b": 0.4, "delta": 1.0}, {"b": 0.0}], ids=str)
@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != "bm25-adpt"])
def test_scores_equal_those_of_bm25s(variant, settings, counts):
    judge = bm25s.BM25(method=variant, dtype="float64", **settings)
    tokens = [[f"word{t}" for t, f in enumerate(row) for _ in range(int(f))] for row in counts]
    judge.index(tokens, show_progress=False)
    model = BM25Transformer(variant, **settings)
    weights = model.fit_transform(counts)
    queries = np.random.default_rng(1).poisson(0.1, (40, counts.shape[1]))
    queries[:, 9] = 0  # bm25s refuses queries of unseen words
    queries = queries[queries.any(axis=1)]
    scores = queries @ weights.T + (queries @ model.absent_)[:, None]
    for query, row in zip(queries, scores, strict=True):
        words = [f"word{t}" for t, f in enumerate(query) for _ in range(f)]
        np.testing.assert_allclose(row, judge.get_scores(words), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_fitted_attributes(variant, counts):
    model = BM25Transformer(variant).fit(counts)
    np.testing.assert_array_equal(model.df_, (counts > 0).sum(axis=0))
    assert model.df_.dtype == np.int64
    assert model.n_documents_ == 60
    assert model.mean_length_ == pytest.approx(counts.sum() / 60)
    assert model.idf_[9] == model.absent_[9] == 0  # a term of no document
    assert np.isfinite(model.idf_).all()
    assert (model.idf_ >= 0).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_transform_of_new_documents_uses_fitted_statistics(variant, counts):
    model = BM25Transformer(variant).fit(counts)
    twice = model.transform(np.vstack([counts[:5], counts[:5]]))
    np.testing.assert_array_equal(twice.toarray()[5:], model.transform(counts).toarray()[:5])
    unseen = np.zeros((1, 25))
    unseen[0, 9] = 3
    assert model.transform(unseen).toarray().sum() == 0
    assert model.transform(np.zeros((2, 25))).nnz == 0


def with_int64_indices(X):
    X = sparse.csr_matrix(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def with_halved_duplicates(X):
    X = sparse.csr_matrix(X)
    return sparse.csr_matrix((np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), X.indptr * 2), shape=X.shape)


def with_stored_zeros(X):
    rows, columns = np.indices(X.shape)
    return sparse.csr_matrix((X.ravel(), (rows.ravel(), columns.ravel())), shape=X.shape)


FORMATS = {
    "csr_array": sparse.csr_array,
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_matrix,
    "int64 indices": with_int64_indices,
    "duplicate entries": with_halved_duplicates,
    "stored zeros": with_stored_zeros,
    "Fortran order": np.asfortranarray,
    "lists": lambda X: X.tolist(),
    "whole numbers": lambda X: X.astype(np.int32),
}


@pytest.mark.parametrize("as_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_transform_of_every_format_returns_the_same_csr(variant, as_format, counts):
    X = as_format(counts)
    before = X.copy() if sparse.issparse(X) else None
    model, expected = BM25Transformer(variant), BM25Transformer(variant).fit_transform(sparse.csr_matrix(counts))
    weights = model.fit_transform(X)
    assert weights.format == "csr"
    assert weights.dtype == np.float64
    assert weights.nnz == np.count_nonzero(counts)
    np.testing.assert_allclose(weights.toarray(), expected.toarray(), rtol=1e-12)
    if before is not None:
        assert isinstance(weights, sparse.csr_array) == isinstance(X, sparse.csr_array)
        assert X.nnz == before.nnz
        np.testing.assert_array_equal(X.toarray(), before.toarray())


def test_weights_share_no_memory_with_counts(counts):
    X = sparse.csr_matrix(counts)
    weights = BM25Transformer().fit_transform(X)
    for mine, theirs in [(weights.data, X.data), (weights.indices, X.indices), (weights.indptr, X.indptr)]:
        assert not np.shares_memory(mine, theirs)


@pytest.mark.parametrize("variant", VARIANTS)
def test_float32_is_preserved(variant, counts):
    X = sparse.csr_matrix(counts, dtype=np.float32)
    model = BM25Transformer(variant).fit(X)
    weights = model.transform(X)
    assert weights.dtype == np.float32
    assert model.idf_.dtype == model.k1_.dtype == model.absent_.dtype == np.float64
    expected = BM25Transformer(variant).fit_transform(counts)
    np.testing.assert_allclose(weights.toarray(), expected.toarray(), rtol=2e-6)


@pytest.mark.parametrize("as_format", [np.asarray, sparse.csr_matrix])
def test_negative_counts_raise_an_error(as_format, counts):
    bad = counts.copy()
    bad[2, 2] = -1
    with pytest.raises(ValueError, match=r"must contain counts >= 0, got -1\."):
        BM25Transformer().fit(as_format(bad))
    with pytest.raises(ValueError, match="must contain counts"):
        BM25Transformer().fit(counts).transform(as_format(bad))


BAD_INPUT = {
    "text": (["some text"], TypeError, "Add a vectorizer before it"),
    "NaN": ([[1.0, np.nan]], ValueError, "NaN"),
    "infinity": ([[1.0, np.inf]], ValueError, "infinity"),
    "only zeros": (np.zeros((3, 2)), ValueError, "only zeros"),
    "no rows": (np.empty((0, 2)), ValueError, "0 sample"),
}


@pytest.mark.parametrize(("X", "error", "message"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_invalid_input_raises_an_error(X, error, message):
    with pytest.raises(error, match=message):
        BM25Transformer().fit(X)


@pytest.mark.parametrize("module", ["cupy", "cupyx.scipy.sparse._csr"])
def test_cupy_input_raises_an_error(module, counts):
    on_gpu = type("ndarray", (), {"__module__": module})()
    for call in (BM25Transformer().fit, BM25Transformer().fit(counts).transform):
        with pytest.raises(TypeError, match=r"host memory, got a CuPy array.*X\.get\(\)"):
            call(on_gpu)


BAD_SETTINGS = [{"variant": "okapi"}, {"k1": -1}, {"k1": np.inf}, {"b": 1.5}, {"b": "all"}, {"delta": np.nan}]


@pytest.mark.parametrize("settings", BAD_SETTINGS, ids=str)
def test_invalid_parameters_raise_an_error(settings, counts):
    with pytest.raises(ValueError, match=f"`{next(iter(settings))}` of BM25Transformer must be"):
        BM25Transformer(**settings).fit(counts)


def test_failed_fit_keeps_the_fitted_state(counts):
    model = BM25Transformer().fit(counts)
    before = model.transform(counts).toarray()
    for bad in (-np.ones((2, 3)), np.full((2, 3), np.nan), np.zeros((2, 3))):
        with pytest.raises(ValueError):
            model.fit(bad)
    np.testing.assert_array_equal(model.transform(counts).toarray(), before)
    fresh = BM25Transformer()
    with pytest.raises(ValueError):
        fresh.fit(-counts)
    with pytest.raises(NotFittedError):
        fresh.transform(counts)


def test_other_number_of_features_raises_an_error(counts):
    with pytest.raises(ValueError, match="expecting 25 features"):
        BM25Transformer().fit(counts).transform(counts[:, :3])


@pytest.mark.parametrize("variant", VARIANTS)
def test_pickle_and_clone_return_the_same_weights(variant, counts):
    model = BM25Transformer(variant, k1=1.1, b=0.5, delta=0.7).fit(counts)
    weights = model.transform(counts).toarray()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(counts).toarray(), weights)
    fresh = clone(model)
    assert fresh.get_params() == {"variant": variant, "k1": 1.1, "b": 0.5, "delta": 0.7}
    np.testing.assert_array_equal(fresh.fit_transform(counts).toarray(), weights)


def test_pipeline_with_vectorizer_and_model():
    texts = [f"{noun} {verb}" for noun in ("goal team", "bank loan") for verb in ("won", "lost", "paid", "kept")]
    pipeline = make_pipeline(CountVectorizer(), BM25Transformer())
    weights = pipeline.fit_transform(texts)
    counts = CountVectorizer().fit_transform(texts)
    np.testing.assert_array_equal(weights.toarray(), BM25Transformer().fit_transform(counts).toarray())
    assert pipeline.get_feature_names_out().tolist() == pipeline[0].get_feature_names_out().tolist()
    labels = make_pipeline(CountVectorizer(), BM25Transformer(), KrotovHopfield(2, random_state=0)).fit_predict(texts)
    assert (labels == np.repeat([labels[0], labels[4]], 4)).all()
    assert labels[0] != labels[4]


@parametrize_with_checks([BM25Transformer(variant) for variant in VARIANTS])
def test_scikit_learn_contract(estimator, check):
    check(estimator)
