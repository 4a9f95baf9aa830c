"""Terms of long texts by a compiled hash table of their stretches. `TextAnalyzer` uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np

from codebooks._fork_safe_lock import ForkSafeLock
from codebooks.text.compounds import LONGEST_WORD, SIGNS, TRAILING_SIGNS

__all__ = ["TermTable"]

_BLOCK = 2**20  # characters of documents that are processed at a time
_END = b"\xff"  # end of a document; this byte does not occur in UTF-8
_MAX_STRETCHES, _MAX_BYTES = 2**20, 2**26  # of a table, which is cleared beyond them

# Only one thread at a time may change a table.
_table_lock = ForkSafeLock(delays_forks=True)


class TermTable:
    """A table of the terms of stretches (parts of a text between spaces); each distinct stretch is analyzed once.

    Parameters
    ----------
    analyze : callable
        Returns the terms of a stretch.
    is_lowered : bool
        Whether a plain ASCII word has the same terms in upper and in lower case.
    """

    def __init__(self, analyze: Callable[[str], Iterable[str]], is_lowered: bool):
        from codebooks.ops import kernels_tokens

        self._kernels, self._analyze = kernels_tokens, analyze
        self._kinds = _classify_bytes(kernels_tokens)
        self._breaks = np.array([code for code in range(128, 2**16) if _is_break(chr(code))], np.int64)
        self._longest_lowered = LONGEST_WORD if is_lowered else 0
        self._clear()

    def _clear(self) -> None:
        self._slots = np.full(2**12, -1, np.int32)
        self._hashes, self._ends = np.empty(2**11, np.uint64), np.empty(2**11, np.int64)
        self._keys, self._size = np.empty(2**14, np.uint8), np.zeros(1, np.int64)
        self._n_analyzed = 0
        self._bounds, self._terms = np.zeros(2**11 + 1, np.int64), np.empty(2**12, np.int32)
        self.vocabulary: dict[str, int] = {}
        self._words: list[str] = []
        self._n_words = 0  # in the array
        self._word_array = np.empty(2**11, object)

    def analyze(self, text: str) -> list[str]:
        """Return the terms of a text, in its order."""
        with _table_lock:
            if self._size[0] > _MAX_STRETCHES or len(self._keys) > _MAX_BYTES:
                self._clear()
            stretches, n_stretches = self._find_stretches(_encode(text))
            self._analyze_new(n_stretches)
            terms, _ = self._kernels.gather_terms(stretches, self._bounds, self._terms)
            return self._word_array.take(terms).tolist()

    def count(self, texts: Iterable[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Count the terms of documents, and add new terms to `vocabulary`.

        Parameters
        ----------
        texts : iterable of str

        Returns
        -------
        indices, counts, indptr : ndarray
            Arrays of a CSR matrix. Columns are not in order within a row.
        """
        parts = [(np.empty(0, np.int32), np.empty(0, np.int64), np.zeros(1, np.int64))]
        with ThreadPoolExecutor(1) as thread:  # finds the stretches of the next block
            for stretches, n_stretches in _compute_ahead(thread, self._find_stretches, _join_blocks(texts)):
                self._analyze_new(n_stretches)
                terms, ends = self._kernels.gather_terms(stretches, self._bounds, self._terms)
                parts.append(self._kernels.count_rows(terms, ends, len(self.vocabulary)))
        indices, counts, n_entries = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return indices, counts, np.cumsum(n_entries)

    def _find_stretches(self, encoded: bytes) -> tuple[np.ndarray, int]:
        """Return the numbers of the stretches of documents, -1 at the end of each, and the size of the table."""
        text, position, parts = np.frombuffer(encoded, np.uint8), 0, []
        while True:
            stretches = np.empty(len(text) - position, np.int32)
            position, n = self._kernels.number_stretches(
                text,
                position,
                self._kernels.Alphabet(self._kinds, self._breaks, self._longest_lowered),
                self._kernels.HashTable(self._slots, self._hashes, self._ends, self._keys, self._size),
                stretches,
            )
            parts.append(stretches[:n])
            if position == len(text):
                return parts[0] if len(parts) == 1 else np.concatenate(parts), int(self._size[0])
            self._grow(len(text) - position)

    def _grow(self, n_bytes: int) -> None:
        """Enlarge the arrays of stretches, or of their letters."""
        n_keys = int(self._size[0])
        if n_keys < len(self._ends):
            n_used = int(self._ends[n_keys - 1]) if n_keys else 0
            self._keys = _enlarge(self._keys, max(2 * len(self._keys), n_used + n_bytes))
            return
        slots = np.full(4 * n_keys, -1, np.int32)
        self._kernels.fill_slots(slots, self._hashes, n_keys)
        self._slots = slots
        self._hashes = _enlarge(self._hashes, 2 * n_keys)
        self._ends = _enlarge(self._ends, 2 * n_keys)

    def _analyze_new(self, last: int) -> None:
        """Add the terms of new stretches, up to this number of stretches."""
        first = self._n_analyzed
        if first >= last:
            return
        start = int(self._ends[first - 1]) if first else 0
        ends = (self._ends[first:last] - start).tolist()
        letters: Any = self._keys[start : start + ends[-1]].tobytes()
        is_ascii = letters.isascii()
        if is_ascii:
            letters = letters.decode("ascii")
        analyze, vocabulary, words = self._analyze, self.vocabulary, self._words
        numbers, bounds, begin = [], [], 0
        for end in ends:
            stretch = letters[begin:end] if is_ascii else letters[begin:end].decode("utf-8", "surrogatepass")
            for word in analyze(stretch):
                number = vocabulary.get(word)
                if number is None:
                    number = len(words)
                    words.append(word)
                    vocabulary[word] = number
                numbers.append(number)
            bounds.append(len(numbers))
            begin = end
        n_terms = int(self._bounds[first])
        self._terms = _ensure_size(self._terms, n_terms + len(numbers))
        self._terms[n_terms : n_terms + len(numbers)] = numbers
        self._word_array = _ensure_size(self._word_array, len(words))
        self._word_array[self._n_words : len(words)] = words[self._n_words :]
        self._n_words = len(words)
        self._bounds = _ensure_size(self._bounds, last + 1)
        self._bounds[first + 1 : last + 1] = bounds
        self._bounds[first + 1 : last + 1] += n_terms
        self._n_analyzed = last


