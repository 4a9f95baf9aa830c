"""Kernels of `codebooks.text.term_table`: stretches of UTF-8 text, found and numbered in a hash table, and their terms.

A stretch is a run of characters without a blank or another sign that no word goes across. It is a key of the table
without those signs at its end that are no part of a word, and in lower case if it is a plain ASCII word.
"""

from __future__ import annotations

import numpy as np

from codebooks.ops.compiler import compile_kernel as _compiled

# Kinds of bytes, as bits, so that the kinds within a stretch are one number.
BREAK, LOWER, UPPER, DIGIT, SIGN, BESIDE, OTHER, MAYBE_BREAK, END = 0, 1, 2, 4, 8, 16, 32, 64, 128
_FIRST_HASH, _FACTOR = np.uint64(0xCBF29CE484222325), np.uint64(0x9E3779B97F4A7C15)


@_compiled
def number_stretches(text, position, kinds, breaks, longest_plain, slots, hashes, ends, keys, size, ids):
    """Write the numbers of stretches into `ids` from a position on, until the text or the room in the table ends.

    Parameters
    ----------
    text : ndarray of uint8
    position : int
        Where to begin, outside a stretch.
    kinds : ndarray of shape (256,), uint8
    breaks : ndarray of int64
        Code points beyond ASCII that no word goes across, ascending.
    longest_plain : int
        The length of the longest word that is written in lower case; 0 for none.
    slots : ndarray of int32
        The hash table: numbers of keys, -1 for an empty slot; a power of 2 in length.
    hashes, ends : ndarray of uint64 and of int64
        The hash of each key, and where it ends in `keys`.
    keys : ndarray of uint8
    size : ndarray of shape (1,), int64
        The number of keys.
    ids : ndarray of int32
        Numbers of stretches, and -1 where a document ends.

    Returns
    -------
    tuple (position, n_ids)
        The position is the length of the text, or where a stretch begins for which the table has no room.
    """
    n_ids, n, n_keys = 0, len(text), size[0]
    mask, room = len(slots) - 1, min(len(ends), len(slots) // 2)
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
        start, seen, n_upper = position, 0, 0
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
            seen |= kind
            n_upper += kind == UPPER
            position += 1
        end = position
        while end > start and kinds[text[end - 1]] == BESIDE:
            end -= 1
        if end == start:
            continue
        if seen & BESIDE:
            seen = 0
            for i in range(start, end):
                seen |= kinds[text[i]]
        is_one_case = n_upper == 0 or not seen & LOWER or (n_upper == 1 and kinds[text[start]] == UPPER)
        is_plain = seen & ~(LOWER | UPPER | DIGIT) == 0 and is_one_case and end - start <= longest_plain
        to_lower = np.uint8(32 if is_plain and n_upper else 0)
        found = _FIRST_HASH
        for i in range(start, end):
            byte = text[i] | (to_lower if kinds[text[i]] == UPPER else np.uint8(0))
            found = (found ^ np.uint64(byte)) * _FACTOR
        found ^= found >> np.uint64(29)
        slot = np.int64(found & np.uint64(mask))
        while True:
            key = slots[slot]
            if key < 0:
                break
            if hashes[key] == found:
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
            if n_keys >= room or n_bytes + end - start > len(keys):
                return start, n_ids
            for i in range(start, end):
                byte = text[i]
                if kinds[byte] == UPPER:
                    byte |= to_lower
                keys[n_bytes] = byte
                n_bytes += 1
            key = n_keys
            slots[slot], hashes[key], ends[key] = key, found, n_bytes
            n_keys += 1
            size[0] = n_keys
        ids[n_ids] = key
        n_ids += 1
    return position, n_ids


@_compiled
def _decode(text, position):
    """The code point of two or three bytes, and how many they are."""
    lead, second = np.int64(text[position]), np.int64(text[position + 1])
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | second & 0x3F, 2
    return (lead & 0x0F) << 12 | (second & 0x3F) << 6 | np.int64(text[position + 2]) & 0x3F, 3


@_compiled
def fill_slots(slots, hashes, n_keys):
    """Enter keys into a hash table that is empty."""
    mask = len(slots) - 1
    for key in range(n_keys):
        slot = np.int64(hashes[key] & np.uint64(mask))
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = key


@_compiled
def gather_terms(ids, bounds, terms):
    """Gather the terms of stretches; those of stretch i are `terms[bounds[i]:bounds[i + 1]]`.

    Returns
    -------
    terms, ends : ndarray
        The terms of all documents, one after the other, and where each document ends.
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


@_compiled
def count_rows(terms, ends, n_terms):
    """Count the terms of documents.

    Parameters
    ----------
    terms : ndarray of int32
        Of all documents, one after the other.
    ends : ndarray of int64
        Where each document ends.
    n_terms : int

    Returns
    -------
    indices, counts, n_entries : ndarray
        Columns and values of a CSR matrix, and how many each row has.
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
