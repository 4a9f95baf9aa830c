"""`codebooks topics`: find topics, and write tables, a figure and a model."""

# ruff: noqa: UP045 - the oldest typer that we support reads Optional[X], not X | None

from __future__ import annotations

import shlex
import warnings
from dataclasses import replace
from math import isnan
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

import codebooks
from codebooks.cli import models
from codebooks.cli.assignment_table import build_assignment_rows, compute_strength
from codebooks.cli.atomic_output import (
    Overwrite,
    Raw,
    refuse_overwriting,
    report_write_errors,
    save_csv,
    write_atomically,
)
from codebooks.cli.console import (
    create_console,
    format_count,
    format_score,
    report_embedding_errors,
    report_print_errors,
    show_progress,
)
from codebooks.cli.control_characters import remove_controls, shorten_word
from codebooks.cli.readers import Documents, UserError
from codebooks.cli.sources import Column, ReadingOptions, check_source, load_documents
from codebooks.cli.text_options import WordOptions, read_option_file

if TYPE_CHECKING:
    from codebooks.topic_model.model import TopicModel

MODELS = {  # value of --model -> class in `codebooks`
    "multinomial": "MultinomialMixture",
    "krotov-hopfield": "KrotovHopfield",
    "mixture": "InhibitedMixture",
    "osc": "OrthogonalSparseCoding",
}
FILES = ("topics.csv", "codes.csv", "topics.png", models.FILE)
N_STEPS = 4  # of the progress bar


def topics(
    source: Annotated[
        Optional[Path],
        typer.Argument(
            metavar="SOURCE",
            help="A .txt file with a document per line; a .csv, .tsv or .jsonl file with a document per row; a folder "
            "of .txt, .md and .rst files; or - for standard input with a document per line. Files may be compressed "
            "(.gz, .bz2, .xz, .zip).",
            show_default=False,
        ),
    ] = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Use the sample documents of the package, definitions of nouns. Omit SOURCE."),
    ] = False,
    *,
    column: Column = None,
    reading: ReadingOptions,
    n_topics: Annotated[
        str,
        typer.Option(
            "--topics",
            "-k",
            metavar="N",
            help="Number of topics, or auto, which compares models of different documents to choose it.",
        ),
    ] = "auto",
    seed_words: Annotated[
        Optional[Path],
        typer.Option(
            metavar="FILE",
            help="A text file of topics that must exist. A line is a name, a colon and words, such as economy: bank "
            "interest. Further topics are found beside them.",
            show_default=False,
        ),
    ] = None,
    merge: Annotated[
        Optional[list[str]],
        typer.Option(
            metavar="N,N",
            help="Merge these topics, such as 3,7, after they were found. Repeat the option for further groups.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Optional[str],
        typer.Option(
            help=f"Model: {', '.join(MODELS)}. The default is multinomial, or mixture with --embed.",
            show_default=False,
        ),
    ] = None,
    embed: Annotated[
        Optional[str],
        typer.Option(
            metavar="ENCODER",
            help="Group documents by sentence embeddings instead of words. ENCODER is the name or folder of a "
            "sentence-transformers model. Requires codebooks-learn[text].",
            show_default=False,
        ),
    ] = None,
    options: WordOptions,
    seed: Annotated[int, typer.Option(help="Seed of random numbers. The same seed gives the same topics.")] = 0,
    out: Annotated[Path, typer.Option(help=f"The folder to write {', '.join(FILES)} to.")] = Path("topics"),
    overwrite: Overwrite = False,
    raw: Raw = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors, and notes about the input.")] = False,
) -> None:
    """Find the topics of your documents.

    Prints the topics, and writes a table of the topics, a table with the topic of each document, a figure and the
    model, which contains the documents. Topics marked as mixed collect documents that fit no other topic.

    Words are weighted by tf-idf. Numbers, single letters and rare words are omitted: a word must occur in 2 documents
    if there are at least 50, in 3 if there are at least 500, in 5 if there are at least 5000. With at least 50
    documents, words in more than half of them are omitted too.

    With --embed, documents are grouped by sentence embeddings, and words describe the groups. The saved model contains
    the name of the encoder, not the encoder itself.
    """
    if model is not None and model not in MODELS:
        raise UserError(f"--model must be one of {', '.join(MODELS)}, got {model!r}.")
    if embed is not None and model == "multinomial":
        raise UserError("--model multinomial requires words, not embeddings; omit --model or --embed.")
    if seed_words is not None and model == "osc":
        raise UserError("--model osc does not learn from seed words; omit --seed-words, or use another --model.")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed must be an integer from 0 to {2**32 - 1}, got {seed}.")
    number, groups = _parse_n_topics(n_topics), [_parse_group(group) for group in merge or []]
    check_source(source, demo)
    seeds = None if seed_words is None else _read_seed_words(seed_words)
    refuse_overwriting([out / name for name in FILES], overwrite)
    with write_atomically(out, FILES) as folder, show_progress(quiet, N_STEPS) as step:
        step("reading")
        documents, name = load_documents(source, column, reading)
        if number != "auto" and number > len(documents.texts):
            raise UserError(f"--topics must be at most the number of documents, {len(documents.texts)}, got {number}.")
        step("loading (the first run compiles)")
        codebooks.warmup(memory=False)
        step("finding topics")
        settings, language_note = _build_settings(documents.texts, options)
        unfitted = codebooks.TopicModel(
            number,
            embedder=None if embed is None else _resolve_encoder(embed),
            learner=None if model is None else getattr(codebooks, MODELS[model])(),
            seed_words=seeds,
            random_state=seed,
            **settings,
        )
        started = perf_counter()
        fitted = _fit(unfitted, documents.texts, groups, options)
        seconds = perf_counter() - started
        step("drawing and writing")
        with report_write_errors(out):
            _write_files(folder, fitted, documents, name, raw)
    if not quiet:
        with report_print_errors():
            _print_topics(fitted, documents, out, seconds, language_note)


