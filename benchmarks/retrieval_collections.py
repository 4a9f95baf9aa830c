"""Test collections for retrieval, with relevance judgements, as counts: every engine reads the same tokens."""

import csv
import gzip
import json
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from benchmarks.corpora import get_data_folder

# Tokenisation, the same for ours and for every peer.
WORDS = {"token_pattern": r"(?u)\b\w\w+\b", "lowercase": True, "stop_words": "english"}

# Constants are chosen on CHOOSING and evaluated on REPORT, never the reverse.
CHOOSING = ("cranfield", "medline1033")
REPORT = ("cisi", "npl", "nfcorpus_preprocessed")


class Collection(NamedTuple):
    """Documents, queries and relevance judgements.

    Attributes
    ----------
    name : str
    counts : csr_matrix of shape (n_documents, n_terms), float32
    queries : csr_matrix of shape (n_queries, n_terms), float32
        Counts of the queries that have a relevant document.
    relevant : list of dict
        For each query the grades of its relevant documents, by row of `counts`.
    """

    name: str
    counts: sparse.csr_matrix
    queries: sparse.csr_matrix
    relevant: list[dict[int, int]]


@cache
def load(name: str) -> Collection:
    """Load a collection from the folder CODEBOOKS_DATA, with the judgements of all splits."""
    folder = get_data_folder(name)
    documents = [json.loads(line) for line in _read_lines(folder / "corpus.jsonl.gz")]
    queries = [json.loads(line) for line in _read_lines(folder / "queries.jsonl.gz")]
    row = {document["_id"]: i for i, document in enumerate(documents)}
    relevant: dict[str, dict[int, int]] = {query["_id"]: {} for query in queries}
    for judgement in csv.DictReader(_read_lines(folder / "qrels.tsv.gz"), delimiter="\t"):
        if int(judgement["score"]) > 0:
            relevant[judgement["query-id"]][row[judgement["corpus-id"]]] = int(judgement["score"])
    judged = [query for query in queries if relevant[query["_id"]]]
    return make_collection(
        name,
        [f"{document['title']} {document['text']}" for document in documents],
        [query["text"] for query in judged],
        [relevant[query["_id"]] for query in judged],
    )


def make_collection(name: str, documents: list[str], queries: list[str], relevant: list[dict[int, int]]) -> Collection:
    """Make a collection from texts by counting words."""
    vectorizer = CountVectorizer(dtype=np.float32, **WORDS)
    counts = vectorizer.fit_transform(documents)
    return Collection(name, counts, vectorizer.transform(queries), relevant)


def _read_lines(path: Any) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return file.read().splitlines()
