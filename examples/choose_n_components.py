"""
Number of topics
================

:func:`~codebooks.choose_n_components` compares models of several sizes on samples that they have not seen. Pruning
is faster: it begins with many components and removes those that are not needed.
`python examples/choose_n_components.py picture.png` also saves the figure.
"""

# %%
# The documents of this example are random counts of words from 8 topics, the largest twice as large as the smallest.

import sys

from sklearn.feature_extraction.text import TfidfTransformer

from codebooks import KrotovHopfield, choose_n_components
from codebooks.datasets import make_planted_corpus
from codebooks.plots import plot_selection

corpus = make_planted_corpus(1000, 8, balance=0.9, random_state=0)
X = TfidfTransformer(sublinear_tf=True).fit_transform(corpus.X)

# %%
# Compare 2 to 14 components. Separation says whether components are about different things, agreement whether models of
# different samples find the same components. The number with the largest merit is recommended.

selection = choose_n_components(KrotovHopfield(), X, range(2, 15))
print(selection)

# %%
# Draw the same numbers.

axes = plot_selection(selection)
if len(sys.argv) > 1:
    axes.figure.savefig(sys.argv[1])

# %%
# With `prune=True`, one fit is enough.

pruned = KrotovHopfield(30, prune=True, random_state=0).fit(X)
print(f"Of 30 components, pruning leaves {len(pruned.components_)}.")
