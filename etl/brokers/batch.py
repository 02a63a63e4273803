"""Messages as one batch: each is an event, an array of events or NDJSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import polars as pl
from numpy.typing import NDArray

from etl.batch import BROKEN_SCHEMA, Batch, Origin
from etl.brokers.rows import LONGEST_PARKED, Rows
from etl.brokers.stream import Message
from etl.elements import NAMES, SOURCE_SCHEMA
from etl.readers.flat import Flat, flat
from etl.readers.lines import numbered
from etl.readers.ndjson import texts_of

FAILED = "failed"
# Where one message is not flat, so much of the batch is read one by one with it.
_PARTS = 16
# White space as JSON has it.
_BLANK = b" \t\r\n"
Integers = NDArray[np.int64]


def batch_of_messages(messages: Sequence[Message], site: str | None = None) -> Batch:
    """All elements of all messages in their order; site is for those that name none.

    Whatever a message holds becomes rows, of which the door stores or parks each; an
    empty one (a tombstone, a cleared topic) becomes none. Flat events are read as
    columns, what else there is one by one.
    """
    filled = [m for m in messages if m.payload and not m.payload.isspace()]
    found = list(_flat_parts([m.payload.strip(_BLANK) for m in filled]))
    sizes = np.zeros(len(filled), dtype=np.int64)
    is_slow = np.ones(len(filled), dtype=bool)
    for part, read in found:
        sizes[part], is_slow[part] = read.sizes, read.doubtful
    slow = np.flatnonzero(is_slow)
    rows, begins = _one_by_one([filled[at] for at in slow], site)
    sizes[slow] = np.diff(np.append(begins, rows.size))
    starts = np.cumsum(sizes) - sizes
    frames = [_fast(read, starts[part], site) for part, read in found]
    origin = _origin(filled, starts, site)
    if len(frames) == 1 and not len(slow):
        return Batch(frames[0], origin)
    rest, broken = _moved(rows.batch(), begins, starts[slow])
    texts = pl.concat([*frames, rest], how="diagonal").sort("row")
    return Batch(texts, origin, broken)


def failed_batch(message: Message, error: BaseException) -> Batch:
    """A message that cannot be stored, for a fault of ours, as a row to be parked."""
    told = str(error).strip() or type(error).__name__
    said = {"row": [0], "message": [f"could not be stored: {told.splitlines()[0]}"]}

    def origin(rows: pl.Series) -> pl.DataFrame:
        raw = message.payload[:LONGEST_PARKED]
        found = [(row, 1, raw, message.source) for row in rows]
        return pl.DataFrame(found, schema=SOURCE_SCHEMA, orient="row")

    texts = numbered(texts_of([], NAMES), np.zeros(0, dtype=np.int64), None)
    return Batch(texts, origin, pl.DataFrame(said, schema=BROKEN_SCHEMA), FAILED)


def _flat_parts(payloads: Sequence[bytes]) -> Iterator[tuple[slice, Flat]]:
    """Parts of the payloads that can be read as columns."""
    whole = flat(payloads)
    if whole is not None:
        yield slice(0, len(payloads)), whole
        return
    size = len(payloads) // _PARTS + 1
    for start in range(0, len(payloads), size):
        read = flat(payloads[start : start + size])
        if read is not None:
            yield slice(start, start + size), read


def _one_by_one(messages: Sequence[Message], site: str | None) -> tuple[Rows, Integers]:
    """Their rows, and which is the first of each message."""
    rows = Rows(site)
    begins = []
    for message in messages:
        begins.append(rows.size)
        rows.add(message)
    return rows, np.array(begins, dtype=np.int64)


def _fast(read: Flat, starts: Integers, site: str | None) -> pl.DataFrame:
    """Texts of what is not doubtful; starts: at which row each payload begins."""
    first = np.cumsum(read.sizes) - read.sizes
    rows = np.arange(read.texts.height) + np.repeat(starts - first, read.sizes)
    texts = numbered(read.texts, rows, site)
    if not read.doubtful.any():
        return texts
    return texts.filter(np.repeat(~read.doubtful, read.sizes))


def _moved(
    batch: Batch, begins: Integers, starts: Integers
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Texts and broken rows with the numbers that they have among all."""
    frames = []
    for frame in (batch.texts, batch.broken):
        rows = frame["row"].to_numpy().astype(np.int64)
        at = np.searchsorted(begins, rows, side="right") - 1
        moved = pl.Series("row", rows + (starts - begins)[at], dtype=pl.UInt32)
        frames.append(frame.with_columns(moved))
    return frames[0], frames[1]


def _origin(messages: Sequence[Message], starts: Integers, site: str | None) -> Origin:
    """Messages of which a row is asked for are read again, one by one."""

    def origin(rows: pl.Series) -> pl.DataFrame:
        found = [SOURCE_SCHEMA.to_frame()]
        for at, group in groupby(rows, lambda row: _last_before(starts, row)):
            alone = Rows(site)
            alone.add(messages[at])
            start = int(starts[at])
            told = alone.origin(pl.Series([row - start for row in group]))
            row = (pl.col("row").cast(pl.Int64) + start).cast(pl.UInt32)
            found.append(told.with_columns(row))
        return pl.concat(found)

    return origin


def _last_before(starts: Integers, row: int) -> int:
    """Which message holds a row: those without any begin where the next one does."""
    return int(np.searchsorted(starts, row, side="right")) - 1
