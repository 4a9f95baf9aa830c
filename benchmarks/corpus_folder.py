"""Labelled corpora from the folder that the environment variable CODEBOOKS_DATA names."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
from collections.abc import Callable, Iterable
from io import StringIO
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from codebooks.datasets.corpus import Corpus
from codebooks.errors import short_repr

__all__ = ["load_corpus"]


class _Source(NamedTuple):
    """The file of one corpus and how its rows are read."""

    file: str
    document: Callable[[dict[str, Any]], str] = itemgetter("text")
    label: Callable[[dict[str, Any]], str] = itemgetter("label")
    keep: Callable[[dict[str, Any]], bool] = bool
    columns: tuple[str, ...] | None = None  # for a table without a header line
    vocabulary: str | None = None


def _join_title(row: dict[str, Any]) -> str:
    return f"{row['title']}\n{row['text']}"


def _remove_quotes(row: dict[str, Any]) -> str:
    """Remove quoted lines of other posts and the line that introduces them."""
    return re.sub(r"(?m)^(>|\|).*$|^.*(writes|wrote):?\s*$", "", row["text"])


_LEMMAS = _Source("corpus.tsv.gz", columns=("text", "split", "label"), vocabulary="vocabulary.txt.gz")
_TITLES = _Source("docs.tsv.gz")

_SOURCES = {
    "octis_bbc_news": _LEMMAS,
    "octis_m10": _LEMMAS,
    "octis_dbpedia_it": _LEMMAS,
    "newsgroups20": _Source("docs.jsonl.gz", document=_remove_quotes, vocabulary="octis_vocabulary.txt.gz"),
    "bbc_news": _Source("docs.jsonl.gz", document=_join_title),
    "reuters21578": _Source(
        "docs.jsonl.gz",
        document=_join_title,
        label=lambda row: row["topics"][0],
        keep=lambda row: len(row["topics"]) == 1,
    ),
    "search_snippets": _TITLES,
    "stackoverflow_titles": _TITLES,
    "biomedical_titles": _TITLES,
    "google_news_titles": _TITLES,
}


def load_corpus(name: str) -> Corpus:
    """Load a labelled corpus from the folder that the environment variable CODEBOOKS_DATA names.

    Documents keep the order of the file, which is often sorted by label. 20 Newsgroups are read without headers and
    quoted lines, of Reuters-21578 the documents with one topic.

    Parameters
    ----------
    name : str
        One of octis_bbc_news, octis_m10, octis_dbpedia_it, newsgroups20, bbc_news, reuters21578,
        search_snippets, stackoverflow_titles, biomedical_titles, google_news_titles.

    Returns
    -------
    Corpus
        With `vocabulary` for the OCTIS sets and 20 Newsgroups.

    Raises
    ------
    ValueError
        If no corpus has this name.
    FileNotFoundError
        If CODEBOOKS_DATA is not set, or the file does not exist.

    Examples
    --------
    >>> from benchmarks.corpus_folder import load_corpus
    >>> corpus = load_corpus("octis_bbc_news")  # doctest: +SKIP
    >>> len(corpus.documents), sorted(set(corpus.labels))  # doctest: +SKIP
    (2225, ['business', 'entertainment', 'politics', 'sport', 'tech'])
    """
    if name not in _SOURCES:
        raise ValueError(f"`name` must be one of {', '.join(_SOURCES)}, got {short_repr(name)}.")
    source = _SOURCES[name]
    rows = [row for row in _read_rows(_find_file(name, source.file), source.columns) if source.keep(row)]
    return Corpus(
        documents=[source.document(row) for row in rows],
        labels=[source.label(row) for row in rows],
        name=name,
        vocabulary=_read_text(_find_file(name, source.vocabulary)).split() if source.vocabulary else None,
    )


def _find_file(name: str, file: str) -> Path:
    folder = os.environ.get("CODEBOOKS_DATA")
    if not folder:
        raise FileNotFoundError(
            f"To load {short_repr(name)}, set the environment variable CODEBOOKS_DATA to the folder of the data sets; "
            "benchmarks/DATA.md lists their sources."
        )
    path = Path(folder, name, file)
    if not path.is_file():
        raise FileNotFoundError(
            f"{short_repr(name)} is expected in {path}, below CODEBOOKS_DATA; there is no such file. "
            "benchmarks/DATA.md describes where to get it and the layout of the folder."
        )
    return path


def _read_text(path: Path) -> str:
    # newline="": a carriage return inside a field does not end a row.
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return file.read()


def _read_rows(path: Path, columns: tuple[str, ...] | None) -> Iterable[dict[str, Any]]:
    lines = StringIO(_read_text(path), newline="")
    if path.name.endswith(".jsonl.gz"):
        return map(json.loads, lines)
    return csv.DictReader(lines, columns, delimiter="\t", quoting=csv.QUOTE_NONE)
