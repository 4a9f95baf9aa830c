"""Write the figures of README.md and benchmarks/RESULTS.md from results/*.json."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.corpora import NEW_FORMS
from benchmarks.models import OURS, PEERS, RECOMMENDED
from benchmarks.quality import ALIKE, OWN, View, summarize_cells
from benchmarks.report import RESULTS, format_table

README = RESULTS.parent / "README.md"
RESULTS_PAGE = RESULTS.parent / "benchmarks" / "RESULTS.md"
SHOWN_MEMORIES = ("defaults", "dot, softmax, beta 2.5", "cosine, sparsemax", "dot, max", "containment, max")
SHOWN_IMAGE_MEMORIES = ("defaults", "cosine, softmax", "euclidean, sparsemax", "dot, sparsemax", "NearestNeighbors(1)")
# Images stored, noise, share masked.
SHOWN_TRIALS = ((100, 0.5, 0.0), (1000, 0.5, 0.0), (100, 1.0, 0.0), (1000, 0.0, 0.5), (50, 0.0, 0.8))

GEOMETRY_MODELS = ("raw", "centred", "PartialWhitening()", "PartialWhitening(power=.5)", "whitened")


def load(name: str) -> dict[str, Any]:
    """Load the results of a benchmark."""
    return json.loads((RESULTS / f"{name}.json").read_text())


# -- README.md --------------------------------------------------------------------------------------------------------


def format_side_by_side(rows: list[dict[str, Any]], case: str, rival: str, rivals: Sequence[str], figure: str) -> str:
    """Format one figure with a line for each case and a column for each rival, the best in bold."""
    found = {(row[case], row[rival]): row[figure] for row in rows if row.get(rival) in rivals and figure in row}
    lines = []
    for name in dict.fromkeys(name for name, _ in found):
        shown = {each: f"{found[name, each]:.3f}" if (name, each) in found else "" for each in rivals}
        best = max(filter(None, shown.values()), key=float)
        lines.append({case: name} | {each: f"**{s}**" if s == best else s for each, s in shown.items()})
    return format_table(lines, [case, *rivals])


def load_text_rows(name: str) -> list[dict[str, Any]]:
    """Load the rows of text corpora."""
    return [row for row in load(name)["rows"] if row["corpus"] != "digits"]


def format_topics() -> str:
    """Format the recommended model and its peers."""
    rows = [row for row in load_text_rows("quality-report") if row["corpus"] not in NEW_FORMS]
    rows = [{**row, "corpus": f"{row['corpus']}, {row['K']} topics"} for row in rows]
    return format_side_by_side(rows, "corpus", "model", list_compared_models(rows), "NMI")


def list_compared_models(rows: list[dict[str, Any]]) -> list[str]:
    """List the recommended model and its measured peers."""
    measured = {row.get("model") for row in rows}
    return [model for model in (RECOMMENDED, *PEERS) if model in measured]


def format_cells() -> str:
    """Format the number of cells in which the recommended model is at least level with its peers."""
    rows = load_text_rows("quality-report")
    return "\n".join(f"- {summarize_cells(rows, view)}" for view in (OWN, ALIKE))


# -- RESULTS.md ------------------------------------------------------------------------------------------------------


def format_quality(name: str, view: View) -> str:
    """Format the recommended model and its peers, the best figure of each text corpus in bold, and a count of cells."""
    measured = load_text_rows(name)
    rows = [dict(row) for row in measured if row["model"] in (RECOMMENDED, *PEERS)]
    for case in dict.fromkeys((row["corpus"], row["K"]) for row in rows):
        group = [row for row in rows if (row["corpus"], row["K"]) == case]
        for column in view.figures:
            best = max(row[column] for row in group)
            for row in group:
                shown = f"{row[column]:.3f}"
                row[column] = f"**{shown}**" if row[column] == best else shown
        for row in group:
            row["corpus"] += "†" if row["corpus"] in NEW_FORMS else ""
            row["used"], row["memory MB"] = f"{row['used']:.0f}", f"{row['memory MB']:.0f}"
            row["seeds"] = f"{row['seeds']}"
    costs = ("used", "seconds", "memory MB", "seeds") if view is OWN else ()
    extra = ("AMI",) if view is OWN else ()
    shown = format_table(rows, ["corpus", "K", "model", *view.figures, *view.beside, *extra, *costs])
    return f"{shown}\n\n{summarize_cells(measured, view)}."


def format_our_learners(name: str) -> str:
    """Format our learners and the peers: means over the text corpora."""
    measured = [row for row in load_text_rows(name) if row["corpus"] not in NEW_FORMS]
    n_cases = len({(row["corpus"], row["K"]) for row in measured})
    columns = list(dict.fromkeys((*ALIKE.figures, *ALIKE.beside, *OWN.figures)))
    rows = []
    for model in (*OURS, *PEERS):
        own = [row for row in measured if row["model"] == model]
        if len(own) == n_cases:
            rows.append({"model": model} | {key: sum(row[key] for row in own) / len(own) for key in columns})
    return format_table(rows, ["model", *columns])


def format_speed() -> str:
    """Format speed; ratios come first, because they depend less on the machine than seconds."""
    content = load("speed")
    rows = {(row["what"], row.get("model")): row for row in content["rows"]}
    lines = []
    for what in dict.fromkeys(what for what, _ in rows if what.startswith("fit, ")):
        own, *peers = (rows[what, model] for model in (RECOMMENDED, *PEERS) if (what, model) in rows)
        times = ", ".join(f"{peer['model']} {_format_ratio(peer['times ours'])} times" for peer in peers)
        lines.append(f"- {what}: {own['seconds']:.2f} s; {times} that")
    epochs = {row["model"]: row["ratio"] for row in content["rows"] if row["what"].startswith("epoch")}
    ratios = ", ".join(f"{name} {epochs[name]:.2f}" for name in OURS)
    lines.append(f"- one epoch at K=100, everything included, in SciPy products `X @ W`: {ratios}")
    for what, words in {
        "NPMI of 20 topics, bbc": "NPMI of 20 topics of 2,225 articles",
        "import codebooks after sklearn.decomposition": "`import codebooks` after scikit-learn",
        "warmup, empty cache": "compiling every kernel, once",
        "warmup, full cache": "reading them from disk, later",
    }.items():
        lines.append(f"- {words}: {rows[what, None]['seconds']:.3f} s")
    machine = content["machine"]
    lines.append(f"- on {machine['cores']} cores ({machine['processor']}), scikit-learn {machine['scikit-learn']}")
    return "\n".join(lines)


def _format_ratio(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"


def format_memory() -> str:
    """Format the growth of the process."""
    (row,) = load("memory")["rows"]
    return f"- learning from a CSR matrix of {row['matrix MB']:.0f} MB: the process grows by {row['growth MB']:.0f} MB"


def format_images() -> str:
    """Format the results on planted bases, on photographs, and of the published rule as a kernel."""
    rows = load("images")["rows"]
    planted = [row for row in rows if "atoms recovered" in row]
    shares = ", ".join(f"{row['model']} {row['atoms recovered']:.0%}" for row in planted)
    patches = {row["model"]: row for row in rows if "PSNR" in row}
    quality = ", ".join(f"{model} {row['PSNR']:.2f} dB" for model, row in patches.items())
    ratio = next(row["ratio"] for row in patches.values() if "ratio" in row)
    kernel = next(row for row in rows if "transcription seconds" in row)
    return "\n".join(
        [
            f"- {planted[0]['what']}, atoms found again: {shares}",
            f"- {next(iter(patches.values()))['what']}: {quality}",
            f"- scikit-learn's dictionary, whose atoms may be oblique, takes {ratio:.0f} times our time for that",
            f"- {kernel['what']}: {kernel['ratio']:.0f} times faster than NumPy",
        ]
    )


def format_zoo() -> str:
    """Format a line for each set: score, NMI and unused components of the learners and of KMeans."""
    content = load("zoo")
    models = {
        "KrotovHopfield": "KH",
        "OrthogonalSparseCoding": "OSC",
        "InhibitedMixture": "mixture",
        "KMeans": "KMeans",
    }
    lines: dict[str, dict[str, Any]] = {}
    for row in content["rows"]:
        if row["model"] not in models or row["variant"] not in ("defaults", ""):
            continue
        line = lines.setdefault(row["data"], {key: row[key] for key in ("data", "K", "groups")})
        for figure in ("score", "NMI", "unused"):
            value = row[figure]
            line[f"{models[row['model']]} {figure}"] = f"{value:g}" if figure == "unused" else value
    figures = [f"{short} {figure}" for short in models.values() for figure in ("score", "NMI")]
    unused = [f"{short} unused" for short in models.values()]
    return format_table(lines.values(), ["data", "K", "groups", *figures, *unused])


def format_zoo_memory() -> str:
    """Format a line for each set: shares of recovered patterns, and shares whose own pattern is the nearest."""
    rows = [row for row in load("zoo")["rows"] if "stored" in row]
    lines: dict[str, dict[str, Any]] = {}
    for row in rows:
        line = lines.setdefault(row["data"], {"data": row["data"], "patterns": f"{row['patterns']:g}"})
        own = row["model"] == "HopfieldMemory"
        shown = ("stored", "noisy", "masked") if own else ("noisy", "masked")
        line |= {f"{what}{'' if own else ', nearest'}": row[what] for what in shown}
    return format_table(
        lines.values(), ["data", "patterns", "stored", "noisy", "noisy, nearest", "masked", "masked, nearest"]
    )


def format_zoo_faults() -> str:
    """Format the cells below the floor."""
    rows = [row for row in load("zoo")["rows"] if row["faults"]]
    return format_table(rows, ["data", "model", "faults"]) if rows else "No cell is below the floor."


def format_retrieval() -> str:
    """Format the figures of every engine on every collection, the best in bold, and paired comparisons of ours."""
    rows = load("retrieval-report")["rows"]
    gains = [row for row in rows if "p" in row]
    comparisons = [_format_gains(rival, gains) for rival in dict.fromkeys(row["against"] for row in gains)]
    tables = [_format_engines(rows, figures) for figures in (("MAP", "nDCG@10"), ("accuracy@1", "MRR"))]
    return "\n".join([*tables[:1], "", *tables[1:], "", "MAP with feedback, query by query:", "", *comparisons])


def _format_engines(rows: list[dict[str, Any]], names: Sequence[str]) -> str:
    """Format a table with a line for each engine and a column for each figure on each collection."""
    figures = {(row["collection"], row["engine"]): row for row in rows if "MAP" in row}
    collections = list(dict.fromkeys(name for name, _ in figures))
    columns = [f"{name.split('_')[0]} {figure}" for figure in names for name in collections]
    lines = []
    for engine in dict.fromkeys(engine for _, engine in figures):
        values = [figures[name, engine][figure] for figure in names for name in collections]
        lines.append({"engine": engine} | dict(zip(columns, values, strict=True)))
    for column in columns:
        best = max(line[column] for line in lines)
        for line in lines:
            line[column] = f"**{line[column]:.3f}**" if line[column] == best else f"{line[column]:.3f}"
    return format_table(lines, ["engine", *columns])


def _format_gains(rival: str, rows: list[dict[str, Any]]) -> str:
    parts = [
        f"{row['collection'].split('_')[0]} {row['MAP gain']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f}, "
        f"p {_format_p_value(row['p'])})"
        for row in rows
        if row["against"] == rival
    ]
    return f"- over {rival}: {', '.join(parts)}"


def _format_p_value(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}"


def format_search_speed() -> str:
    """Format queries per second as ratios, latencies of a million patterns, and times on MNIST."""
    content = load("retrieval-speed")
    lines = []
    for what in dict.fromkeys(row["what"] for row in content["rows"]):
        theirs, *own = (row for row in content["rows"] if row["what"] == what)
        parts = [f"{row['engine'].removeprefix('ours, ')} {row['times bm25s']:.1f} times that" for row in own]
        if "seconds to index" in theirs:
            parts.append(f"indexing {theirs['seconds to index']:.1f} s, ours {own[0]['seconds to index']:.1f} s")
        lines.append(f"- {what}: bm25s {theirs['queries per second']:,.0f} a second; {'; '.join(parts)}")
    for row in load("retrieval-large")["rows"]:
        times = ", ".join(f"{key.removesuffix(' ms')} {row[key]:.1f} ms" for key in row if key.endswith(" ms"))
        grown = f"beside a matrix of {row['matrix MB']:.0f} MB the process grows by {row['growth MB']:.0f} MB"
        lines.append(f"- {row['what']} of {row['patterns']:,} sets of 50 words, one thread: {times}; {grown}")
    for row in load("retrieval-mnist")["rows"]:
        product = f"{row['ratio']:.1f} times one BLAS product of that size"
        lines.append(f"- {row['what']}: {row['seconds of transform']:.1f} s, {product}, {row['peak MB']:.0f} MB in all")
    machine = content["machine"]
    lines.append(f"- on {machine['cores']} cores ({machine['processor']}), bm25s {machine['bm25s']} with Numba")
    return "\n".join(lines)


def format_word_recall() -> str:
    """Format the exact recovery of sets of words, of the defaults and of other settings."""
    rows = [row for row in load("retrieval-words")["rows"] if row["memory"] in SHOWN_MEMORIES]
    return format_table(rows, list(rows[0]))


def format_image_recall() -> str:
    """Format the shares of recovered images, for some trials."""
    found: dict[tuple, dict[str, Any]] = {}
    for row in load("retrieval-images")["rows"]:
        trial = row["n_stored"], row["noise"], row["masked"]
        line = found.setdefault(trial, dict(zip(("stored", "noise", "masked"), map(str, trial), strict=True)))
        line[row["memory"]] = row["recovered"]
    return format_table([found[trial] for trial in SHOWN_TRIALS], ["stored", "noise", "masked", *SHOWN_IMAGE_MEMORIES])


def format_heads() -> str:
    """Format the gain of a head on groups of its fit and on held-out groups."""
    rows = load("embeddings-heads")["rows"]
    seen = [row for row in rows if row["groups"] == "seen" and "shuffled" not in row["head"]]
    accuracies = ", ".join(f"{row['head']} {row['accuracy@1']:.3f}" for row in seen)
    lines = [f"- banking77, nearest neighbour has the same intent: {accuracies}"]
    for data in dict.fromkeys(row["data"] for row in rows if "MRR" in row):
        before, after = (row["MRR"] for row in rows if row["data"] == data)
        lines.append(f"- {data}, groups held out, MRR: no head {before:.3f}, default {after:.3f}")
    return "\n".join(lines)


def format_geometry() -> str:
    """Format the isotropy of embeddings and the accuracy of nearest neighbours."""
    rows = [row for row in load("embeddings-geometry")["rows"] if "IsoScore" in row]
    shown = [row for row in rows if row["model"] in GEOMETRY_MODELS]
    return format_table(shown, ["data", "model", "IsoScore", "mean cosine", "accuracy@1"])


def format_embedding_topics() -> str:
    """Format topics on sentence embeddings."""
    rows = [{**row, "topics": f"{row['topics']:.0f}"} for row in load("embeddings-topics")["rows"]]
    return format_table(rows, ["corpus", "model", "NMI", "ARI", "purity", "NPMI", "TD", "topics", "outliers"])


PARTS = {
    README: {
        "topics": format_topics,
        "cells": format_cells,
    },
    RESULTS_PAGE: {
        "images": format_images,
        "ours": lambda: format_our_learners("quality-report"),
        "quality-report, own words": lambda: format_quality("quality-report", OWN),
        "quality-report, alike": lambda: format_quality("quality-report", ALIKE),
        "quality-offline": lambda: format_quality("quality-offline", OWN),
        "speed": format_speed,
        "memory": format_memory,
        "zoo": format_zoo,
        "zoo of memory": format_zoo_memory,
        "zoo below the floor": format_zoo_faults,
        "retrieval": format_retrieval,
        "search speed": format_search_speed,
        "recall": format_word_recall,
        "recall of images": format_image_recall,
        "heads": format_heads,
        "cone": format_geometry,
        "meaning": format_embedding_topics,
    },
}


def replace_parts(text: str, parts: dict[str, Callable[[], str]], where: str) -> str:
    """Replace the text between the markers of each part."""
    for name, part in parts.items():
        opening, closing = f"<!-- {name} -->", f"<!-- end of {name} -->"
        new = f"{opening}\n{part()}\n{closing}"
        text, n_found = re.subn(f"{opening}.*?{closing}", lambda _, new=new: new, text, flags=re.DOTALL)
        if n_found != 1:
            raise SystemExit(
                f"{where} must contain the markers {opening} and {closing} once, got {n_found} times. Correct them."
            )
    return text


def run() -> None:
    """Write all figures."""
    for path, parts in PARTS.items():
        path.write_text(replace_parts(path.read_text(encoding="utf-8"), parts, path.name), encoding="utf-8")
