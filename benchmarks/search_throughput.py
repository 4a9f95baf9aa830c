"""Queries per second compared with bm25s and its Numba backend: 100,000 documents, the ten best of each query.

Both use the same number of threads. Warm rounds take turns; results are medians, and the ratio is the median of the
ratios of the rounds.
"""

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from benchmarks import engines, retrieval_collections
from benchmarks.engines import BM25, Found, import_peer, list_tokens
from benchmarks.report import format_table, write
from benchmarks.timing import measure_seconds
from codebooks import HopfieldRetriever, warmup

N_DOCUMENTS, N_WORDS, PER_DOCUMENT = 100_000, 50_000, 60
N_QUERIES, PER_QUERY, K = 1000, 5, 10
N_ROUNDS = 7
COLUMNS = ["what", "engine", "queries per second", "times bm25s"]


def draw_documents(n: int) -> sparse.csr_matrix:
    """Draw counts of words by Zipf's law, with repetitions."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, N_WORDS + 1)
    ends = np.cumsum(share / share.sum())
    lengths = np.maximum(rng.poisson(PER_DOCUMENT, n), 1)
    words = np.searchsorted(ends, rng.random(lengths.sum())).clip(max=N_WORDS - 1)
    counts = sparse.csr_matrix((np.ones(len(words), np.float32), (np.repeat(np.arange(n), lengths), words)))
    counts.resize(n, N_WORDS)
    return counts


def draw_queries(counts: sparse.csr_matrix, n: int) -> sparse.csr_matrix:
    """Draw queries, each of some distinct words of a document."""
    rng = np.random.default_rng(1)
    queries = []
    for row in rng.integers(counts.shape[0], size=n):
        words = counts.indices[counts.indptr[row] : counts.indptr[row + 1]]
        queries.append(rng.choice(words, min(PER_QUERY, len(words)), replace=False))
    ends = np.concatenate([[0], np.cumsum([len(words) for words in queries])])
    matrix = sparse.csr_matrix((np.ones(ends[-1], np.float32), np.concatenate(queries), ends), (n, counts.shape[1]))
    matrix.sort_indices()
    return matrix


def format_texts(counts: sparse.csr_matrix) -> list[str]:
    """Format counts as texts."""
    return [" ".join(f"word{term}" for term in row) for row in list_tokens(counts)]


def measure_from_counts(counts: sparse.csr_matrix, queries: sparse.csr_matrix) -> list[dict[str, Any]]:
    """Time searches alone: bm25s gets lists of term numbers, ours a matrix of counts."""
    theirs, query_tokens = BM25(counts), list_tokens(queries)
    works: dict[str, Callable[[], Any]] = {"bm25s": lambda: theirs.retrieve(query_tokens, K)}
    for feedback in (0, 1):
        ours = HopfieldRetriever(feedback=feedback).fit(counts)
        works[f"ours, feedback={feedback}"] = partial(ours.search, queries, K)
    return measure_in_turns(f"{counts.shape[0]:,} documents, given as counts", works, queries.shape[0])


def measure_from_texts(documents: list[str], queries: list[str]) -> list[dict[str, Any]]:
    """Time searches and indexing from texts, with the words of `retrieval_collections.WORDS` on both sides."""
    ours = {n: HopfieldRetriever(CountVectorizer(**retrieval_collections.WORDS), feedback=n) for n in (0, 1)}
    split, theirs = make_bm25s_tokenizer(), engines.make_bm25s()
    to_index = {
        "bm25s": measure_seconds(lambda: theirs.index(split(documents, return_as="tuple"), show_progress=False))
    }
    for n, model in ours.items():
        # The first search builds the index.
        work = partial(lambda model: model.fit(documents).search(queries[:1], K), model)
        to_index[f"ours, feedback={n}"] = measure_seconds(work)
    works: dict[str, Callable[[], Any]] = {
        "bm25s": lambda: theirs.retrieve(
            split(queries, update_vocab=False), k=K, n_threads=engines.THREADS, show_progress=False
        )
    }
    works |= {f"ours, feedback={n}": partial(model.search, queries, K) for n, model in ours.items()}
    rows = measure_in_turns(f"{len(documents):,} documents, given as texts", works, len(queries))
    return [row | {"seconds to index": to_index[row["engine"]]} for row in rows]


def make_bm25s_tokenizer() -> Callable[..., Any]:
    """Make the faster tokenizer of bm25s, with the same words as ours."""
    stop_words = sorted(CountVectorizer(**retrieval_collections.WORDS).get_stop_words())
    tokenizer = import_peer("bm25s.tokenization", "bm25s").Tokenizer(
        splitter=retrieval_collections.WORDS["token_pattern"], stopwords=stop_words, lower=True
    )
    return partial(tokenizer.tokenize, show_progress=False)


def measure_in_turns(what: str, works: dict[str, Callable[[], Any]], n_queries: int) -> list[dict[str, Any]]:
    """Time all engines in each round, after an uncounted first one, and compare the results of the first two."""
    rounds = [{name: measure_seconds(work) for name, work in works.items()} for _ in range(N_ROUNDS + 1)][1:]
    rows: list[dict[str, Any]] = [
        {
            "what": what,
            "engine": name,
            "queries per second": n_queries / median(taken[name] for taken in rounds),
            "times bm25s": median(taken["bm25s"] / taken[name] for taken in rounds),
        }
        for name in works
    ]
    theirs, ours = (Found(*works[name]()) for name in ("bm25s", "ours, feedback=0"))
    rows[1]["same ten as bm25s"] = float(engines.are_equal_up_to_ties(theirs, ours).mean())
    return rows


def run(n_documents: int = N_DOCUMENTS, n_queries: int = N_QUERIES) -> None:
    """Write queries per second and their ratio to bm25s."""
    warmup()
    counts = draw_documents(n_documents)
    queries = draw_queries(counts, n_queries)
    rows = measure_from_counts(counts, queries)
    print(format_table(rows, [*COLUMNS, "same ten as bm25s"]), flush=True)
    rows += measure_from_texts(format_texts(counts), format_texts(queries))
    write("retrieval-speed", rows, "python -m benchmarks retrieval --part speed", ("bm25s",))
    print(
        "\n"
        + format_table(rows, [*COLUMNS, "same ten as bm25s", "seconds to index"])
        + f"\n\n{engines.THREADS} threads each."
    )
