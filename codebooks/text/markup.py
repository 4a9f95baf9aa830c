"""Removal of HTML, addresses, encoded data and minified lines from texts."""

from __future__ import annotations

import re
from html import unescape

from codebooks.text.characters import has_no_spaces

__all__ = ["strip_markup"]

_ELEMENTS = (
    "a|abbr|address|area|article|aside|audio|b|base|bdi|bdo|big|blockquote|body|br|button|canvas|caption|center|cite|"
    "code|col|colgroup|data|dd|del|details|dfn|dialog|div|dl|dt|em|embed|fieldset|figcaption|figure|font|footer|form|"
    "frame|frameset|h[1-6]|head|header|hgroup|hr|html|i|iframe|img|input|ins|kbd|label|legend|li|link|main|map|mark|"
    "meta|nav|noscript|object|ol|optgroup|option|output|p|param|picture|pre|progress|q|rp|rt|ruby|s|samp|section|"
    "select|small|source|span|strike|strong|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|th|thead|time|"
    "title|tr|track|tt|u|ul|var|video|wbr|!doctype"
)
_TAG = re.compile(rf"</?(?:{_ELEMENTS})(?:[\s/][^<>]{{0,2000}})?>|<!--[^<>]{{0,2000}}-->", re.IGNORECASE)
_INVISIBLE = re.compile(r"<(script|style)(?:\s[^<>]{0,2000})?>", re.IGNORECASE)
_ENTITY = re.compile(
    r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|(?:amp|lt|gt|quot|nbsp|apos)(?![a-z])|[A-Za-z][A-Za-z0-9]{1,31}(?=;));?"
)
_ADDRESS = re.compile(r"(?:https?|ftps?|file|s3|git|ssh)://\S+|www\.\S+|mailto:\S+", re.IGNORECASE)
_UUENCODED = re.compile(r"\nM[!-`]{60}(?=\s)")
# A line of this length with fewer than one space per this number of characters is data, such as minified source code.
_LONG_LINE, _CHARACTERS_PER_SPACE = 300, 30


def strip_markup(text: str) -> str:
    """Replace HTML tags, addresses and data by spaces, and entities by characters."""
    if len(text) >= _LONG_LINE:
        text = _remove_data(text)
    if "<" in text:
        text = _remove_tags(text)
    if "&" in text:
        plain = text
        for _ in range(2):  # some exports escape twice
            plain = _ENTITY.sub(_decode_entity, plain)
        if plain is not text and "<" in plain:
            plain = _remove_tags(plain)
        text = plain
    if "://" in text or "www." in text or "WWW." in text or "mailto:" in text:
        text = _ADDRESS.sub(" ", text)
    return text


def _remove_data(text: str) -> str:
    if _has_long_line(text):
        text = "\n".join(line for line in text.split("\n") if not _is_data(line))
    return _UUENCODED.sub("\n", text) if "\nM" in text else text


def _has_long_line(text: str) -> bool:
    start = 0
    while start + _LONG_LINE <= len(text):
        end = text.rfind("\n", start, start + _LONG_LINE)
        if end < 0:
            return True
        start = end + 1
    return False


def _is_data(line: str) -> bool:
    return (
        len(line) >= _LONG_LINE
        and len(line) > _CHARACTERS_PER_SPACE * (line.count(" ") + line.count("\t"))
        and not has_no_spaces(line)
    )


def _remove_tags(text: str) -> str:
    kept, start = [], 0
    while (opening := _INVISIBLE.search(text, start)) is not None:
        kept.append(text[start : opening.start()])
        end = re.compile(f"</{opening[1]}\\s*>", re.IGNORECASE).search(text, opening.end())
        if end is None:
            start = opening.end()
            break
        start = end.end()
    return _TAG.sub(" ", " ".join([*kept, text[start:]]))


def _decode_entity(entity: re.Match[str]) -> str:
    character = unescape(entity[0] if entity[0].endswith(";") else f"{entity[0]};")
    return entity[0] if character.startswith("&") and len(character) > 1 else character
