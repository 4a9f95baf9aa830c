"""Ranking with `PairedHead` on MiniLM embeddings, for groups seen in the fit and for new groups.

BANKING77: 1-nearest-neighbour accuracy of test rows among training rows, with heads learned from all training rows
("seen"), or from those of 39 intents and queried with the other 38, among themselves ("unseen", five splits). COVID-Q,
HINT3 and the true pairs of Medical Question Pairs: accuracy@k and MRR of the first other row of the same group, in five
folds over groups; rows of a held-out group are searched among all rows. Constants were chosen on folds over the
intents of BANKING77's training part.

"as learned" is the head even if it was rejected; the other figures are those of `transform`.
"""

import csv
import gzip
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.corpora import get_data_folder
from benchmarks.report import format_table, write
from codebooks import PairedHead
from codebooks.base import iterate_row_blocks
from codebooks.embeddings._head_validation import compute_first_ranks
from codebooks.models.cosine import normalize_rows

Embed = Callable[[Sequence[str]], np.ndarray]
Heads = dict[str, Callable[[], PairedHead]]

DEFAULT = "eigen, default"
HEADS: Heads = {
    DEFAULT: PairedHead,
    "marginal, sgd": lambda: PairedHead("marginal", solver="sgd", random_state=0),
    "simcse, sgd": lambda: PairedHead("simcse", solver="sgd", random_state=0),
    "barlow, sgd": lambda: PairedHead("barlow", solver="sgd", random_state=0),
}
NEW = (DEFAULT, "marginal, sgd")  # heads for new intents: the others take long and gain less
RAW = "no head"
DEPTHS = range(1, 11)
N_SPLITS = 5


# -- data sets -------------------------------------------------------------------------------------------------------


