"""`UserError`, which file readers and the command line raise, and helpers that keep error messages short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from reprlib import Repr
from typing import Any

__all__ = ["UserError", "short_repr", "shorten", "shorten_errors"]

_MAX_LENGTH = 500  # characters of a message


class UserError(ValueError):
    """An error that the user can correct; the message says how, in at most 500 characters."""

    def __init__(self, message: str):
        super().__init__(shorten(message, _MAX_LENGTH))


_repr = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 60


def short_repr(value: Any) -> str:
    """Return the `repr` of a value on one line, shortened to at most 120 characters, for an error message.

    Examples
    --------
    >>> short_repr(["red lamp"] * 1_000_000)
    "['red lamp', 'red lamp', 'red lamp', 'red lamp', 'red lamp', 'red lamp', ...]"
    """
    return shorten(" ".join(_repr.repr(value).split()), 120)


@contextmanager
def shorten_errors() -> Iterator[None]:
    """Shorten messages of errors from other libraries, which may contain a whole value."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if len(str(error)) <= _MAX_LENGTH:
            raise
        raise type(error)(shorten(str(error), _MAX_LENGTH)) from None


def shorten(text: str, length: int) -> str:
    """Return the text, or its beginning and end joined by an ellipsis, of at most `length` characters."""
    if len(text) <= length:
        return text
    end = length // 3
    return f"{text[: length - end - 3]} … {text[-end:]}"
