"""MultinomialMixture against plain loops, on planted topics, on streams, and with unusual rows."""

import pickle

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import normalized_mutual_info_score

from codebooks import BM25Transformer, MultinomialMixture, ops
from codebooks.datasets import make_planted_corpus
from codebooks.models import multinomial_mixture
from codebooks.models.base import Progress
from codebooks.models.reservoir import add_rows, draw_rows, mark_start

FORMATS = {"dense": lambda X: X.toarray(), "csr": lambda X: X}
# The fields of the state that an update changes.
FIELDS = (
    *("components", "mass", "n_rows", "usage", "inhibition"),
    *("log_scale", "scale_counts", "mean_saliency"),
)
LATER = Progress(1.0, 1, 50)  # after the first pass no rows are sampled


@pytest.fixture(scope="module")
def planted():
    corpus = make_planted_corpus(600, 6, words_per_topic=12, n_background=20, length=12, random_state=1)
    return corpus.X.astype(np.float64), corpus.labels


def assert_close(found, expected, least=0.95):
    nmi = normalized_mutual_info_score(expected, found)
    assert nmi > least, nmi


# -- the rule --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("n_components", [1, 6, 9])
def test_updates_from_minibatches_of_unequal_sizes(planted, n_components, form):
    X = planted[0].toarray()
    X[[3, 70, 155]] = 0  # empty rows do not count
    X[200:203] = X[200]
    X = sparse.csr_matrix(X)
    model = MultinomialMixture(n_components, random_state=0)
    state = model._initialize_state(FORMATS[form](X[:150]), n_components, np.random.RandomState(0))
    expected = {name: getattr(state, name) for name in FIELDS}
    for rows in (slice(0, 150), slice(150, 157), slice(157, 158), slice(158, 430), slice(430, 600)):
        batch = X[rows]
        state, sums = model._step(FORMATS[form](batch), state, LATER)
        expected, winning = oracles.multinomial_mixture_step(expected, batch.toarray())
        assert sums.energy == pytest.approx(winning.sum(), rel=1e-9)
        assert sums.n_rows == batch.toarray().any(axis=1).sum()
        for name, value in expected.items():
            assert_allclose(getattr(state, name), value, rtol=1e-8, atol=1e-11, err_msg=name)
    assert state.n_updates == 5
    assert (state.scale_counts > 0).all()


def test_an_update_of_float32_is_that_of_float64(planted):
    model = MultinomialMixture(6, random_state=0)
    states = [
        model._step(X, model._initialize_state(X, 6, np.random.RandomState(0)), LATER)[0]
        for X in (planted[0], planted[0].astype(np.float32))
    ]
    for name in FIELDS:
        one, other = (getattr(state, name) for state in states)
        assert other.dtype == (np.float64 if "scale" in name else np.float32)
        assert_allclose(one, other, rtol=2e-3, atol=1e-6, err_msg=name)


def test_rows_of_a_vocabulary_larger_than_the_entries_of_a_minibatch(planted, monkeypatch):
    """Only their columns are looked at, and everything comes out as if all were."""
    X = planted[0][:9]
    assert X.nnz < X.shape[1]
    model = MultinomialMixture(4, random_state=0)
    start = model._initialize_state(planted[0], 4, np.random.RandomState(0))
    seen = []
    lift = ops.compute_log_lifts
    monkeypatch.setattr(ops, "compute_log_lifts", lambda *how: seen.append(len(how[2])) or lift(*how))
    expected, _ = oracles.multinomial_mixture_step({name: getattr(start, name) for name in FIELDS}, X.toarray())
    found, _ = model._step(X, start, LATER)
    gates, known = model._encode(X, start)
    assert max(seen) < X.shape[1]
    for name, value in expected.items():
        assert_allclose(getattr(found, name), value, rtol=1e-8, atol=1e-11, err_msg=name)
    among_others, all_known = model._encode(planted[0], start)
    assert_allclose(gates, among_others[:9], rtol=1e-9, atol=1e-12)
    assert_array_equal(known, all_known[:9])


