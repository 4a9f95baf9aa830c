"""Character classes of all scripts, and normalization of characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["MARKS", "NO_SPACES", "fold_accents", "has_no_spaces", "lower_case", "strip_formats"]

# Scripts that are written without spaces between words: Thai, Lao, Myanmar, Khmer, Kana and Han.
NO_SPACES = (
    "\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u3096\u30a1-\u30ff\u31f0-\u31ff"
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
_NO_SPACES = re.compile(f"[{NO_SPACES}]")


def _build_character_class(codes: Iterable[int]) -> str:
    """Build the content of [...] in a regular expression for these ascending code points."""
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


# Combining marks, such as accents, vowel signs and points. Those above U+1FFFF only select variants.
MARKS = _build_character_class(code for code in range(0x300, 0x20000) if unicodedata.category(chr(code))[0] == "M")

# Characters that change the appearance of a word only: soft hyphens, joiners, direction marks, tatweel.
_FORMATS = re.compile("[\u00ad\u0640\u200c-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufe00-\ufe0f]+")
_OTHER_SIGNS = str.maketrans(
    {**dict.fromkeys("\u2018\u2019\u201b\u00b4\u02bc\u05f3", "'"), "\u2010": "-", "\u2011": "-", "\u200b": " "}
    | dict.fromkeys("\u2122\u00ae\u00a9", " ")
)
_HAS_OTHER_SIGNS = re.compile(f"[{''.join(map(chr, _OTHER_SIGNS))}]")
_ACCENTS = re.compile("(?<!\u0438)[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1-\u05c7\u064b-\u0655\u0670]+")
_BASES = str.maketrans(
    {"đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "þ": "th"}
    | {"Đ": "D", "Ð": "D", "Ħ": "H", "Ł": "L", "Ø": "O", "Æ": "AE", "Œ": "OE", "Þ": "TH"}
)
_TURKISH = str.maketrans({"I": "ı", "İ": "i"})


def has_no_spaces(text: str) -> bool:
    """Return whether a text contains letters of a script that is written without spaces between words."""
    return not text.isascii() and _NO_SPACES.search(text) is not None


def strip_formats(text: str, normalization: str | None) -> str:
    """Normalize a text, unify its apostrophes, and remove characters that change only its appearance."""
    if text.isascii():
        return text
    if _HAS_OTHER_SIGNS.search(text):
        text = text.translate(_OTHER_SIGNS)
    if _FORMATS.search(text):
        text = _FORMATS.sub("", text)
    if normalization is not None:
        text = unicodedata.normalize(normalization, text)  # type: ignore[arg-type]
        if "\u0e4d" in text:  # NFKC decomposes a Thai vowel
            text = text.replace("\u0e4d\u0e32", "\u0e33")
    return text


def lower_case(text: str, turkish: bool = False) -> str:
    """Convert a text to lower case, so that words in capitals match."""
    if turkish:
        text = text.translate(_TURKISH)
    text = text.lower()
    return text if text.isascii() else text.replace("ß", "ss").replace("i\u0307", "i")


def fold_accents(text: str) -> str:
    """Remove accents, and the vowel points of Arabic and Hebrew."""
    if text.isascii():
        return text
    plain = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFC", plain).translate(_BASES)
