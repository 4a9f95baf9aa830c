"""`TextAnalyzer`: tokenization of texts in any language, for the vectorizers of scikit-learn."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any

from sklearn.base import BaseEstimator, clone

from codebooks._documentation_link import DocumentationLink
from codebooks.errors import short_repr
from codebooks.text.characters import lower_case, strip_formats
from codebooks.text.languages import (
    Detection,
    check_language,
    choose_language,
    detect_language,
    detect_languages,
    find_languages_of_word,
    load_stemmer,
    load_stop_words,
)
from codebooks.text.markup import strip_markup
from codebooks.text.segmentation import has_segmenter
from codebooks.text.term_rules import Cache, build_rules, split_text
from codebooks.text.term_table import TermTable
from codebooks.validation.texts import check_texts

__all__ = ["TextAnalyzer", "build_table"]

_NORMAL_FORMS = ("NFKC", "NFC", "NFKD", "NFD", None)
_SEGMENTERS = ("auto", "budoux", "bigrams")
# Numbers of documents, and of characters of each, from which the language of a corpus is detected.
_N_DOCUMENTS, _DOCUMENT_LENGTH = 2000, 20_000
# Numbers of stretches from which the language of a document is detected, and of characters that contain as many.
_SAMPLE, _SAMPLE_LENGTH = 60, 1000

_LONG_TEXT = 400  # characters; a compiled table is faster for longer texts


class TextAnalyzer(DocumentationLink, BaseEstimator):
    r"""Split texts of any language into words.

    Pass it as `analyzer` to `CountVectorizer` and `TfidfVectorizer`. Prefer it to their default for texts in other
    languages than English, or with codes, identifiers, HTML or addresses. It is the default of `HopfieldRetriever`.

    - Combining marks are part of their word, so words of Hindi, Tamil or vowelled Arabic are complete.
    - Chinese, Japanese and Thai are split by the package `budoux` if it is installed, else into bigrams of characters.
    - A code or identifier, such as `L14-2`, `C++`, `snake_case` or `getUserById`, is a word, and its parts of two
      characters or more are words too. Of other compounds, such as `well-known`, only the parts are words.
    - HTML, addresses of pages and mail, encoded data, minified lines, words of more than 64 characters and English
      contractions (`'ll`, `'ve`) are omitted.

    Parameters
    ----------
    language : "auto", str, sequence of str, or None, default="auto"
        Code or codes of the language, which determines stop words and stems. With "auto", `fit` detects it from all
        documents; without `fit`, it is detected for each document, and a document of an uncertain language keeps its
        stop words. Set it if the documents are short or detection is uncertain. None means no language.
    stop_words : "auto", sequence of str, or None, default="auto"
        Words that are omitted. "auto" uses the list of the language: that of scikit-learn for English, and that of the
        package `stopwordsiso` for other languages. Pass a list to use it instead, or None to keep all words.
    stem : bool, default=False
        Whether to replace words by their stems. Set True for small corpora or languages with many word forms. Requires
        the package `snowballstemmer`.
    lowercase : bool, default=True
        Whether to convert words to lower case.
    fold_accents : bool, default=False
        Whether to remove accents, so that `café` and `cafe` are the same word, and the vowel points of Arabic and
        Hebrew. Set True if many writers omit accents.
    normalization : {"NFKC", "NFC", "NFKD", "NFD"} or None, default="NFKC"
        The Unicode normal form. "NFKC" converts full-width letters and ligatures to plain letters.
    token_pattern : str, optional
        A regular expression of words that replaces the rules for words and codes.
    ngram_range : tuple (min_n, max_n), default=(1, 1)
        Least and largest number of words of a term. Parts of codes are single terms only.
    parts : bool, default=True
        Whether the parts of codes and identifiers are words too.
    numbers : bool, default=True
        Whether plain numbers and single letters are words. False omits `2004`, `3.5` and `x`, but not `457-5-4`; set
        it for topics.
    segmenter : {"auto", "budoux", "bigrams"}, default="auto"
        Method of splitting Chinese, Japanese and Thai; "auto" is "budoux" if that is installed, else "bigrams".

    Attributes
    ----------
    language_ : tuple of str
        Codes of the languages of the fitted documents, by descending share; empty if none was recognized.
    language_shares_ : dict of str to float
        Share of each language in the parts of the documents with a clear language, if `language="auto"`.
    is_language_sure_ : bool
        Whether `language_` is clear. If it is not, set `language`.

    See Also
    --------
    HopfieldRetriever : Search documents; this analyzer is its default.

    Examples
    --------
    >>> from codebooks import TextAnalyzer
    >>> analyzer = TextAnalyzer(language="en")
    >>> analyzer("Article L14-2 doesn&#39;t mention <b>getUserById</b>, see https://example.org/a")
    ['article', 'l14-2', 'l14', 'mention', 'getuserbyid', 'user', 'id']
    >>> TextAnalyzer().fit(["das ist ein Haus und kein Baum", "die Katze ist nicht in dem Garten"]).language_
    ('de',)

    As the analyzer of a vectorizer:

    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> vectorizer = CountVectorizer(analyzer=analyzer).fit(["C++ and C#", "the language R"])
    >>> vectorizer.get_feature_names_out().tolist()
    ['c#', 'c++', 'language', 'r']
    """

    def __init__(
        self,
        *,
        language: Any = "auto",
        stop_words: Any = "auto",
        stem: bool = False,
        lowercase: bool = True,
        fold_accents: bool = False,
        normalization: str | None = "NFKC",
        token_pattern: str | None = None,
        ngram_range: tuple[int, int] = (1, 1),
        parts: bool = True,
        numbers: bool = True,
        segmenter: str = "auto",
    ):
        self.language = language
        self.stop_words = stop_words
        self.stem = stem
        self.lowercase = lowercase
        self.fold_accents = fold_accents
        self.normalization = normalization
        self.token_pattern = token_pattern
        self.ngram_range = ngram_range
        self.parts = parts
        self.numbers = numbers
        self.segmenter = segmenter

    def fit(self, documents: Sequence[str], y: Any = None) -> TextAnalyzer:
        """Detect the languages of documents.

        Parameters
        ----------
        documents : sequence of str
        y : ignored

        Returns
        -------
        self

        Warns
        -----
        UserWarning
            If the language is uncertain, and stop words or stems depend on it.
        """
        detection = self.detect(documents)
        if not detection.is_sure and self._needs_language():
            shares = [f"{code} {share:.0%}" for code, share in detection.shares.items()][:3]
            warnings.warn(
                f"The language of the documents is uncertain ({', '.join(shares) or 'none recognized'}); TextAnalyzer "
                f"uses the stop words of {' and '.join(detection.languages) or 'none'}. Set `language`, for example "
                f"TextAnalyzer(language='de').",
                UserWarning,
                stacklevel=2,
            )
        return self

    def detect(self, documents: Sequence[str]) -> Detection:
        """Detect the languages of documents as `fit` does, without a warning.

        Parameters
        ----------
        documents : sequence of str

        Returns
        -------
        Detection
            `languages`, `shares` and `is_sure`, which are also stored as attributes.
        """
        texts = check_texts(documents, "TextAnalyzer")
        self._check_settings()
        if self.language == "auto":
            sample = texts[:: max(1, len(texts) // _N_DOCUMENTS)]
            detection = detect_languages([strip_markup(text[:_DOCUMENT_LENGTH]) for text in sample])
        else:
            detection = Detection(check_language(self.language), {}, True)
        self.language_, self.language_shares_, self.is_language_sure_ = detection
        return detection

    def language_stop_words(self) -> list[str]:
        """Return the stop words of the set or detected languages.

        Returns
        -------
        list of str
            In alphabetical order; empty before `fit` with `language="auto"`.
        """
        return sorted({*chain.from_iterable(map(load_stop_words, self._get_languages() or ()))})

    def has_stop_words(self) -> bool:
        """Return whether there are stop words.

        Returns
        -------
        bool
        """
        return bool(self.language_stop_words()) if isinstance(self.stop_words, str) else bool(self.stop_words)

    def resolve(self) -> TextAnalyzer:
        """Return a copy with the detected language as its parameter, which clones of it keep.

        Returns
        -------
        TextAnalyzer
            With `language` and `segmenter` other than "auto".
        """
        resolved = clone(self)
        if self.language == "auto" and hasattr(self, "language_"):
            resolved.language = self.language_
        resolved.segmenter = self.used_segmenter()
        return resolved

    def __call__(self, document: str) -> list[str]:
        """Split a text into words.

        Parameters
        ----------
        document : str

        Returns
        -------
        list of str
            Words in the order of the text, each before its parts.
        """
        if not isinstance(document, str):
            raise TypeError(f"TextAnalyzer expected a str, got {type(document).__name__}. Decode or convert it first.")
        settings = self._get_settings()
        state = vars(self).get("_state")
        if state is None or state.settings != settings:
            self._check_settings()
            state = self._state = _State(settings, self)
        text, stretches = strip_formats(strip_markup(document), self.normalization), None
        if self.token_pattern is not None:
            stretches = state.pattern.findall(lower_case(text) if self.lowercase else text)
        elif len(text) < _LONG_TEXT:
            stretches = split_text(text)
        languages = state.languages
        rules = state.rules[state.detect(text, stretches) if languages is None else languages]
        return rules.analyze_text(text) if stretches is None else rules.analyze(stretches)

    def clean(self, document: str) -> str:
        """Remove markup and data from a text, and normalize its characters.

        Parameters
        ----------
        document : str

        Returns
        -------
        str
        """
        return strip_formats(strip_markup(document), self.normalization)

    # -- settings ----------------------------------------------------------------------------------------------------

    def _get_settings(self) -> tuple[Any, ...]:
        return (
            *(self.language, self.stop_words, self.stem, self.lowercase, self.fold_accents, self.normalization),
            *(self.token_pattern, self.ngram_range, self.parts, self.numbers, self.segmenter),
            vars(self).get("language_"),
        )

    def _needs_language(self) -> bool:
        return bool(self.stem) or (isinstance(self.stop_words, str) and self.stop_words == "auto")

    def used_segmenter(self) -> str:
        """Return the segmenter, with "auto" replaced by the one in use.

        Returns
        -------
        str
        """
        if self.segmenter != "auto":
            return self.segmenter
        return "budoux" if has_segmenter() else "bigrams"

    def _check_settings(self) -> None:
        for name, allowed in (("normalization", _NORMAL_FORMS), ("segmenter", _SEGMENTERS)):
            value = getattr(self, name)
            if not isinstance(value, str | None) or value not in allowed:
                raise ValueError(f"`{name}` must be one of {', '.join(map(repr, allowed))}, got {short_repr(value)}.")
        if self.token_pattern is not None:
            try:
                n_groups = re.compile(self.token_pattern).groups
            except (re.error, OverflowError, RecursionError, TypeError) as error:
                raise ValueError(
                    f"`token_pattern` must be a regular expression, got {short_repr(self.token_pattern)}: {error}."
                ) from error
            if n_groups > 1:
                raise ValueError(
                    f"`token_pattern` must have at most one group, got {n_groups}. Use (?:...) for the others."
                )
        words = self.stop_words
        if isinstance(words, str) and words != "auto":
            raise ValueError(
                f'`stop_words` must be "auto", a list of words or None, got {short_repr(words)}. '
                f"Use [{short_repr(words)}]."
            )
        if words is not None and not all(isinstance(word, str) for word in words):
            raise TypeError("`stop_words` must be a list of str, got other entries. Convert them to str.")
        lengths = self.ngram_range
        if len(lengths) != 2 or not all(isinstance(n, int) for n in lengths) or not 1 <= lengths[0] <= lengths[1]:
            raise ValueError(
                f"`ngram_range` must be (min_n, max_n) with 1 <= min_n <= max_n, got {short_repr(lengths)}."
            )
        if self.language != "auto":
            languages = check_language(self.language)
            if self.stem and self.language is None:
                raise ValueError("`stem` must be False if `language` is None, got True. Set `language`.")
            if self.stem and languages:
                load_stemmer(languages[0])

    def _get_languages(self) -> tuple[str, ...] | None:
        """Return the languages of all documents; None if they are detected for each document."""
        if self.language != "auto":
            return check_language(self.language)
        return vars(self).get("language_", None if self._needs_language() else ())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_state"}


def build_table(analyzer: TextAnalyzer) -> TermTable | None:
    """Build the term table of an analyzer; None if its terms do not depend on single stretches of text only."""
    analyzer._check_settings()
    languages = analyzer._get_languages()
    if languages is None or analyzer.token_pattern is not None or analyzer.ngram_range != (1, 1):
        return None
    return build_rules(analyzer, languages).build_table()


class _State:
    """Objects that are derived from the parameters of an analyzer."""

    def __init__(self, settings: tuple[Any, ...], analyzer: TextAnalyzer):
        self.settings = settings
        self.languages = analyzer._get_languages()
        self.pattern = re.compile(analyzer.token_pattern or "")
        self.rules = Cache(partial(build_rules, analyzer))
        self._codes = Cache(find_languages_of_word)

    def detect(self, text: str, stretches: list[str] | None) -> tuple[str, ...]:
        """Detect the language of one document; `stretches` is None for a long one."""
        if not text.isascii():
            return detect_language(text)
        if stretches is None:
            stretches = split_text(text[:_SAMPLE_LENGTH])[:-1]  # the last one may be incomplete
            if len(stretches) < _SAMPLE:
                stretches = split_text(text)
        sample = set(stretches[:_SAMPLE])
        return choose_language(Counter(chain.from_iterable(map(self._codes.__getitem__, sample))), len(sample))