@pytest.mark.parametrize("form", FORMATS)
def test_components_are_distributions(planted, form):
    X, labels = planted
    model = MultinomialMixture(6, random_state=0).fit(FORMATS[form](X))
    assert_allclose(model.components_.sum(axis=1), 1)
    assert (model.components_ >= 0).all()
    gates = model.transform(FORMATS[form](X))
    assert_allclose(gates.sum(axis=1), 1)
    assert_allclose(model.usage_.sum(), 1)
    assert_array_equal(gates.argmax(axis=1), model.labels_)
    assert_close(model.labels_, labels)
    assert_allclose(model.inhibition_, -0.5 * np.log(model.n_rows_ + 0.1))


# -- the scale of columns --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "tolerance"), [(0.5, 0.1), (4, 0.35)])
@pytest.mark.parametrize("form", FORMATS)
def test_columns_times_numbers_give_the_same_topics(planted, form, width, tolerance):
    X, labels = planted
    scale = np.exp(np.random.default_rng(0).uniform(-width, width, X.shape[1]))
    one, other = (
        MultinomialMixture(6, random_state=0, batch_size=150).fit(FORMATS[form](rows))
        for rows in (X, sparse.csr_matrix(X.multiply(scale)))
    )
    assert_close(one.labels_, other.labels_)
    assert_close(other.labels_, labels)
    # The scale that is found is the number, up to a constant.
    change = (other.log_scale_ - one.log_scale_ - np.log(scale))[one.scale_counts_ > 0]
    assert_allclose(change, change.mean(), atol=tolerance)
    assert np.ptp(np.log(scale)) > 10 * change.std()


def test_more_rounds_find_the_scale_of_columns_exactly(planted, monkeypatch):
    monkeypatch.setattr(multinomial_mixture, "_N_SCALE_ROUNDS", 40)
    X, _ = planted
    scale = np.exp(np.random.default_rng(0).uniform(-4, 4, X.shape[1]))
    (one, counts), (other, _) = (
        multinomial_mixture._compute_scale(given, None) for given in (X, sparse.csr_matrix(X.multiply(scale)))
    )
    change = (other - one - np.log(scale))[counts > 0]
    assert_allclose(change, change.mean(), atol=1e-5)


def test_counts_tf_idf_and_bm25_give_nearly_the_same_labels(planted):
    X, labels = planted
    weights = {
        "counts": X,
        "tf-idf": TfidfTransformer().fit_transform(X),
        "tf-idf, sublinear": TfidfTransformer(sublinear_tf=True).fit_transform(X),
        "bm25": BM25Transformer().fit_transform(X),
    }
    found = {name: MultinomialMixture(6, random_state=0).fit_predict(rows) for name, rows in weights.items()}
    for rows in found.values():
        assert_close(rows, labels)
        assert_close(rows, found["counts"])


def test_the_length_of_a_row_changes_nothing(planted):
    X, _ = planted
    length = np.exp(np.random.default_rng(0).uniform(-3, 3, X.shape[0]))
    one, other = (MultinomialMixture(6, random_state=0).fit(rows) for rows in (X, ops.scale_rows(X, length)))
    assert_array_equal(one.labels_, other.labels_)
    assert_allclose(one.components_, other.components_, rtol=1e-6, atol=1e-9)


# -- reading ---------------------------------------------------------------------------------------------------------


def smoothed(model):
    """The word distributions that are compared with rows."""
    counts = model.mass_[:, None] * model.components_
    counts = counts + 0.1 + 0.3 / len(counts) * counts.sum(axis=0)
    return counts / counts.sum(axis=1, keepdims=True)


def brute_score(model, X):
    words = oracles.weigh_entries(X, np.exp(-model.log_scale_), np.sqrt(6))
    prior, distributions = model.n_rows_ / model.n_rows_.sum(), smoothed(model)
    total = 0.0
    for x in words:
        if x.any():
            total += np.log(sum(prior[k] * np.prod(distributions[k] ** x) for k in range(len(prior))))
    return total / words.sum()


