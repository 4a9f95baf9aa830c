"""`codebooks topics`: documents in; topics, a figure, tables and a model out."""

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
from codebooks.cli.sources import Column, ReadingOptions, load_documents
from codebooks.cli.text_options import WordOptions

MODELS = {  # how the user spells it -> its name in `codebooks`
    "multinomial": "MultinomialMixture",
    "krotov-hopfield": "KrotovHopfield",
    "mixture": "InhibitedMixture",
    "osc": "OrthogonalSparseCoding",
}
FOR_WORDS, FOR_EMBEDDINGS = "multinomial", "krotov-hopfield"  # what is taken unless asked
MOST_TOPICS = 20  # unless asked for more
FILES = ("topics.csv", "codes.csv", "topics.png", models.FILE)
N_STEPS = 5  # of the work, for the progress bar; embedding is one more


def topics(
    source: Annotated[
        Optional[Path],
        typer.Argument(
            metavar="SOURCE",
            help="A .txt with a document per line; a .csv, .tsv or .jsonl with a document per row; or a folder of "
            ".txt, .md and .rst files; also compressed (.gz, .bz2, .xz, .zip). - is standard input, a document per "
            "line.",
            show_default=False,
        ),
    ] = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Read definitions of nouns, part of the package; leave out SOURCE."),
    ] = False,
    *,
    column: Column = None,
    reading: ReadingOptions,
    n_topics: Annotated[
        Optional[int],
        typer.Option(
            "--topics",
            "-k",
            help=f"How many; left out, {MOST_TOPICS}, or the square root of half the documents where that is less.",
        ),
    ] = None,
    model: Annotated[
        Optional[str],
        typer.Option(
            help=f"What learns: {', '.join(MODELS)}. Left out, {FOR_WORDS}, or {FOR_EMBEDDINGS} with --embed.",
            show_default=False,
        ),
    ] = None,
    embed: Annotated[
        Optional[str],
        typer.Option(
            metavar="ENCODER",
            help="Group documents by meaning instead of by their words: the name or folder of a sentence-transformers "
            "model that embeds them. Needs codebooks-learn[text].",
            show_default=False,
        ),
    ] = None,
    options: WordOptions,
    seed: Annotated[int, typer.Option(help="The same seed gives the same topics.")] = 0,
    out: Annotated[Path, typer.Option(help=f"The folder for {', '.join(FILES)}.")] = Path("topics"),
    overwrite: Overwrite = False,
    raw: Raw = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only errors, and what is assumed about the text.")
    ] = False,
) -> None:
    """Find the topics of your documents.

    Prints them, and writes a table of the topics, one with the topic of every document, a figure and the model. Words
    are weighted by tf-idf. A word counts if it is no number or letter and occurs in enough documents (1 of fewer than
    50, 2 of fewer than 500, 3 of fewer than 5000, else 5) and, from 50 documents on, in no more than half of them.

    With --embed documents are grouped by what an encoder takes them to mean, and the words tell what the groups are
    about. The model that is written holds the encoder by its name.
    """
    if model is None:
        model = FOR_WORDS if embed is None else FOR_EMBEDDINGS
    if model not in MODELS:
        raise UserError(f"there is no model {model!r}; choose one of: {', '.join(MODELS)}.")
    if embed is not None and model == FOR_WORDS:
        raise UserError(f"{FOR_WORDS} learns from words, not from embeddings; leave out --model or --embed.")
    refuse_overwriting([out / name for name in FILES], overwrite)
    from sklearn.pipeline import Pipeline

    with write_atomically(out, FILES) as folder, show_progress(quiet, N_STEPS + (embed is not None)) as step:
        step("reading")
        documents, name = load_documents(source, demo, column, reading)
        learner = getattr(codebooks, MODELS[model])(_choose_n_topics(n_topics, len(documents.texts)), random_state=seed)
        step("loading (the first run compiles)")
        codebooks.warmup(memory=False)
        step("counting words")
        vectorizer, X, told = _vectorize(documents.texts, options)
        preparation, features = Pipeline([("vectorizer", vectorizer)]), X
        if embed is not None:
            step("embedding")
            preparation = Pipeline(build_embedding_steps(embed, len(documents.texts), learner.n_components))
            features = report_embedding_errors(preparation.fit_transform, documents.texts)
        step("learning")
        seconds = _fit(learner, features)
        step("drawing and writing")
        pipeline = Pipeline([*preparation.steps, ("learner", learner)])
        found = _describe_topics(pipeline, features, X, vectorizer.get_feature_names_out(), seconds)
        with report_write_errors(out):
            _write_files(folder, found, documents, name, raw)
    if not quiet:
        with report_print_errors():
            _print_topics(found, documents, out, told)


# -- learning --------------------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """What came out of learning, in the order of the documents and of the units."""

    pipeline: Any  # vectorizer or embedder, and learner, fitted
    topics: list[Any]
    coherence: Any  # (n_topics,) NPMI
    labels: Any  # (n_documents,) the topic of each, -1 for none
    strength: Any  # (n_documents,) how well it fits, as `find_strongest_components` measures it
    seconds: float  # of learning alone
    n_terms: int

    def sort_by_size(self) -> list[tuple[Any, float]]:
        """Topics and their coherence; equal shares go by number."""
        return sorted(zip(self.topics, self.coherence, strict=True), key=lambda pair: -pair[0].usage)


