"""Search results, and their output as a table or as JSON."""

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

MAX_WORDS = 6  # of the added words and of the words of a result; JSON contains all words of a result
SNIPPET_LENGTH = 160  # characters, in JSON
MARGIN = 18  # columns of the terminal beside the text
_RULER = re.compile(r"([-=~*_#^.])\1{3,}")  # an underlined heading


class Hit(NamedTuple):
    """A document in the results of a query."""

    id: Any
    weight: float
    matched: dict[str, float]  # words of the query, and their contributions to the weight
    added: dict[str, float]  # the same for words that feedback added
    text: str  # empty if the index does not contain texts
    columns: dict[str, str]  # values of the other columns of a table; empty for a saved index

    @property
    def line(self) -> str:
        """Text on one line, without underlines of headings."""
        return join_lines(_RULER.sub(" ", self.text))

    def extract(self, length: int) -> str:
        """Extract the part of the text with the largest contributions; words of the query count more."""
        added = {word: value / 4 for word, value in self.added.items()}
        return extract_snippet(self.line, {**added, **self.matched}, length)


class QueryResult(NamedTuple):
    """The results of a query."""

    query: str
    hits: list[Hit]  # best first
    expansion: list[Any]  # AddedTerm: words that feedback added to the query, and their documents
    ignored: list[str]  # function words of the query
    seconds: float  # of the search only


def find_documents(retriever: Any, query: str, n_hits: int, columns: dict[Any, dict[str, str]]) -> QueryResult:
    """Search for a query, and explain each result; `columns` contains the values of other columns by id."""
    retriever.search([query], 1)  # compiles, and computes the weights
    n_hits = min(n_hits, max(len(retriever), 1))
    started = perf_counter()
    [ids], [scores] = retriever.search([query], n_hits)
    seconds = perf_counter() - started
    scores_by_id = dict(zip(ids.tolist(), scores.tolist(), strict=True))
    texts = _load_texts(retriever, scores_by_id)
    hits, ignored = [], retriever.ignored_terms(query)
    for id, weight in scores_by_id.items():
        matched, added = retriever.explain(query, id)
        matched = {word: value for word, value in matched.items() if word not in ignored}
        hits.append(Hit(id, weight, matched, added, texts.get(id, ""), columns.get(id, {})))
    return QueryResult(query, hits, retriever.expand(query, MAX_WORDS), ignored, seconds)


def _load_texts(retriever: Any, ids: Collection[Any]) -> dict[Any, str]:
    """Load the texts of these documents; empty if the index does not contain texts."""
    if retriever.texts_ is None:
        return {}
    import numpy as np

    positions = np.flatnonzero(np.isin(retriever.ids_, list(ids))).tolist()
    return {retriever.ids_[at].item(): retriever.texts_[at] for at in positions}


# -- JSON ------------------------------------------------------------------------------------------------------------


def format_json_lines(result: QueryResult) -> Iterable[str]:
    """Yield a JSON object in ASCII for each result."""
    for rank, hit in enumerate(result.hits, 1):
        fields = {
            "query": result.query,
            "rank": rank,
            "weight": hit.weight,
            "id": hit.id,
            "snippet": hit.extract(SNIPPET_LENGTH),
            "text": hit.text,
            "matched": hit.matched,
            "added": hit.added,
        }
        yield json.dumps({**fields, "columns": hit.columns} if hit.columns else fields)


# -- a table ---------------------------------------------------------------------------------------------------------


def print_results(result: QueryResult, quiet: bool) -> None:
    """Print the results of a query; unless quiet, also the words that feedback adds."""
    console = create_console()
    if not quiet:
        _print_query(result, console)
    if result.hits:
        _print_hits(result.hits, console)


def describe_empty_result(result: QueryResult, stop_words: bool) -> str:
    """Return a sentence about a query without results."""
    ignored = f" (ignored: {', '.join(map(join_lines, result.ignored))})" if result.ignored else ""
    excluded = "; stop words are not in the index" if stop_words else ""
    return f"nothing found for {join_lines(result.query)!r}: no document contains its words{ignored}{excluded}"


def _print_query(result: QueryResult, console: Console) -> None:
    """Print the query, and the words that feedback adds, with the document that each comes from."""
    from rich.text import Text

    console.print(Text(join_lines(result.query), "bold"))
    if result.ignored:
        console.print(Text(f"ignored: {', '.join(map(join_lines, result.ignored))}", "dim"))
    words_by_document: dict[str, list[str]] = {}
    for term in result.expansion:
        for id, _ in term.because[:1]:
            words_by_document.setdefault(join_lines(str(id)), []).append(join_lines(term.term))
    if words_by_document:
        console.print("added words")
    for name, words in words_by_document.items():
        parts = Text(f"  {', '.join(words)}"), Text(f"from {name}", "dim")
        separator = " " if sum(map(len, parts)) < console.width else "\n    "
        console.print(Text(separator).join(parts))


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
    """Format the id of a document, a snippet, and the words that match."""
    from rich.text import Text

    lines = [Text(join_lines(str(hit.id)), "bold")]
    if hit.text:
        lines.append(_highlight(hit.extract(_compute_snippet_length(hit.line, width)), hit))
    matches = [
        _format_words(label, words) for label, words in (("matched", hit.matched), ("added", hit.added)) if words
    ]
    lines.append(Text("; ".join(matches), "dim"))
    return Text("\n").join(lines)


def _format_words(label: str, words: Iterable[str]) -> str:
    names = [join_lines(word) for word in words]
    return f"{label} {', '.join(names[:MAX_WORDS])}{', …' if len(names) > MAX_WORDS else ''}"


def _compute_snippet_length(text: str, width: int) -> int:
    """Return the number of characters that fill nearly two lines; those of some scripts are two columns wide."""
    from rich.cells import cell_len

    part = text[:1000]
    return max(2 * width - width // 5, 20) * len(part) // max(cell_len(part), 1)


def _highlight(text: str, hit: Hit) -> Text:
    """Colour words of the query green, and words that feedback added cyan."""
    from rich.text import Text

    highlighted = Text(text)
    for word in re.finditer(r"\w+", text):
        style = "green" if word.group().lower() in hit.matched else "cyan" if word.group().lower() in hit.added else ""
        highlighted.stylize(style, *word.span())
    return highlighted