@pytest.mark.parametrize("form", FORMATS)
def test_score(planted, form, monkeypatch):
    X = planted[0].toarray()
    X[[1, 30]] = 0
    monkeypatch.setattr("codebooks.models.base._BLOCK", 40)
    X = sparse.csr_matrix(X)
    model = MultinomialMixture(6, random_state=0).fit(FORMATS[form](X))
    found = model.score(FORMATS[form](X[:100]))
    assert found == pytest.approx(brute_score(model, X[:100].toarray()), rel=1e-9)
    assert isinstance(found, float)
    assert found < 0
    assert model.score(FORMATS[form](0 * X[:3])) == 0


def test_score_and_perplexity_of_unseen_documents_prefer_the_planted_number_of_topics(planted):
    X, _ = planted
    train, test = X[:450], X[450:]
    one, true = (MultinomialMixture(n, random_state=0).fit(train) for n in (1, 6))
    assert true.score(test) > one.score(test) + 0.2
    assert true.perplexity(test) < 0.8 * one.perplexity(test)


@pytest.mark.parametrize("form", FORMATS)
def test_perplexity(planted, form, monkeypatch):
    monkeypatch.setattr("codebooks.models.base._BLOCK", 40)
    X = planted[0][:100]
    model = MultinomialMixture(6, random_state=0).fit(FORMATS[form](planted[0]))
    observed, hidden = (sparse.csr_matrix(X.multiply(np.arange(X.shape[1]) % 2 == part)) for part in (0, 1))

    def brute(X, gates):
        mixed = gates @ smoothed(model)
        return np.exp(-(X * np.log(mixed)).sum() / X.sum())

    found = model.perplexity(FORMATS[form](hidden), FORMATS[form](observed))
    assert found == pytest.approx(brute(hidden.toarray(), model.transform(observed)), rel=1e-9)
    assert isinstance(found, float)
    itself = model.perplexity(FORMATS[form](X))
    assert itself == pytest.approx(brute(X.toarray(), model.transform(X)), rel=1e-9)
    assert model.perplexity(FORMATS[form](hidden)) < found
    assert model.perplexity(FORMATS[form](0 * X)) == 1


def test_perplexity_of_words_that_are_equally_likely():
    X = np.random.default_rng(0).multinomial(30, np.full(20, 1 / 20), size=400)
    assert MultinomialMixture(1).fit(X).perplexity(X) == pytest.approx(20, rel=0.01)


def test_perplexity_of_x_observed_with_other_rows(planted):
    model = MultinomialMixture(2, random_state=0).fit(planted[0])
    with pytest.raises(ValueError, match=r"`X_observed` must have the 5 rows of X, got 4\. Give both halves"):
        model.perplexity(planted[0][:5], planted[0][:4])
    with pytest.raises(ValueError, match="features"):
        model.perplexity(planted[0][:5], planted[0][:5, :7])


@pytest.mark.parametrize("n_topics", [2, 3])
def test_a_document_about_several_topics_has_as_many_large_shares(planted, n_topics):
    X, labels = planted
    model = MultinomialMixture(6, random_state=0).fit(X)
    rng = np.random.default_rng(0)
    rows = np.array(
        [[rng.choice(np.flatnonzero(labels == t)) for t in rng.permutation(6)[:n_topics]] for _ in range(99)]
    )
    joined = sum(X[rows[:, i]] for i in range(n_topics))
    shares = model.transform(joined)
    largest = np.sort(np.argsort(-shares, axis=1)[:, :n_topics])
    assert (largest == np.sort(model.labels_[rows])).all(axis=1).mean() > 0.9
    assert np.median(shares.max(axis=1)) < 1.6 / n_topics
    assert np.median(model.transform(X).max(axis=1)) > 0.9


