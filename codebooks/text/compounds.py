"""Words of a stretch of text without spaces, with the parts of codes, identifiers and compounds."""

from __future__ import annotations

import re
from collections.abc import Callable

from codebooks.text.characters import MARKS, NO_SPACES

__all__ = ["JOINERS", "LONGEST_WORD", "SIGNS", "TRAILING_SIGNS", "find_words", "is_plain"]

# Characters that a word may contain, besides letters, digits and marks.
JOINERS = "._-'`&/:@+#"
TRAILING_SIGNS = ".:'`-_"  # not part of a word at the end of a stretch
# These signs separate words, as spaces do.
SIGNS = "".join(chr(code) for code in range(128) if not chr(code).isalnum() and chr(code) not in JOINERS)
SIGNS += "–—“”„…«»、。"
LONGEST_WORD = 64  # characters; longer strings are data
_SHORTEST_DATA = 24

_LETTERS = rf"(?:[^\W_{NO_SPACES}][{MARKS}]*)+"
_PIECE = rf"{_LETTERS}(?:\+\+\d*|#(?!\w))?"
_WORD = re.compile(
    rf"(?P<run>(?:(?=[\w{MARKS}])[{NO_SPACES}])+)|(?P<compound>{_PIECE}(?:(?:_+|[.\-'`&/:@+#·]){_PIECE})*)"
)
_ASCII_PIECE = r"[A-Za-z0-9]+(?:\+\+[0-9]*|#(?!\w))?"
_ASCII_WORD = re.compile(rf"(?P<compound>{_ASCII_PIECE}(?:(?:_+|[.\-'`&/:@+#]){_ASCII_PIECE})*)")
_JOINER = re.compile(r"(?:_+|[.\-'`&/:@#]|(?<!\+)\+(?!\+))(?=\w)")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_IS_CAMEL = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]{2}")
_EMAIL = re.compile(r"[^@/]+@[^@/]+\.[^@/]+")
_SITE = re.compile(r"[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,6}/")
_DOMAIN = re.compile(r"[\w-]+(?:\.[\w-]+)*\.(?:com|edu|gov|mil|net|org|(?:ac|co)\.[a-z]{2})", re.IGNORECASE)
_MEASURE = re.compile(r"\d+\.\d+|\d{1,2}:\d{2}")  # a decimal number or a time of day
_DATA = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
_TURNS = re.compile(r"[a-z](?=[A-Z0-9])|[A-Z](?=[0-9])|[0-9](?=[A-Za-z])|[A-Z](?=[a-z])")

_END_OF_LATIN = "\u0250"
_CLITICS = frozenset({"s", "ll", "ve", "re", "d", "m"})
_STUBS = _CLITICS | {"t"}
_ELISIONS = frozenset("ldjmtsnc") | frozenset(
    re.findall(
        r"\w+",
        "qu jusqu lorsqu puisqu quoiqu presqu quelqu dell all nell sull dall coll un gl quell quest sant bell nessun "
        "ciascun qualcun anch",
    )
)


def find_words(text: str, segment: Callable[[str], list[tuple[str, ...]]], parts: bool) -> list[tuple[str, ...]]:
    """Find the words of a stretch of text, each with its parts.

    Parameters
    ----------
    text : str
        In its original case.
    segment : callable
        Function that splits letters of scripts without spaces between words.
    parts : bool
        Whether the parts of codes and identifiers are words too.
    """
    if "@" in text and _EMAIL.fullmatch(text):
        return []
    words: list[tuple[str, ...]] = []
    if text.isascii() and "'" not in text and "`" not in text:
        for compound in _ASCII_WORD.findall(text):
            words += _split(compound)
        return words if parts else [word[:1] for word in words]
    for match in (_ASCII_WORD if text.isascii() else _WORD).finditer(text):
        if match.lastgroup == "run":
            words += segment(match[0])
        elif not (match.start() and text[match.start() - 1] in "'`" and match[0].lower() in _STUBS):
            words += _split(match[0])
    return words if parts else [word[:1] for word in words]


def is_plain(text: str) -> bool:
    """Return whether a text is a single word of ASCII letters and digits, and not in camel case."""
    if not (text.isalnum() and text.isascii() and len(text) <= LONGEST_WORD):
        return False
    return text.islower() or text.isupper() or text[1:].islower() or text.isdigit()


def _split(compound: str) -> list[tuple[str, ...]]:
    if compound.isalnum() and (is_plain(compound) or (compound.isalpha() and not _IS_CAMEL.search(compound))):
        return [(compound,)] if len(compound) <= LONGEST_WORD else []
    if (
        (len(compound) >= _SHORTEST_DATA and _is_data(compound))
        or ("@" in compound and _EMAIL.fullmatch(compound))
        or ("/" in compound and _SITE.match(compound))
    ):
        return []
    pieces = _JOINER.split(compound)
    if "." in compound and _DOMAIN.fullmatch(compound):
        return [(compound, *(part for part in pieces[:-1] if len(part) > 2))]
    if "'" in compound or "`" in compound:
        compound = compound.replace("`", "'")
        base = _remove_contraction(compound)
        if base != compound:
            return _split(base) if base else []
        if len(pieces) == 2:  # O'Brien, don't
            latin = [part for part in pieces if len(part) > 2 and part < _END_OF_LATIN]
            return [(compound, *(latin if pieces[1].lower() != "t" else ()))]
    parts = [part for piece in pieces for part in _split_camel_case(piece) if 1 < len(part) <= LONGEST_WORD]
    if len(compound) > LONGEST_WORD or not _is_code(compound, pieces):
        return [(part,) for part in parts]
    return [(compound, *(() if _MEASURE.fullmatch(compound) else [part for part in parts if part != compound]))]


def _is_code(compound: str, pieces: list[str]) -> bool:
    """Return whether a compound is a code or identifier: R2-D2, C++, U.S., snake_case, getUserById; not well-known."""
    return (
        len(pieces) == 1
        or "_" in compound
        or "&" in compound
        or any(map(str.isdigit, compound))
        or compound[-1] in "+#"
        or max(map(len, pieces)) == 1
    )


def _split_camel_case(piece: str) -> list[str]:
    """Return a piece and its parts in camel case."""
    if piece.isalpha() and (piece.islower() or piece.isupper()):
        return [piece]
    base = piece.rstrip("+#")
    parts = [piece] if base == piece or len(base) > 2 else []
    if base != piece and len(base) > 2:
        parts = [base] if "#" in piece else [piece, base]
    if base.isascii() and _IS_CAMEL.search(base):
        parts += [part for part in _CAMEL.findall(base) if part != base]
    return parts


def _remove_contraction(word: str) -> str:
    """Remove contracted words: John's, they've, l'homme, dell'arte; don't is unchanged."""
    first, _, rest = word.partition("'")
    if first.lower() in _ELISIONS and rest.lower() not in _STUBS:
        return rest
    before, _, last = word.rpartition("'")
    if last.lower() in _CLITICS:
        return before
    return "" if word.lower() == "n't" else word


def _is_data(compound: str) -> bool:
    """Return whether a compound is encoded data, such as base64, with frequent changes of case and digits."""
    return (
        _DATA.fullmatch(compound) is not None
        and len(_TURNS.findall(compound)) > len(compound) / 4
        and not compound.islower()
        and not compound.isupper()
    )