def _compute_ahead(thread: Executor, function: Callable[[Any], Any], inputs: Iterable[Any]) -> Iterator[Any]:
    """Yield results of a function; another thread computes the next one meanwhile."""
    previous = None
    for argument in inputs:
        current = thread.submit(function, argument)
        if previous is not None:
            yield previous.result()
        previous = current
    if previous is not None:
        yield previous.result()


def _join_blocks(texts: Iterable[str]) -> Iterator[bytes]:
    """Join texts to blocks, each text with an end byte."""
    block, size = [], 0
    for text in texts:
        block.append(_encode(text))
        size += len(text)
        if size > _BLOCK:
            yield _END.join([*block, b""])
            block, size = [], 0
    if block:
        yield _END.join([*block, b""])


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _is_break(character: str) -> bool:
    return character.isspace() or character in SIGNS


def _classify_bytes(kernels: Any) -> np.ndarray:
    kinds = np.full(256, kernels.OTHER, np.uint8)
    for code in range(128):
        character = chr(code)
        if _is_break(character):
            kinds[code] = kernels.BREAK
        elif character.isalnum():
            kinds[code] = (
                kernels.DIGIT if character.isdigit() else kernels.LOWER if character.islower() else kernels.UPPER
            )
        else:
            kinds[code] = kernels.BESIDE if character in TRAILING_SIGNS else kernels.SIGN
    leads = {_encode(chr(code))[0] for code in range(128, 2**16) if _is_break(chr(code))}
    kinds[sorted(leads)] = kernels.MAYBE_BREAK
    kinds[_END[0]] = kernels.END
    return kinds


def _ensure_size(array: np.ndarray, n: int) -> np.ndarray:
    """Return the array, or a larger one with the same entries."""
    return array if n <= len(array) else _enlarge(array, max(n, 2 * len(array)))


def _enlarge(array: np.ndarray, n: int) -> np.ndarray:
    larger = np.empty(n, array.dtype)
    larger[: len(array)] = array
    return larger
