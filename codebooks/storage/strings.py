"""Strings as arrays of numbers, and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

__all__ = ["pack_strings", "unpack_strings"]


def pack_strings(strings: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Strings as two arrays that can be stored: what `unpack_strings` takes.

    Parameters
    ----------
    strings : sequence of str
        Any text, lone surrogates and NUL included.

    Returns
    -------
    text : ndarray of uint8, shape (n_bytes,)
        All strings in UTF-8, one after another.
    offsets : ndarray of int64, shape (n_strings + 1,)
        String i is `text[offsets[i]:offsets[i + 1]]`.

    Raises
    ------
    TypeError
        Something among them is not a string.

    Examples
    --------
    >>> text, offsets = pack_strings(["né", "", "b"])
    >>> text.tolist(), offsets.tolist()
    ([110, 195, 169, 98], [0, 3, 3, 4])
    >>> unpack_strings(text, offsets)
    ['né', '', 'b']
    """
    if isinstance(strings, str):
        raise TypeError("wanted a list of strings and got one string. Put it into a list.")
    encoded = []
    for index, string in enumerate(strings):
        if not isinstance(string, str):
            raise TypeError(f"wanted strings and got {type(string).__name__} at index {index}. Turn it into text.")
        encoded.append(string.encode("utf-8", "surrogatepass"))
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def unpack_strings(text: np.ndarray, offsets: np.ndarray) -> list[str]:
    r"""The strings that `pack_strings` took.

    Parameters
    ----------
    text : ndarray of uint8, shape (n_bytes,)
        All strings in UTF-8, one after another.
    offsets : ndarray of int64, shape (n_strings + 1,)
        Where each begins, and the end of the last.

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
    bounds = offsets.tolist() if offsets.ndim == 1 and offsets.dtype.kind in "iu" else []
    whole = text.tobytes() if text.ndim == 1 and text.dtype == np.uint8 else None
    if whole is None or not bounds or bounds[0] != 0 or bounds[-1] != len(whole) or (np.diff(bounds) < 0).any():
        raise ValueError(
            f"wanted bytes and rising offsets from 0 to their number, as pack_strings returns, and got {text.dtype} of "
            f"shape {text.shape} and {offsets.dtype} of shape {offsets.shape}. Pack the strings again."
        )
    try:
        return [whole[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(bounds)]
    except UnicodeDecodeError as error:
        raise ValueError(f"wanted UTF-8, as pack_strings returns, and got {error}. Pack the strings again.") from error
