"""`codebooks topics`: find topics, and write tables, a figure and a model."""

# ruff: noqa: UP045 - the oldest typer that we support reads Optional[X], not X | None

from __future__ import annotations

import shlex
import warnings
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, NamedTuple, Optional

import typer

import codebooks
from codebooks.cli import models
from codebooks.cli.assignment_table import build_assignment_rows, find_strongest_components
from codebooks.cli.atomic_output import (
    Overwrite,
    Raw,
    refuse_overwriting,
    report_write_errors,
    save_csv,
    write_atomically,
)
from codebooks.cli.console import create_console, format_count, format_score, report_print_errors, show_progress
from codebooks.cli.control_characters import remove_controls, shorten_word
from codebooks.cli.embedding_steps import build_embedding_steps, report_embedding_errors
from codebooks.cli.models import save_model
from codebooks.cli.readers import Documents, UserError
from codebooks.cli.sources import Column, ReadingOptions, check_source, load_documents
from codebooks.cli.text_options import WordOptions

MODELS = {  # value of --model -> class in `codebooks`
    "multinomial": "MultinomialMixture",
    "krotov-hopfield": "KrotovHopfield",
    "mixture": "InhibitedMixture",
    "osc": "OrthogonalSparseCoding",
}
FOR_WORDS, FOR_EMBEDDINGS = "multinomial", "krotov-hopfield"  # default models
MAX_DEFAULT_TOPICS = 20
FILES = ("topics.csv", "codes.csv", "topics.png", models.FILE)
N_STEPS = 5  # of the progress bar, without embedding


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
        Optional[int],
        typer.Option(
            "--topics",
            "-k",
            help=f"Number of topics. The default is the square root of half the number of documents, at most "
            f"{MAX_DEFAULT_TOPICS}.",
        ),
    ] = None,
    model: Annotated[
        Optional[str],
        typer.Option(
            help=f"Model: {', '.join(MODELS)}. The default is {FOR_WORDS}, or {FOR_EMBEDDINGS} with --embed.",
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
    model. Words are weighted by tf-idf. Numbers, single letters and rare words are omitted: a word must occur in 2
    documents if there are at least 50, in 3 if there are at least 500, in 5 if there are at least 5000. With at least
    50 documents, words in more than half of them are omitted too.

    With --embed, documents are grouped by sentence embeddings, and words describe the groups. The saved model contains
    the name of the encoder, not the encoder itself.
    """
    if model is None:
        model = FOR_WORDS if embed is None else FOR_EMBEDDINGS
    if model not in MODELS:
        raise UserError(f"--model must be one of {', '.join(MODELS)}, got {model!r}.")
    if embed is not None and model == FOR_WORDS:
        raise UserError(f"--model {FOR_WORDS} requires words, not embeddings; omit --model or --embed.")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed must be an integer from 0 to {2**32 - 1}, got {seed}.")
    check_source(source, demo)
    refuse_overwriting([out / name for name in FILES], overwrite)
    from sklearn.pipeline import Pipeline

    with write_atomically(out, FILES) as folder, show_progress(quiet, N_STEPS + (embed is not None)) as step:
        step("reading")
        documents, name = load_documents(source, column, reading)
        learner = getattr(codebooks, MODELS[model])(_choose_n_topics(n_topics, len(documents.texts)), random_state=seed)
        step("loading (the first run compiles)")
        codebooks.warmup(memory=False)
        step("counting words")
        vectorizer, X, language_note = _vectorize(documents.texts, options)
        preparation, features = Pipeline([("vectorizer", vectorizer)]), X
        if embed is not None:
            step("embedding")
            preparation = Pipeline(build_embedding_steps(embed, len(documents.texts), learner.n_components))
            features = report_embedding_errors(preparation.fit_transform, documents.texts)
        step("learning")
        seconds = _fit(learner, features)
        step("drawing and writing")
        pipeline = Pipeline([*preparation.steps, ("learner", learner)])
        result = _describe_topics(pipeline, features, X, vectorizer.get_feature_names_out(), seconds)
        with report_write_errors(out):
            _write_files(folder, result, documents, name, raw)
    if not quiet:
        with report_print_errors():
            _print_topics(result, documents, out, language_note)


# -- fitting ---------------------------------------------------------------------------------------------------------


class TopicsResult(NamedTuple):
    """The fitted pipeline, its topics, and the assignment of the documents."""

    pipeline: Any  # fitted; vectorizer or embedder, then the model
    topics: list[Any]
    coherence: Any  # (n_topics,) NPMI
    labels: Any  # (n_documents,) topic of each document, -1 for none
    strength: Any  # (n_documents,) strength of the assignment, see `find_strongest_components`
    seconds: float  # of fitting only
    n_terms: int

    def sort_by_size(self) -> list[tuple[Any, float]]:
        """Return topics and their coherence by descending size, ties by id."""
        return sorted(zip(self.topics, self.coherence, strict=True), key=lambda pair: -pair[0].usage)


def _choose_n_topics(n_topics: int | None, n_documents: int) -> int:
    if n_topics is None:
        return min(n_documents, MAX_DEFAULT_TOPICS, max(2, round((n_documents / 2) ** 0.5)))
    if n_topics < 1:
        raise UserError(f"--topics must be an integer >= 1, got {n_topics}.")
    if n_topics > n_documents:
        raise UserError(f"--topics must be at most the number of documents, {n_documents}, got {n_topics}.")
    return n_topics


def _vectorize(texts: list[str], options: WordOptions) -> tuple[Any, Any, str]:
    """Return the vectorizer, the matrix of the documents, and a note about the language."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    from codebooks.text.counting import fit_transform

    min_df = next((df for df, limit in ((1, 50), (2, 500), (3, 5000)) if len(texts) < limit), 5)
    bounds = options.parse_document_frequencies(min_df, 1.0 if len(texts) < 50 else 0.5)
    analyzer, note = options.create_analyzer(texts, numbers=options.token_pattern is not None, parts=False)
    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, analyzer=analyzer, **bounds)
    try:
        return vectorizer, fit_transform(vectorizer, texts), note
    except ValueError as error:  # scikit-learn: "empty vocabulary", "no terms remain"
        advice = "Add more text." if options.no_stop_words else "Try --no-stop-words, or add more text."
        if options.min_df is not None or options.max_df is not None:
            advice = "Change --min-df or --max-df."
        raise UserError(
            f"no word of the {len(texts)} documents meets the conditions in codebooks topics --help. " + advice
        ) from error


def _fit(learner: Any, X: Any) -> float:
    """Fit the model, and return the time in seconds."""
    started = perf_counter()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* components win no sample")  # printed below the table
        warnings.filterwarnings("ignore", "The gates give nearly all rows")  # only the labels are used here
        try:
            learner.fit(X)
        except ValueError as error:
            raise UserError(str(error)) from error
    return perf_counter() - started


def _describe_topics(pipeline: Any, features: Any, X: Any, terms: Any, seconds: float) -> TopicsResult:
    """Describe the components by words, from the input of the model and the matrix of words, which may be the same."""
    from codebooks.interpret.topics import topic_words
    from codebooks.metrics import npmi_per_topic

    learner = pipeline[-1]
    labels, strength = find_strongest_components(learner, features)
    topics = topic_words(learner, X, feature_names=terms, labels=None if features is X else labels)
    pipeline.topics_ = topics  # for `assign`
    coherence = npmi_per_topic(topics, X, feature_names=terms)
    return TopicsResult(pipeline, topics, coherence, labels, strength, seconds, len(terms))


# -- output ----------------------------------------------------------------------------------------------------------


def _print_topics(result: TopicsResult, documents: Documents, out: Path, language_note: str) -> None:
    import numpy as np
    from rich import box
    from rich.table import Table

    from codebooks.metrics import topic_diversity

    console = create_console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("topic", "share", "NPMI"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("words", overflow="fold")
    for topic, score in result.sort_by_size():
        if topic.usage > 0:
            table.add_row(
                str(topic.id),
                f"{topic.usage:.1%}",
                format_score(score, 2),
                ", ".join(map(shorten_word, topic.words)),
            )
    console.print(table)

    defined = result.coherence[~np.isnan(result.coherence)]
    mean = f"mean NPMI {defined.mean():.2f}, " if len(defined) else ""
    sizes = f"{format_count(len(documents.texts), 'document')}, {format_count(result.n_terms, 'term')}"
    console.print(
        f"{sizes}; fitted in {result.seconds:.2f} s; {mean}diversity {topic_diversity(result.topics):.2f}",
        soft_wrap=True,
    )
    if language_note:
        console.print(language_note, soft_wrap=True)
    if idle := [str(topic.id) for topic in result.topics if topic.usage == 0]:
        console.print(
            f"{len(idle)} of {format_count(len(result.topics), 'topic')} without documents: {', '.join(idle)}; "
            "use a smaller --topics",
            soft_wrap=True,
        )
    if documents.n_empty:
        console.print(f"skipped empty documents: {documents.n_empty:,}")
    if n_unassigned := int((result.labels < 0).sum()):
        console.print(f"documents without any of the terms (topic -1): {n_unassigned:,}")
    folder = remove_controls(str(out))
    console.print(f"wrote {', '.join(FILES)} to {folder}", soft_wrap=True)
    console.print(f"label new documents: codebooks assign {shlex.quote(folder)} SOURCE", soft_wrap=True)


# -- writing ---------------------------------------------------------------------------------------------------------


def _write_files(folder: Path, result: TopicsResult, documents: Documents, name: str, raw: bool) -> None:
    from codebooks.plots import plot_topics

    rows: list[tuple[Any, ...]] = [("topic", "documents", "share", "npmi", "words")]
    for topic, score in result.sort_by_size():
        count = (result.labels == topic.id).sum()
        rows.append(
            (topic.id, count, f"{topic.usage:.4f}", format_score(score, 4), " ".join(map(shorten_word, topic.words)))
        )
    save_csv(folder / "topics.csv", rows, raw)
    save_csv(folder / "codes.csv", build_assignment_rows(documents, result.labels, result.strength, result.topics), raw)
    topics = [replace(topic, words=tuple(map(shorten_word, topic.words))) for topic in result.topics]
    title = f"{remove_controls(name)} · {format_count(len(documents.texts), 'document')}"
    figure = plot_topics(topics, result.coherence, title=title)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # characters that the font lacks appear as boxes
        figure.savefig(folder / "topics.png", dpi=120)
    save_model(result.pipeline, folder / models.FILE)