def load_banking77(part: str) -> tuple[list[str], np.ndarray]:
    """Load questions and their intents."""
    with gzip.open(get_data_folder("banking77") / f"{part}.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [row["text"] for row in rows], np.array([row["category"] for row in rows])


def load_covid_q() -> tuple[list[str], np.ndarray]:
    """Load questions and their groups of equal meaning; questions alone in their group serve as distractors."""
    rows = _read_json_lines("covid_q", "questions.jsonl.gz")
    return [row["text"] for row in rows], np.array([str(row["group"]) for row in rows])


def load_hint3(bot: str) -> tuple[list[str], np.ndarray]:
    """Load requests to one bot and their intents, without those out of its scope."""
    rows = [row for row in _read_json_lines("hint3", "utterances.jsonl.gz") if row["bot"] == bot]
    rows = [row for row in rows if row["label"] != "NO_NODES_DETECTED"]
    return [row["text"] for row in rows], np.array([row["label"] for row in rows])


def load_medical_question_pairs() -> tuple[list[str], np.ndarray]:
    """Load the questions of all pairs; the two of a true pair are a group, others serve as distractors."""
    with gzip.open(
        get_data_folder("medical_question_pairs") / "mqp.csv.gz", "rt", encoding="utf-8", newline=""
    ) as lines:
        pairs = list(csv.reader(lines))
    group_of: dict[str, int] = {}
    for _, first, second, same in pairs:
        group_of.setdefault(first, len(group_of))
        if same == "1":
            group_of[second] = group_of[first]
        else:
            group_of.setdefault(second, len(group_of))
    return list(group_of), np.array(list(group_of.values()))


def _read_json_lines(name: str, file: str) -> list[dict[str, Any]]:
    with gzip.open(get_data_folder(name) / file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


REPORTS: dict[str, Callable[[], tuple[list[str], np.ndarray]]] = {
    "covid_q": load_covid_q,
    "hint3, curekart": partial(load_hint3, "curekart"),
    "hint3, powerplay11": partial(load_hint3, "powerplay11"),
    "hint3, sofmattress": partial(load_hint3, "sofmattress"),
    "medical_question_pairs": load_medical_question_pairs,
}


# -- measurements ----------------------------------------------------------------------------------------------------


def fit_head(make: Callable[[], PairedHead], X: np.ndarray, groups: np.ndarray) -> tuple[PairedHead, float]:
    """Fit a head without warnings and return it with the seconds."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        head = make().fit(X, groups)
    return head, time.perf_counter() - began


def compute_nearest_accuracy(queries: np.ndarray, wanted: np.ndarray, rows: np.ndarray, groups: np.ndarray) -> float:
    """Compute the share of queries whose nearest row, by cosine, is of their group."""
    queries, rows = normalize_rows(queries), normalize_rows(rows)
    nearest = [(queries[block] @ rows.T).argmax(axis=1) for block in iterate_row_blocks(queries, 4 * len(rows))]
    return float((groups[np.concatenate(nearest)] == wanted).mean())


def measure_seen_groups(embed: Embed, heads: Heads) -> Iterator[dict[str, Any]]:
    """Measure accuracy on intents that the head was fitted on."""
    (texts, intents), (test_texts, wanted) = load_banking77("train"), load_banking77("test")
    X, queries = embed(texts), embed(test_texts)
    what = {"data": "banking77", "groups": "seen"}
    yield what | {"head": RAW, "accuracy@1": compute_nearest_accuracy(queries, wanted, X, intents)}
    for name, make in heads.items():
        head, seconds = fit_head(make, X, intents)
        mean, H = X.mean(axis=0), head.candidate_.T
        yield what | {
            "head": name,
            "accuracy@1": compute_nearest_accuracy(head.transform(queries), wanted, head.transform(X), intents),
            "accuracy@1 as learned": compute_nearest_accuracy((queries - mean) @ H, wanted, (X - mean) @ H, intents),
            "kept": head.improved_,
            "held-out gain": head.gain_,
            "its error": head.gain_error_,
            "epochs": head.n_iter_,
            "seconds": seconds,
        }
    shuffled = np.random.default_rng(0).permutation(intents)
    head, seconds = fit_head(PairedHead, X, shuffled)
    accuracy = compute_nearest_accuracy(head.transform(queries), wanted, head.transform(X), intents)
    broken = {"head": f"{DEFAULT}, labels shuffled", "accuracy@1": accuracy, "kept": head.improved_, "seconds": seconds}
    yield what | broken


def measure_unseen_groups(embed: Embed, heads: Heads) -> Iterator[dict[str, Any]]:
    """Measure accuracy on new intents: a result for each split and head."""
    (texts, intents), (test_texts, wanted) = load_banking77("train"), load_banking77("test")
    X, queries = embed(texts), embed(test_texts)
    for split in range(N_SPLITS):
        fitted = np.random.default_rng(split).permutation(np.unique(intents))[:39]
        is_fitted, is_query = np.isin(intents, fitted), ~np.isin(wanted, fitted)
        rows, row_intents, questions, answers = X[~is_fitted], intents[~is_fitted], queries[is_query], wanted[is_query]
        what = {"data": "banking77", "groups": "unseen", "split": split}
        yield what | {"head": RAW, "accuracy@1": compute_nearest_accuracy(questions, answers, rows, row_intents)}
        for name, make in heads.items():
            head, seconds = fit_head(make, X[is_fitted], intents[is_fitted])
            accuracy = compute_nearest_accuracy(head.transform(questions), answers, head.transform(rows), row_intents)
            yield what | {"head": name, "accuracy@1": accuracy, "kept": head.improved_, "seconds": seconds}


def compute_ranking_figures(ranks: np.ndarray) -> dict[str, float]:
    """Compute MRR and the share of queries with a relevant row up to rank k."""
    return {"MRR": float((1 / ranks).mean())} | {f"accuracy@{k}": float((ranks <= k).mean()) for k in DEPTHS}


def measure_held_out_groups(name: str, X: np.ndarray, groups: np.ndarray, heads: Heads) -> Iterator[dict[str, Any]]:
    """Measure accuracy@k and MRR in five folds over groups, on the ranks of all folds."""
    groups = np.unique(groups, return_inverse=True)[1]
    shared = np.flatnonzero(np.bincount(groups) > 1)
    folds = np.array_split(np.random.default_rng(0).permutation(shared), 5)
    queries = [np.flatnonzero(np.isin(groups, fold)) for fold in folds]
    what = {"data": name, "groups": "held out", "rows": len(X), "shared groups": len(shared)}
    raw = [compute_first_ranks(X, groups, fold) for fold in queries]
    yield what | {"head": RAW} | compute_ranking_figures(np.concatenate(raw))
    for head_name, make in heads.items():
        ranks, kept, seconds = [], 0, 0.0
        for fold in queries:
            rest = np.setdiff1d(np.arange(len(X)), fold)
            head, fit_seconds = fit_head(make, X[rest], groups[rest])
            ranks.append(compute_first_ranks(head.transform(X), groups, fold))
            kept, seconds = kept + int(head.improved_), seconds + fit_seconds
        cost = {"kept": f"{kept} of 5", "seconds": seconds / 5}
        yield what | {"head": head_name} | compute_ranking_figures(np.concatenate(ranks)) | cost


def run(embed: Embed | None = None) -> None:
    """Write results/embeddings-heads.json and print the tables; heads by gradient descent need torch."""
    if embed is None:
        from benchmarks.encoding import embed_texts as embed
    heads = HEADS if find_spec("torch") else {DEFAULT: HEADS[DEFAULT]}
    rows: list[dict[str, Any]] = []
    for part in (
        measure_seen_groups(embed, heads),
        *measure_reports(embed),
        measure_unseen_groups(embed, {name: heads[name] for name in NEW if name in heads}),
    ):
        results = list(part)
        print(format_table(results, list(dict.fromkeys(column for row in results for column in row))), flush=True)
        rows += results
        peers = ["torch"] if len(heads) > 1 else []
        write("embeddings-heads", rows, "python -m benchmarks embeddings --part heads", peers)


def measure_reports(embed: Embed) -> Iterator[Iterator[dict[str, Any]]]:
    """Measure the default head on each set that was not used for choosing."""
    for name, source in REPORTS.items():
        texts, groups = source()
        yield measure_held_out_groups(name, embed(texts), groups, {DEFAULT: HEADS[DEFAULT]})
