"""
Retrieval of patterns from a part
=================================

:class:`~codebooks.HopfieldMemory` stores patterns and completes queries that contain a part of one. This example
completes texts from some of their words, and digits from a noisy half. `python examples/complete_from_a_part.py
picture.png` also saves the figure of the digits.
"""

# %%
# Texts as sets of words
# ----------------------
# Every definition is the set of its words. In the queries, 60 % of the words of each definition are missing.

import sys

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import CountVectorizer

from codebooks import HopfieldMemory
from codebooks.datasets import load_glosses

rng = np.random.default_rng(0)
corpus = load_glosses()
vectorizer = CountVectorizer(stop_words="english", token_pattern="[a-z]{3,}", min_df=2, binary=True, dtype=np.float32)
texts = vectorizer.fit_transform(corpus.documents)
texts = texts[texts.getnnz(axis=1) >= 5]
terms = vectorizer.get_feature_names_out()

queries = texts.copy()
for start, stop in zip(queries.indptr[:-1], queries.indptr[1:], strict=True):
    queries.data[start + rng.permutation(stop - start)[: int(0.6 * (stop - start))]] = 0
queries.eliminate_zeros()

# %%
# The defaults for sets are the similarity "containment" and the separation "sparsemax". Compare them with the dot
# product and softmax. A text is retrieved if every word of it is right.


def are_retrieved(memory):
    """Whether each text is retrieved to the last word."""
    differences = abs(memory.fit(texts).transform(queries) - texts)
    return np.asarray(differences.sum(axis=1)).ravel() == 0


defaults = HopfieldMemory(threshold=0.5)
classic = HopfieldMemory("dot", separation="softmax", beta=2.5, threshold=0.5)
exact, exact_classic = are_retrieved(defaults), are_retrieved(classic)
print(f"{len(exact)} sets of words, 60 % of the words missing. Retrieved to the last word:")
print(f"    {exact.mean():.1%}  by the defaults, beta {defaults.beta_:.1f}")
print(f"    {exact_classic.mean():.1%}  by dot product and softmax, beta 2.5")

# %%
# One of the texts that only the defaults retrieve:


def words(row):
    return ", ".join(terms[row.indices])


shown = min(np.flatnonzero(exact & ~exact_classic), key=lambda row: abs(texts[[row]].nnz - 12))
print(f"query      {words(queries[[shown]])}")
print(f"defaults   {words(defaults.transform(queries[[shown]]))}")
print(f"softmax    {words(classic.transform(queries[[shown]])) or 'no word has half of the weight'}")

# %%
# Digits from a noisy half
# ------------------------
# 300 digits are stored, with -1 for white and 1 for black. In the queries, the lower half is missing (0) and the upper
# half is noisy.

rng = np.random.default_rng(3)
digits = load_digits()
chosen = rng.permutation(len(digits.data))[:300]
targets, images = digits.target[chosen], (digits.data[chosen] / 8 - 1).astype(np.float32)
halves = images + rng.normal(0, 0.3, images.shape).astype(np.float32)
halves[:, 32:] = 0

memories = {
    (separation, beta): HopfieldMemory("cosine", separation=separation, beta=beta).fit(images)
    for beta in (50, "auto")
    for separation in ("softmax", "sparsemax")
}
completed = {name: memory.transform(halves) for name, memory in memories.items()}
right = {name: (abs(result - images) < 0.05).all(axis=1) for name, result in completed.items()}
print(f"{len(images)} digits. Every pixel is right:")
for (separation, beta), exact in right.items():
    print(f"    {exact.mean():4.0%}  by {separation}, beta {memories[separation, beta].beta_:.0f}")

# %%
# Between two patterns
# --------------------
# A query halfway between a 3 and an 8 retrieves both. The weights of `recall` show it.

three, eight = (np.flatnonzero(targets == digit)[0] for digit in (3, 8))
shares = np.linspace(0.1, 0.9, 11)
between = np.outer(1 - shares, images[three]) + np.outer(shares, images[eight])
weights = {}
for separation in ("softmax", "sparsemax"):
    memory = HopfieldMemory("cosine", separation=separation, beta=25).fit(images)
    ids, recalled = memory.recall(between, len(images))
    of_both = [np.where(ids == pattern, recalled, 0).sum(axis=1) for pattern in (three, eight)]
    weights[separation] = {"the 3": of_both[0], "others": 1 - sum(of_both), "the 8": of_both[1]}

for at in (0, 4, 5, 6, 10):
    print(f"    {shares[at]:4.0%} ", ", ".join(f"{part[at]:.2f} {name}" for name, part in weights["sparsemax"].items()))

# %%
# The figure shows the first digit of each kind; a green frame means that every pixel is right. Below are the weights on
# the way from the 3 to the 8.

COLORS = {"the 3": "#2f6db5", "others": "#d4d4d4", "the 8": "#e08a3c"}


def draw_row(row, pictures, title, right=None):
    for place, (axes, picture) in enumerate(zip(row, pictures, strict=True)):
        axes.imshow(picture.reshape(8, 8), cmap="Greys", vmin=-1, vmax=1)
        axes.set(xticks=[], yticks=[])
        if right is not None:
            axes.spines[:].set_color("#2e9e4f" if right[place] else "#c9c9c9")
            axes.spines[:].set_linewidth(2.5)
    row[0].set_ylabel(title, rotation=0, ha="right", va="center")


figure = Figure(figsize=(10, 9.4), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(5.4, 3.9))
first = [np.flatnonzero(targets == digit)[0] for digit in range(10)]
rows = above.subplots(5, 10)
draw_row(rows[0], images[first], "stored")
draw_row(rows[1], halves[first], "query")
shown = {("softmax", 50): "beta 50", ("sparsemax", 50): "beta 50", ("sparsemax", "auto"): "beta auto"}
for row, (name, beta) in zip(rows[2:], shown.items(), strict=True):
    draw_row(row, completed[name][first], f"{name[0]}\n{beta}", right[name][first])

grid = below.add_gridspec(3, 11, height_ratios=(1, 0.9, 0.9))
draw_row([below.add_subplot(grid[0, column]) for column in range(11)], between, "query")
for row, (separation, parts) in enumerate(weights.items(), 1):
    axes = below.add_subplot(grid[row, :], xlim=(-0.5, 10.5), ylim=(0, 1), xticks=[], yticks=[])
    bottom = np.zeros(11)
    for name, part in parts.items():
        axes.bar(range(11), part, width=0.85, bottom=bottom, color=COLORS[name], label=name)
        bottom += part
    axes.spines[:].set_visible(False)
    axes.set_ylabel(f"{separation}\nbeta 25", rotation=0, ha="right", va="center")
below.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=120)
