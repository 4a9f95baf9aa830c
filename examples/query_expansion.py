"""
Words that belong to a query
============================

:func:`~codebooks.expand` finds the components of a query, and lists the words with the largest weights in them.
"""

# %%
# Learn 40 components of the definitions.

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from codebooks import KrotovHopfield, expand, topic_words
from codebooks.datasets import load_glosses

documents = load_glosses().documents
pipeline = make_pipeline(
    TfidfVectorizer(stop_words="english", min_df=3, max_df=0.5, sublinear_tf=True),
    KrotovHopfield(40, random_state=0),
)
pipeline.fit(documents)
topics = topic_words(pipeline, documents, n_words=4)

# %%
# Expand some queries by the words of their two best components. Each word has a weight and the component that it comes
# from.

for query in ("heart disease", "stock market", "electric current", "volcano", "cheese"):
    words = expand(pipeline, query, n_words=8, n_topics=2)
    print(f"\n{query!r} adds", ", ".join(f"{word.word} {word.score:.2f}" for word in words))
    for topic in dict.fromkeys(word.topic for word in words):
        print(f"    by topic {topics[topic]}")
