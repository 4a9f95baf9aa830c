"""Characters of words in all scripts, and forms in which they are compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["MARKS", "NO_SPACES", "fold_accents", "has_no_spaces", "lower_case", "strip_formats"]

# Scripts that are written without blanks between words: Thai, Lao, Myanmar, Khmer, Kana and Han.
NO_SPACES = (
    "\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u3096\u30a1-\u30ff\u31f0-\u31ff"
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
_NO_SPACES = re.compile(f"[{NO_SPACES}]")


def _character_class(codes: Iterable[int]) -> str:
    """The inside of a regular expression's [...] for these code points, in ascending order."""
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


# Combining marks, such as accents, vowel signs and points. Those above U+1FFFF are variants of a form.
MARKS = _character_class(code for code in range(0x300, 0x20000) if unicodedata.category(chr(code))[0] == "M")

# Characters that change how letters look but not which word it is: soft hyphens, joiners, marks of direction, tatweel.
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
    """Whether a text has letters of a script that is written without blanks between words."""
    return not text.isascii() and _NO_SPACES.search(text) is not None


def strip_formats(text: str, normalization: str | None) -> str:
    """A text in a normal form, with one kind of apostrophe and without characters that only change its looks."""
    if text.isascii():
        return text
    if _HAS_OTHER_SIGNS.search(text):
        text = text.translate(_OTHER_SIGNS)
    if _FORMATS.search(text):
        text = _FORMATS.sub("", text)
    if normalization is not None:
        text = unicodedata.normalize(normalization, text)  # type: ignore[arg-type]
        if "\u0e4d" in text:  # NFKC splits a Thai vowel
            text = text.replace("\u0e4d\u0e32", "\u0e33")
    return text


def lower_case(text: str, turkish: bool = False) -> str:
    """A text in lower case, so that a word in capitals is the same word."""
    if turkish:
        text = text.translate(_TURKISH)
    text = text.lower()
    return text if text.isascii() else text.replace("ß", "ss").replace("i\u0307", "i")


def fold_accents(text: str) -> str:
    """A text without accents, and without the vowel points of Arabic and Hebrew."""
    if text.isascii():
        return text
    plain = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFC", plain).translate(_BASES)
