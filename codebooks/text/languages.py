"""Language detection, stop words and stemmers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import NamedTuple

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from codebooks.errors import short_repr
from codebooks.text.characters import MARKS

__all__ = [
    "Detection",
    "check_language",
    "choose_language",
    "detect_language",
    "detect_languages",
    "find_languages_of_word",
    "load_stemmer",
    "load_stop_words",
]

_SCRIPTS = {  # scripts of one language
    "ja": "\u3041-\u3096\u30a1-\u30fa",
    "zh": "\u3400-\u4dbf\u4e00-\u9fff",
    "ko": "\u1100-\u11ff\uac00-\ud7af",
    "th": "\u0e01-\u0e5b",
    "lo": "\u0e81-\u0edf",
    "km": "\u1780-\u17d3",
    "my": "\u1000-\u109f",
    "el": "\u0370-\u03ff\u1f00-\u1fff",
    "he": "\u0590-\u05ff",
    "hy": "\u0530-\u058f",
    "ka": "\u10a0-\u10ff",
    "am": "\u1200-\u137f",
    "bn": "\u0980-\u09ff",
    "pa": "\u0a00-\u0a7f",
    "gu": "\u0a80-\u0aff",
    "or": "\u0b00-\u0b7f",
    "ta": "\u0b80-\u0bff",
    "te": "\u0c00-\u0c7f",
    "kn": "\u0c80-\u0cff",
    "ml": "\u0d00-\u0d7f",
    "si": "\u0d80-\u0dff",
}
_IN_SCRIPT = {code: re.compile(f"[{letters}]") for code, letters in _SCRIPTS.items()}
_MANY_KANA = 0.05  # of the Kana and Han of a Japanese text
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_OF_ONE_CYRILLIC = {  # letters that no later language of this table has
    "be": re.compile("[ў]"),
    "mk": re.compile("[ѓќѕ]"),
    "uk": re.compile("[їєґ]"),
    "sr": re.compile("[јљњћђџ]"),
    "ru": re.compile("[ыэё]"),
}
_STEMMERS = {
    **{"ar": "arabic", "hy": "armenian", "eu": "basque", "ca": "catalan", "cs": "czech", "da": "danish"},
    **{"nl": "dutch", "en": "english", "eo": "esperanto", "et": "estonian", "fi": "finnish", "fr": "french"},
    **{"de": "german", "el": "greek", "hi": "hindi", "hu": "hungarian", "id": "indonesian", "ga": "irish"},
    **{"it": "italian", "lt": "lithuanian", "ne": "nepali", "no": "norwegian", "fa": "persian", "pl": "polish"},
    **{"pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "st": "sesotho", "es": "spanish"},
    **{"sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish"},
}
_NEGATED = re.findall(
    r"\w+", "ai are ca could dare did do does had has have is may might must need ought sha should was were wo would"
)
# Contractions that are function words.
_CONTRACTED = {f"{word}{negation}" for word in _NEGATED for negation in ("n't", "nt")}
_ENGLISH = ENGLISH_STOP_WORDS | _CONTRACTED | {"e.g", "i.e", "a.m", "p.m"}

_WORD = re.compile(rf"(?:[^\W\d_][{MARKS}]*)+")
# Number of blocks of a sample, and characters: of a block of short documents, of a document that is a block by itself,
# and the largest number that is read of a document.
_BLOCKS, _BLOCK, _LONG_ENOUGH, _FROM_ONE = 200, 1200, 300, 2400
_LEAST_SHARE = 0.08  # of stop words of its language among the distinct words of a text
_LEAST_PART = 0.15  # of a language of the corpus among the blocks with a clear language
# Least share of these languages together, and of blocks with a clear language among all blocks, for a sure detection.
_SURE_PART, _DECIDED_PART = 0.8, 0.3


class Detection(NamedTuple):
    """The detected languages of a corpus.

    Attributes
    ----------
    languages : tuple of str
        Codes by descending share; empty if none is recognized.
    shares : dict of str to float
        Share of each detected language among the parts of a sample with a clear language.
    is_sure : bool
        Whether the languages are clear.
    """

    languages: tuple[str, ...]
    shares: dict[str, float]
    is_sure: bool


def detect_languages(documents: Sequence[str]) -> Detection:
    """Detect the languages of a corpus by its scripts and its stop words."""
    blocks = _sample_blocks(documents)
    votes = Counter(code for block in blocks for code in _detect_one(block))
    n_decided = max(1, sum(votes.values()))
    shares = {code: count / n_decided for code, count in votes.most_common()}
    languages = tuple(code for code, share in shares.items() if share >= _LEAST_PART)
    if languages:
        is_sure = sum(shares[code] for code in languages) >= _SURE_PART and n_decided >= _DECIDED_PART * len(blocks)
        return Detection(languages, shares, is_sure)
    words = {word for block in blocks for word in _split_words(block)}
    guess = choose_language(_count_hits(words), len(words) // 2, fewest=2, lead=1.01)
    return Detection(guess, shares, False)


def detect_language(text: str) -> tuple[str, ...]:
    """Detect the language of one text, as a tuple, which is empty if the language is uncertain."""
    return _detect_one(text[:_BLOCK])


def _sample_blocks(documents: Sequence[str]) -> list[str]:
    """Sample blocks of text from the whole corpus: long documents, and short ones joined."""
    total = sum(min(len(text), _FROM_ONE) for text in documents)
    step = max(1, total // (_BLOCKS * _BLOCK))
    blocks, block, size = [], [], 0
    for text in documents[::step]:
        text = text[:_FROM_ONE]
        if len(text) >= _LONG_ENOUGH:
            blocks.append(text)
            continue
        block.append(text)
        size += len(text)
        if size >= _BLOCK:
            blocks.append(" ".join(block))
            block, size = [], 0
    if block and (size >= _BLOCK // 4 or not blocks):
        blocks.append(" ".join(block))
    return blocks


def _detect_one(text: str) -> tuple[str, ...]:
    words = _split_words(text)
    if not text.isascii() and (code := _detect_by_script("".join(words))) is not None:
        return (code,)
    return choose_language(_count_hits(words), len(set(words)))


def _split_words(text: str) -> list[str]:
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def _count_hits(words: Iterable[str]) -> Counter[str]:
    """Count the distinct stop words of each language among these words."""
    return Counter(code for word in set(words) for code in find_languages_of_word(word))


def find_languages_of_word(word: str) -> tuple[str, ...]:
    """Return the languages in which a word is a stop word."""
    return _index_stop_words().get(word.lower(), ())


def choose_language(hits: Counter[str], n_words: int, fewest: int = 3, lead: float = 1.2) -> tuple[str, ...]:
    """Choose the language with clearly the most stop words, as a tuple, which is empty if there is none.

    Parameters
    ----------
    hits : Counter
        Number of distinct stop words of each language.
    n_words : int
        Number of distinct words.
    fewest : int
        Least number of stop words of the first language.
    lead : float
        Least ratio of the numbers of the first and the second language.
    """
    if not hits:
        return ()
    ranked = sorted(hits.items(), key=lambda pair: (-pair[1], pair[0]))
    (first, most), (_, second) = [*ranked, ("", 0)][:2]
    is_sure = most >= fewest and most >= _LEAST_SHARE * n_words and most >= lead * second
    return (first,) if is_sure else ()


def _detect_by_script(letters: str) -> str | None:
    """Detect the language by a script that only one language uses, if most letters belong to it."""
    counts = {code: len(pattern.findall(letters)) for code, pattern in _IN_SCRIPT.items()}
    code = max(counts, key=counts.__getitem__)
    if code in ("zh", "ja"):
        of_both = counts["zh"] + counts["ja"]
        code, counts[code] = ("ja" if counts["ja"] > _MANY_KANA * of_both else "zh"), of_both
    if counts[code] > len(letters) / 2:
        return code
    if len(_CYRILLIC.findall(letters)) > len(letters) / 2:
        codes = (code for code, pattern in _OF_ONE_CYRILLIC.items() if pattern.search(letters))
        return next(codes, "bg" if "ъ" in letters else None)
    return None


# -- lists of words --------------------------------------------------------------------------------------------------


@cache
def load_stop_words(code: str) -> frozenset[str]:
    """Load the stop words of a language in lower case; empty if there is no list."""
    import stopwordsiso

    if code == "en":  # their list contains content words, such as computer, problem and research
        return _ENGLISH
    return frozenset(stopwordsiso.stopwords(code)) if stopwordsiso.has_lang(code) else frozenset()


@cache
def _index_stop_words() -> dict[str, tuple[str, ...]]:
    import stopwordsiso

    codes_by_word: dict[str, list[str]] = {}
    for code in sorted(stopwordsiso.langs()):
        for word in load_stop_words(code):
            if len(word) > 1:
                codes_by_word.setdefault(word, []).append(code)
    return {word: tuple(codes) for word, codes in codes_by_word.items()}


@cache
def _list_codes() -> frozenset[str]:
    import stopwordsiso

    return frozenset(stopwordsiso.langs()) | _SCRIPTS.keys() | _OF_ONE_CYRILLIC.keys() | _STEMMERS.keys()


def check_language(language: str | Iterable[str] | None) -> tuple[str, ...]:
    """Validate languages, and return their codes, such as "pt" for "pt_BR"; an empty tuple for None."""
    names = [] if language is None else [language] if isinstance(language, str) else list(language)
    codes = []
    for name in names:
        code = re.split("[-_]", name.lower())[0] if isinstance(name, str) else ""
        code = {"nb": "no", "nn": "no"}.get(code, code)
        if code not in _list_codes():
            raise ValueError(
                f'`language` must be "auto", None or a code of two letters, got {short_repr(name)}. '
                f"Valid codes: {' '.join(sorted(_list_codes()))}."
            )
        codes.append(code)
    return tuple(dict.fromkeys(codes))


@cache
def load_stemmer(code: str) -> Callable[[str], str]:
    """Load the function that returns the stem of a word of a language."""
    if code not in _STEMMERS:
        raise ValueError(
            f"`stem` must be False for the language {short_repr(code)}, which has no stemmer. "
            f"Languages with a stemmer: {' '.join(sorted(_STEMMERS))}."
        )
    try:
        import snowballstemmer
    except ImportError as error:
        raise ImportError(
            'stem=True needs the package snowballstemmer, which is not installed: pip install "codebooks-learn[words]".'
        ) from error
    try:
        return snowballstemmer.stemmer(_STEMMERS[code]).stemWord
    except KeyError as error:
        raise ValueError(
            f"The installed snowballstemmer has no stemmer for {short_repr(code)}. "
            "Update it: pip install -U snowballstemmer."
        ) from error
