"""make_planted_corpus: sizes, shares and seeds of the corpora."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import normalized_mutual_info_score

from codebooks.datasets import make_planted_corpus


def test_planted_corpus_attributes():
    planted = make_planted_corpus()
    assert planted.X.shape == (600, 350) == (len(planted.labels), len(planted.terms))
    assert planted.X.dtype == np.float32
    assert planted.X.indices.dtype == np.int32
    assert planted.X.has_canonical_format
    assert_array_equal(planted.X.data, np.round(planted.X.data))
    assert planted.X.sum(axis=1).min() >= 1
    assert_array_equal(np.bincount(planted.labels), 60)
    assert (np.diff(planted.labels) < 0).any()  # not sorted
    assert_allclose(planted.topics.sum(axis=1), 1)


def test_word_frequencies_equal_those_of_the_topic():
    planted = make_planted_corpus(2000, 4)
    for topic, frequencies in enumerate(planted.topics):
        counts = np.asarray(planted.X[planted.labels == topic].sum(axis=0)).ravel()
        assert_allclose(counts / counts.sum(), frequencies, atol=0.01)
        assert planted.terms[frequencies.argmax()] == f"topic{topic}_word0"
        assert_allclose(frequencies[topic * 30 : topic * 30 + 30].sum(), 0.7)


def test_same_seed_gives_the_same_planted_corpus():
    one, same, other = (make_planted_corpus(random_state=seed) for seed in (1, 1, 2))
    assert_array_equal(one.labels, same.labels)
    assert (one.X != same.X).nnz == 0
    assert (one.X != other.X).nnz > 0
    make_planted_corpus(random_state=np.random.default_rng(0))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weighting", ["counts", "tf-idf"])
def test_planted_topics_are_found(seed, weighting):
    planted = make_planted_corpus(random_state=seed)
    X = planted.X if weighting == "counts" else TfidfTransformer(sublinear_tf=True).fit_transform(planted.X)
    clusters = KMeans(10, n_init=5, random_state=0).fit_predict(X)
    parts = NMF(10, max_iter=500, random_state=0).fit_transform(X).argmax(axis=1)
    assert normalized_mutual_info_score(planted.labels, clusters) > 0.99
    assert normalized_mutual_info_score(planted.labels, parts) > 0.98


def test_balance_sets_the_sizes_of_topics():
    sizes = np.bincount(make_planted_corpus(1000, 5, balance=0.5).labels)
    assert sizes.sum() == 1000
    assert_allclose(sizes[1:] / sizes[:-1], 0.5, atol=0.02)
    assert_array_equal(np.bincount(make_planted_corpus(50, 20, balance=0.1).labels)[2:], 1)
    assert_array_equal(np.bincount(make_planted_corpus(7, 3).labels), [3, 2, 2])


def test_planted_corpus_without_background_or_length():
    assert make_planted_corpus(20, 2, n_background=0).topics.shape == (2, 60)
    assert make_planted_corpus(20, 2, length=0).X.sum() == 20


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_documents": 3}, "at least n_topics=10, got 3"),
        ({"purity": 0}, "`purity` must be > 0 and <= 1, got 0"),
        ({"balance": 1.5}, r"`balance` must be > 0 and <= 1, got 1\.5"),
    ],
)
def test_planted_corpus_rejects_invalid_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_planted_corpus(**parameters)
