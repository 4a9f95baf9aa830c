"""How many topics? Models of each number, compared on documents that they have not seen; or let rivals fight it out.

`python examples/choose_n_components.py picture.png` also draws what speaks for each number.
"""

import sys

from sklearn.feature_extraction.text import TfidfTransformer

from codebooks import KrotovHopfield, choose_n_components
from codebooks.datasets import make_planted_corpus
from codebooks.plots import plot_selection

corpus = make_planted_corpus(1000, 8, balance=0.9, random_state=0)
X = TfidfTransformer(sublinear_tf=True).fit_transform(corpus.X)

print("1,000 documents from 8 topics, the largest twice as large as the smallest.\n")
found = choose_n_components(KrotovHopfield(), X, range(2, 15))
print(found)

# Without trying each number: begin with too many units and drop those that rivals drive away.
pruned = KrotovHopfield(30, prune=True, random_state=0).fit(X)
print(f"\nOf 30 units, pruning leaves {len(pruned.components_)}.")

if len(sys.argv) > 1:
    plot_selection(found).figure.savefig(sys.argv[1])
    print("\nDrawn into", sys.argv[1])
