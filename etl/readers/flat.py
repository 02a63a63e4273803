"""Flat JSON events as columns, parsed without Python objects: what is doubtful is told.

No second rulebook, and no second reader: what this reads, `texts_of` reads alike, and
whatever it is not sure of is left to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.json as pj
from numpy.typing import NDArray

from etl.readers.open import LONGEST_LINE
from etl.shape.codes import LONGEST_S, MOST_UNITS
from etl.shape.rules import FIELDS

_NUMBERS = {
    "confidence": pa.float64(),
    "count": pa.int64(),
    "duration_s": pa.float64(),
}
_RARE = ("timestamp", "count", "duration_s", "model_version", "camera_id")
# So much is looked through for the names of rare fields.
_BEGINNING = 1 << 16
_ELEMENTS = "e"
_OPEN, _CLOSE = b'{"e":', b"}\n"
_PAIRS = bytes.maketrans(b"{[", b"}]")
_OBJECT = ord("{")
# JSON for neither of us, a number for Arrow.
_NO_NUMBER = b"Inf"
# Written anew an element may be longer than it came, but not so much longer.
_SURELY_SHORT = LONGEST_LINE // 8


@dataclass(frozen=True)
class Flat:
    """Events of payloads, in their order.

    texts: those of FIELDS that any may have, as text; sizes: how many events each
    payload holds; doubtful: payloads of which one may break a rule that shows a number.
    """

    texts: pl.DataFrame
    sizes: NDArray[np.int64]
    doubtful: NDArray[np.bool_]


def flat(payloads: Sequence[bytes]) -> Flat | None:
    """Events of payloads that each are a flat object, or an array of such.

    None: some may be something else. No payload may be empty. Arrow refuses what has
    another type than a field should, a name twice, and what is no JSON. That each
    payload stands for itself is certain by its first and last byte, if there are as
    many brackets as arrays, and as many braces as elements.
    """
    joined = _joined(payloads)
    elements = None if joined is None else _parsed(joined)
    if joined is None or elements is None or len(elements) != len(payloads):
        return None
    events = elements.flatten()
    # Arrow's own way to numpy imports all of pandas.
    lengths = pl.Series(pl.from_arrow(elements.value_lengths()))
    sizes = lengths.to_numpy().astype(np.int64)
    if events.null_count or joined.count(b"{") != len(events) + len(payloads):
        return None
    # Objects with commas between them are several elements, and no JSON.
    several = np.flatnonzero(sizes != 1).tolist()
    if any(payloads[at][0] == _OBJECT for at in several):
        return None
    return None if _is_long(joined, payloads) else _columns(events, sizes)


def _joined(payloads: Sequence[bytes]) -> bytes | None:
    """A line each: an object that holds an array of events; None: some do not."""
    heads = bytes(map(itemgetter(0), payloads))
    arrays = heads.count(b"[")
    if not heads or arrays + heads.count(b"{") < len(heads):
        return None
    if bytes(map(itemgetter(-1), payloads)) != heads.translate(_PAIRS):
        return None
    before, after = _OPEN + b"[", b"]" + _CLOSE
    if arrays:
        before, after = _OPEN, _CLOSE
    if 0 < arrays < len(heads):
        payloads = [b"[" + p + b"]" if p[0] == _OBJECT else p for p in payloads]
    joined = before + (after + before).join(payloads) + after
    is_fit = joined.count(b"[") == len(payloads) and _is_readable(joined)
    return joined if is_fit else None


def _is_readable(joined: bytes) -> bool:
    """Whether it is UTF-8."""
    if joined.isascii():
        return True
    try:
        joined.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parsed(joined: bytes) -> pa.ListArray | None:
    """The elements of each line; None: not all are flat events.

    Looking through all for what few name costs as much as a third of the parsing: first
    with the names that the beginning has, and only where that is refused with all.
    """
    beginning = joined[:_BEGINNING]
    read = _read(joined, _names(beginning), "error")
    # In a field of ours it shows; in others Arrow would not say a word.
    if read is None and _NO_NUMBER not in joined:
        read = _read(joined, _names(joined), "ignore")
    return read


def _names(told: bytes) -> list[str]:
    # A name may be written in escapes; else a column that nobody names costs nothing.
    escaped = b"\\" in told
    return [
        name
        for name in ("timestamp", *FIELDS)
        if name not in _RARE or escaped or name.encode() in told
    ]


def _read(
    joined: bytes, names: Sequence[str], unexpected: Literal["error", "ignore"]
) -> pa.ListArray | None:
    event = pa.struct([(name, _NUMBERS.get(name, pa.string())) for name in names])
    try:
        table = pj.read_json(
            pa.BufferReader(joined),
            pj.ReadOptions(use_threads=False, block_size=len(joined) + 1),
            pj.ParseOptions(
                explicit_schema=pa.schema([(_ELEMENTS, pa.list_(event))]),
                unexpected_field_behavior=unexpected,
            ),
            memory_pool=pa.system_memory_pool(),
        )
    except pa.ArrowInvalid:
        return None
    return table.column(_ELEMENTS).combine_chunks()


def _is_long(joined: bytes, payloads: Sequence[bytes]) -> bool:
    """Whether an element may be too long for a line."""
    if max(map(len, payloads)) <= _SURELY_SHORT:
        return False
    braces = np.flatnonzero(np.frombuffer(joined, dtype=np.uint8) == _OBJECT)
    longest = np.diff(np.append(braces, len(joined))).max()
    return bool(longest > _SURELY_SHORT)


def _columns(events: pa.StructArray, sizes: NDArray[np.int64]) -> Flat:
    names = [field.name for field in events.type]
    typed = pl.DataFrame([pl.Series(n, pl.from_arrow(events.field(n))) for n in names])
    time = pl.coalesce(name for name in ("time", "timestamp") if name in names)
    fields = [pl.col(n).cast(pl.String) for n in names if n in FIELDS and n != "time"]
    texts = typed.select(time.alias("time"), *fields, shows=_shows_a_number(names))
    shows = texts.drop_in_place("shows")
    doubtful = np.zeros(len(sizes), dtype=bool)
    if shows.any():
        at = shows.arg_true().to_numpy()
        doubtful[np.searchsorted(np.cumsum(sizes), at, side="right")] = True
    return Flat(texts, sizes, doubtful)


def _shows_a_number(names: Sequence[str]) -> pl.Expr:
    """Whether what is said of an event may hold a number as it was written."""
    said = [~pl.col("confidence").is_between(0, 1)]
    if "count" in names:
        said.append(~pl.col("count").is_between(0, MOST_UNITS))
    if "duration_s" in names:
        is_count = pl.col("event_type") == "product_count"
        value = pl.col("duration_s")
        fits = (value > 0) & (value <= LONGEST_S) & ~is_count.fill_null(True)
        said.append(~fits)
    return pl.any_horizontal(said).fill_null(False)