def test_shares_are_the_fixed_point_that_the_docstring_gives(planted):
    X = planted[0][:50]
    model = MultinomialMixture(6, random_state=0).fit(planted[0])
    words = oracles.weigh_entries(X.toarray(), np.exp(-model.log_scale_), np.sqrt(6))
    table, saliency, _ = oracles.compute_log_lifts(model.components_, model.mass_, range(X.shape[1]), 0.1, 0.3, 3.0)
    gates, _, _ = oracles.compute_responsibilities(words @ table.T, 1 / model.mean_saliency_, model.inhibition_, np.inf)
    start = (gates + model.n_rows_ / model.n_rows_.sum()) / 2
    how = saliency / model.mean_saliency_, smoothed(model), start, gates, 10, 0.01
    assert_allclose(model.transform(X), oracles.fold_in(words, *how), rtol=1e-8, atol=1e-12)


def test_codes_of_one_row_equal_its_codes_in_a_matrix(planted):
    X, _ = planted
    model = MultinomialMixture(6, random_state=0).fit(X)
    labels, gates = model.predict(X), model.transform(X)
    for i in range(40):
        assert model.predict(X[i : i + 1])[0] == labels[i]
        assert_allclose(model.transform(X[i : i + 1])[0], gates[i], rtol=1e-9, atol=1e-12)


def gates_of(model, X):
    """The gate of the component that wins each row."""
    words = oracles.weigh_entries(X.toarray(), np.exp(-model.log_scale_), np.sqrt(6))
    table, _, _ = oracles.compute_log_lifts(model.components_, model.mass_, range(X.shape[1]), 0.1, 0.3, 3.0)
    gates, _, _ = oracles.compute_responsibilities(words @ table.T, 1 / model.mean_saliency_, model.inhibition_, np.inf)
    return gates[np.arange(len(gates)), model.predict(X)]


def test_reject_below_compares_gates(planted):
    X, _ = planted
    X = sparse.csr_matrix(X[:, ::2])  # with fewer words some rows are unclear
    model = MultinomialMixture(6, random_state=0).fit(X)
    gates, labels = gates_of(model, X), model.predict(X)
    assert_allclose(model.confidence(X), gates, rtol=1e-7)
    limit = np.quantile(gates, 0.2)
    found = model.predict(X, reject_below=limit)
    assert_array_equal(found, np.where(gates >= limit, labels, -1))
    assert 0.05 < (found == -1).mean() < 0.5
    with pytest.raises(ValueError, match="must be a gate, a number from 0 to 1"):
        model.predict(X, reject_below=-0.5)


def test_rows_of_unseen_words_have_no_label(planted):
    X = np.pad(planted[0].toarray(), ((0, 0), (0, 2)))
    model = MultinomialMixture(6, random_state=0).fit(X)
    unseen = np.zeros((2, X.shape[1]))
    unseen[0, -1], unseen[1, [0, -1]] = 3, 1
    assert_allclose(model.transform(unseen)[0], 1 / 6)
    labels = model.predict(unseen)
    assert labels[0] == -1
    assert labels[1] >= 0
    assert np.isfinite(model.score(unseen))
    assert np.isfinite(model.perplexity(unseen))


# -- input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("method", ["fit", "partial_fit", "transform", "predict", "score", "perplexity"])
def test_negative_values_are_refused(planted, method, form):
    X = planted[0][:50].toarray()
    model = MultinomialMixture(3, random_state=0).fit(X)
    before = pickle.dumps(model)
    X[7, 3] = -2.5
    with pytest.raises(ValueError, match=r"Negative values .* MultinomialMixture.* got -2\.5\. Use KrotovHopfield"):
        getattr(model, method)(form(X))
    assert pickle.dumps(model) == before
    fresh = MultinomialMixture(3)
    with pytest.raises(ValueError, match=r"Negative values"):
        fresh.fit(form(X))
    assert not hasattr(fresh, "components_")


def test_negative_values_in_x_observed_are_refused(planted):
    model = MultinomialMixture(3, random_state=0).fit(planted[0])
    with pytest.raises(ValueError, match=r"Negative values"):
        model.perplexity(planted[0][:2], -planted[0][:2])


