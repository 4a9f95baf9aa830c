"""Which words belong to a question? The concepts of a codebook answer, each with the topic it speaks from."""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from codebooks import KrotovHopfield, expand, topics
from codebooks.datasets import load_docstrings

documents = load_docstrings().documents
pipeline = make_pipeline(
    TfidfVectorizer(stop_words="english", min_df=5, max_df=0.5, sublinear_tf=True, token_pattern=r"[a-z]{3,}"),
    KrotovHopfield(60, random_state=0),
)
pipeline.fit(documents)
named = topics(pipeline, X=documents, n=4)

for query in ("clustering", "random numbers", "interpolate", "missing values", "sparse matrix", "legend colors"):
    words = expand(pipeline, query, n=8, n_concepts=2)
    print(f"\n{query!r} adds", ", ".join(f"{word.term} {word.weight:.2f}" for word in words))
    for concept in dict.fromkeys(word.concept for word in words):
        print(f"    by concept {named[concept]}")
