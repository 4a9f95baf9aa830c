"""Search engines, ours and others: built from counts of documents, queried with counts of queries.

BM25 is bm25s, as is the first search of RM3 and Rocchio. These two follow Rm3Reranker and RocchioReranker of Anserini
(https://github.com/castorini/anserini) with its defaults: 10 documents and 30 terms of feedback, without terms of more
than a tenth of the documents; its limits on the spelling of terms are left out. bm25s has no weights of query terms, so
the second search is a sparse product with the matrix of bm25s.
"""

from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numba.core import config
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from codebooks import BM25Transformer, HopfieldMemory, HopfieldRetriever

COMMON = 0.1  # terms of a larger share of the documents are not used as feedback
ALPHA, BETA = 1.0, 0.75  # weights of the query and of the feedback in Rocchio
# RM3 tuned as our constants, on `retrieval_collections.CHOOSING`: of 5, 10 or 20 documents, 10 to 100 terms and
# a weight of the query from .1 to .5, the best nDCG@10 among those within .001 of the best MAP. Tuning Rocchio
# gained almost nothing.
TUNED: dict[str, Any] = {"n_documents": 5, "n_terms": 60, "of_query": 0.2}
N_LATENT = 256
BLOCK = 64  # queries whose scores are computed at once
THREADS = config.NUMBA_NUM_THREADS


class Found(NamedTuple):
    """Rows of documents, the best first, padded by -1; and their scores, padded by 0."""

    ids: np.ndarray
    scores: np.ndarray


def import_peer(module: str, package: str) -> Any:
    """Import a package that only benchmarks need."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"This benchmark needs {package}. Install it: pip install 'codebooks-learn[bench]'"
        ) from error


def make_bm25s() -> Any:
    """Make an index of bm25s with its Numba backend and the k1 and b of our retriever."""
    ours = BM25Transformer()  # the weighting of HopfieldRetriever
    return import_peer("bm25s", "bm25s").BM25(k1=ours.k1, b=ours.b, method=ours.variant, backend="numba")


# -- words -----------------------------------------------------------------------------------------------------------


class BM25:
    """bm25s, with numbers as words."""

    def __init__(self, counts: sparse.csr_matrix):
        self._index = make_bm25s()
        vocabulary = {str(term): term for term in range(counts.shape[1])}
        self._index.index((list_tokens(counts), vocabulary), create_empty_token=False, show_progress=False)
        made = self._index.scores
        self.weights = sparse.csc_matrix((made["data"], made["indices"], made["indptr"]), shape=counts.shape)

    def search(self, queries: sparse.csr_matrix, k: int) -> Found:
        """Search with counts."""
        k = min(k, self.weights.shape[0])
        found = Found(np.full((queries.shape[0], k), -1), np.zeros((queries.shape[0], k), np.float32))
        words = list_tokens(queries)
        filled = [i for i, query in enumerate(words) if query]  # bm25s needs a word in every query
        if filled:
            found.ids[filled], found.scores[filled] = self.retrieve([words[i] for i in filled], k)
        found.ids[found.scores <= 0] = -1
        return found

    def retrieve(self, queries: list[list[int]], k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the results of bm25s unchanged."""
        return self._index.retrieve(queries, k=k, n_threads=THREADS, show_progress=False)

    def search_weighted(self, queries: sparse.csr_matrix, k: int) -> Found:
        """Search with a weight for each term."""
        blocks = [queries[start : start + BLOCK] for start in range(0, queries.shape[0], BLOCK)]
        return _concatenate([select_best((block @ self.weights.T).toarray(), k) for block in blocks])