def test_methods_that_read_leave_the_model_as_it_is(planted):
    X, _ = planted
    model = MultinomialMixture(3, random_state=0).partial_fit(X)
    before = pickle.dumps(model)
    model.transform(X), model.predict(X), model.score(X), model.perplexity(X), model.inverse_transform(np.eye(3))
    assert pickle.dumps(model) == before


# -- unusual rows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_one_word(dtype):
    X = np.eye(4, dtype=dtype)[np.random.default_rng(0).integers(4, size=200)]
    model = MultinomialMixture(4, random_state=0).fit(X)
    assert_close(model.labels_, X.argmax(axis=1), 0.999)
    assert_allclose(np.sort(model.components_.max(axis=1)), 1, atol=1e-2)


def test_long_rows_and_short_ones(planted):
    """Two rows have nearly all words, and each of them a thousand times as often as others have a word."""
    X = planted[0].toarray()
    X[[0, 300]] = np.random.default_rng(0).integers(1, 1000, size=(2, X.shape[1]))
    model = MultinomialMixture(6, random_state=0).fit(X)
    rest = np.delete(np.arange(600), [0, 300])
    assert_close(model.labels_[rest], planted[1][rest])


@pytest.mark.parametrize("n_rows", [1, 5])
def test_equal_rows(n_rows):
    X = np.tile([[2.0, 1, 0, 1]], (n_rows, 1))
    with pytest.warns(UserWarning, match=r"2 of 3 components win no sample"):
        model = MultinomialMixture(3, random_state=0).fit(X)
    assert len(set(model.labels_)) == 1
    assert np.isfinite(model.components_).all()
    assert_allclose(model.components_.sum(axis=1), 1)
    assert np.isfinite(model.score(X))


def test_copies_of_rows_change_nothing_but_counts(planted):
    X, labels = planted
    X = sparse.csr_matrix(sparse.vstack([X, X, X]))
    assert_close(MultinomialMixture(6, random_state=0).fit_predict(X), np.tile(labels, 3))


@pytest.mark.filterwarnings("ignore:.*components? wins? no sample")
@pytest.mark.parametrize("n_components", [12, 60, 300])
def test_superfluous_components_divide_topics(planted, n_components):
    X, labels = planted
    model = MultinomialMixture(n_components, random_state=0).fit(X)
    purity = sum(np.bincount(labels[model.labels_ == k]).max() for k in set(model.labels_)) / len(labels)
    assert purity > 0.95
    for field in ("components_", "mass_", "n_rows_", "usage_", "inhibition_"):
        assert np.isfinite(getattr(model, field)).all()
    assert_allclose(model.components_.sum(axis=1), 1)
    assert_allclose(model.transform(X).sum(axis=1), 1)


def test_components_without_rows_are_named():
    X = np.repeat(np.kron(np.eye(3), [2.0, 1]), 40, axis=0)
    with pytest.warns(UserWarning, match="win no sample") as caught:
        model = MultinomialMixture(20, random_state=0).fit(X)
    n_used = len(set(model.labels_))
    assert 3 <= n_used < 20
    assert (model.usage_ > 0).sum() == n_used
    [warning] = caught
    assert f"{20 - n_used} of 20 components win no sample" in str(warning.message)
    assert f"n_components={n_used} is enough" in str(warning.message)
    assert np.isfinite(model.components_).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
def test_large_and_small_numbers(planted, scale):
    expected = MultinomialMixture(6, random_state=0).fit(planted[0])
    found = MultinomialMixture(6, random_state=0).fit(planted[0] * scale)
    assert_array_equal(found.labels_, expected.labels_)
    assert found.score(planted[0] * scale) == pytest.approx(expected.score(planted[0]), rel=1e-9)


def test_rows_too_small_to_be_squared_are_empty(planted):
    X = planted[0].toarray()
    X[5] *= 1e-200
    model = MultinomialMixture(6, random_state=0).fit(X)
    assert np.isfinite(model.log_scale_).all()
    assert np.isfinite(model.components_).all()
    X[5] = 0
    assert_array_equal(MultinomialMixture(6, random_state=0).fit(X).labels_, model.labels_)


