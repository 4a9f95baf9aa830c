"""What only a real device can show: large matrices, memory that runs out, several processes, real collections."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import codebooks
from codebooks import HopfieldMemory, InhibitedMixture, KrotovHopfield, OrthogonalSparseCoding, metrics, ops
from codebooks.datasets import make_planted_corpus

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore:.*components? wins? no sample")]


@pytest.fixture(autouse=True)
def free_memory(cp):
    """Free the memory pool before and after every test."""
    cp.get_default_memory_pool().free_all_blocks()
    yield
    cp.get_default_memory_pool().free_all_blocks()


def test_a_matrix_larger_than_half_the_memory(cp):
    free, _ = cp.cuda.runtime.memGetInfo()
    n_features = 256
    n_rows = int(0.55 * free) // (4 * n_features)
    X = cp.empty((n_rows, n_features), np.float32)
    for start in range(0, n_rows, 2**22):
        block = X[start : start + 2**22]
        block[...] = cp.random.random(block.shape, dtype=np.float32)
    model = KrotovHopfield(4, random_state=0, max_iter=1, batch_size=2**20, annealing_updates=0).fit(X)
    assert model.n_updates_ == -(-n_rows // 2**20)
    assert len(model.predict(X[:1000])) == 1000


@pytest.mark.parametrize("build", [KrotovHopfield, HopfieldMemory])
def test_out_of_memory_raises_and_keeps_the_fitted_model(cp, build):
    X = cp.random.random((1000, 20), dtype=np.float32)
    model = build(random_state=0).fit(X)
    before = pickle.dumps(model)
    free, _ = cp.cuda.runtime.memGetInfo()
    pool = cp.get_default_memory_pool()
    pool.free_all_blocks()
    large = cp.zeros((int(0.7 * free) // 80, 20), np.float32)
    large[:, 0] = 1
    if build is KrotovHopfield:  # the memory copies all rows; a learner allocates little, so that the limit is lower
        pool.set_limit(pool.total_bytes() + 2**20)
    with pytest.raises(MemoryError, match="memory"):
        model.fit(large)
    pool.set_limit(0)
    del large
    pool.free_all_blocks()
    assert pickle.dumps(model) == before
    assert len(model.transform(X)) == 1000
    assert len(build(random_state=0).fit(X).transform(X)) == 1000


def test_two_processes_share_a_device(cp):
    code = (
        "import cupy, codebooks, sys\n"
        "X = cupy.random.RandomState(0).rand(20000, 50).astype('f4')\n"
        "for _ in range(5):\n"
        "    model = codebooks.KrotovHopfield(8, random_state=0, max_iter=5).fit(X)\n"
        "print(codebooks.to_host(model).usage_.round(3).tolist())\n"
    )
    path = os.pathsep.join([str(Path(codebooks.__file__).parents[1]), *filter(None, sys.path)])
    both = [
        subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    first, second = (json.loads(process.communicate(timeout=300)[0]) for process in both)
    assert [process.returncode for process in both] == [0, 0]
    np.testing.assert_allclose(first, second, atol=0.01)


def test_int64_indices(cp):
    """Matrices of CuPy have int32 indices; those that `to_device_of` makes may have int64."""
    corpus = make_planted_corpus(200, 3, random_state=0)
    X = corpus.X.astype(np.float64)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    on = ops.to_device_of(X, cp.zeros(1))
    here, there = (KrotovHopfield(3, random_state=0).fit(given) for given in (X, on))
    np.testing.assert_array_equal(ops.to_host(there.labels_), here.labels_)
    on.indices, on.indptr = on.indices.astype(np.int64), on.indptr.astype(np.int64)
    assert_close = np.testing.assert_allclose
    assert_close(ops.to_host(ops.similarity(on, on[:5].toarray())), (X @ X[:5].T).toarray(), atol=1e-12)
    assert_close(ops.to_host(ops.row_norms(on)), ops.row_norms(X), atol=1e-12)


@pytest.mark.skipif(not os.environ.get("CODEBOOKS_DATA"), reason="needs the collections under $CODEBOOKS_DATA")
@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture, OrthogonalSparseCoding])
def test_nmi_on_bbc_news_equals_that_of_the_cpu(cp, learner):
    from sklearn.feature_extraction.text import TfidfVectorizer

    from benchmarks.corpus_folder import load_corpus

    corpus = load_corpus("bbc_news")
    X = TfidfVectorizer(sublinear_tf=True, min_df=5, max_df=0.5, dtype=np.float32).fit_transform(corpus.documents)
    here = learner(5, random_state=0).fit(X)
    there = learner(5, random_state=0).fit(ops.to_device_of(X, cp.zeros(1)))
    nmi = [metrics.agreement(corpus.labels, ops.to_host(model.labels_)).nmi for model in (here, there)]
    assert abs(nmi[0] - nmi[1]) <= 0.01


def test_recall_allocates_less_than_all_scores(cp):
    rng = cp.random.RandomState(0)
    patterns = rng.standard_normal((200_000, 64), dtype=np.float32)
    queries = patterns[:20_000] + 0.3 * rng.standard_normal((20_000, 64), dtype=np.float32)
    memory = HopfieldMemory(beta=5.0, random_state=0).fit(patterns)
    memory.recall(queries[:10], 10)
    pool = cp.get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.total_bytes()
    ids, _ = memory.recall(queries, 10)
    assert pool.total_bytes() - before < 20_000 * 200_000 * 4 / 2
    assert float((ids[:, 0] == cp.arange(20_000)).mean()) > 0.99
