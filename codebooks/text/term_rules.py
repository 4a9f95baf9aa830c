"""Terms of a text, from the words of its stretches, with results remembered. `TextAnalyzer` uses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from codebooks.text.characters import fold_accents, lower_case, strip_formats
from codebooks.text.compounds import BESIDE, SIGNS, find_words, is_plain
from codebooks.text.languages import load_stemmer, load_stop_words
from codebooks.text.segmentation import is_grammar, segment
from codebooks.text.term_table import TermTable

__all__ = ["Remembered", "TermRules", "build_rules", "split_text"]

# Stretches of text without blanks are analysed once and remembered: this number, of at most this number of characters.
_REMEMBERED, _LONGEST_REMEMBERED = 2**20, 100
_TO_BLANKS = {ord(sign): " " for sign in SIGNS}
_STRETCH = re.compile(f"[^\\s{re.escape(SIGNS)}]+")
_MANY_CHARACTERS = 1_000_000  # after these it pays to load the compiler
_NUMBER_OR_LETTER = re.compile(r"\d+(?:[.:/]\d+)?|[a-zA-Z]")


def split_text(text: str) -> list[str]:
    """Split a text at blanks and at signs that no word goes across."""
    if text.isascii():
        # Most full stops and colons end a word: fewer different stretches are fewer to remember.
        return text.translate(_TO_BLANKS).replace(". ", " ").replace(": ", " ").split()
    return _STRETCH.findall(text)


class Remembered(dict):
    """Results of a function of strings, which are remembered; the same with signs of `beside` at their end."""

    def __init__(self, function: Callable[[Any], Any], beside: str | None = None):
        self._function = function
        self._beside = beside

    def __missing__(self, key: Any) -> Any:
        bare = key if self._beside is None else key.rstrip(self._beside)
        value = self[bare] if len(bare) < len(key) else self._function(key)
        if len(key) <= _LONGEST_REMEMBERED and len(self) < _REMEMBERED:
            self[key] = value
        return value


class TermRules:
    """Terms of stretches of text without blanks.

    Parameters
    ----------
    split : callable
        Gives the words of a stretch, each with its parts.
    keep : callable
        Gives the form of a word that is compared, and None for one that is left out.
    ngram_range : tuple (min_n, max_n)
    beside : str or None
        Signs that are no part of a word at the end of a stretch.
    is_lowered : bool
        Whether a plain ASCII word has the same terms in upper and in lower case.
    """

    def __init__(
        self,
        split: Callable[[str], list[tuple[str, ...]]],
        keep: Callable[[str], str | None],
        ngram_range: tuple[int, int],
        beside: str | None,
        is_lowered: bool,
    ):
        self._ngram_range, self._is_lowered = ngram_range, is_lowered
        self._n_characters = 0
        self._table: TermTable | None = None

        def terms(stretch: str) -> tuple[str, ...]:
            if is_plain(stretch):  # most are
                word = keep(stretch)
                return () if word is None else (word,)
            return tuple([kept for word in split(stretch) for part in word if (kept := keep(part))])

        def units(stretch: str) -> tuple[str, ...]:
            kept = ([kept for part in word if (kept := keep(part))] for word in split(stretch))
            return tuple([word[0] for word in kept if word])

        self._analyze, self._terms = terms, Remembered(terms, beside)
        self._units = Remembered(units, beside)

    def analyze(self, stretches: list[str]) -> list[str]:
        """The terms of a text."""
        least, most = self._ngram_range
        terms = list(chain.from_iterable(map(self._terms.__getitem__, stretches))) if least == 1 else []
        if most > 1:
            units = list(chain.from_iterable(map(self._units.__getitem__, stretches)))
            for n in range(max(least, 2), most + 1):
                terms += map(" ".join, zip(*(units[i:] for i in range(n)), strict=False))
        return terms

    def analyze_text(self, text: str) -> list[str]:
        """The terms of a text that is not split yet; by a compiled table after many of them."""
        self._n_characters += len(text)
        if self._n_characters < _MANY_CHARACTERS or self._ngram_range != (1, 1):
            return self.analyze(split_text(text))
        if self._table is None:
            self._table = self.make_table()
        return self._table.analyze(text)

    def make_table(self) -> TermTable:
        """A table of these rules."""
        return TermTable(self._analyze, self._is_lowered)


def build_rules(settings: Any, languages: tuple[str, ...]) -> TermRules:
    """The rules of an analyzer with these settings for texts of these languages."""
    normal = _build_normalizer(settings, languages)
    words: Iterable[str] = settings.stop_words or ()
    if isinstance(settings.stop_words, str):
        words = chain.from_iterable(map(load_stop_words, languages))
    stop_words = frozenset(normal(strip_formats(word, settings.normalization)) for word in words)
    by_model = settings.used_segmenter() == "budoux"
    stemmer = load_stemmer(languages[0]) if settings.stem and languages else None
    is_grammatical = is_grammar if "ja" in languages and stop_words else None

    plain_lower = settings.lowercase and "tr" not in languages and "az" not in languages

    def segment_run(run: str) -> list[tuple[str, ...]]:
        return segment(run, by_model, "ja" in languages)

    def split(stretch: str) -> list[tuple[str, ...]]:
        if settings.token_pattern is not None:
            return [(stretch,)]
        return find_words(stretch, segment_run, settings.parts)

    def keep(word: str) -> str | None:
        word = word.lower() if plain_lower and word.isascii() else normal(word)
        if word in stop_words or (is_grammatical is not None and is_grammatical(word)):
            return None
        if not settings.numbers and _NUMBER_OR_LETTER.fullmatch(word):
            return None
        return stemmer(word) if stemmer is not None and word.isalpha() else word

    beside = BESIDE if settings.token_pattern is None else None
    return TermRules(split, keep, settings.ngram_range, beside, plain_lower)


def _build_normalizer(settings: Any, languages: tuple[str, ...]) -> Callable[[str], str]:
    turkish = not {"tr", "az"}.isdisjoint(languages)

    def normal(word: str) -> str:
        if settings.lowercase:
            word = lower_case(word, turkish)
        return fold_accents(word) if settings.fold_accents else word

    return normal
