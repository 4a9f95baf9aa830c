"""Timestamps as numbers, and the bins of time or of numbers that contain them. Used by `over_time`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.validation.arrays import is_missing

__all__ = ["TIME", "Bins", "count_bins", "make_bins", "parse_timestamps"]

TIME = np.dtype("datetime64[us]")
_MISSING_TIME = np.datetime64("NaT", "us")
_MAX_BINS = 10_000
_LARGEST = 2.0**53  # larger whole numbers are not exact
# "auto" prefers this number of bins.
_PREFERRED_BINS = 20
# Name of a calendar unit, unit of NumPy, the number of these in a bin, and the first bin relative to 1970-01-01, which
# was a Thursday. The coarsest first.
_UNITS = {
    "year": ("Y", 1, 0),
    "quarter": ("M", 3, 0),
    "month": ("M", 1, 0),
    "week": ("D", 7, -3),
    "day": ("D", 1, 0),
    "hour": ("h", 1, 0),
}
_DAY = _UNITS["day"]
# Bins that "auto" chooses from, the longest first.
_STEPS = [
    *(("Y", n, 0) for n in (1000, 500, 200, 100, 50, 20, 10, 5, 2)),
    *list(_UNITS.values())[:-1],
    *(("h", n, 0) for n in (12, 6, 3, 1)),
    *((unit, n, 0) for unit in ("m", "s") for n in (30, 15, 5, 2, 1)),
    *((unit, n, 0) for unit in ("ms", "us") for n in (500, 200, 100, 50, 20, 10, 5, 2, 1)),
]
_PATTERN = re.compile(
    r"(\d{4}(?:-\d\d(?:-\d\d(?:[T ]\d\d(?::\d\d(?::\d\d(?:[.,]\d{1,9})?)?)?)?)?)?)(?: ?(Z|[+-]\d\d(?::?\d\d)?))?",
    re.IGNORECASE,
)
_KINDS = "datetimes, dates, ISO strings or numbers"


class Bins(NamedTuple):
    """Bins of time or of numbers: bin i contains `edges[i] <= value < edges[i + 1]`."""

    edges: NDArray[Any]  # (n_bins + 1,) datetime64[us] in UTC, or float64
    unit: str  # unit of NumPy of the starts of the bins, for their labels; "" for numbers
    positions: NDArray[np.intp]  # (n_values,) the bin of each value, -1 outside


def parse_timestamps(values: Any, name: str = "timestamps") -> NDArray[Any]:
    """Return timestamps as datetime64[us] in UTC, or numbers as float64; missing ones as NaT or nan.

    Raises
    ------
    TypeError
        They are not all datetimes and dates, all ISO strings or all numbers.
    ValueError
        They are not in one dimension, a string is not a time in ISO format, or a number is infinite.
    """
    dtype = getattr(values, "dtype", None)
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__"):
        raise TypeError(
            f"`{name}` must be a sequence of {_KINDS}, got {short_repr(values)}. Pass one for each document."
        )
    if getattr(values, "ndim", 1) != 1:
        raise ValueError(f"`{name}` must be in one dimension, got shape {values.shape}. Pass one for each document.")
    if getattr(dtype, "tz", None) is not None:  # pandas: np.asarray alone returns objects
        values = np.asarray(values, dtype="datetime64[us]")
    elif not (isinstance(values, np.ndarray) or dtype is not None):
        values = _make_object_array(values)
    array = np.asarray(ops.to_host(values))
    if array.dtype.kind == "M":
        return array.astype(TIME)
    if array.dtype.kind in "iuf":
        return _check_numbers(array.astype(np.float64), name)
    return _parse_objects(array.astype(object), name)


def _make_object_array(values: Any) -> NDArray[Any]:
    """Return an array of the entries as they are: NumPy would convert lists of several types to strings."""
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array


def _parse_objects(array: NDArray[Any], name: str) -> NDArray[Any]:
    is_present = np.array(
        [not (is_missing(value) or (isinstance(value, str) and not value.strip())) for value in array], dtype=bool
    )
    entries = array[is_present].tolist()
    kinds = {_name_kind(value) for value in entries}
    if len(kinds) > 1 or not kinds <= {"dates", "strings", "numbers"}:
        raise TypeError(
            f"`{name}` must be of one kind, {_KINDS}, got {' and '.join(sorted(kinds))}. Convert all to one kind."
        )
    if kinds == {"numbers"}:
        numbers = np.full(len(array), np.nan)
        numbers[is_present] = [float(value) for value in entries]
        return _check_numbers(numbers, name)
    times = np.full(len(array), _MISSING_TIME)
    if entries:
        times[is_present] = _parse_strings(entries, name) if kinds == {"strings"} else _convert_dates(entries)
    return times


def _name_kind(value: Any) -> str:
    if isinstance(value, date | np.datetime64):  # a datetime is a date
        return "dates"
    if isinstance(value, str):
        return "strings"
    is_number = isinstance(value, Real | np.number) and not isinstance(value, bool | np.bool_)
    return "numbers" if is_number else type(value).__name__


def _check_numbers(numbers: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    too_large = numbers[abs(numbers) > _LARGEST]
    if len(too_large):
        raise ValueError(
            f"`{name}` must be numbers from -2**53 to 2**53, got {too_large[0]:g}. Use nan or None for a missing one."
        )
    return numbers


def _convert_dates(entries: Sequence[Any]) -> NDArray[Any]:
    """Convert datetimes, dates and NumPy times to UTC. Those without a time zone are in UTC."""
    offsets = np.zeros(len(entries), dtype="timedelta64[us]")
    local = list(entries)
    for row, value in enumerate(entries):
        offset = value.utcoffset() if isinstance(value, datetime) else None
        if offset is not None:
            local[row], offsets[row] = value.replace(tzinfo=None), offset
    return np.array(local, dtype=TIME) - offsets


def _parse_strings(entries: Sequence[str], name: str) -> NDArray[Any]:
    local, offsets = [], np.zeros(len(entries), dtype="timedelta64[m]")
    for row, text in enumerate(entries):
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise _build_error(text, name)
        moment, zone = match.groups()
        local.append(moment.replace(",", ".").replace("t", "T"))
        if zone and zone not in "Zz":
            digits = zone[1:].replace(":", "").ljust(4, "0")
            offsets[row] = (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if zone[0] == "-" else 1)
    try:
        return np.array(local, dtype=TIME) - offsets
    except ValueError:  # such as February 30
        wrong = next(row for row, moment in enumerate(local) if not _is_time(moment))
    raise _build_error(entries[wrong], name)


def _is_time(moment: str) -> bool:
    try:
        np.datetime64(moment, "us")
    except ValueError:
        return False
    return True


def _build_error(text: str, name: str) -> ValueError:
    return ValueError(
        f"`{name}` as strings must be times in ISO format, such as 2024-05-31 or 2024-05-31T23:30:00-05:00, got "
        f"{short_repr(text)}. Convert them with pandas.to_datetime."
    )


def make_bins(values: NDArray[Any], bins: Any) -> Bins:
    """Return the bins of timestamps or numbers without missing ones, as `parse_timestamps` returns them.

    `bins` is documented in `compute_topic_trends`.
    """
    is_time = values.dtype.kind == "M"
    if isinstance(bins, str):
        names = ["auto", *_UNITS] if is_time else ["auto"]
        if bins not in names:
            raise ValueError(
                f"`bins` must be one of {', '.join(map(repr, names))}, an integer or edges for "
                f"{'times' if is_time else 'numbers'}, got {short_repr(bins)}."
            )
        if not is_time:
            edges, unit = _make_round_edges(values), ""
        else:
            step = _choose_step(values) if bins == "auto" else _UNITS[bins]
            edges, unit = _make_calendar_edges(values, step), step[0]
    elif isinstance(bins, Integral) and not isinstance(bins, bool):
        if not 1 <= int(bins) <= _MAX_BINS:
            raise ValueError(f"`bins` must be an integer from 1 to {_MAX_BINS}, got {short_repr(bins)}.")
        edges, unit = _make_even_edges(values, int(bins)), "us" if is_time else ""
    else:
        edges, unit = _check_edges(bins, is_time), "us" if is_time else ""
    positions = np.searchsorted(edges, values, side="right") - 1
    positions[values == edges[-1]] -= 1  # the last bin includes its end
    positions[(values < edges[0]) | (values > edges[-1])] = -1
    return Bins(edges, unit, positions)


def count_bins(values: NDArray[Any], step: tuple[str, int, int]) -> int:
    """Return the number of bins of a calendar step from the first to the last time."""
    first, last = _find_bins(np.array([values.min(), values.max()]), step)
    return int(last - first + 1)


def _find_bins(values: NDArray[Any], step: tuple[str, int, int]) -> NDArray[np.int64]:
    """Return the number of the bin of each time, counted from 1970."""
    unit, n, first = step
    return (values.astype(f"datetime64[{unit}]").astype(np.int64) - first) // n


def _list_starts(numbers: NDArray[np.int64], step: tuple[str, int, int]) -> NDArray[Any]:
    unit, n, first = step
    return (numbers * n + first).astype(f"datetime64[{unit}]").astype(TIME)


def _make_calendar_edges(values: NDArray[Any], step: tuple[str, int, int]) -> NDArray[Any]:
    n_bins = count_bins(values, step)
    if n_bins > _MAX_BINS:
        raise ValueError(f"`bins` must give at most {_MAX_BINS} bins, got {n_bins}. Use a longer unit.")
    first = _find_bins(values.min()[None], step)[0]
    return _list_starts(np.arange(first, first + n_bins + 1), step)


def _choose_step(values: NDArray[Any]) -> tuple[str, int, int]:
    """Return the calendar step that gives about the preferred number of bins.

    Times that are all the start of a year, month, day or hour have this resolution, and shorter bins would be empty.
    """
    if values.min() == values.max():
        return _DAY
    steps = list(_iterate_steps(values))
    n_bins = np.array([count_bins(values, step) for step in steps], dtype=np.float64)
    return steps[int(np.argmin(abs(np.log(n_bins / _PREFERRED_BINS))))]


def _iterate_steps(values: NDArray[Any]) -> Iterator[tuple[str, int, int]]:
    for step in _STEPS:
        yield step
        if step[1] == 1 and (values == values.astype(f"datetime64[{step[0]}]")).all():
            return


def _make_round_edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return edges at multiples of 1, 2 or 5 times a power of 10; for whole numbers of at least 1."""
    low, high = values.min(), values.max()
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-200):  # all equal, up to rounding
        return np.array([low, high + max(1.0, np.spacing(high))])
    is_whole = (values == np.floor(values)).all()
    exponent = int(np.floor(np.log10((high - low) / _PREFERRED_BINS)))
    steps = [(n, e) for e in (exponent, exponent + 1) for n in (1, 2, 5) if e >= 0 or not is_whole] or [(1, 0)]

    def list_edges(step: tuple[int, int]) -> NDArray[np.float64]:
        n, e = step
        numbers = np.arange(np.floor(low / (n * 10.0**e)) - 1, np.floor(high / (n * 10.0**e)) + 3)
        edges = numbers * (n * 10.0**e) if e >= 0 else numbers * n / 10.0**-e  # as rounded as literals
        return edges[np.searchsorted(edges, low, side="right") - 1 : np.searchsorted(edges, high, side="right") + 1]

    return min(map(list_edges, steps), key=lambda edges: abs(np.log((len(edges) - 1) / _PREFERRED_BINS)))


def _make_even_edges(values: NDArray[Any], n_bins: int) -> NDArray[Any]:
    low, high = values.min(), values.max()
    if values.dtype.kind != "M":
        return np.unique(np.linspace(low, high if high > low else low + 2, n_bins + 1))
    span = max(int((high - low).astype(np.int64)), n_bins)  # microseconds
    return low + np.array([span * i // n_bins for i in range(n_bins + 1)], dtype="timedelta64[us]")


def _check_edges(bins: Any, is_time: bool) -> NDArray[Any]:
    edges = parse_timestamps(bins, "bins")
    is_valid = len(edges) >= 2 and (edges.dtype.kind == "M") == is_time and bool((edges[1:] > edges[:-1]).all())
    if not is_valid:
        kind = "times" if is_time else "numbers"
        raise ValueError(
            f"`bins` as edges must be at least two ascending {kind}, as the timestamps are {kind}, got "
            f"{short_repr(bins)}."
        )
    return edges