# -- streams ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stream():
    corpus = make_planted_corpus(1200, 6, random_state=2)
    return corpus.X.astype(np.float64), corpus.labels


def learn_stream(X, size=20, **settings):
    model = MultinomialMixture(**{"n_components": 6, "random_state": 0, **settings})
    for start in range(0, X.shape[0], size):
        model.partial_fit(X[start : start + size])
    return model


def without_reservoir(monkeypatch):
    """Learning as if no rows were sampled."""
    base = MultinomialMixture.__mro__[1]
    monkeypatch.setattr(MultinomialMixture, "_step", base._step)


@pytest.mark.many_fits
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_a_stream_of_small_minibatches(stream, order, form):
    X, labels = stream
    rows = np.argsort(labels, kind="stable") if order == "sorted" else np.arange(len(labels))
    model = learn_stream(FORMATS[form](X[rows]))
    assert_close(model.predict(FORMATS[form](X)), labels, 0.9)


def test_a_sorted_stream_needs_the_sample_of_rows(stream, monkeypatch):
    X, labels = stream
    without_reservoir(monkeypatch)
    model = learn_stream(X[np.argsort(labels, kind="stable")])
    assert model.reservoir_ is None
    assert normalized_mutual_info_score(labels, model.predict(X)) < 0.85


def test_three_reservoir_rows_for_each_new_row(planted):
    X, _ = planted
    model = learn_stream(X[:100])
    state = model._get_state()._replace(reservoir=mark_start(model.reservoir_))
    learned, sums = model._step(X[100:110], state, Progress(1.0, 0, 50))
    assert sums.n_rows == 40
    assert learned.reservoir.n_seen == 110
    assert learned.n_updates == state.n_updates + 1


def test_size_of_the_reservoir(planted, monkeypatch):
    monkeypatch.setattr(multinomial_mixture, "_RESERVOIR", 30)
    model = learn_stream(planted[0][:300], n_components=3)
    assert len(model.reservoir_.priorities) == model.reservoir_.rows.shape[0] == 75  # 25 for each component
    assert model.reservoir_.n_seen == 300
    monkeypatch.setattr(multinomial_mixture, "_RESERVOIR", 90)
    model = learn_stream(planted[0][:300], n_components=3)
    assert len(model.reservoir_.priorities) == model.reservoir_.rows.shape[0] == 90


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_rows_with_the_highest_priorities_stay(form):
    """Whatever the minibatches are, these are `size` of all rows that are not empty."""
    X = np.arange(1, 201.0)[:, None] * [1, 0, 2]
    X[::10] = 0
    for sizes in ([200], [7] * 28 + [4], [1] * 200):
        rng = np.random.default_rng(0)
        reservoir, start = None, 0
        for size in sizes:
            reservoir = add_rows(reservoir, form(X[start : start + size]), 30, rng)
            start += size
        kept = reservoir.rows.toarray() if sparse.issparse(reservoir.rows) else reservoir.rows
        priorities = np.random.default_rng(0).random(180)
        filled = X[X.any(axis=1)]
        assert reservoir.n_seen == 180
        assert_array_equal(kept, filled[np.sort(np.argsort(-priorities)[:30])])
        assert_array_equal(reservoir.priorities, priorities[np.sort(np.argsort(-priorities)[:30])])


def test_reservoir_rows_are_drawn_without_replacement():
    reservoir = add_rows(None, np.arange(1, 21.0)[:, None], 10, np.random.default_rng(0))
    for seed in range(5):
        drawn = draw_rows(reservoir, 9, np.random.default_rng(seed))[0][:, 0]
        assert len(set(drawn)) == 9
        assert set(drawn) <= set(reservoir.rows[:, 0])
    assert draw_rows(reservoir, 10, np.random.default_rng(1))[0] is reservoir.rows


