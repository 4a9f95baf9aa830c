"""`codebooks search`: find documents for a query, and explain the results."""

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
from codebooks.cli.search_results import (
    QueryResult,
    describe_empty_result,
    find_documents,
    format_json_lines,
    print_results,
)
from codebooks.cli.sources import (
    Columns,
    ReadingOptions,
    Source,
    Where,
    apply_column_weights,
    check_source,
    parse_columns,
)
from codebooks.cli.text_options import WordOptions
from codebooks.errors import UserError

# Operators of other search engines.
_OPERATORS = re.compile(r'(?:^|\s)[+-]\w|"|\w\*|\b(?:AND|OR|NOT)\b')
N_STEPS = 3  # of the progress bar


def search(
    docs: Annotated[
        Optional[str],
        typer.Argument(
            metavar="DOCS",
            help="Documents in any format that `topics` reads, or a saved index.",
            show_default=False,
        ),
    ] = None,
    query: Annotated[
        Optional[list[str]],
        typer.Argument(metavar="QUERY", help="Words to search for, each query in quotes.", show_default=False),
    ] = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Search the sample documents of the package, definitions of nouns. Omit DOCS."),
    ] = False,
    *,
    columns: Columns = None,
    reading: ReadingOptions,
    where: Where = None,
    n_hits: Annotated[int, typer.Option("--hits", "-k", help="Largest number of documents for each query.")] = 10,
    embed: Annotated[
        Optional[str],
        typer.Option(
            "--embed",
            metavar="ENCODER",
            help="Search by sentence embeddings too. ENCODER is the name or folder of a sentence-transformers model. "
            "Requires codebooks-learn[text].",
            show_default=False,
        ),
    ] = None,
    feedback: Annotated[
        int, typer.Option(help="1: add related words to the query (relevance feedback); 0: plain BM25.")
    ] = 1,
    options: WordOptions,
    save: Annotated[
        Optional[Path],
        typer.Option(metavar="FILE", help="Save the index to this file. Pass the file as DOCS to search it again."),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print each result as a JSON object on one line. It contains the other columns if DOCS is a table.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors.")] = False,
) -> None:
    """Find documents by the words of a query and by related words.

    Documents are ranked by BM25. The best documents add related words to the query, and the expanded query is searched.
    It also finds documents that use other words than the query. The output lists the added words and the documents that
    they come from, and for each result the words that match. A query is a list of words: AND, OR, NOT, quotes, + - and
    * are not operators.
    """
    path, queries = _split_arguments([] if docs is None else [docs, *(query or [])], demo, save)
    weights = parse_columns(columns)
    source = Source(path, tuple(weights), reading, where)
    _check(n_hits, feedback, queries)
    check_source(path, demo)
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
        results = [find_documents(index.retriever, query, n_hits, index.columns) for query in queries]
    with report_print_errors():
        _print_results(results, _has_stop_words(index.retriever.vectorizer_), as_json, quiet)
        if not (as_json or quiet):
            _print_summary(index, results, save)


class Index(NamedTuple):
    """A fitted retriever, and facts about its documents."""

    retriever: Any
    origin: str  # whether it was built or loaded, and the time
    n_empty: int = 0  # number of skipped empty documents
    language_note: str = ""
    columns: dict[Any, dict[str, str]] = {}  # noqa: RUF012 - values of the other columns, by id


# -- arguments ------------------------------------------------------------------------------------------------------


def _split_arguments(words: Sequence[str], demo: bool, save: Path | None) -> tuple[Path | None, Sequence[str]]:
    """Return the path of the documents, None for the demo, and the queries."""
    if not demo and not any(words[:1]):
        raise UserError("pass DOCS, a file or folder, or --demo, and a QUERY; see codebooks search --help.")
    source, queries = (None, words) if demo else (Path(words[0]), words[1:])
    if not queries and save is None:
        raise UserError(f"pass a QUERY after {'--demo' if demo else source}: words to search for, in quotes.")
    return source, queries


def _check(n_hits: int, feedback: int, queries: Sequence[str]) -> None:
    if n_hits < 1:
        raise UserError(f"--hits must be an integer >= 1, got {n_hits}.")
    if feedback not in (0, 1):
        raise UserError(f"--feedback must be 0 (plain BM25) or 1 (add related words), got {feedback}.")
    if not all(query.strip() for query in queries):
        raise UserError("QUERY must contain words, got an empty string.")