# -- options ---------------------------------------------------------------------------------------------------------


def _parse_n_topics(text: str) -> Any:
    try:
        number = text if text == "auto" else int(text)
    except ValueError:
        number = 0
    if isinstance(number, int) and number < 1:
        raise UserError(f"--topics must be an integer >= 1 or auto, got {text[:40]!r}.")
    return number


def _parse_group(text: str) -> list[int]:
    try:
        return [int(id) for id in text.split(",")]
    except ValueError as error:
        raise UserError(f"--merge must be ids of topics, such as 3,7, got {text[:40]!r}.") from error


def _read_seed_words(file: Path) -> dict[str, list[str]]:
    seeds: dict[str, list[str]] = {}
    for number, line in enumerate(read_option_file(file, "seed words").splitlines(), 1):
        name, _, words = (part.strip() for part in line.partition(":"))
        if not line.strip():
            continue
        if not name or not words:
            raise UserError(f"line {number} of {file} must have the form name: word word, got {line[:40]!r}.")
        seeds.setdefault(name, []).extend(words.replace(",", " ").split())
    return seeds


def _resolve_encoder(encoder: str) -> str:
    """Return the name of an encoder, or its folder as an absolute path, because `assign` may run in another folder."""
    folder = Path(encoder).expanduser()
    return str(folder.resolve()) if folder.is_dir() else encoder


def _build_settings(texts: list[str], options: WordOptions) -> tuple[dict[str, Any], str]:
    """Return the settings of `TopicModel` for the options of words, and a note about the language."""
    analyzer, note = options.create_analyzer(texts, numbers=options.token_pattern is not None, parts=False)
    if set(options.list_set_options()) <= {"--language"}:
        return {"language": analyzer.language}, note
    from codebooks.topic_model.vocabulary import build_vectorizers

    vectorizer = build_vectorizers(texts, None, None)[0]
    bounds = options.parse_document_frequencies(vectorizer.min_df, vectorizer.max_df)
    return {"vectorizer": vectorizer.set_params(analyzer=analyzer, **bounds)}, note


# -- fitting ---------------------------------------------------------------------------------------------------------


def _fit(model: TopicModel, texts: list[str], groups: list[list[int]], options: WordOptions) -> TopicModel:
    try:
        fitted = model.fit(texts) if model.embedder is None else report_embedding_errors(model.fit, texts)
        return fitted.merge(groups) if groups else fitted
    except ValueError as error:
        message = str(error).replace("`groups`", "--merge").replace("`seed_words`", "--seed-words")
        if message.startswith("TopicModel expected documents with words"):
            advice = "Add more text." if options.no_stop_words else "Try --no-stop-words, or add more text."
            if options.min_df is not None or options.max_df is not None:
                advice = "Change --min-df or --max-df."
            message = f"no word of the {len(texts)} documents meets the conditions in codebooks topics --help. {advice}"
        raise UserError(message) from error