def _choose_n_topics(wanted: int | None, n_documents: int) -> int:
    if wanted is None:
        return min(n_documents, MOST_TOPICS, max(2, round((n_documents / 2) ** 0.5)))
    if wanted < 1:
        raise UserError(f"--topics must be 1 or more; {wanted} came.")
    if wanted > n_documents:
        raise UserError(f"{wanted} topics need {wanted} documents or more; {n_documents} came. Lower --topics.")
    return wanted


def _vectorize(texts: list[str], options: WordOptions) -> tuple[Any, Any, str]:
    """The vectorizer, the words that it counts, and a sentence about the language."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    from codebooks.text.counting import fit_transform

    fewest = next((df for df, below in ((1, 50), (2, 500), (3, 5000)) if len(texts) < below), 5)
    bounds = options.document_frequencies(fewest, 1.0 if len(texts) < 50 else 0.5)
    analyzer, told = options.make_analyzer(texts, numbers=options.token_pattern is not None, parts=False)
    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, analyzer=analyzer, **bounds)
    try:
        return vectorizer, fit_transform(vectorizer, texts), told
    except ValueError as error:  # scikit-learn: "empty vocabulary", "no terms remain"
        advice = "Give more text." if options.no_stop_words else "Try --no-stop-words, or give more text."
        if options.min_df is not None or options.max_df is not None:
            advice = "Change --min-df or --max-df."
        raise UserError(
            f"no word of the {len(texts)} documents is left to learn from: codebooks topics --help says which count. "
            + advice
        ) from error


def _fit(learner: Any, X: Any) -> float:
    """Fit the learner, and say how many seconds that took."""
    started = perf_counter()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* components win no sample")  # told below the table
        warnings.filterwarnings("ignore", "The gates give nearly all rows")  # topics are labels here
        try:
            learner.fit(X)
        except ValueError as error:
            raise UserError(str(error)) from error
    return perf_counter() - started


def _describe_topics(pipeline: Any, features: Any, X: Any, terms: Any, seconds: float) -> Found:
    """Name the units, from `features` that the learner saw and `X` that counts words, which may be one matrix."""
    from codebooks.interpret.topics import topic_words
    from codebooks.metrics import npmi_per_topic

    learner = pipeline[-1]
    labels, strength = find_strongest_components(learner, features)
    named = topic_words(learner, X, feature_names=terms, labels=None if features is X else labels)
    pipeline.topics_ = named  # so that `assign` calls them what the table does
    coherence = npmi_per_topic(named, X, feature_names=terms)
    return Found(pipeline, named, coherence, labels, strength, seconds, len(terms))


# -- telling ---------------------------------------------------------------------------------------------------------


def _print_topics(found: Found, documents: Documents, out: Path, told: str) -> None:
    import numpy as np
    from rich import box
    from rich.table import Table

    from codebooks.metrics import topic_diversity

    console = create_console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("topic", "share", "NPMI"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("words", overflow="fold")
    for topic, score in found.sort_by_size():
        if topic.usage > 0:
            table.add_row(
                str(topic.id),
                f"{topic.usage:.1%}",
                format_score(score, 2),
                ", ".join(map(shorten_word, topic.words)),
            )
    console.print(table)

    judged = found.coherence[~np.isnan(found.coherence)]
    mean = f"mean NPMI {judged.mean():.2f}, " if len(judged) else ""
    sizes = f"{format_count(len(documents.texts), 'document')}, {format_count(found.n_terms, 'term')}"
    console.print(
        f"{sizes}; learned in {found.seconds:.2f} s; {mean}diversity {topic_diversity(found.topics):.2f}",
        soft_wrap=True,
    )
    if told:
        console.print(told, soft_wrap=True)
    if idle := [str(topic.id) for topic in found.topics if topic.usage == 0]:
        console.print(
            f"{len(idle)} of {format_count(len(found.topics), 'topic')} without a document: number {', '.join(idle)}; "
            "a lower --topics would do",
            soft_wrap=True,
        )
    if documents.n_empty:
        console.print(f"empty documents skipped: {documents.n_empty:,}")
    if lost := int((found.labels < 0).sum()):
        console.print(f"documents with none of the terms, given topic -1: {lost:,}")
    place = remove_controls(str(out))
    console.print(f"wrote {', '.join(FILES)} into {place}", soft_wrap=True)
    console.print(f"label new text: codebooks assign {shlex.quote(place)} SOURCE", soft_wrap=True)


# -- writing ---------------------------------------------------------------------------------------------------------


def _write_files(folder: Path, found: Found, documents: Documents, name: str, raw: bool) -> None:
    from codebooks.plots import plot_topics

    rows: list[tuple[Any, ...]] = [("topic", "documents", "share", "npmi", "words")]
    for topic, score in found.sort_by_size():
        count = (found.labels == topic.id).sum()
        rows.append(
            (topic.id, count, f"{topic.usage:.4f}", format_score(score, 4), " ".join(map(shorten_word, topic.words)))
        )
    save_csv(folder / "topics.csv", rows, raw)
    save_csv(folder / "codes.csv", build_assignment_rows(documents, found.labels, found.strength, found.topics), raw)
    named = [replace(topic, words=tuple(map(shorten_word, topic.words))) for topic in found.topics]
    title = f"{remove_controls(name)} · {format_count(len(documents.texts), 'document')}"
    figure = plot_topics(named, found.coherence, title=title)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a script that the font lacks is shown as boxes
        figure.savefig(folder / "topics.png", dpi=120)
    save_model(found.pipeline, folder / models.FILE)
