"""Documents by concept: one, two together, one without another, and those that a question calls up."""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from codebooks import KrotovHopfield, rank_documents, topic_words
from codebooks.datasets import load_docstrings

corpus = load_docstrings()
pipeline = make_pipeline(
    TfidfVectorizer(stop_words="english", min_df=5, max_df=0.5, sublinear_tf=True, token_pattern=r"[a-z]{3,}"),
    KrotovHopfield(60, random_state=0),
)
pipeline.fit(corpus.documents)


def show(title, concept):
    print(f"\n{title}")
    for row, score in zip(*rank_documents(pipeline, corpus.documents, concept, n_documents=5), strict=True):
        print(f"    {score:.2f}  {corpus.ids[row]}")


named = topic_words(pipeline, X=corpus.documents, n_words=5)
sparse, graphs = (int(unit) for unit in pipeline.predict(["csr sparse matrix", "directed graph"]))
print("Two of 60 concepts:")
for unit in (sparse, graphs):
    print("   ", named[unit])

show(f"Concept {sparse}", sparse)
show(f"{sparse} with {graphs}: graphs that are sparse matrices", {sparse: 1, graphs: 1})
show(f"{sparse} without {graphs}", {sparse: 1, graphs: -1})
for question in ("Smooth a noisy signal", "Draw a random sample", "Which colors for a heat map?"):
    show(question, question)
