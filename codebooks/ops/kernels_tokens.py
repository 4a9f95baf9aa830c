"""Kernels of `codebooks.text.term_table`: find stretches of UTF-8 text, number them in a hash table, count terms.

A stretch is a run of characters without blanks and other signs that separate words. Its key in the table leaves out
signs at its end that are not part of a word, and is in lower case if it is a plain ASCII word.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from codebooks.ops.compiler import compile_kernel

# Kinds of bytes, as bits, so that the kinds within a stretch are one number.
BREAK, LOWER, UPPER, DIGIT, SIGN, BESIDE, OTHER, MAYBE_BREAK, END = 0, 1, 2, 4, 8, 16, 32, 64, 128
_FIRST_HASH, _FACTOR = np.uint64(0xCBF29CE484222325), np.uint64(0x9E3779B97F4A7C15)


class Alphabet(NamedTuple):
    """How bytes form stretches."""

    kinds: Any  # (256,) uint8, kind of each byte
    breaks: Any  # int64, code points beyond ASCII that separate words, ascending
    longest_plain: int  # length of the longest word that is converted to lower case; 0 for none


class HashTable(NamedTuple):
    """Stretches and their numbers."""

    slots: Any  # int32, number of the key in each slot, -1 for an empty one; the length is a power of 2
    hashes: Any  # uint64, hash of each key
    ends: Any  # int64, end of each key in `keys`
    keys: Any  # uint8, bytes of all keys
    size: Any  # (1,) int64, number of keys


@compile_kernel
def number_stretches(text, position, alphabet, table, ids):
    """Write the numbers of stretches to `ids` until the text ends or the table is full; add new stretches to the table.

    Parameters
    ----------
    text : ndarray of uint8
    position : int
        Where to begin, outside a stretch.
    alphabet : Alphabet
    table : HashTable
    ids : ndarray of int32
        Numbers of stretches, and -1 at the end of each document.

    Returns
    -------
    position : int
        The length of the text, or the start of the first stretch that does not fit in the table.
    n_ids : int
        Number of entries written to `ids`.
    """
    kinds, breaks, longest_plain = alphabet
    slots, hashes, ends, keys, size = table
    n_ids, n, n_keys = 0, len(text), size[0]
    mask, capacity = len(slots) - 1, min(len(ends), len(slots) // 2)
    n_bytes = ends[n_keys - 1] if n_keys else 0
    while position < n:
        if kinds[text[position]] == BREAK:
            position += 1
            continue
        if kinds[text[position]] == END:
            ids[n_ids] = -1
            n_ids += 1
            position += 1
            continue
        start, kinds_seen, n_upper = position, 0, 0
        while position < n:
            kind = kinds[text[position]]
            if not BREAK < kind < END:
                break
            if kind & MAYBE_BREAK:
                code, width = _decode(text, position)
                place = np.searchsorted(breaks, code)
                if place < len(breaks) and breaks[place] == code:
                    if position > start:
                        break
                    position += width
                    start = position
                    continue
            kinds_seen |= kind
            n_upper += kind == UPPER
            position += 1
        end = position
        while end > start and kinds[text[end - 1]] == BESIDE:
            end -= 1
        if end == start:
            continue
        if kinds_seen & BESIDE:
            kinds_seen = 0
            for i in range(start, end):
                kinds_seen |= kinds[text[i]]
        is_one_case = n_upper == 0 or not kinds_seen & LOWER or (n_upper == 1 and kinds[text[start]] == UPPER)
        is_plain = kinds_seen & ~(LOWER | UPPER | DIGIT) == 0 and is_one_case and end - start <= longest_plain
        to_lower = np.uint8(32 if is_plain and n_upper else 0)
        digest = _FIRST_HASH
        for i in range(start, end):
            byte = text[i] | (to_lower if kinds[text[i]] == UPPER else np.uint8(0))
            digest = (digest ^ np.uint64(byte)) * _FACTOR
        digest ^= digest >> np.uint64(29)
        slot = np.int64(digest & np.uint64(mask))
        while True:
            key = slots[slot]
            if key < 0:
                break
            if hashes[key] == digest:
                first = ends[key - 1] if key else 0
                if ends[key] - first == end - start:
                    same = True
                    for i in range(end - start):
                        byte = text[start + i]
                        if kinds[byte] == UPPER:
                            byte |= to_lower
                        if keys[first + i] != byte:
                            same = False
                            break
                    if same:
                        break
            slot = (slot + 1) & mask
        if key < 0:
            if n_keys >= capacity or n_bytes + end - start > len(keys):
                return start, n_ids
            for i in range(start, end):
                byte = text[i]
                if kinds[byte] == UPPER:
                    byte |= to_lower
                keys[n_bytes] = byte
                n_bytes += 1
            key = n_keys
            slots[slot], hashes[key], ends[key] = key, digest, n_bytes
            n_keys += 1
            size[0] = n_keys
        ids[n_ids] = key
        n_ids += 1
    return position, n_ids


@compile_kernel
def _decode(text, position):
    """Return the code point of two or three bytes, and their number."""
    lead, second = np.int64(text[position]), np.int64(text[position + 1])
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | second & 0x3F, 2
    return (lead & 0x0F) << 12 | (second & 0x3F) << 6 | np.int64(text[position + 2]) & 0x3F, 3


@compile_kernel
def fill_slots(slots, hashes, n_keys):
    """Insert keys into an empty hash table."""
    mask = len(slots) - 1
    for key in range(n_keys):
        slot = np.int64(hashes[key] & np.uint64(mask))
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = key


@compile_kernel
def gather_terms(ids, bounds, terms):
    """Return the terms of all stretches; those of stretch i are `terms[bounds[i]:bounds[i + 1]]`.

    Returns
    -------
    terms, ends : ndarray
        The terms of all documents, concatenated, and the end of each document.
    """
    n, n_ends = 0, 0
    for i in ids:
        n_ends += i < 0
        n += bounds[i + 1] - bounds[i] if i >= 0 else 0
    gathered, ends = np.empty(n, np.int32), np.empty(n_ends, np.int64)
    n, n_ends = 0, 0
    for i in ids:
        if i < 0:
            ends[n_ends] = n
            n_ends += 1
            continue
        for j in range(bounds[i], bounds[i + 1]):
            gathered[n] = terms[j]
            n += 1
    return gathered, ends


@compile_kernel
def count_rows(terms, ends, n_terms):
    """Count the terms of documents.

    Parameters
    ----------
    terms : ndarray of int32
        Terms of all documents, concatenated.
    ends : ndarray of int64
        End of each document.
    n_terms : int

    Returns
    -------
    indices, counts, n_entries : ndarray
        Columns and values of a CSR matrix, and the number of entries of each row.
    """
    indices, counts = np.empty(len(terms), np.int32), np.empty(len(terms), np.int64)
    n_entries, place = np.empty(len(ends), np.int64), np.full(n_terms, -1, np.int64)
    n, start = 0, 0
    for row in range(len(ends)):
        first = n
        for i in range(start, ends[row]):
            term = terms[i]
            if place[term] >= first:
                counts[place[term]] += 1
            else:
                place[term] = n
                indices[n], counts[n] = term, 1
                n += 1
        n_entries[row], start = n - first, ends[row]
    return indices[:n], counts[:n], n_entries
