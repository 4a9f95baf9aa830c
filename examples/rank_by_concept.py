"""Documents by concept: one, two together, one without another, and those that a question calls up."""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from codebooks import KrotovHopfield, rank_documents, topics
from codebooks.datasets import load_docstrings

corpus = load_docstrings()
pipeline = make_pipeline(
    TfidfVectorizer(stop_words="english", min_df=5, max_df=0.5, sublinear_tf=True, token_pattern=r"[a-z]{3,}"),
    KrotovHopfield(60, random_state=0),
)
pipeline.fit(corpus.documents)


def show(title, concept):
    print(f"\n{title}")
    for row, score in zip(*rank_documents(pipeline, corpus.documents, concept, n=5), strict=True):
        print(f"    {score:.2f}  {corpus.ids[row]}")


named = topics(pipeline, X=corpus.documents, n=5)
examples = ["euclidean distance metric", "hierarchical clustering linkage", "csr sparse matrix", "directed graph"]
distances, linkage, sparse, graphs = (int(unit) for unit in pipeline.predict(examples))
print("Four of 60 concepts:")
for unit in (distances, linkage, sparse, graphs):
    print("   ", named[unit])

show(f"Concept {distances}, distances", distances)
show(f"{distances} with {linkage}: distances for hierarchical clustering", {distances: 1, linkage: 1})
show(f"{distances} without {linkage}", {distances: 1, linkage: -1})
show(f"{sparse} with {graphs}: graphs that are sparse matrices", {sparse: 1, graphs: 1})
for question in ("How similar are two clusterings?", "Draw a random sample", "Which colors for a heat map?"):
    show(question, question)
