"""
Find topics, then edit them
===========================

:class:`~codebooks.TopicModel` takes documents and returns topics. Each edit returns a new model in a
fraction of a second, so topics can be improved step by step while reading them.
`python examples/edit_topics.py picture.png` also saves the figure.
"""

# %%
# The documents are 4,034 definitions of nouns, which are part of the package.

import sys

from codebooks import TopicModel
from codebooks.datasets import load_glosses
from codebooks.plots import plot_hierarchy

documents = load_glosses().documents
model = TopicModel(16, random_state=0).fit(documents)
print(model.topics_)

# %%
# A topic has a name, words, a size, a coherence and representative documents; `model.topics_.to_frame()` is a table.

topic = model.topics_[0]
print(topic.name, topic.size, round(topic.coherence, 2))
print(*topic.documents, sep="\n")

# %%
# Every document has shares of all topics, which sum to 1, and one main topic.

soup = "a thick soup of beans and smoked meat, served at sea"
shares = model.transform([soup])[0]
for k in shares.argsort()[::-1][:2]:
    print(f"{shares[k]:.0%}", model.topics_[k])

# %%
# The hierarchy shows which topics are similar.

hierarchy = model.hierarchy()
print(hierarchy)

# %%
# `reduce` merges the most similar ones, and `merge` those that you choose. The largest of a group keeps its id.

print(model.reduce(6).topics_)
[first, second, *_] = next(group for group in hierarchy.cut(12) if len(group) > 1)
edited = model.merge([[first, second]])
print(len(model.topics_), "topics before,", len(edited.topics_), "after")

# %%
# Divide the largest topic into two.

edited = edited.split(edited.topics_[0].id)
print(edited.topics_[0], edited.topics_[-1], sep="\n")

# %%
# Guide topics by words. The words of a seeded topic belong to no other topic.

edited = edited.seed({"music": ["music", "musical", "instrument"], "money": ["money", "payment", "tax"]})
print(*edited.topics_[-2:], sep="\n")

# %%
# Leave out words that say nothing, and learn again without them.

edited = edited.forbid(["having", "usually", "used"])

# %%
# Move documents by hand, and name topics: yourself, or by a function, for instance one that uses a language model.

edited = edited.move([documents.index(edited.topics_[0].documents[0])], edited.topics_[-1].id)
edited = edited.rename({edited.topics_[1].id: "my favourite topic"})
shouted = edited.label_topics(lambda topic: " and ".join(topic.words[:2]).upper())
print([topic.name for topic in shouted.topics_][:3])

# %%
# The edits are in the history, and `replay` repeats them on other documents.

for edit in edited.history_:
    print(edit.method)
again = edited.replay(documents[1000:])
print(len(again.topics_), "topics of", len(again.labels_), "documents")

# %%
# Draw the hierarchy of the edited topics.

axes = plot_hierarchy(edited.hierarchy())
if len(sys.argv) > 1:
    axes.figure.savefig(sys.argv[1], bbox_inches="tight")
