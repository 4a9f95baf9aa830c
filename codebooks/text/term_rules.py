"""Terms of a text from cached terms of its stretches, the parts without spaces. `TextAnalyzer` uses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from codebooks.text.characters import fold_accents, lower_case, strip_formats
from codebooks.text.compounds import SIGNS, TRAILING_SIGNS, find_words, is_plain
from codebooks.text.languages import load_stemmer, load_stop_words
from codebooks.text.segmentation import is_grammar, segment
from codebooks.text.term_table import TermTable

__all__ = ["Cache", "TermRules", "build_rules", "split_text"]

# Largest number of cached stretches, and of characters of a cached stretch.
_CACHE_SIZE, _LONGEST_CACHED = 2**20, 100
_SIGNS_TO_SPACES = {ord(sign): " " for sign in SIGNS}
_STRETCH = re.compile(f"[^\\s{re.escape(SIGNS)}]+")
_MANY_CHARACTERS = 1_000_000  # for fewer, loading the compiler costs more time than it saves
_NUMBER_OR_LETTER = re.compile(r"\d+(?:[.:/]\d+)?|[a-zA-Z]")


def split_text(text: str) -> list[str]:
    """Split a text at spaces and at signs that separate words."""
    if text.isascii():
        # Most full stops and colons end a word. Splitting there reduces the number of distinct stretches.
        return text.translate(_SIGNS_TO_SPACES).replace(". ", " ").replace(": ", " ").split()
    return _STRETCH.findall(text)


class Cache(dict):
    """Cached results of a function of strings, which ignores trailing characters of `trailing_signs`."""

    def __init__(self, function: Callable[[Any], Any], trailing_signs: str | None = None):
        self._function = function
        self._trailing_signs = trailing_signs

    def __missing__(self, key: Any) -> Any:
        stripped = key if self._trailing_signs is None else key.rstrip(self._trailing_signs)
        value = self[stripped] if len(stripped) < len(key) else self._function(key)
        if len(key) <= _LONGEST_CACHED and len(self) < _CACHE_SIZE:
            self[key] = value
        return value


class TermRules:
    """Rules for the terms of stretches of text without spaces.

    Parameters
    ----------
    split : callable
        Returns the words of a stretch, each with its parts.
    keep : callable
        Returns the normalized form of a word, None for a stop word.
    ngram_range : tuple (min_n, max_n)
    trailing_signs : str or None
        Signs that are not part of a word at the end of a stretch.
    is_lowered : bool
        Whether a plain ASCII word has the same terms in upper and in lower case.
    """

    def __init__(
        self,
        split: Callable[[str], list[tuple[str, ...]]],
        keep: Callable[[str], str | None],
        ngram_range: tuple[int, int],
        trailing_signs: str | None,
        is_lowered: bool,
    ):
        self._ngram_range, self._is_lowered = ngram_range, is_lowered
        self._n_characters = 0
        self._table: TermTable | None = None

        def find_terms(stretch: str) -> tuple[str, ...]:
            if is_plain(stretch):  # the most frequent case
                word = keep(stretch)
                return () if word is None else (word,)
            return tuple([kept for word in split(stretch) for part in word if (kept := keep(part))])

        def find_whole_words(stretch: str) -> tuple[str, ...]:
            kept = ([kept for part in word if (kept := keep(part))] for word in split(stretch))
            return tuple([word[0] for word in kept if word])

        self._analyze, self._terms = find_terms, Cache(find_terms, trailing_signs)
        self._whole_words = Cache(find_whole_words, trailing_signs)

    def analyze(self, stretches: list[str]) -> list[str]:
        """Return the terms of a text from its stretches, which are the parts between spaces."""
        min_n, max_n = self._ngram_range
        terms = list(chain.from_iterable(map(self._terms.__getitem__, stretches))) if min_n == 1 else []
        if max_n > 1:
            words = list(chain.from_iterable(map(self._whole_words.__getitem__, stretches)))
            for n in range(max(min_n, 2), max_n + 1):
                terms += map(" ".join, zip(*(words[i:] for i in range(n)), strict=False))
        return terms

    def analyze_text(self, text: str) -> list[str]:
        """Return the terms of a text; use a compiled table after many texts."""
        self._n_characters += len(text)
        if self._n_characters < _MANY_CHARACTERS or self._ngram_range != (1, 1):
            return self.analyze(split_text(text))
        if self._table is None:
            self._table = self.build_table()
        return self._table.analyze(text)

    def build_table(self) -> TermTable:
        """Build the compiled table of these rules."""
        return TermTable(self._analyze, self._is_lowered)


def build_rules(settings: Any, languages: tuple[str, ...]) -> TermRules:
    """Build the rules of an analyzer with these parameters for texts of these languages."""
    normalize = _build_normalizer(settings, languages)
    words: Iterable[str] = settings.stop_words or ()
    if isinstance(settings.stop_words, str):
        words = chain.from_iterable(map(load_stop_words, languages))
    stop_words = frozenset(normalize(strip_formats(word, settings.normalization)) for word in words)
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
        word = word.lower() if plain_lower and word.isascii() else normalize(word)
        if word in stop_words or (is_grammatical is not None and is_grammatical(word)):
            return None
        if not settings.numbers and _NUMBER_OR_LETTER.fullmatch(word):
            return None
        return stemmer(word) if stemmer is not None and word.isalpha() else word

    trailing_signs = TRAILING_SIGNS if settings.token_pattern is None else None
    return TermRules(split, keep, settings.ngram_range, trailing_signs, plain_lower)


def _build_normalizer(settings: Any, languages: tuple[str, ...]) -> Callable[[str], str]:
    turkish = not {"tr", "az"}.isdisjoint(languages)

    def normalize(word: str) -> str:
        if settings.lowercase:
            word = lower_case(word, turkish)
        return fold_accents(word) if settings.fold_accents else word

    return normalize
