"""`codebooks search`: documents that a question finds, and why."""

# ruff: noqa: UP045 - the oldest typer that we support reads Optional[X], not X | None

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, NamedTuple, Optional

import typer

import codebooks
from codebooks.cli.atomic_output import report_write_errors
from codebooks.cli.console import create_console, format_count, report_print_errors, show_progress
from codebooks.cli.index import load_retriever
from codebooks.cli.search_results import Found, describe_empty_result, find_documents, format_json_lines, print_results
from codebooks.cli.sources import Columns, ReadingOptions, Source, Where, count_columns_again, parse_columns
from codebooks.cli.text_options import WordOptions
from codebooks.errors import UserError

# What other search engines take for an operator.
_OPERATORS = re.compile(r'(?:^|\s)[+-]\w|"|\w\*|\b(?:AND|OR|NOT)\b')
N_STEPS = 3  # of the work, for the progress bar


def search(
    docs: Annotated[
        Optional[str],
        typer.Argument(
            metavar="DOCS",
            help="Text in any form that `topics` reads, or a saved index.",
            show_default=False,
        ),
    ] = None,
    query: Annotated[
        Optional[list[str]],
        typer.Argument(metavar="QUERY", help="What to search for, each in quotes.", show_default=False),
    ] = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Search definitions of nouns, part of the package; leave out DOCS."),
    ] = False,
    *,
    columns: Columns = None,
    reading: ReadingOptions,
    where: Where = None,
    n_hits: Annotated[int, typer.Option("--hits", "-k", help="How many documents for each query.")] = 10,
    embed: Annotated[
        Optional[str],
        typer.Option(
            "--embed",
            metavar="ENCODER",
            help="Search by meaning as well: the name or folder of a sentence-transformers model that embeds documents "
            "and queries. Needs codebooks-learn[text].",
            show_default=False,
        ),
    ] = None,
    feedback: Annotated[
        int, typer.Option(help="1: the memory adds words to the query; 0: search with its own words, by BM25.")
    ] = 1,
    options: WordOptions,
    save: Annotated[
        Optional[Path],
        typer.Option(metavar="FILE", help="Keep the index in this file, which can be searched as DOCS at once."),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print a JSON object for each hit, on a line of its own; with the other columns if DOCS is a table.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but hits and errors.")] = False,
) -> None:
    """Find documents by words, and by the words that these bring to mind.

    Documents are weighted by BM25. The best of them complete the query with their own words, and the completed query
    is searched: it finds documents that say the same in other words. Above the hits stand the words that were added,
    and the documents that brought them; with each hit, which words it has of both kinds. A query is a list of words:
    AND, OR, NOT, quotes, + - and * have no meaning of their own.
    """
    place, queries = _split_arguments([] if docs is None else [docs, *(query or [])], demo, save)
    weights = parse_columns(columns)
    source = Source(place, tuple(weights), reading, where)
    _check(n_hits, feedback, queries)
    if save is not None:
        from codebooks.storage import check_place

        with _report_save_errors(save):
            check_place(save)
    with show_progress(quiet or as_json, N_STEPS) as step:
        step("reading and counting words")
        index = _load_or_build_index(source, weights, options, embed)
        if save is not None:
            step("saving")
            with _report_save_errors(save):
                index.retriever.save(save)
        index.retriever.set_params(feedback=feedback)
        step("searching (the first run compiles)")
        found = [find_documents(index.retriever, query, n_hits, index.columns) for query in queries]
    with report_print_errors():
        _print_results(found, _has_stop_words(index.retriever.vectorizer_), as_json, quiet)
        if not (as_json or quiet):
            _print_summary(index, found, save)


class Index(NamedTuple):
    """Documents that can be searched."""

    retriever: Any
    origin: str  # where they came from, and how long that took
    n_empty: int = 0  # documents without text, left out
    told: str = ""  # about the language
    columns: dict[Any, dict[str, str]] = {}  # noqa: RUF012 - values of the columns without text, by id


# -- what is wanted --------------------------------------------------------------------------------------------------


def _split_arguments(words: Sequence[str], demo: bool, save: Path | None) -> tuple[Path | None, Sequence[str]]:
    """Where the documents are, None for the demo, and the queries."""
    if not demo and not any(words[:1]):
        raise UserError("give DOCS, a file or folder, or --demo, and a QUERY; see codebooks search --help.")
    source, queries = (None, words) if demo else (Path(words[0]), words[1:])
    if not queries and save is None:
        raise UserError(f"give a QUERY behind {'--demo' if demo else source}: the words to search for, in quotes.")
    return source, queries


def _check(n_hits: int, feedback: int, queries: Sequence[str]) -> None:
    if n_hits < 1:
        raise UserError(f"--hits must be 1 or more; {n_hits} came.")
    if feedback not in (0, 1):
        raise UserError(f"--feedback must be 0, plain BM25, or 1, a step of the memory; {feedback} came.")
    if not all(query.strip() for query in queries):
        raise UserError("a QUERY is empty; give words to search for.")


