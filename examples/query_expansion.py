"""Which words belong to a question? The concepts of a codebook answer, each with the topic it speaks from."""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from codebooks import KrotovHopfield, expand, topic_words
from codebooks.datasets import load_docstrings

documents = load_docstrings().documents
pipeline = make_pipeline(
    TfidfVectorizer(stop_words="english", min_df=5, max_df=0.5, sublinear_tf=True, token_pattern=r"[a-z]{3,}"),
    KrotovHopfield(60, random_state=0),
)
pipeline.fit(documents)
named = topic_words(pipeline, X=documents, n_words=4)

for query in ("clustering", "random numbers", "interpolate", "missing values", "sparse matrix", "legend colors"):
    words = expand(pipeline, query, n_words=8, n_topics=2)
    print(f"\n{query!r} adds", ", ".join(f"{word.word} {word.score:.2f}" for word in words))
    for concept in dict.fromkeys(word.topic for word in words):
        print(f"    by topic {named[concept]}")