def _explain_number(model: TopicModel) -> str:
    """Return the number of topics that was chosen, and the reason."""
    n, selection = len(model.topics_), model.selection_
    if selection is None:
        reason = ", the square root of half the number of documents"
    else:
        # The first sentence is "Use 5 components" alone, or followed by doubts after a colon.
        reason = selection.reason.split(". ")[0].partition(" components")[2].rstrip(".")
        reason = reason.replace("component", "topic").replace("rows", "documents")
        if ":" not in reason:
            broad = f" (or {selection.n_broad} broad ones)" if (selection.n_broad or n) < n else ""
            reason = f"{broad}, chosen because models of different documents agree best on this number"
    return f"{format_count(n, 'topic')}{reason}; --topics sets another number"


# -- output ----------------------------------------------------------------------------------------------------------


def _list_topics(model: TopicModel) -> list[Any]:
    """Return the topics by descending size, with shortened words."""
    shortened = (
        replace(
            topic,
            words=tuple(map(shorten_word, topic.words)),
            name=", ".join(map(shorten_word, topic.name.split(", "))),
        )
        for topic in model.topics_
    )
    return sorted(shortened, key=lambda topic: -topic.usage)


def _print_topics(model: TopicModel, documents: Documents, out: Path, seconds: float, language_note: str) -> None:
    from rich import box
    from rich.table import Table

    from codebooks.metrics import topic_diversity

    console, topics = create_console(), _list_topics(model)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("topic", "share", "NPMI"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("words", overflow="fold")
    for topic in topics:
        if topic.usage > 0:
            mark = "(mixed) " if topic.is_mixed else ""
            words = str(topic).partition(":")[2].strip()  # with the name, if it is not made from the words
            table.add_row(str(topic.id), f"{topic.usage:.1%}", format_score(topic.coherence, 2), mark + words)
    console.print(table)

    def print_line(text: str) -> None:
        console.print(text, soft_wrap=True)

    if model.n_topics == "auto":
        print_line(_explain_number(model))
    coherence = [topic.coherence for topic in topics if not isnan(topic.coherence)]
    mean = f"mean NPMI {fmean(coherence):.2f}, " if coherence else ""
    n_terms = format_count(len(model.vectorizer_.vocabulary_), "term")
    sizes = f"{format_count(len(documents.texts), 'document')}, {n_terms}"
    print_line(f"{sizes}; fitted in {seconds:.2f} s; {mean}diversity {topic_diversity(model.topics_):.2f}")
    if language_note:
        print_line(language_note)
    if idle := sorted(topic.id for topic in topics if topic.usage == 0):
        number = format_count(len(topics), "topic")
        print_line(f"{len(idle)} of {number} without documents: {', '.join(map(str, idle))}; use a smaller --topics")
    if documents.n_empty:
        print_line(f"skipped empty documents: {documents.n_empty:,}")
    if n_unassigned := int((model.labels_ < 0).sum()):
        print_line(f"documents without any of the terms (topic -1): {n_unassigned:,}")
    folder = remove_controls(str(out))
    print_line(f"wrote {', '.join(FILES)} to {folder}")
    print_line(f"label new documents: codebooks assign {shlex.quote(folder)} SOURCE")


# -- writing ---------------------------------------------------------------------------------------------------------


def _write_files(folder: Path, model: TopicModel, documents: Documents, name: str, raw: bool) -> None:
    from codebooks.plots import plot_topics

    topics = _list_topics(model)
    rows: list[tuple[Any, ...]] = [("topic", "documents", "share", "npmi", "words", "name", "mixed")]
    for topic in topics:
        scores = f"{topic.usage:.4f}", format_score(topic.coherence, 4)
        rows.append((topic.id, topic.size, *scores, " ".join(topic.words), topic.name, "yes" if topic.is_mixed else ""))
    save_csv(folder / "topics.csv", rows, raw)
    strength = compute_strength(model, model._documents.features)
    save_csv(folder / "codes.csv", build_assignment_rows(documents, model.labels_, strength, model.topics_), raw)
    title = f"{remove_controls(name)} · {format_count(len(documents.texts), 'document')}"
    figure = plot_topics(topics, [topic.coherence for topic in topics], title=title)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # characters that the font lacks appear as boxes
        figure.savefig(folder / "topics.png", dpi=120)
    model.save(folder / models.FILE)
