"""The command line: text in; topics, a figure and a model out."""

# ruff: noqa: UP045 - the oldest typer that we support reads Optional[X], not X | None

from __future__ import annotations

import csv
import os
import shlex
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from io import TextIOWrapper
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, NamedTuple, Optional, TextIO

import typer

import codebooks
from codebooks.documents import Documents, UserError, read_documents

# What learns, numpy, scikit-learn and matplotlib are imported where they are used: --help must not wait for them.

MODELS = {  # how the user spells it -> its name in `codebooks`; the first is taken unless asked
    "krotov-hopfield": "KrotovHopfield",
    "mixture": "InhibitedMixture",
    "osc": "OrthogonalSparseCoding",
}
MOST_TOPICS = 20  # unless asked for more
TERM = r"\b(?=\w\w)\w*[^\W\d_]\w*"  # two characters or more, one of them a letter
FILES = ("topics.csv", "codes.csv", "topics.png", "model.joblib")
N_STEPS = 5  # of the work, for the progress bar

app = typer.Typer(
    help="""Topics without labels: what is in these documents, and which is about what?

\b
codebooks topics --demo                     on docstrings that are installed anyway
codebooks topics reviews.csv --column text  on your own; writes into topics/
codebooks assign topics/model.joblib new.txt""",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; this is the console script `codebooks`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a letter is no reason to lose the work
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="codebooks")


def told(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what a user can put right into one sentence and exit code 2, and Ctrl-C into exit code 130."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except UserError as error:
            print("codebooks:", *str(error).split(), file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            print("codebooks: interrupted", file=sys.stderr)
            raise typer.Exit(130) from None

    return run


def _print_version(wanted: bool) -> None:
    if wanted:
        print("codebooks", codebooks.__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold what stands before a command."""


Column = Annotated[
    Optional[str], typer.Option(help="The column of a table that holds the text; needless where it has only one.")
]


@app.command("topics")
@told
def learn(
    source: Annotated[
        Optional[Path],
        typer.Argument(
            metavar="SOURCE",
            help="A .txt with a document per line; a .csv, .tsv or .jsonl with a document per row; or a folder of "
            ".txt, .md and .rst files. UTF-8, also gzipped.",
            show_default=False,
        ),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Read the docstrings of installed packages instead.")] = False,
    column: Column = None,
    n_topics: Annotated[
        Optional[int],
        typer.Option(
            "--topics",
            "-k",
            help=f"How many; left out, {MOST_TOPICS}, or the square root of half the documents where that is less.",
        ),
    ] = None,
    model: Annotated[str, typer.Option(help=f"What learns: {', '.join(MODELS)}.")] = next(iter(MODELS)),
    stop_words: Annotated[
        bool,
        typer.Option(
            "--stop-words/--no-stop-words",
            help="Leave out the commonest English words, or keep them: for text in another language.",
        ),
    ] = True,
    seed: Annotated[int, typer.Option(help="The same seed gives the same topics.")] = 0,
    out: Annotated[Path, typer.Option(help=f"The folder for {', '.join(FILES)}.")] = Path("topics"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Find the topics of your documents.

    Prints them, and writes a table of the topics, one with the topic of every document, a figure and the model. Words
    are weighted by tf-idf. A word counts if it occurs in enough documents (1 of fewer than 50, 2 of fewer than 500, 3
    of fewer than 5000, else 5) and, from 50 documents on, in no more than half of them.
    """
    if model not in MODELS:
        raise UserError(f"there is no model {model!r}; choose one of: {', '.join(MODELS)}.")
    with written_aside(out, FILES) as folder, progress_bar(quiet) as step:
        step("reading")
        documents, name = _source(source, demo, column)
        learner = getattr(codebooks, MODELS[model])(_n_topics(n_topics, len(documents.texts)), random_state=seed)
        step("loading (the first run compiles)")
        codebooks.warmup()
        step("counting words")
        vectorizer, X = _vectorized(documents.texts, stop_words)
        step("learning")
        seconds = _fitted(learner, X)
        step("drawing and writing")
        found = _found(vectorizer, learner, X, seconds)
        _write(folder, found, documents, name)
    if not quiet:
        _show(found, documents, out)


@app.command()
@told
def assign(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model.joblib. Loading one can run code: trust whom it is from.")
    ],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="New text, in any form that `topics` reads.")],
    column: Column = None,
    out: Annotated[Optional[Path], typer.Option(help="The CSV file to write; left out, it is printed.")] = None,
    reject_below: Annotated[
        Optional[float], typer.Option(help="Give topic -1 to documents of less strength than this.")
    ] = None,
) -> None:
    """Label new documents with a saved model.

    Gives the topic of each as CSV, with its strength and what the topic is about. Strength is the cosine of a document
    with its topic, 1 at best.
    """
    if reject_below is not None and not -1 <= reject_below <= 1:
        raise UserError(f"--reject-below is a cosine, from -1 to 1; {reject_below} came.")
    pipeline = _loaded(model)
    documents = read_documents(source, column)
    X = pipeline[:-1].transform(documents.texts)
    labels, strength = _winners(pipeline[-1], X)
    if reject_below is not None:
        labels[strength < reject_below] = -1
    rows = _codes(documents, labels, strength, pipeline.topics_)
    if out is None:
        _write_csv(sys.stdout, rows)
    else:
        with written_aside(out.parent, [out.name]) as folder:
            _save_csv(folder / out.name, rows)
    if documents.n_empty:
        print(f"codebooks: empty documents skipped: {documents.n_empty:,}", file=sys.stderr)


