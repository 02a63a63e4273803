"""The times that nearly every file has, read as columns of digits.

What is not of the plain form `2026-11-20T06:00:00[.25][Z or +01:00]` is left to
shape_time, which says what a time is; of this form both read the same, and this takes
a third of the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from etl.shape.time import civil_columns
from sql.plant.wall_clock import SECOND

Bools = NDArray[np.bool_]
Micros = NDArray[np.int64]

_PLAIN = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(?:\.([0-9]{1,6}))?(Z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_SHORTEST, _LONGEST = 19, 32
# Of fewer rows, or of texts of many lengths, it is not worth it.
_FEW, _MANY_LENGTHS = 256, 16
_MONTHS = np.arange("1970-01", "10000-01", dtype="datetime64[M]")
_MONTH_STARTS: Micros = _MONTHS.astype("datetime64[D]").astype(np.int64)
_MONTH_DAYS: Micros = np.diff(np.append(_MONTH_STARTS, _MONTH_STARTS[-1] + 31))


def civil(time: pl.Series) -> list[pl.Series]:
    """`wall_us` and `offset_us` of texts: see civil_columns."""
    wall, offset = np.zeros((2, len(time)), dtype=np.int64)
    is_read, is_zoned = np.zeros((2, len(time)), dtype=bool)
    for rows, texts in _by_length(time):
        found = _plain(texts)
        if found is not None:
            wall[rows], zone_us, is_read[rows] = found
            is_zoned[rows] = zone_us is not None
            offset[rows] = 0 if zone_us is None else zone_us
    columns = [
        _series("wall_us", wall, is_read),
        _series("offset_us", offset, is_read & is_zoned),
    ]
    if is_read.all():
        return columns
    left = pl.Series(~is_read)
    rest = time.filter(left).to_frame("time").select(civil_columns(pl.col("time")))
    at = left.arg_true()
    return [column.scatter(at, rest[column.name]) for column in columns]


def _series(name: str, values: Micros, is_there: Bools) -> pl.Series:
    series = pl.Series(name, values)
    if is_there.all():
        return series
    return series.scatter(pl.Series(~is_there).arg_true(), None)


def _by_length(time: pl.Series) -> Iterator[tuple[Bools | slice, pl.Series]]:
    """Texts that are equally long, and which rows they are."""
    if len(time) < _FEW:
        return
    lengths = time.str.len_bytes()
    kinds = lengths.unique().drop_nulls()
    if len(kinds) == 1 and not time.null_count():
        yield slice(None), time
    elif len(kinds) <= _MANY_LENGTHS:
        for length in kinds:
            if _SHORTEST <= length <= _LONGEST:
                rows = (lengths == length).fill_null(False)
                yield rows.to_numpy(), time.filter(rows)


def _plain(texts: pl.Series) -> tuple[Micros, Micros | None, Bools] | None:
    """Wall time, offset (None: naive), and whether a text has the first one's form."""
    first: str = texts[0]
    form = _PLAIN.fullmatch(first)
    if form is None:
        return None
    joined = texts.str.join("").item().encode()
    # A copy by column: each is read from one end to the other.
    columns = np.frombuffer(joined, np.uint8).reshape(-1, len(first)).T.copy()
    wall, fits = _wall_us(columns, len(form[1] or ""))
    if form[2] is None:
        return wall, None, fits
    zone = columns[form.start(2) :]
    if form[2] == "Z":
        return wall, np.zeros_like(wall), fits & (zone[0] == ord("Z"))
    hours, minutes = _number(zone[1:3], fits), _number(zone[4:6], fits)
    is_minus = zone[0] == ord("-")
    fits &= (is_minus | (zone[0] == ord("+"))) & (zone[3] == ord(":"))
    fits &= (hours < 24) & (minutes < 60)
    offset = (hours * 60 + minutes) * (60 * SECOND)
    return wall, np.where(is_minus, -offset, offset), fits


def _wall_us(columns: NDArray[np.uint8], digits: int) -> tuple[Micros, Bools]:
    """Microseconds since 1970 of the wall clock, and whether a text has this form."""
    fits = np.ones(columns.shape[1], dtype=bool)
    for at, mark in ((4, "-"), (7, "-"), (13, ":"), (16, ":")):
        fits &= columns[at] == ord(mark)
    fits &= (columns[10] == ord("T")) | (columns[10] == ord(" "))
    year, month = _number(columns[0:4], fits), _number(columns[5:7], fits)
    day = _number(columns[8:10], fits)
    hour, minute = _number(columns[11:13], fits), _number(columns[14:16], fits)
    second = _number(columns[17:19], fits)
    fits &= (year >= 1970) & (month >= 1) & (month <= 12) & (day >= 1)
    fits &= (hour < 24) & (minute < 60) & (second < 60)
    index = np.where(fits, (year - 1970) * 12 + month - 1, 0)
    fits &= day <= _MONTH_DAYS[index]
    seconds = (_MONTH_STARTS[index] + day - 1) * 86_400
    wall = (seconds + hour * 3600 + minute * 60 + second) * SECOND
    if digits:
        fits &= columns[19] == ord(".")
        wall += _number(columns[20 : 20 + digits], fits) * 10 ** (6 - digits)
    return wall, fits


def _number(columns: NDArray[np.uint8], fits: Bools) -> NDArray[np.int64]:
    """Digits as a number; where one is none, it no longer fits."""
    value = np.zeros(columns.shape[1], dtype=np.int32)
    for column in columns:
        digit = column - np.uint8(ord("0"))
        fits &= digit <= 9
        value = value * 10 + digit
    return value.astype(np.int64)
