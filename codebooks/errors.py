"""`UserError`, which every reader of files and the command line raise."""

from __future__ import annotations

__all__ = ["UserError", "shorten"]

_LONGEST = 500  # characters of a message


class UserError(ValueError):
    """What a user can put right; the message is one sentence that says how, of at most 500 characters."""

    def __init__(self, message: str):
        super().__init__(shorten(message, _LONGEST))


def shorten(text: str, length: int) -> str:
    """The text, or its beginning and its end with three dots between, of `length` characters in all."""
    if len(text) <= length:
        return text
    end = length // 3
    return f"{text[: length - end - 3]} … {text[-end:]}"