# -- learning --------------------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """What came out of learning, in the order of the documents and of the units."""

    pipeline: Any  # vectorizer and learner, fitted
    topics: list[Any]
    coherence: Any  # (n_topics,) NPMI
    labels: Any  # (n_documents,) the topic of each, -1 for none
    strength: Any  # (n_documents,) its cosine with it
    seconds: float  # of learning alone
    n_terms: int

    def largest_first(self) -> list[tuple[Any, float]]:
        """Topics and their coherence; equal shares go by number."""
        return sorted(zip(self.topics, self.coherence, strict=True), key=lambda pair: -pair[0].usage)


def _source(source: Path | None, demo: bool, column: str | None) -> tuple[Documents, str]:
    """The documents, and what they are called."""
    if demo == (source is not None):
        raise UserError("give either a SOURCE of text or --demo; see codebooks topics --help.")
    if source is not None:
        return read_documents(source, column), source.resolve().name
    if column is not None:
        raise UserError("--demo has no columns; leave out --column.")
    from codebooks.datasets import load_docstrings

    corpus = load_docstrings()
    return Documents(corpus.documents, corpus.ids or [], 0), corpus.name


def _n_topics(wanted: int | None, n_documents: int) -> int:
    if wanted is None:
        return min(n_documents, MOST_TOPICS, max(2, round((n_documents / 2) ** 0.5)))
    if wanted < 1:
        raise UserError(f"--topics must be 1 or more; {wanted} came.")
    if wanted > n_documents:
        raise UserError(f"{wanted} topics need {wanted} documents or more; {n_documents} came. Lower --topics.")
    return wanted


def _vectorized(texts: list[str], stop_words: bool) -> tuple[Any, Any]:
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    fewest = next((df for df, below in ((1, 50), (2, 500), (3, 5000)) if len(texts) < below), 5)
    vectorizer = TfidfVectorizer(
        sublinear_tf=True,
        dtype=np.float32,
        token_pattern=TERM,
        stop_words="english" if stop_words else None,
        min_df=fewest,
        max_df=1.0 if len(texts) < 50 else 0.5,
    )
    try:
        return vectorizer, vectorizer.fit_transform(texts)
    except ValueError as error:  # scikit-learn: "empty vocabulary", "no terms remain"
        advice = "Try --no-stop-words, or give more text." if stop_words else "Give more text."
        raise UserError(
            f"no word of the {len(texts)} documents is left to learn from: codebooks topics --help says which count. "
            + advice
        ) from error


def _fitted(learner: Any, X: Any) -> float:
    """Fit the learner, and say how many seconds that took."""
    started = perf_counter()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* units win no row")  # told below the table
        warnings.filterwarnings("ignore", ".* of the rows belong to one expert")  # topics are labels here
        try:
            learner.fit(X)
        except ValueError as error:
            raise UserError(str(error)) from error
    return perf_counter() - started


def _found(vectorizer: Any, learner: Any, X: Any, seconds: float) -> Found:
    from sklearn.pipeline import Pipeline

    from codebooks.scores import npmi_per_topic
    from codebooks.topics import topics

    terms = vectorizer.get_feature_names_out()
    named = topics(learner, terms, X=X)
    pipeline = Pipeline([("vectorizer", vectorizer), ("learner", learner)])
    pipeline.topics_ = named  # so that `assign` calls them what the table does
    coherence = npmi_per_topic(named, X, terms=terms)
    return Found(pipeline, named, coherence, *_winners(learner, X), seconds, len(terms))


def _winners(learner: Any, X: Any) -> tuple[Any, Any]:
    """The unit that wins each row, and the cosine of the row with it: 0 where none does."""
    import numpy as np
    from sklearn.preprocessing import normalize

    from codebooks.topics import codebook, winners

    labels, X = winners(learner, X), normalize(X)
    strength = np.zeros(len(labels))
    for k, unit in enumerate(normalize(codebook(learner))):
        strength[labels == k] = X[labels == k] @ unit
    return labels, strength