@contextmanager
def _report_save_errors(file: Path) -> Iterator[None]:
    """Let an index replace nothing but an index, and a full disk be told as one."""
    with report_write_errors(file, "--save"):
        try:
            yield
        except FileExistsError as error:
            raise UserError(f"--save: {error}") from error


# -- the index -------------------------------------------------------------------------------------------------------


def _load_or_build_index(source: Source, weights: dict[str, int], options: WordOptions, embed: str | None) -> Index:
    """The index in a file, or one that is made now."""
    from codebooks.storage import is_saved_file

    if source.place is None or not is_saved_file(source.place):
        return _build_index(source, weights, options, embed)
    for option in (*source.given(), *options.given()):
        has = "ids" if option == "--id" else "words"
        raise UserError(f"{source.place} is an index that has its {has} already; leave out {option}.")
    return _load_index(source.place, embed)


def _build_index(source: Source, weights: dict[str, int], options: WordOptions, embed: str | None) -> Index:
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    from codebooks.embeddings.text_embedder import TextEmbedder

    try:
        documents, _ = source.read(keep_columns=True)
    except UserError as error:
        if source.place is None or not source.place.is_dir():
            raise
        raise UserError(f"{error} Nor is it a saved index.") from error
    started = perf_counter()
    # All words are kept, unless the user names some: function words are left out of queries instead.
    only_own = options._replace(no_stop_words=True) if options.stop_words else options
    analyzer, told = only_own.make_analyzer(documents.texts)
    if options.stop_words is None and not options.no_stop_words:
        analyzer.set_params(stop_words=None)
    vectorizer = CountVectorizer(analyzer=analyzer, dtype=np.float32, **options.document_frequencies(1, 1.0))
    embedder = None if embed is None else TextEmbedder(embed)
    retriever = codebooks.HopfieldRetriever(vectorizer, keep_texts=True, embedder=embedder)
    try:
        retriever.fit(documents.texts, ids=documents.names)
        count_columns_again(retriever, documents, weights)
    except (ImportError, OSError) as error:  # of the encoder
        raise UserError(str(error)) from error
    except ValueError as error:
        if "must contain words" not in str(error):
            raise UserError(str(error)) from error
        advice = "Give more text." if options.no_stop_words else "Try --no-stop-words, or give more text."
        raise UserError(f"none of the {len(documents.texts)} documents has a word to search by. {advice}") from error
    origin = f"built in {perf_counter() - started:.2f} s"
    columns = dict(zip(documents.names, documents.columns, strict=False))  # the demo has none
    return Index(retriever, origin, documents.n_empty, told, columns)


def _has_stop_words(vectorizer: Any) -> bool:
    from codebooks import TextAnalyzer

    analyzer = getattr(vectorizer, "analyzer", None)
    if isinstance(analyzer, TextAnalyzer):
        return analyzer.has_stop_words()
    return getattr(vectorizer, "stop_words", None) is not None


def _load_index(file: Path, embed: str | None) -> Index:
    started = perf_counter()
    retriever = load_retriever(file, embed)
    if retriever.vectorizer_ is None:
        raise UserError(f"{file} was made of counts and knows no words; search it from Python.")
    return Index(retriever, f"loaded in {perf_counter() - started:.2f} s")


# -- telling ---------------------------------------------------------------------------------------------------------


def _print_results(found: Sequence[Found], stop_words: bool, as_json: bool, quiet: bool) -> None:
    for of_query in found:
        if _OPERATORS.search(of_query.query) and not quiet:
            print("codebooks: AND, OR, NOT, quotes, + - and * are no operators; words are searched.", file=sys.stderr)
        if not of_query.hits:
            print(describe_empty_result(of_query, stop_words), file=sys.stderr if as_json else sys.stdout)
        elif as_json:
            print(*format_json_lines(of_query), sep="\n")
        else:
            print_results(of_query, quiet)


def _print_summary(index: Index, found: Sequence[Found], save: Path | None) -> None:
    """Sizes and times, and how to search again."""
    n_documents, n_terms = len(index.retriever), len(index.retriever.terms_)
    work = f"{format_count(n_documents, 'document')}, {format_count(n_terms, 'term')}; {index.origin}"
    if found:
        work += f", searched in {1000 * sum(of_query.seconds for of_query in found):.1f} ms"
    console = create_console()
    console.print(work, soft_wrap=True)
    if index.told:
        console.print(index.told, soft_wrap=True)
    if index.n_empty:
        console.print(f"empty documents skipped: {index.n_empty:,}")
    if save is not None:
        console.print(f"wrote the index {save}", soft_wrap=True)
        console.print(f"search it again: codebooks search {shlex.quote(str(save))} QUERY", soft_wrap=True)
