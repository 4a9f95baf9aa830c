"""Topics by meaning, told in words: an encoder, its narrow cone opened, known groups pulled together, a learner.

Documents are docstrings of the packages that are installed anyway. `python examples/topics_on_embeddings.py FOLDER`
embeds them by the encoder in that folder, with the extra `text`. Without one, truncated singular vectors of tf-idf
stand in, so that the example runs anywhere.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from codebooks import (
    KrotovHopfield,
    PairedHead,
    PartialWhitening,
    TextEmbedder,
    expand,
    representative_documents,
    topic_words,
)
from codebooks.datasets import load_docstrings

corpus = load_docstrings()
documents, groups, ids = corpus.documents[::6], corpus.labels[::6], corpus.ids[::6]
folder = sys.argv[1] if len(sys.argv) > 1 and Path(sys.argv[1]).is_dir() else None

if folder and find_spec("sentence_transformers"):
    print(f"{len(documents)} docstrings, embedded by the encoder in {folder}")
    encoder = folder
else:
    print(f"{len(documents)} docstrings; singular vectors of tf-idf stand in for an encoder: give the folder of one")
    stand_in = make_pipeline(TfidfVectorizer(sublinear_tf=True, min_df=3), TruncatedSVD(100, random_state=0))
    encoder = stand_in.fit(documents).transform

# The words of the same documents, to tell what the units are about.
vectorizer = TfidfVectorizer(stop_words="english", min_df=3, max_df=0.5, sublinear_tf=True, token_pattern=r"[a-z]{3,}")
words = vectorizer.fit_transform(documents)
terms = vectorizer.get_feature_names_out()

by_meaning = make_pipeline(TextEmbedder(encoder), PartialWhitening(), KrotovHopfield(12, random_state=0)).fit(documents)
labels, codes = by_meaning.predict(documents), by_meaning.transform(documents)
print("\nBy meaning alone:")
examples = representative_documents(by_meaning, n_documents=2, codes=codes)
for topic in sorted(
    topic_words(by_meaning, feature_names=terms, X=words, n_words=6, labels=labels), key=lambda topic: -topic.usage
):
    print(topic, "- for instance", ", ".join(ids[row] for row in examples[topic.id]))

question = "How do I minimise a function whose jacobian I know?"
added = expand(by_meaning, question, feature_names=terms, n_words=6, X=words, labels=labels)
print(f"\n{question!r} brings to mind: {', '.join(word.word for word in added)}")

# Where it is known of some documents which belong together, here by their subpackage, a head learns it from these.
with_groups = make_pipeline(TextEmbedder(encoder), PartialWhitening(), PairedHead(), KrotovHopfield(12, random_state=0))
with_groups.fit(documents, groups)
print("\nWith a head that has learned from known groups:")
for topic in topic_words(with_groups, feature_names=terms, X=words, n_words=6, labels=with_groups.predict(documents))[
    :5
]:
    print(topic)