class Feedback:
    """Base class of RM3 and Rocchio: BM25, then BM25 with a query expanded by the first documents."""

    def __init__(self, counts: sparse.csr_matrix, n_documents: int = 10, n_terms: int = 30):
        self.n_documents = n_documents
        self.n_terms = n_terms
        self._bm25 = BM25(counts)
        rare = counts.getnnz(axis=0) <= COMMON * counts.shape[0]
        self._counts = sparse.csr_matrix(counts @ sparse.diags(rare.astype(counts.dtype)))
        self._counts.eliminate_zeros()

    def search(self, queries: sparse.csr_matrix, k: int) -> Found:
        """Search twice."""
        return self._bm25.search_weighted(self.expand_queries(queries), k)

    def expand_queries(self, queries: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return the queries of the second search."""
        found = self._bm25.search(queries, self.n_documents)
        rows = [
            self._expand_query(queries, i, ids[ids >= 0], scores[ids >= 0])
            for i, (ids, scores) in enumerate(zip(*found, strict=True))
        ]
        terms, weights = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        ends = np.concatenate([[0], np.cumsum([len(terms) for terms, _ in rows])])
        return sparse.csr_matrix((weights, terms, ends), shape=queries.shape)

    def _expand_query(
        self, queries: sparse.csr_matrix, i: int, ids: np.ndarray, scores: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the terms of one expanded query and their weights."""
        slices = [(queries, i), *((self._counts, document) for document in ids)]
        indices, counts = zip(*(_get_row(matrix, row) for matrix, row in slices), strict=True)
        terms, column = np.unique(np.concatenate(indices), return_inverse=True)
        table = np.zeros((len(slices), len(terms)), np.float32)
        table[np.repeat(np.arange(len(slices)), [len(row) for row in indices]), column] = np.concatenate(counts)
        return terms, self.weigh_terms(table[:1], table[1:], scores)

    def weigh_terms(self, query: np.ndarray, documents: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Compute weights of expanded terms from their counts in the query, (1, n), and in scored documents."""
        raise NotImplementedError


class RM3(Feedback):
    """Relevance model: term probabilities in the first documents, mixed with the query."""

    def __init__(self, counts: sparse.csr_matrix, n_documents: int = 10, n_terms: int = 30, of_query: float = 0.5):
        super().__init__(counts, n_documents, n_terms)
        self.of_query = of_query

    def weigh_terms(self, query: np.ndarray, documents: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Average the largest term probabilities of documents with BM25 scores as weights, and keep the largest."""
        likely = scores[None] @ scale_rows(keep_largest(documents, self.n_terms), 1)
        likely = scale_rows(keep_largest(likely, self.n_terms), 1)
        return (self.of_query * scale_rows(query, 1) + (1 - self.of_query) * likely)[0]


class Rocchio(Feedback):
    """Rocchio feedback: the mean direction of the first documents, added to the query."""

    def weigh_terms(self, query: np.ndarray, documents: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Average the directions of documents with equal weights."""
        mean = scale_rows(documents, 2).sum(axis=0, keepdims=True) / max(len(documents), 1)
        return (ALPHA * scale_rows(query, 2) + BETA * scale_rows(keep_largest(mean, self.n_terms), 2))[0]


class Ours:
    """HopfieldRetriever, with or without a step of feedback."""

    def __init__(self, counts: sparse.csr_matrix, feedback: int):
        self._retriever = HopfieldRetriever(feedback=feedback).fit(counts)

    def search(self, queries: sparse.csr_matrix, k: int) -> Found:
        """Search with counts."""
        results = self._retriever.search(queries, k)
        found = Found(np.full((len(results.ids), k), -1), np.zeros((len(results.ids), k), np.float32))
        for i, (ids, scores) in enumerate(zip(*results, strict=True)):
            found.ids[i, : len(ids)], found.scores[i, : len(ids)] = ids, scores
        return found


class TfIdf:
    """Nearest neighbours by cosine of tf-idf vectors, from scikit-learn."""

    def __init__(self, counts: sparse.csr_matrix):
        self._weighting = TfidfTransformer()
        self._neighbours = NearestNeighbors(metric="cosine").fit(self._weighting.fit_transform(counts))

    def search(self, queries: sparse.csr_matrix, k: int) -> Found:
        """Search with counts."""
        k = min(k, self._neighbours.n_samples_fit_)
        distances, ids = self._neighbours.kneighbors(self._weighting.transform(queries), k)
        scores = 1 - distances
        return Found(np.where(scores > 1e-6, ids, -1), scores.clip(0))


# -- dense vectors ---------------------------------------------------------------------------------------------------


class Latent:
    """Latent semantic analysis: tf-idf projected to 256 dimensions."""

    def __init__(self, counts: sparse.csr_matrix):
        self._weighting = TfidfTransformer()
        weighted = self._weighting.fit_transform(counts)
        self._projection = TruncatedSVD(min(N_LATENT, min(counts.shape) - 1), random_state=0).fit(weighted)
        self.documents = self.project(counts)

    def project(self, counts: sparse.csr_matrix) -> np.ndarray:
        """Return projections of length 1."""
        projected = self._projection.transform(self._weighting.transform(counts))
        return np.ascontiguousarray(normalize(projected), dtype=np.float32)


class Faiss(Latent):
    """Latent semantic analysis, searched with a flat index of faiss."""

    def __init__(self, counts: sparse.csr_matrix):
        super().__init__(counts)
        faiss = import_peer("faiss", "faiss-cpu")
        faiss.omp_set_num_threads(THREADS)
        self._index = faiss.IndexFlatIP(self.documents.shape[1])
        self._index.add(self.documents)

    def search(self, queries: sparse.csr_matrix, k: int) -> Found:
        """Search with counts."""
        return self.search_vectors(self.project(queries), k)

    def search_vectors(self, vectors: np.ndarray, k: int) -> Found:
        """Search with vectors."""
        scores, ids = self._index.search(vectors, min(k, len(self.documents)))
        return Found(ids, scores)


class LatentMemory(Latent):
    """Latent semantic analysis, searched with HopfieldMemory."""

    def __init__(self, counts: sparse.csr_matrix):
        super().__init__(counts)
        self._memory = HopfieldMemory(similarity="dot").fit(self.documents)

    def search(self, queries: sparse.csr_matrix, k: int) -> Found:
        """Search with counts."""
        return self.search_vectors(self.project(queries), k)

    def search_vectors(self, vectors: np.ndarray, k: int) -> Found:
        """Search with vectors."""
        distances, ids = self._memory.kneighbors(vectors, min(k, len(self.documents)))
        return Found(ids, -distances)


ENGINES: dict[str, Callable[[sparse.csr_matrix], Any]] = {
    "BM25": BM25,
    "BM25 + RM3": RM3,
    "BM25 + RM3, tuned": lambda counts: RM3(counts, **TUNED),
    "BM25 + Rocchio": Rocchio,
    "ours, feedback=0": lambda counts: Ours(counts, 0),
    "ours, feedback=1": lambda counts: Ours(counts, 1),
    "tf-idf cosine": TfIdf,
    "LSA + faiss": Faiss,
    "LSA + HopfieldMemory": LatentMemory,
}


# -- parts -----------------------------------------------------------------------------------------------------------


def list_tokens(counts: sparse.csr_matrix) -> list[list[int]]:
    """Return the terms of each row, repeated by their counts."""
    times = counts.data.astype(np.int64)
    repeated = np.repeat(counts.indices, times).tolist()
    ends = np.concatenate([[0], np.cumsum(times)])[counts.indptr].tolist()
    return [repeated[start:stop] for start, stop in pairwise(ends)]


def scale_rows(rows: np.ndarray, order: int) -> np.ndarray:
    """Scale rows to norm 1 of the given order; rows of zeros stay zeros."""
    norms = np.linalg.norm(rows, order, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


def keep_largest(rows: np.ndarray, n: int) -> np.ndarray:
    """Set all but the n largest entries of each row to 0; of equal entries the first are kept."""
    kept = np.zeros_like(rows)
    order = np.argsort(-rows, axis=1, kind="stable")[:, :n]
    np.put_along_axis(kept, order, np.take_along_axis(rows, order, axis=1), axis=1)
    return kept


def select_best(scores: np.ndarray, k: int) -> Found:
    """Select the k best documents of each row of scores; documents without a positive score are left out."""
    k = min(k, scores.shape[1])
    ids = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    found = np.take_along_axis(scores, ids, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    ids, found = (np.take_along_axis(part, order, axis=1) for part in (ids, found))
    return Found(np.where(found > 0, ids, -1), found)


def are_equal_up_to_ties(one: Found, other: Found, tolerance: float = 1e-4) -> np.ndarray:
    """Return for each query whether scores agree at every rank, and documents up to ties.

    Documents with the score of the last rank are ignored, because others with that score may be cut off.
    """
    close = np.isclose(one.scores, other.scores, rtol=tolerance, atol=tolerance).all(axis=1)
    above = one.scores > one.scores[:, -1:] * (1 + tolerance) + tolerance
    same = [set(a[kept]) == set(b[kept]) for a, b, kept in zip(one.ids, other.ids, above, strict=True)]
    return close & np.array(same)


def _get_row(matrix: sparse.csr_matrix, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns and the values of one row."""
    entries = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return matrix.indices[entries], matrix.data[entries]


def _concatenate(found: list[Found]) -> Found:
    return Found(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
