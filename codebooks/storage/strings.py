"""Conversion between lists of strings and arrays of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

__all__ = ["check_strings", "pack_strings", "unpack_strings"]

_CHUNK = 2**24  # number of bytes that are decoded at a time


def pack_strings(strings: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Convert strings to two arrays that `save_arrays` can store; `unpack_strings` converts them back.

    Parameters
    ----------
    strings : sequence of str
        Any text, including lone surrogates and NUL.

    Returns
    -------
    text : ndarray of uint8, shape (n_bytes,)
        All strings in UTF-8, one after another.
    offsets : ndarray of int64, shape (n_strings + 1,)
        String i is `text[offsets[i]:offsets[i + 1]]`.

    Raises
    ------
    TypeError
        An element is not a string.

    Examples
    --------
    >>> text, offsets = pack_strings(["né", "", "b"])
    >>> text.tolist(), offsets.tolist()
    ([110, 195, 169, 98], [0, 3, 3, 4])
    >>> unpack_strings(text, offsets)
    ['né', '', 'b']
    """
    if isinstance(strings, str):
        raise TypeError("`strings` must be a list of strings, got one string. Put it into a list.")
    encoded = []
    for index, string in enumerate(strings):
        if not isinstance(string, str):
            raise TypeError(
                f"`strings` must contain strings, got {type(string).__name__} at index {index}. Convert it."
            )
        encoded.append(string.encode("utf-8", "surrogatepass"))
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def unpack_strings(text: np.ndarray, offsets: np.ndarray) -> list[str]:
    r"""Convert the arrays that `pack_strings` returned back to strings.

    Parameters
    ----------
    text : ndarray of uint8, shape (n_bytes,)
        All strings in UTF-8, one after another.
    offsets : ndarray of int64, shape (n_strings + 1,)
        Start of each string, and the end of the last.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        The arrays are not what `pack_strings` returns.

    Examples
    --------
    >>> unpack_strings(*pack_strings(["a", "\ud800"])) == ["a", "\ud800"]
    True
    """
    check_strings(text, offsets)
    whole = text.tobytes()
    return [whole[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(offsets.tolist())]


def check_strings(text: np.ndarray, offsets: np.ndarray) -> None:
    """Raise an error if arrays are not what `pack_strings` returns, without a copy of them.

    Parameters
    ----------
    text : ndarray of uint8, shape (n_bytes,)
        All strings in UTF-8, one after another.
    offsets : ndarray of int64, shape (n_strings + 1,)
        Start of each string, and the end of the last.

    Raises
    ------
    ValueError
        The arrays are not what `pack_strings` returns.

    Examples
    --------
    >>> check_strings(np.array([195, 169], np.uint8), np.array([0, 1, 2]))
    Traceback (most recent call last):
    ValueError: expected offsets between characters, got one within a character. Pack the strings again.
    """
    if not (
        (text.ndim, text.dtype, offsets.ndim, offsets.dtype) == (1, np.uint8, 1, np.int64)
        and len(offsets)
        and (offsets[0], offsets[-1]) == (0, len(text))
        and (offsets[:-1] <= offsets[1:]).all()  # a difference could overflow
    ):
        raise ValueError(
            f"expected uint8 text and int64 offsets ascending from 0 to its length, got {text.dtype} of shape "
            f"{text.shape} and {offsets.dtype} of shape {offsets.shape}. Pack the strings again."
        )
    if (text[offsets[offsets < len(text)]] & 0xC0 == 0x80).any():
        raise ValueError("expected offsets between characters, got one within a character. Pack the strings again.")
    start = 0
    while start < len(text):
        # The whole strings that fit in a chunk, at least one.
        next_one = max(np.searchsorted(offsets, start + _CHUNK, "right") - 1, np.searchsorted(offsets, start, "right"))
        end = int(offsets[next_one])
        try:
            text[start:end].tobytes().decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise ValueError(f"expected UTF-8, got {error}. Pack the strings again.") from error
        start = end