def test_a_shuffled_fit_keeps_no_rows(planted):
    X, _ = planted
    for max_iter in (1, 50):
        assert MultinomialMixture(6, random_state=0, max_iter=max_iter).fit(X).reservoir_ is None
    assert MultinomialMixture(6, random_state=0, shuffle=False, max_iter=1).fit(X).reservoir_ is not None
    small = MultinomialMixture(6, random_state=0, batch_size=100, max_iter=1).fit(X)
    assert small.reservoir_ is not None  # the first minibatches are small, so the start may be poor
    assert MultinomialMixture(6, random_state=0, shuffle=False, max_iter=2).fit(X).reservoir_ is None


def test_a_fit_in_small_shuffled_minibatches(planted):
    X, labels = planted
    assert_close(MultinomialMixture(6, random_state=0, batch_size=20).fit_predict(X), labels, 0.9)


def test_partial_fit_after_fit_does_not_start_anew(planted, monkeypatch):
    X, labels = planted
    model = MultinomialMixture(6, random_state=0).fit(X)
    monkeypatch.setattr(MultinomialMixture, "_restart", None)
    monkeypatch.setattr(MultinomialMixture, "_initialize_state", None)
    before = model.n_updates_
    for start in range(0, 600, 20):
        model.partial_fit(X[start : start + 20])
    assert model.reservoir_ is None
    assert model.n_updates_ == before + 30
    assert_close(model.predict(X), labels)


def test_a_new_start_keeps_the_numbers_of_components(planted, monkeypatch):
    X, _ = planted
    model = learn_stream(X[:300], size=100)
    state, progress = model._get_state(), Progress(1.0, 0, 50)
    statistics, calls = MultinomialMixture._compute_statistics, []

    def prefer_the_new_one(self, X, at, sample_weight):
        sums = statistics(self, X, at, sample_weight)
        if at is state:
            calls.append(at)
            return sums._replace(energy=sums.energy - 1e9)
        return sums

    monkeypatch.setattr(MultinomialMixture, "_compute_statistics", prefer_the_new_one)
    new = model._restart(X, state, progress)
    assert calls
    assert new is not state
    old_labels, new_labels = (model._encode(X, one)[0].argmax(axis=1) for one in (state, new))
    assert (old_labels == new_labels).mean() > 0.95
    assert (new.seed, new.n_updates) == (state.seed, state.n_updates)
    assert new.components.flags.f_contiguous


def test_a_new_start_that_explains_the_sample_worse_is_dropped(planted, monkeypatch):
    X, _ = planted
    model = learn_stream(X[:300], size=100)
    state, statistics = model._get_state(), MultinomialMixture._compute_statistics
    monkeypatch.setattr(
        MultinomialMixture,
        "_compute_statistics",
        lambda self, X, at, sample_weight: statistics(self, X, at)._replace(energy=np.float64(at is state)),
    )
    assert model._restart(X, state, Progress(1.0, 0, 50)) is state


def test_components_are_matched_by_the_rows_that_they_share():
    old = np.eye(3)[[0, 0, 1, 1, 2, 2, 2]]
    new = old[:, [2, 0, 1]]
    order = multinomial_mixture._match_components(old, new)
    assert_array_equal(new[:, order], old)


def test_partial_fit_of_an_unpickled_model(planted):
    X, _ = planted
    model = learn_stream(X[:200])
    copy = pickle.loads(pickle.dumps(model))
    assert copy.reservoir_.n_seen == 200
    for start in range(200, 420, 20):
        for one in (model, copy):
            one.partial_fit(X[start : start + 20])
    assert_array_equal(copy.components_, model.components_)
    assert_array_equal(copy.reservoir_.priorities, model.reservoir_.priorities)
    assert not hasattr(clone(model), "reservoir_")


def test_empty_minibatches_do_not_change_the_reservoir(planted):
    X, _ = planted
    model, other = (MultinomialMixture(6, random_state=0) for _ in range(2))
    for start in range(0, 300, 30):
        model.partial_fit(X[start : start + 30])
        other.partial_fit(X[start : start + 30])
        other.partial_fit(0 * X[:3])
    assert other.n_updates_ == model.n_updates_
    assert_array_equal(other.components_, model.components_)
