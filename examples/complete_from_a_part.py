"""Stored patterns come back from a part of them: texts from some of their words, digits from a noisy half.

`python examples/complete_from_a_part.py picture.png` also draws the digits.
"""

import sys

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import CountVectorizer

from codebooks import HopfieldMemory
from codebooks.datasets import load_docstrings

rng = np.random.default_rng(0)

# -- texts, as the sets of their words -------------------------------------------------------------------------------

corpus = load_docstrings()
vectorizer = CountVectorizer(stop_words="english", token_pattern="[a-z]{3,}", min_df=2, binary=True, dtype=np.float32)
texts = vectorizer.fit_transform(corpus.documents)[rng.choice(len(corpus.documents), 2000, replace=False)]
terms = vectorizer.get_feature_names_out()

parts = texts.copy()
for start, stop in zip(parts.indptr[:-1], parts.indptr[1:], strict=True):
    parts.data[start + rng.permutation(stop - start)[: int(0.6 * (stop - start))]] = 0
parts.eliminate_zeros()


def come_back(memory):
    """Which texts come back to the last word."""
    differ = abs(memory.fit(texts).transform(parts) - texts)
    return np.asarray(differ.sum(axis=1)).ravel() == 0


ours = HopfieldMemory(threshold=0.5)  # containment and sparsemax, beta estimated: the defaults for sets
classic = HopfieldMemory("dot", separation="softmax", beta=2.5, threshold=0.5)
exact, exact_classic = come_back(ours), come_back(classic)
print(f"{len(exact)} docstrings as sets of words, 60 % of the words taken away. To the last word come back:")
print(f"    {exact.mean():.1%}  by the defaults, beta {ours.beta_:.1f}")
print(f"    {exact_classic.mean():.1%}  by dot product and softmax at beta 2.5")


def words(row):
    return ", ".join(terms[row.indices])


shown = min(np.flatnonzero(exact & ~exact_classic), key=lambda row: abs(texts[[row]].nnz - 12))  # a short one
print(f"\ngiven      {words(parts[[shown]])}")
print(f"defaults   {words(ours.transform(parts[[shown]]))}")
print(f"softmax    {words(classic.transform(parts[[shown]])) or 'nothing: no word has half of the weight'}")

# -- digits ----------------------------------------------------------------------------------------------------------

rng = np.random.default_rng(3)  # anew, as installed docstrings differ and digits do not
digits = load_digits()
chosen = rng.permutation(len(digits.data))[:300]
names, images = digits.target[chosen], (digits.data[chosen] / 8 - 1).astype(np.float32)  # -1 is white, 1 is black,
halves = images + rng.normal(0, 0.3, images.shape).astype(np.float32)
halves[:, 32:] = 0  # and 0 is what nobody knows

memories = {  # at one beta, and each at its own
    (separation, beta): HopfieldMemory("cosine", separation=separation, beta=beta).fit(images)
    for beta in (50, "auto")
    for separation in ("softmax", "sparsemax")
}
completed = {name: memory.transform(halves) for name, memory in memories.items()}
right = {name: (abs(found - images) < 0.05).all(axis=1) for name, found in completed.items()}
print(f"\n{len(images)} digits, the lower half gone and the upper half noisy. Every pixel comes back:")
for (separation, beta), exact in right.items():
    beta = "50" if beta == 50 else f"{memories[separation, beta].beta_:.0f}, its own"
    print(f"    {exact.mean():4.0%}  by {separation}, beta {beta}")

# -- between two patterns --------------------------------------------------------------------------------------------

three, eight = (np.flatnonzero(names == digit)[0] for digit in (3, 8))
way = np.linspace(0.1, 0.9, 11)
between = np.outer(1 - way, images[three]) + np.outer(way, images[eight])
weights = {}  # of the 3, of the 8 and of all others, along the way
for separation in ("softmax", "sparsemax"):
    memory = HopfieldMemory("cosine", separation=separation, beta=25).fit(images)
    ids, found = memory.recall(between, len(images))
    of_both = [np.where(ids == digit, found, 0).sum(axis=1) for digit in (three, eight)]
    weights[separation] = {"the 3": of_both[0], "others": 1 - sum(of_both), "the 8": of_both[1]}

print("\nOn the way from a 3 to an 8, a memory that is not sure says so: it recalls both (sparsemax, beta 25)")
for at in (0, 4, 5, 6, 10):
    print(f"    {way[at]:4.0%} ", ", ".join(f"{weight[at]:.2f} {who}" for who, weight in weights["sparsemax"].items()))

# -- the picture -----------------------------------------------------------------------------------------------------

COLORS = {"the 3": "#2f6db5", "others": "#d4d4d4", "the 8": "#e08a3c"}


def draw(file):
    figure = Figure(figsize=(10, 9.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(5.4, 3.9))
    above.suptitle("Digits from a noisy half; framed green where every pixel came back", fontweight="bold")
    first = [np.flatnonzero(names == digit)[0] for digit in range(10)]
    rows = above.subplots(5, 10)
    show(rows[0], images[first], "stored")
    show(rows[1], halves[first], "given")
    shown = {("softmax", 50): "beta 50", ("sparsemax", 50): "beta 50", ("sparsemax", "auto"): "its own beta"}
    for row, (name, beta) in zip(rows[2:], shown.items(), strict=True):
        show(row, completed[name][first], f"{name[0]}\n{beta}", right[name][first])

    below.suptitle("Between a 3 and an 8; below, who is recalled with which weight", fontweight="bold")
    grid = below.add_gridspec(3, 11, height_ratios=(1, 0.9, 0.9))
    show([below.add_subplot(grid[0, column]) for column in range(11)], between, "given")
    for row, (separation, parts) in enumerate(weights.items(), 1):
        axes = below.add_subplot(grid[row, :], xlim=(-0.5, 10.5), ylim=(0, 1), xticks=[], yticks=[])
        bottom = np.zeros(11)
        for who, part in parts.items():
            axes.bar(range(11), part, width=0.85, bottom=bottom, color=COLORS[who], label=who)
            bottom += part
        axes.spines[:].set_visible(False)
        label(axes, f"{separation}\nbeta 25")
    below.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(file, dpi=120)


def show(row, pictures, title, right=None):
    for place, (axes, picture) in enumerate(zip(row, pictures, strict=True)):
        axes.imshow(picture.reshape(8, 8), cmap="Greys", vmin=-1, vmax=1)
        axes.set(xticks=[], yticks=[])
        if right is not None:
            frame = axes.spines[:]
            frame.set_color("#2e9e4f" if right[place] else "#c9c9c9")
            frame.set_linewidth(2.5)
    label(row[0], title)


def label(axes, title):
    axes.set_ylabel(title, rotation=0, ha="right", va="center")


if len(sys.argv) > 1:
    draw(sys.argv[1])
    print("\nDrawn into", sys.argv[1])
