"""
Topics of short texts
=====================

A scikit-learn pipeline of a vectorizer and :class:`~codebooks.MultinomialMixture` finds topics in 4,034 definitions of
nouns. `python examples/topic_pipeline.py picture.png` also saves the figure.
"""

# %%
# The corpus is part of the package. Every document is a noun and its definition.

import sys

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import normalized_mutual_info_score
from sklearn.pipeline import make_pipeline

from codebooks import MultinomialMixture, representative_documents, topic_words
from codebooks.datasets import load_glosses
from codebooks.plots import plot_topics

corpus = load_glosses()
print(f"{len(corpus.documents)} documents, for instance")
print(corpus.documents[586])

# %%
# Fit 15 topics. They are learned without labels.

pipeline = make_pipeline(
    TfidfVectorizer(stop_words="english", min_df=5, max_df=0.5, sublinear_tf=True),
    MultinomialMixture(15, random_state=0),
)
pipeline.fit(corpus.documents)

# %%
# Describe each topic by words, and list documents that show it best. The percentage is the share of documents.

topics = topic_words(pipeline, corpus.documents, n_words=8)
examples = representative_documents(pipeline, corpus.documents, n_documents=3)
for topic in sorted(topics, key=lambda topic: -topic.usage):
    print(topic)
    print("     for instance", ", ".join(corpus.ids[row] for row in examples[topic.id]))

# %%
# The labels of WordNet (animal, plant, food, ...) are known for this corpus, so the topics can be checked.

labels = pipeline[-1].labels_
print(f"NMI of topics and labels: {normalized_mutual_info_score(corpus.target, labels):.2f}")

# %%
# `predict` assigns new documents.

for document in ("a thick soup of beans and smoked meat", "a disease of the lungs", "a small river in the Alps"):
    [label] = pipeline.predict([document])
    print(f"{document!r} belongs to topic {topics[label]}")

# %%
# Draw the topics, the largest first. The length of a bar is the weight of the word.

figure = plot_topics(topics)
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1])
