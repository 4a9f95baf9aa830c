"""The measured part of README.md, written from results/*.json so that no figure is typed by hand."""

import json
import re
from typing import Any

from benchmarks.contenders import OURS, PEERS, RECOMMENDED
from benchmarks.quality import FIGURES, summary
from benchmarks.report import RESULTS, table

README = RESULTS.parent / "README.md"
SHOWN = ["corpus", "K", "model", *FIGURES]


def load(name: str) -> dict[str, Any]:
    """Read what a benchmark has written."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def quality(name: str) -> str:
    """The recommended model and its peers, the best figure of each corpus of texts in bold; then a count."""
    measured = [row for row in load(name)["rows"] if row["corpus"] != "digits"]
    rows = [dict(row) for row in measured if row["model"] in (RECOMMENDED, *PEERS)]
    for case in dict.fromkeys((row["corpus"], row["K"]) for row in rows):
        group = [row for row in rows if (row["corpus"], row["K"]) == case]
        for column in FIGURES:
            best = max(row[column] for row in group)
            for row in group:
                shown = f"{row[column]:.3f}"
                row[column] = f"**{shown}**" if row[column] == best else shown
    head, body = table(rows, SHOWN).split("\n", 1)
    return f"{head.replace('*', '')}\n{body}\n\n{RECOMMENDED}: {summary(measured)}."


def ours(name: str) -> str:
    """Our three side by side: means over the corpora of texts."""
    measured = [row for row in load(name)["rows"] if row["corpus"] != "digits"]
    rows = []
    for model in (*OURS, *PEERS):
        own = [row for row in measured if row["model"] == model]
        means = {key: sum(row[key] for row in own) / len(own) for key in (*FIGURES, "TD", "NPMI")}
        rows.append({"model": model, **means})
    columns = ["model", *FIGURES, "TD", "NPMI"]
    head, body = table(rows, columns).split("\n", 1)
    head = head.replace("TD*", "TD").replace("NPMI*", "NPMI").removesuffix("| TD | NPMI |")
    return f"{head}| TD by weights | NPMI by weights |\n{body}"


def speed() -> str:
    """Times as ratios first: they travel better than seconds."""
    content = load("speed")
    rows = {(row["what"], row.get("model")): row for row in content["rows"]}
    lines = []
    for k in (20, 50):
        own, *peers = (rows[f"fit, K={k}", model] for model in (RECOMMENDED, *PEERS))
        times = ", ".join(f"{peer['model']} {_times(peer['times ours'])} times" for peer in peers)
        lines.append(f"- fit, K={k}: {own['seconds']:.2f} s; {times} that")
    shares = [row["ratio"] for row in content["rows"] if row["what"].startswith("fit over KMeans")]
    lines.append(f"- fit, the five cases above, in KMeans fits (n_init=1): {min(shares):.2f} to {max(shares):.2f}")
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


def _times(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"


def memory() -> str:
    """How much the process grew."""
    (row,) = load("memory")["rows"]
    return f"- learning from a CSR matrix of {row['matrix MB']:.0f} MB: the process grows by {row['growth MB']:.0f} MB"


def images() -> str:
    """Bases that were planted, photographs, and the published rule as a kernel."""
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


PARTS = {
    "images": images,
    "ours": lambda: ours("quality-report"),
    "quality-report": lambda: quality("quality-report"),
    "quality-offline": lambda: quality("quality-offline"),
    "speed": speed,
    "memory": memory,
}


def run() -> None:
    """Replace what stands between the markers of each part."""
    text = README.read_text(encoding="utf-8")
    for name, part in PARTS.items():
        opening, closing = f"<!-- {name} -->", f"<!-- end of {name} -->"
        new = f"{opening}\n{part()}\n{closing}"
        text, n_found = re.subn(f"{opening}.*?{closing}", lambda _, new=new: new, text, flags=re.DOTALL)
        if n_found != 1:
            raise SystemExit(
                f"README.md wants the markers {opening} and {closing} once; they stand there {n_found} times."
            )
    README.write_text(text, encoding="utf-8")
