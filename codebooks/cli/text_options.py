"""Which words count: the options of all commands that read text, and the analyzer that they make."""

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
        help="Of the text, such as de or de,en, for its stop words; auto detects it, none has no stop words.",
    ),
]
StopWords = Annotated[
    Optional[Path],
    typer.Option(
        "--stop-words",
        metavar="FILE",
        help="A text file of words to leave out beside those of the language.",
        show_default=False,
    ),
]
NoStopWords = Annotated[
    bool, typer.Option("--no-stop-words", help="Keep the commonest words of the language.", show_default=False)
]
Stem = Annotated[
    bool,
    typer.Option("--stem", help="Count forms of a word as one, such as library and libraries.", show_default=False),
]
Ngrams = Annotated[
    int, typer.Option("--ngrams", metavar="N", help="Count sequences of up to N words beside single words.")
]
MinDf = Annotated[
    Optional[str],
    typer.Option(
        "--min-df",
        metavar="N",
        help="Leave out words in fewer than N documents, or in less than this share, such as 0.01.",
        show_default=False,
    ),
]
MaxDf = Annotated[
    Optional[str],
    typer.Option(
        "--max-df",
        metavar="N",
        help="Leave out words in more than N documents, or in more than this share, such as 0.5.",
        show_default=False,
    ),
]
TokenPattern = Annotated[
    Optional[str],
    typer.Option(
        metavar="REGEX",
        help="A regular expression that matches a word, in place of the rules for words and codes.",
        show_default=False,
    ),
]
MOST_NGRAMS = 5


class WordOptions(NamedTuple):
    """What the user chose."""

    language: Language = "auto"
    stop_words: StopWords = None
    no_stop_words: NoStopWords = False
    stem: Stem = False
    ngrams: Ngrams = 1
    min_df: MinDf = None
    max_df: MaxDf = None
    token_pattern: TokenPattern = None

    def given(self) -> list[str]:
        """The options that are not at their default."""
        defaults = WordOptions()
        names = [name for name in self._fields if getattr(self, name) != getattr(defaults, name)]
        return [f"--{name.replace('_', '-')}" for name in names]

    def make_analyzer(self, texts: Sequence[str], **settings: Any) -> tuple[TextAnalyzer, str]:
        """An analyzer for these documents, and a sentence about their language, empty if there is nothing to say."""
        from codebooks.text.analyzer import TextAnalyzer

        language = {"none": None, "auto": "auto"}.get(self.language, self.language.split(","))
        analyzer = TextAnalyzer(
            language=language,
            stem=self.stem,
            token_pattern=self._check_pattern_option(),
            ngram_range=self._ngram_range(),
        )
        try:
            found = analyzer.set_params(**settings).detect(texts)
        except (ImportError, ValueError) as error:
            raise UserError(str(error).replace("`language`", "--language")) from error
        own = [] if self.stop_words is None else _read_words(self.stop_words)
        if own or self.no_stop_words:
            by_language = [] if self.no_stop_words else analyzer.language_stop_words()
            analyzer.set_params(stop_words=[*by_language, *own])
        if language != "auto" or (self.no_stop_words and not self.stem):
            return analyzer.resolve(), ""
        shown = " and ".join(found.languages) or "none recognised"
        unsure = "" if found.is_sure else ", which is uncertain: set --language, for example --language de"
        return analyzer.resolve(), f"language: {shown}{unsure}"

    def document_frequencies(self, min_df: int, max_df: float) -> dict[str, int | float]:
        """Bounds for a vectorizer; those given here where the user gives none."""
        least = min_df if self.min_df is None else _parse_frequency("--min-df", self.min_df)
        most = max_df if self.max_df is None else _parse_frequency("--max-df", self.max_df)
        return {"min_df": least, "max_df": most}

    def _ngram_range(self) -> tuple[int, int]:
        if not 1 <= self.ngrams <= MOST_NGRAMS:
            raise UserError(f"--ngrams must be from 1 to {MOST_NGRAMS}; {self.ngrams} came.")
        return 1, self.ngrams

    def _check_pattern_option(self) -> str | None:
        if self.token_pattern is not None:
            try:
                n_groups = re.compile(self.token_pattern).groups
            except (re.error, OverflowError, RecursionError) as error:
                raise UserError(f"--token-pattern is not a regular expression: {error}.") from error
            if n_groups > 1:
                raise UserError(f"--token-pattern has {n_groups} groups; use (?:...) for all but one.")
        return self.token_pattern


def _parse_frequency(option: str, text: str) -> int | float:
    """A count of documents, or a share of them."""
    try:
        value = float(text) if "." in text else int(text)
    except ValueError:
        value = -1
    if value < 0 or (value == 0 and isinstance(value, int)) or (isinstance(value, float) and not value <= 1):
        raise UserError(
            f"{option} must be a number of documents, 1 or more, or a share from 0.0 to 1.0; {text[:40]!r} came."
        )
    return value


def _read_words(file: Path) -> list[str]:
    try:
        text, assumed = decode(file.read_bytes(), file)
    except OSError as error:
        raise UserError(f"cannot read the stop words {file}: {error.strerror or error}.") from error
    if assumed:
        print_note(assumed)
    return text.split()
