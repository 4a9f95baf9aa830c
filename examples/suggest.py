"""
Documents like those that you like
==================================

:func:`~codebooks.suggest` compares documents by their codes. It needs no words, only the result of `transform`.
"""

# %%
# Learn 40 components. The code of a document has one number for each.

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from codebooks import KrotovHopfield, suggest
from codebooks.datasets import load_glosses

corpus = load_glosses()
pipeline = make_pipeline(
    TfidfVectorizer(stop_words="english", min_df=3, max_df=0.5, sublinear_tf=True),
    KrotovHopfield(40, random_state=0),
)
codes = pipeline.fit_transform(corpus.documents)
row_of = {term: row for row, term in enumerate(corpus.ids)}


def show(liked, disliked=()):
    rows, scores = suggest(
        codes, [row_of[term] for term in liked], n_suggestions=6, disliked=[row_of[term] for term in disliked]
    )
    print("\nLike", " and ".join(liked) + (f", but not {' and '.join(disliked)}" if disliked else ""))
    for row, score in zip(rows, scores, strict=True):
        print(f"    {score:.2f}  {corpus.documents[row][:90]}")


# %%
# Suggestions for one document, and for two.

show(["Danube"])
show(["Hanukkah"])
show(["carbonara", "kabob"])

# %%
# Documents that you do not like lower the scores of those that are similar to them.

show(["carbonara"], disliked=["kabob"])
