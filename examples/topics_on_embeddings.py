"""
Topics of sentence embeddings
=============================

An encoder converts texts into vectors, three transformers prepare the vectors, and :class:`~codebooks.KrotovHopfield`
finds groups, which are described by words. `python examples/topics_on_embeddings.py FOLDER` uses the
sentence-transformers model in that folder, and needs the extra `text`. Without one, singular vectors of tf-idf replace
the embeddings, so that the example runs everywhere.
"""

# %%
# Choose the encoder. `TextEmbedder` takes the name or the folder of a model, or any function of a list of texts.

import sys
from importlib.util import find_spec
from pathlib import Path

from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import normalized_mutual_info_score
from sklearn.pipeline import make_pipeline

from codebooks import (
    KrotovHopfield,
    NeighborSmoothing,
    PairedHead,
    PartialWhitening,
    TextEmbedder,
    cluster_words,
)
from codebooks.datasets import load_glosses

corpus = load_glosses()
documents = corpus.documents
if len(sys.argv) > 1 and Path(sys.argv[1]).is_dir() and find_spec("sentence_transformers"):
    encoder = sys.argv[1]
    print("Embeddings by the encoder in", encoder)
else:
    svd = make_pipeline(TfidfVectorizer(sublinear_tf=True, min_df=3), TruncatedSVD(100, random_state=0))
    encoder = svd.fit(documents).transform
    print("No folder of an encoder is given; singular vectors of tf-idf replace embeddings")

# %%
# Find 15 groups. `PartialWhitening` spreads the vectors, and `NeighborSmoothing` averages each with its neighbors.

pipeline = make_pipeline(
    TextEmbedder(encoder), PartialWhitening(), NeighborSmoothing(), KrotovHopfield(15, random_state=0)
)
labels = pipeline.fit_predict(documents)
print(f"NMI of groups and labels: {normalized_mutual_info_score(corpus.target, labels):.2f}")

# %%
# Describe the groups by words of their documents. :func:`~codebooks.cluster_words` needs labels only, so it serves
# every clustering.

vectorizer = TfidfVectorizer(stop_words="english", min_df=3, max_df=0.5, sublinear_tf=True)
X = vectorizer.fit_transform(documents)
for topic in cluster_words(labels, X, vectorizer.get_feature_names_out(), n_words=6):
    print(topic)

# %%
# If the groups of some documents are known, `PairedHead` learns from these which directions matter. Here, the labels of
# every second document are known, and NMI is computed on the others.
#
# With the encoder all-MiniLM-L6-v2, NMI of groups and labels is 0.59; on other documents, it is 0.61 without known
# labels and 0.65 with them.

with_head = make_pipeline(TextEmbedder(encoder), PartialWhitening(), PairedHead(), KrotovHopfield(15, random_state=0))
with_head.fit(documents[::2], corpus.target[::2])
without = make_pipeline(TextEmbedder(encoder), PartialWhitening(), KrotovHopfield(15, random_state=0))
without.fit(documents[::2])
for name, model in (("without", without), ("with", with_head)):
    nmi = normalized_mutual_info_score(corpus.target[1::2], model.predict(documents[1::2]))
    print(f"NMI on other documents {name} known labels: {nmi:.2f}")
