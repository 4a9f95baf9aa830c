"""
Follow topics over time
=======================

Documents arrive, and topics change. :class:`~codebooks.TopicModel` keeps the ids of topics when it learns from other
documents, counts new words, and shows how large each topic was in each month.
`python examples/follow_topics.py picture.png` also saves the figure.
"""

# %%
# The documents of this example are definitions of nouns from WordNet. Each gets a date: those of plants are from the
# first half of the year, those of food from the second half, and all others from any month.

import sys

import numpy as np

from codebooks import TopicModel
from codebooks.datasets import load_glosses
from codebooks.plots import plot_topic_trends

glosses = load_glosses()
rng = np.random.default_rng(0)
months = rng.integers(1, 13, len(glosses.documents))
labels = np.array(glosses.labels)
months[labels == "plant"] = rng.integers(1, 7, (labels == "plant").sum())
months[labels == "food"] = rng.integers(7, 13, (labels == "food").sum())
dates = [f"2026-{month:02d}-15" for month in months]

# %%
# Fit a model of all documents, and compute the share of each topic in each month, with an interval of 95 %.
# `trends.to_frame()` returns a table, also with the words of each topic in each month.

model = TopicModel(12, random_state=0).fit(glosses.documents)
trends = model.topics_over_time(dates, bins="month")
print(trends)
sauces = model.predict(["a sauce of meat and wine"])[0]
k = trends.ids.index(sauces)
for i, start in enumerate(trends.bins):
    print(f"{start:.7}: {trends.shares[i, k]:.1%} ({trends.lower[i, k]:.1%} to {trends.upper[i, k]:.1%})")

# %%
# The same for classes of documents, such as their source. Here the classes are the labels of WordNet.

classes = model.topics_per_class(glosses.labels)
for k in classes.shares[list(classes.classes).index("food")].argsort()[::-1][:2]:
    print("food:", classes.names[k])

# %%
# A model of the first nine months learns again from the last nine. Topics keep their ids, and the table says which ones
# began, ended, split or merged.

first = [text for text, month in zip(glosses.documents, months, strict=True) if month <= 9]
last = [text for text, month in zip(glosses.documents, months, strict=True) if month >= 4]
early = TopicModel(12, random_state=0).fit(first).rename({0: "the largest topic"})
late = early.refit(last)
print(late.matching_)
print(late.topics_[0])

# %%
# Or documents arrive month by month. New words get a column, and with `grow=True` a new theme gets a topic.

stream = TopicModel(12, grow=True, random_state=0)
for month in range(1, 13):
    stream.partial_fit([text for text, m in zip(glosses.documents, months, strict=True) if m == month])
print(len(stream.topics_), "topics,", len(stream.vectorizer_.vocabulary_), "words")
print(stream.predict(["a spicy sauce of tomatoes, onions and meat"]), "is the topic of the sauce")

# %%
# Draw the topics that change most.

axes = plot_topic_trends(trends)
if len(sys.argv) > 1:
    axes.figure.savefig(sys.argv[1], bbox_inches="tight")
