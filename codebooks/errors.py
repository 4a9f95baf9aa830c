"""Messages of errors: `UserError`, which readers of files and the command line raise, and values in short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from reprlib import Repr
from typing import Any

__all__ = ["UserError", "short_repr", "shorten", "shorten_errors"]

_LONGEST = 500  # characters of a message


class UserError(ValueError):
    """What a user can put right; the message is one sentence that says how, of at most 500 characters."""

    def __init__(self, message: str):
        super().__init__(shorten(message, _LONGEST))


_repr = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 60


def short_repr(value: Any) -> str:
    """A value that a user gave as Python writes it, on one line of about 60 characters, for a message about it.

    Examples
    --------
    >>> short_repr(["red lamp"] * 1_000_000)
    "['red lamp', 'red lamp', 'red lamp', 'red lamp', 'red lamp', 'red lamp', ...]"
    """
    return shorten(" ".join(_repr.repr(value).split()), 120)


@contextmanager
def shorten_errors() -> Iterator[None]:
    """Shorten the messages of errors of other libraries, which may hold a whole value."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if len(str(error)) <= _LONGEST:
            raise
        raise type(error)(shorten(str(error), _LONGEST)) from None


def shorten(text: str, length: int) -> str:
    """The text, or its beginning and its end with three dots between, of `length` characters in all."""
    if len(text) <= length:
        return text
    end = length // 3
    return f"{text[: length - end - 3]} … {text[-end:]}"
