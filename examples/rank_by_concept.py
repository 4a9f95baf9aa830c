"""
Documents ranked by topics
==========================

:func:`~codebooks.rank_documents` ranks documents by a component, by a combination of components, or by the components
of a query.
"""

# %%
# Learn 40 components of the definitions. `predict` finds two of them by words.

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from codebooks import KrotovHopfield, rank_documents, topic_words
from codebooks.datasets import load_glosses

corpus = load_glosses()
pipeline = make_pipeline(
    TfidfVectorizer(stop_words="english", min_df=3, max_df=0.5, sublinear_tf=True),
    KrotovHopfield(40, random_state=0),
)
pipeline.fit(corpus.documents)

topics = topic_words(pipeline, corpus.documents, n_words=5)
diseases, blood = (int(label) for label in pipeline.predict(["a disease", "blood"]))
print(topics[diseases])
print(topics[blood])


def show(title, question):
    rows, scores = rank_documents(pipeline, corpus.documents, question, n_documents=5)
    print(f"\n{title}")
    for row, score in zip(rows, scores, strict=True):
        print(f"    {score:.2f}  {corpus.documents[row][:90]}")


# %%
# One component.

show("diseases", diseases)

# %%
# A mapping gives weights to several components. A negative weight excludes one.

show("diseases and blood", {diseases: 1, blood: 1})
show("blood, but not diseases", {blood: 1, diseases: -1})

# %%
# A query is converted to the components that it activates.

show("a tax on goods", "a tax on goods")
show("money lent by a bank", "money lent by a bank")
