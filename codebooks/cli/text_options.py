"""Options of tokenization that several commands share, and the analyzer that they define."""

# ruff: noqa: UP045 - the oldest typer that we support reads Optional[X], not X | None

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional

import typer

from codebooks.cli.console import print_note
from codebooks.cli.decoding import decode
from codebooks.errors import UserError

if TYPE_CHECKING:
    from codebooks.text.analyzer import TextAnalyzer

Language = Annotated[
    str,
    typer.Option(
        metavar="CODE",
        help="Language of the text, such as de or de,en, which sets the stop words. auto detects it; none uses no stop "
        "words.",
    ),
]
StopWords = Annotated[
    Optional[Path],
    typer.Option(
        "--stop-words",
        metavar="FILE",
        help="A text file of further stop words, besides those of the language.",
        show_default=False,
    ),
]
NoStopWords = Annotated[
    bool,
    typer.Option(
        "--no-stop-words", help="Keep the stop words of the language, its most common words.", show_default=False
    ),
]
Stem = Annotated[
    bool,
    typer.Option(
        "--stem", help="Count the forms of a word together, such as library and libraries.", show_default=False
    ),
]
Ngrams = Annotated[
    int, typer.Option("--ngrams", metavar="N", help="Count sequences of up to N words, besides single words.")
]
MinDf = Annotated[
    Optional[str],
    typer.Option(
        "--min-df",
        metavar="N",
        help="Omit words in fewer than N documents, or in a smaller share of them, such as 0.01.",
        show_default=False,
    ),
]
MaxDf = Annotated[
    Optional[str],
    typer.Option(
        "--max-df",
        metavar="N",
        help="Omit words in more than N documents, or in a larger share of them, such as 0.5.",
        show_default=False,
    ),
]
TokenPattern = Annotated[
    Optional[str],
    typer.Option(
        metavar="REGEX",
        help="A regular expression that matches a word. It replaces the rules for words and codes.",
        show_default=False,
    ),
]
MAX_NGRAMS = 5


class WordOptions(NamedTuple):
    """Options of tokenization, with their defaults."""

    language: Language = "auto"
    stop_words: StopWords = None
    no_stop_words: NoStopWords = False
    stem: Stem = False
    ngrams: Ngrams = 1
    min_df: MinDf = None
    max_df: MaxDf = None
    token_pattern: TokenPattern = None

    def list_set_options(self) -> list[str]:
        """Return the names of options that differ from their default."""
        defaults = WordOptions()
        names = [name for name in self._fields if getattr(self, name) != getattr(defaults, name)]
        return [f"--{name.replace('_', '-')}" for name in names]

    def create_analyzer(self, texts: Sequence[str], **settings: Any) -> tuple[TextAnalyzer, str]:
        """Create an analyzer for these documents, and a note about their language, which may be empty."""
        from codebooks.text.analyzer import TextAnalyzer

        language = {"none": None, "auto": "auto"}.get(self.language, self.language.split(","))
        analyzer = TextAnalyzer(
            language=language,
            stem=self.stem,
            token_pattern=self._check_pattern_option(),
            ngram_range=self._check_ngrams(),
        )
        try:
            detection = analyzer.set_params(**settings).detect(texts)
        except (ImportError, ValueError) as error:
            message = str(error).replace("`language`", "--language").replace('"auto", None', '"auto", "none"')
            raise UserError(message) from error
        extra = [] if self.stop_words is None else _read_words(self.stop_words)
        if extra or self.no_stop_words:
            by_language = [] if self.no_stop_words else analyzer.language_stop_words()
            analyzer.set_params(stop_words=[*by_language, *extra])
        if language != "auto" or (self.no_stop_words and not self.stem):
            return analyzer.resolve(), ""
        names = " and ".join(detection.languages) or "none recognized"
        advice = "" if detection.is_sure else " (uncertain; set it, for example --language de)"
        return analyzer.resolve(), f"language: {names}{advice}"

    def parse_document_frequencies(self, min_df: int, max_df: float) -> dict[str, int | float]:
        """Return bounds of document frequencies for a vectorizer; the arguments are the defaults."""
        lower = min_df if self.min_df is None else _parse_frequency("--min-df", self.min_df)
        upper = max_df if self.max_df is None else _parse_frequency("--max-df", self.max_df)
        return {"min_df": lower, "max_df": upper}

    def _check_ngrams(self) -> tuple[int, int]:
        if not 1 <= self.ngrams <= MAX_NGRAMS:
            raise UserError(f"--ngrams must be an integer from 1 to {MAX_NGRAMS}, got {self.ngrams}.")
        return 1, self.ngrams

    def _check_pattern_option(self) -> str | None:
        if self.token_pattern is not None:
            try:
                n_groups = re.compile(self.token_pattern).groups
            except (re.error, OverflowError, RecursionError) as error:
                raise UserError(f"--token-pattern must be a regular expression: {error}.") from error
            if n_groups > 1:
                raise UserError(
                    f"--token-pattern must have at most one group, got {n_groups}; use (?:...) for the others."
                )
        return self.token_pattern


def _parse_frequency(option: str, text: str) -> int | float:
    """Parse a number of documents, or a share of them."""
    try:
        value = float(text) if "." in text else int(text)
    except ValueError:
        value = -1
    if value < 0 or (value == 0 and isinstance(value, int)) or (isinstance(value, float) and not value <= 1):
        raise UserError(f"{option} must be an integer >= 1 or a share from 0.0 to 1.0, got {text[:40]!r}.")
    return value


def _read_words(file: Path) -> list[str]:
    try:
        text, note = decode(file.read_bytes(), file)
    except OSError as error:
        raise UserError(f"cannot read the file of stop words {file}: {error.strerror or error}.") from error
    if note:
        print_note(note)
    return text.split()
