"""What a query finds, and how it is told: in a table, or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from codebooks.cli.console import create_console
from codebooks.cli.snippets import extract_snippet, join_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

MOST_WORDS = 6  # that are shown of those which the memory added; JSON has them all
SNIPPET = 160  # characters, in JSON
MARGIN = 18  # columns of the table that hold no text
_RULER = re.compile(r"([-=~*_#^.])\1{3,}")  # under a heading


class Hit(NamedTuple):
    """A document that was found."""

    id: Any
    weight: float
    matched: dict[str, float]  # words of the query, and what each gives to the weight
    added: dict[str, float]  # the same for words that the memory added
    text: str  # empty where the index keeps no texts
    columns: dict[str, str]  # values of the other columns of a table; empty for a saved index

    @property
    def line(self) -> str:
        """The text on one line, without rulers."""
        return join_lines(_RULER.sub(" ", self.text))

    def extract(self, length: int) -> str:
        """The part of the text that holds the words which gave most; those that were asked for count more."""
        added = {word: value / 4 for word, value in self.added.items()}
        return extract_snippet(self.line, {**added, **self.matched}, length)


class Found(NamedTuple):
    """All that a query finds."""

    query: str
    hits: list[Hit]  # best first
    expansion: list[Any]  # AddedTerm: words that the memory added to the query, and who brought them
    ignored: list[str]  # function words of the query
    seconds: float  # of searching alone


def find_documents(retriever: Any, query: str, n_hits: int, columns: dict[Any, dict[str, str]]) -> Found:
    """Search, and explain each hit; `columns` has values of other columns by id."""
    retriever.search([query], 1)  # compiles
    n_hits = min(n_hits, max(len(retriever), 1))
    started = perf_counter()
    [ids], [scores] = retriever.search([query], n_hits)
    seconds = perf_counter() - started
    found = dict(zip(ids.tolist(), scores.tolist(), strict=True))
    texts = _load_texts(retriever, found)
    hits = []
    for id, weight in found.items():
        matched, added = retriever.explain(query, id)
        hits.append(Hit(id, weight, matched, added, texts.get(id, ""), columns.get(id, {})))
    return Found(query, hits, retriever.expand(query, MOST_WORDS), retriever.ignored_terms(query), seconds)


def _load_texts(retriever: Any, ids: Collection[Any]) -> dict[Any, str]:
    """The texts of these documents; none where the index keeps none."""
    if retriever.texts_ is None:
        return {}
    import numpy as np

    positions = np.flatnonzero(np.isin(retriever.ids_, list(ids))).tolist()
    return {retriever.ids_[at].item(): retriever.texts_[at] for at in positions}


# -- JSON ------------------------------------------------------------------------------------------------------------


def format_json_lines(found: Found) -> Iterable[str]:
    """An object for each hit, in ASCII."""
    for rank, hit in enumerate(found.hits, 1):
        shown = {
            "query": found.query,
            "rank": rank,
            "weight": hit.weight,
            "id": hit.id,
            "snippet": hit.extract(SNIPPET),
            "text": hit.text,
            "matched": hit.matched,
            "added": hit.added,
        }
        yield json.dumps({**shown, "columns": hit.columns} if hit.columns else shown)


# -- a table ---------------------------------------------------------------------------------------------------------


def print_results(found: Found, quiet: bool) -> None:
    """Print what was found; unless quiet, also what the memory made of the query."""
    console = create_console()
    if not quiet:
        _print_query(found, console)
    if found.hits:
        _print_hits(found.hits, console)


def describe_empty_result(found: Found, stop_words: bool) -> str:
    """A sentence for a query that finds nothing."""
    aside = f", {', '.join(map(join_lines, found.ignored))} aside" if found.ignored else ""
    aside += "; stop words were left out of the index" if stop_words else ""
    return f"nothing found for {join_lines(found.query)!r}: no document has any of its words{aside}"


def _print_query(found: Found, console: Console) -> None:
    """The query, and for each document that brought words to it, these words."""
    from rich.text import Text

    console.print(Text(join_lines(found.query), "bold"))
    if found.ignored:
        console.print(Text(f"ignored: {', '.join(map(join_lines, found.ignored))}", "dim"))
    brought: dict[str, list[str]] = {}
    for term in found.expansion:
        for id, _ in term.because[:1]:
            brought.setdefault(join_lines(str(id)), []).append(join_lines(term.term))
    if brought:
        console.print("the memory adds")
    for name, words in brought.items():
        told = Text(f"  {', '.join(words)}"), Text(f"from {name}", "dim")
        apart = " " if sum(map(len, told)) < console.width else "\n    "
        console.print(Text(apart).join(told))


def _print_hits(hits: Sequence[Hit], console: Console) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, leading=1)
    for heading in ("rank", "weight"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("document", overflow="fold")
    for rank, hit in enumerate(hits, 1):
        table.add_row(str(rank), f"{hit.weight:.2f}", _format_hit(hit, console.width - MARGIN))
    console.print(table)


def _format_hit(hit: Hit, width: int) -> Text:
    """The name of a document, its part that shows why, and the words that count."""
    from rich.text import Text

    lines = [Text(join_lines(str(hit.id)), "bold")]
    if hit.text:
        lines.append(_highlight(hit.extract(_compute_snippet_length(hit.line, width)), hit))
    reasons = [_format_words(how, words) for how, words in (("matched", hit.matched), ("added", hit.added)) if words]
    lines.append(Text("; ".join(reasons), "dim"))
    return Text("\n").join(lines)


def _format_words(how: str, words: Iterable[str]) -> str:
    first = [join_lines(word) for word in words]
    return f"{how} {', '.join(first[:MOST_WORDS])}{', …' if len(first) > MOST_WORDS else ''}"


def _compute_snippet_length(text: str, width: int) -> int:
    """How many characters of a text fill nearly two lines; some scripts take two columns for each."""
    from rich.cells import cell_len

    part = text[:1000]
    return max(2 * width - width // 5, 20) * len(part) // max(cell_len(part), 1)


def _highlight(text: str, hit: Hit) -> Text:
    """Words of the query green, words that the memory added cyan."""
    from rich.text import Text

    marked = Text(text)
    for word in re.finditer(r"\w+", text):
        style = "green" if word.group().lower() in hit.matched else "cyan" if word.group().lower() in hit.added else ""
        marked.stylize(style, *word.span())
    return marked
