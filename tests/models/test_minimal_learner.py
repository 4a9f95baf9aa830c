"""The smallest learner: five fields of a state and four methods, as `CodebookLearner` documents."""

import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import normalized_mutual_info_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from codebooks import ops
from codebooks.datasets import make_planted_corpus
from codebooks.models.base import CodebookLearner
from codebooks.models.convergence import Reporter
from codebooks.models.cosine import compute_cosines, normalize_rows
from codebooks.models.pruning import prune_components, select_components
from codebooks.models.relocation import relocate
from codebooks.models.statistics import multiply_weights, rank_components, sum_statistics

pytestmark = pytest.mark.filterwarnings("ignore:.*components? wins? no sample")


class State(NamedTuple):
    components: Any
    usage: Any
    inhibition: Any
    seed: int
    n_updates: int


class RunningMeans(CodebookLearner):
    """Spherical k-means: each component is the direction of the running mean of the rows that it wins."""

    _State = State

    def __init__(self, n_components=8, *, max_iter=20, batch_size="auto", shuffle=True, tol=1e-3, random_state=None):
        self.n_components, self.max_iter, self.batch_size = n_components, max_iter, batch_size
        self.shuffle, self.tol, self.random_state = shuffle, tol, random_state

    inhibition, inhibition_strength, revive, verbose = None, 0.0, True, 0

    def _initialize_state(self, X, n_components, rng, sample_weight=None):
        filled = np.flatnonzero(ops.row_norms(X) > 0)
        sums = ops.take_rows(X, filled[rng.randint(len(filled), size=n_components)])
        W = normalize_rows(np.abs(sums.toarray() if sparse.issparse(sums) else sums) + 1e-3).astype(X.dtype)
        even = np.full(n_components, 1 / n_components, X.dtype)
        return State(W, even, 0 * even, int(rng.randint(2**31 - 1)), 0)

    def _compute_statistics(self, X, state, sample_weight=None):
        found = rank_components(X, state.components, state.inhibition, 1, sample_weight)
        weight = multiply_weights(ops.reciprocal(found.norms)[:, None], sample_weight)
        pull = ops.scatter_rows(np.zeros_like(state.components), found.index, weight, X)
        return sum_statistics(found, pull, sample_weight)

    def _update(self, state, sums, progress):
        usage, inhibition = self._update_usage_and_inhibition(state, sums, self._compute_retention(sums))
        W = normalize_rows(state.components + sums.pull).astype(state.components.dtype)
        return State(W, usage, inhibition, state.seed, state.n_updates + 1)

    def _encode(self, X, state):
        scores, _ = compute_cosines(X, state.components)
        return scores, scores.any(axis=1)


NOT_EQUIVALENT = {
    f"check_sample_weight_equivalence_on_{form}_data": "the start is drawn without weights"
    for form in ("dense", "sparse")
}


@parametrize_with_checks([RunningMeans()], expected_failed_checks=lambda _: NOT_EQUIVALENT)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", [sparse.csr_matrix.toarray, lambda X: X], ids=["dense", "CSR"])
def test_it_learns_planted_topics(kind):
    # Of 7 components for 4 topics some learn the same, and are moved while other topics have none.
    corpus = make_planted_corpus(400, 4, random_state=0)
    X = kind(corpus.X)
    model = RunningMeans(7, random_state=0).fit(X)
    assert normalized_mutual_info_score(corpus.labels, model.labels_) > 0.7
    assert (model.usage_ > 0).all()
    codes = model.transform(X)
    np.testing.assert_array_equal(codes.argmax(axis=1), model.predict(X))
    for copy in (pickle.loads(pickle.dumps(model)), clone(model).fit(X)):
        np.testing.assert_array_equal(copy.transform(X), codes)
    assert 0 < model.score(X) <= 1


def test_its_redundant_components_are_moved():
    X = np.repeat(np.eye(5), 20, axis=0) + 0.01
    state = State(normalize_rows(np.eye(5)[[0, 0, 1, 2]] + 0.01), np.full(4, 0.25), np.zeros(4), 0, 1)
    model = RunningMeans(4)
    labels = np.repeat([0, 1, 2, 3, 3], [10, 10, 20, 20, 40])
    moves = model._find_redundant(X, state, labels)
    moved = relocate(state, moves, len(X), model._halved, model._compute_lengths)
    assert moved is not state
    assert len(np.unique(moved.components.argmax(axis=1))) == 4


def test_partial_fit_and_revival():
    corpus = make_planted_corpus(400, 4, random_state=0)
    X = corpus.X
    model = RunningMeans(6, random_state=0)
    for start in range(0, 400, 50):
        model.partial_fit(X[start : start + 50])
    assert model.n_updates_ == 8
    for start in range(0, 400, 50):
        idle = model._get_state()._replace(usage=np.array([1.0, 0, 0, 0, 0, 0], X.dtype))
        model._store_state(idle)
        model.partial_fit(X[start : start + 50])
    assert (model.usage_ > 0).all()
    assert np.isfinite(model.components_).all()


def test_pruning_drops_its_components():
    X = np.repeat(np.eye(5), 20, axis=0) + 0.01
    state, n_passes = prune_components(
        RunningMeans(5, random_state=0), X, np.random.RandomState(0), Reporter("", 10, 0)
    )
    assert 1 <= len(state.components) == len(state.usage) == len(state.inhibition) <= 5
    assert n_passes >= 1
    one = select_components(state, np.arange(len(state.components)) == 0)
    assert len(one.components) == len(one.usage) == len(one.inhibition) == 1
