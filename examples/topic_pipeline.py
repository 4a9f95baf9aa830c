"""Topics of the documentation that is already on this machine, in a scikit-learn pipeline."""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from codebooks import KrotovHopfield, representative_documents, topic_words
from codebooks.datasets import load_docstrings

corpus = load_docstrings()
pipeline = make_pipeline(
    TfidfVectorizer(stop_words="english", min_df=5, max_df=0.5, sublinear_tf=True, token_pattern=r"[a-z]{3,}"),
    KrotovHopfield(20, random_state=0),
)
pipeline.fit(corpus.documents)

print(f"{len(corpus.documents)} docstrings, 20 topics, the largest first:\n")
examples = representative_documents(pipeline, corpus.documents, n_documents=2)
for topic in sorted(topic_words(pipeline, X=corpus.documents, n_words=8), key=lambda topic: -topic.usage):
    print(topic)
    print("     for instance", ", ".join(corpus.ids[row] for row in examples[topic.id]))

question = "How do I compute the eigenvalues of a symmetric matrix?"
winner = topic_words(pipeline, X=corpus.documents, n_words=5)[pipeline.predict([question])[0]]
print(f"\n{question!r} belongs to topic {winner}")
