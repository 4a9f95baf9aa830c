"""
Search by an associative memory
===============================

:class:`~codebooks.HopfieldRetriever` searches documents by BM25. It completes the query by words of the best documents,
so it finds documents that do not contain the words of the query.
"""

# %%
# Store the definitions. `ids` names the documents in results.

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from codebooks import HopfieldRetriever
from codebooks.datasets import load_glosses

corpus = load_glosses()
retriever = HopfieldRetriever(keep_texts=True).fit(corpus.documents, ids=corpus.ids)
print(f"{len(retriever)} documents, {len(retriever.terms_)} terms")

# %%
# With `feedback=0` it is plain BM25. With `feedback=1`, the default, words are added to the query. `explain` lists the
# words of the query and the added words that a document contains.

query = "noodles with cheese"


def show(title, retriever, k=5):
    print(f"\n{title}")
    [ids], [scores] = retriever.search(query, k)
    for id, score in zip(ids, scores, strict=True):
        matched, added = retriever.explain(query, id)
        print(f"    {score:5.2f}  {id:<20}", *matched, "+" if added else "", *list(added)[:5])


show("feedback=0", retriever.set_params(feedback=0))
show("feedback=1", retriever.set_params(feedback=1))

# %%
# `expand` lists the added words, their weights, and the documents that they come from.

for term, weight, because in retriever.expand(query, n_terms=6):
    print(f"    {term:<10} {weight:.2f}  {because[0][0]} ({because[0][1]:.0%})")

# %%
# Documents can be added and removed.

retriever.add(["lasagne: baked noodles with layers of cheese, sauce and meat"], ids=["lasagne"])
show("With a new document", retriever, k=1)
retriever.remove("lasagne")
show("Without it", retriever, k=1)

# %%
# An index is stored in one file.

with TemporaryDirectory() as folder:
    file = Path(folder, "index")
    retriever.save(file)
    started = perf_counter()
    loaded = HopfieldRetriever.load(file)
    print(f"{file.stat().st_size / 1e6:.1f} MB, loaded in {perf_counter() - started:.2f} s")
    assert loaded.search(query).ids[0].tolist() == retriever.search(query).ids[0].tolist()
