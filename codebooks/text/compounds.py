"""Words of a stretch of text without blanks: codes and identifiers whole and in parts, contractions without stubs."""

from __future__ import annotations

import re
from collections.abc import Callable

from codebooks.text.characters import MARKS, NO_SPACES

__all__ = ["BESIDE", "JOINERS", "LONGEST_WORD", "SIGNS", "find_words", "is_plain"]

# Characters that may stand within a word beside letters, digits and marks.
JOINERS = "._-'`&/:@+#"
BESIDE = ".:'`-_"  # at the end of a stretch without blanks, these are no part of a word
# No word goes across these signs, nor across blanks.
SIGNS = "".join(chr(code) for code in range(128) if not chr(code).isalnum() and chr(code) not in JOINERS)
SIGNS += "–—“”„…«»、。"
LONGEST_WORD = 64  # characters; what is longer is data
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
    """The words of a text, each before its parts.

    Parameters
    ----------
    text : str
        In its original case.
    segment : callable
        Splits letters of scripts that have no blanks between words.
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
    """Whether a text is a single word of ASCII letters and digits, and no identifier in camel case."""
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
        bare = _remove_contraction(compound)
        if bare != compound:
            return _split(bare) if bare else []
        if len(pieces) == 2:  # O'Brien, don't
            latin = [part for part in pieces if len(part) > 2 and part < _END_OF_LATIN]
            return [(compound, *(latin if pieces[1].lower() != "t" else ()))]
    shown = [part for piece in pieces for part in _split_camel_case(piece) if 1 < len(part) <= LONGEST_WORD]
    if len(compound) > LONGEST_WORD or not _is_code(compound, pieces):
        return [(part,) for part in shown]
    return [(compound, *(() if _MEASURE.fullmatch(compound) else [part for part in shown if part != compound]))]


def _is_code(compound: str, pieces: list[str]) -> bool:
    """Whether a compound means more than its pieces do: R2-D2, C++, U.S., snake_case, getUserById; not well-known."""
    return (
        len(pieces) == 1
        or "_" in compound
        or "&" in compound
        or any(map(str.isdigit, compound))
        or compound[-1] in "+#"
        or max(map(len, pieces)) == 1
    )


def _split_camel_case(piece: str) -> list[str]:
    """A piece itself, and its parts if it is written in camel case."""
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
    """A word without what is contracted with it: John's, they've, l'homme, dell'arte; don't as it is."""
    first, _, rest = word.partition("'")
    if first.lower() in _ELISIONS and rest.lower() not in _STUBS:
        return rest
    before, _, last = word.rpartition("'")
    if last.lower() in _CLITICS:
        return before
    return "" if word.lower() == "n't" else word


def _is_data(compound: str) -> bool:
    """Whether a compound is encoded data, such as base64: it changes between cases and digits all the time."""
    return (
        _DATA.fullmatch(compound) is not None
        and len(_TURNS.findall(compound)) > len(compound) / 4
        and not compound.islower()
        and not compound.isupper()
    )
