"""Search by associative memory: what a question finds, what it brings to mind, and documents that come and go."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from codebooks import HopfieldRetriever
from codebooks.datasets import load_docstrings

corpus = load_docstrings()
retriever = HopfieldRetriever(keep_texts=True).fit(corpus.documents, ids=corpus.ids)
question = "smooth a noisy signal"


def show(title, memory, k=4):
    print(f"\n{title}")
    [ids], [scores] = memory.search(question, k)
    for id, score in zip(ids, scores, strict=True):
        matched, added = memory.explain(question, id)
        print(f"    {score:5.2f}  {id:<40}", *matched, "+" if added else "", *list(added)[:4])


print(f"{len(retriever)} docstrings, {len(retriever.terms_)} terms; {question!r}")
show("By its own words (feedback=0: BM25)", retriever.set_params(feedback=0))
show("Completed by what it finds (feedback=1)", retriever.set_params(feedback=1))

print("\nWhat the question brings to mind, and who says so")
for term, weight, because in retriever.expand(question, n_terms=5):
    print(f"    {term:<10} {weight:.2f}  {because[0][0]} ({because[0][1]:.0%})")

note = "How we smooth the sensor: the signal is noisy, so take a spline, or filter it with a running median."
retriever.add([note], ids=["notes/sensor"])
show("With a note of yours added", retriever, k=1)
retriever.remove("notes/sensor")
show("And removed", retriever, k=1)

with TemporaryDirectory() as folder:
    file = Path(folder, "index")
    retriever.save(file)
    started = perf_counter()
    loaded = HopfieldRetriever.load(file)
    print(f"\nSaved in {file.stat().st_size / 1e6:.0f} MB, loaded in {perf_counter() - started:.2f} s")
    assert loaded.search(question).ids[0].tolist() == retriever.search(question).ids[0].tolist()