@contextmanager
def _report_save_errors(file: Path) -> Iterator[None]:
    """Convert errors of saving to `UserError`; only an index may be replaced."""
    with report_write_errors(file, "--save"):
        try:
            yield
        except FileExistsError as error:
            raise UserError(f"--save: {error}") from error


# -- the index -------------------------------------------------------------------------------------------------------


def _load_or_build_index(source: Source, weights: dict[str, int], options: WordOptions, embed: str | None) -> Index:
    """Load a saved index, or build an index of the documents."""
    from codebooks.storage import is_saved_file

    if source.path is None or not is_saved_file(source.path):
        return _build_index(source, weights, options, embed)
    for option in (*source.list_set_options(), *options.list_set_options()):
        raise UserError(f"{source.path} is a saved index, whose words and ids are fixed; omit {option}.")
    return _load_index(source.path, embed)


def _build_index(source: Source, weights: dict[str, int], options: WordOptions, embed: str | None) -> Index:
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    from codebooks.embeddings.text_embedder import TextEmbedder

    try:
        documents, _ = source.read(keep_columns=True)
    except UserError as error:
        if source.path is None or not source.path.is_dir():
            raise
        raise UserError(f"{error} It is not a saved index either.") from error
    started = perf_counter()
    # Stop words of the language stay in the index, because function words are ignored in queries instead.
    word_options = options._replace(no_stop_words=True) if options.stop_words else options
    analyzer, language_note = word_options.create_analyzer(documents.texts)
    if options.stop_words is None and not options.no_stop_words:
        analyzer.set_params(stop_words=None)
    vectorizer = CountVectorizer(analyzer=analyzer, dtype=np.float32, **options.parse_document_frequencies(1, 1.0))
    embedder = None if embed is None else TextEmbedder(embed)
    retriever = codebooks.HopfieldRetriever(vectorizer, keep_texts=True, embedder=embedder)
    try:
        retriever.fit(documents.texts, ids=documents.names)
        apply_column_weights(retriever, documents, weights)
    except (ImportError, OSError) as error:  # of the encoder
        raise UserError(str(error)) from error
    except ValueError as error:
        if "must contain words" not in str(error):
            raise UserError(str(error)) from error
        advice = "Add more text." if options.no_stop_words else "Try --no-stop-words, or add more text."
        raise UserError(
            f"none of the {len(documents.texts)} documents contains a word to search for. {advice}"
        ) from error
    origin = f"built in {perf_counter() - started:.2f} s"
    columns = dict(zip(documents.names, documents.columns, strict=False))  # the demo has none
    return Index(retriever, origin, documents.n_empty, language_note, columns)


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
        raise UserError(f"{file} was built from counts and contains no words; search it in Python.")
    return Index(retriever, f"loaded in {perf_counter() - started:.2f} s")


# -- output ----------------------------------------------------------------------------------------------------------


def _print_results(results: Sequence[QueryResult], stop_words: bool, as_json: bool, quiet: bool) -> None:
    for result in results:
        if _OPERATORS.search(result.query) and not quiet:
            print(
                "codebooks: AND, OR, NOT, quotes, + - and * are not operators; only words are searched.",
                file=sys.stderr,
            )
        if not result.hits:
            print(describe_empty_result(result, stop_words), file=sys.stderr if as_json else sys.stdout)
        elif as_json:
            print(*format_json_lines(result), sep="\n")
        else:
            print_results(result, quiet)


def _print_summary(index: Index, results: Sequence[QueryResult], save: Path | None) -> None:
    """Print sizes and times, and the command to search a saved index."""
    n_documents, n_terms = len(index.retriever), len(index.retriever.terms_)
    summary = f"{format_count(n_documents, 'document')}, {format_count(n_terms, 'term')}; {index.origin}"
    if results:
        summary += f", searched in {1000 * sum(result.seconds for result in results):.1f} ms"
    console = create_console()
    console.print(summary, soft_wrap=True)
    if index.language_note:
        console.print(index.language_note, soft_wrap=True)
    if index.n_empty:
        console.print(f"skipped empty documents: {index.n_empty:,}")
    if save is not None:
        console.print(f"saved the index {save}", soft_wrap=True)
        console.print(f"search it again: codebooks search {shlex.quote(str(save))} QUERY", soft_wrap=True)