def _loaded(file: Path) -> Any:
    import joblib
    from sklearn.pipeline import Pipeline

    try:
        pipeline = joblib.load(file)
    except FileNotFoundError:
        raise UserError(f"there is no model {file}; make one with codebooks topics.") from None
    except Exception as error:  # a broken pickle can raise anything
        raise UserError(f"{file} cannot be loaded as a model ({type(error).__name__}: {error}).") from error
    if not isinstance(pipeline, Pipeline) or "topics_" not in vars(pipeline):
        raise UserError(f"{file} is not a model of ours; make one with codebooks topics.")
    return pipeline


# -- telling ---------------------------------------------------------------------------------------------------------


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[str], None]]:
    """A bar on the terminal that is gone when the work is done; call it with the name of each step."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=N_STEPS, completed=-1)  # a step counts when the next one begins
        yield lambda name: progress.update(task, description=name, advance=1)


def _show(found: Found, documents: Documents, out: Path) -> None:
    import numpy as np
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from codebooks.scores import topic_diversity

    console = Console(markup=False, emoji=False, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("topic", "share", "NPMI"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("words", overflow="fold")
    for topic, score in found.largest_first():
        if topic.usage > 0:
            table.add_row(str(topic.index), f"{topic.usage:.1%}", _known(score, 2), ", ".join(topic.terms))
    console.print(table)

    judged = found.coherence[~np.isnan(found.coherence)]
    mean = f"mean NPMI {judged.mean():.2f}, " if len(judged) else ""
    console.print(
        f"{len(documents.texts):,} documents, {found.n_terms:,} terms; learned in {found.seconds:.2f} s; "
        f"{mean}diversity {topic_diversity(found.topics):.2f}",
        soft_wrap=True,
    )
    if idle := [str(topic.index) for topic in found.topics if topic.usage == 0]:
        console.print(f"topics without a document: {', '.join(idle)}; a lower --topics would do", soft_wrap=True)
    if documents.n_empty:
        console.print(f"empty documents skipped: {documents.n_empty:,}")
    if lost := int((found.labels < 0).sum()):
        console.print(f"documents with none of the terms, given topic -1: {lost:,}")
    console.print(f"wrote {', '.join(FILES)} into {out}", soft_wrap=True)
    console.print(f"label new text: codebooks assign {shlex.quote(str(out / 'model.joblib'))} SOURCE", soft_wrap=True)


def _known(score: float, digits: int) -> str:
    """A number, or nothing for nan: a topic of one word has no coherence."""
    return "" if score != score else f"{score:.{digits}f}"


# -- writing ---------------------------------------------------------------------------------------------------------


@contextmanager
def written_aside(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder to write files into that move to `out` one by one when all went well; else nothing has changed there.

    It stands in `out`, or in the nearest folder above that exists: on the same file system, so that moving is renaming.
    """
    try:
        if taken := [str(out / name) for name in names if (out / name).is_dir()]:
            raise UserError(f"{taken[0]} is a folder, and a file is to be written there; choose another --out.")
        nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
        with tempfile.TemporaryDirectory(prefix=".codebooks-", dir=nearest) as folder:
            yield Path(folder)
            out.mkdir(parents=True, exist_ok=True)
            for name in names:
                os.replace(Path(folder, name), out / name)
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror or error}; choose another --out.") from error


def _write(folder: Path, found: Found, documents: Documents, name: str) -> None:
    import joblib

    from codebooks.plots import plot_topics

    rows: list[tuple[Any, ...]] = [("topic", "documents", "share", "npmi", "words")]
    for topic, score in found.largest_first():
        count = (found.labels == topic.index).sum()
        rows.append((topic.index, count, f"{topic.usage:.4f}", _known(score, 4), " ".join(topic.terms)))
    _save_csv(folder / "topics.csv", rows)
    _save_csv(folder / "codes.csv", _codes(documents, found.labels, found.strength, found.topics))
    figure = plot_topics(found.topics, found.coherence, title=f"{name} · {len(documents.texts):,} documents")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a script that the font lacks is shown as boxes
        figure.savefig(folder / "topics.png", dpi=120)
    joblib.dump(found.pipeline, folder / "model.joblib", compress=3)


def _codes(documents: Documents, labels: Any, strength: Any, named: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """A table with a row per document: its name, its topic, how strongly, and what the topic is about."""
    words = [" ".join(topic.terms[:5]) for topic in named] + [""]  # the last is that of topic -1
    yield "document", "topic", "strength", "words"
    for name, label, value in zip(documents.names, labels, strength, strict=True):
        yield name, label, f"{value:.4f}", words[label]


def _save_csv(path: Path, rows: Iterable[tuple[Any, ...]]) -> None:
    # A file name that is not UTF-8 itself must not stop the table.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        _write_csv(file, rows)


def _write_csv(file: TextIO, rows: Iterable[tuple[Any, ...]]) -> None:
    csv.writer(file, lineterminator="\n").writerows(rows)
