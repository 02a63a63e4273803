"""Times of events: ISO 8601 to UTC microseconds, naive ones by their site's zone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from etl.shape.iso import usual_form
from sql.plant.wall_clock import DAY, WallClock, micros
from sql.plant.zones import zone

Micros = NDArray[np.int64]

# What nearly all send: extended ISO 8601, a date and a time of day, to the minute at
# least; etl/shape/iso.py has the other forms. Ranges that the parser of polars would
# read kindly (second 60, year 0) are refused here.
_CIVIL = (
    r"^(?:19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}[Tt ]"
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?"
    r"(?: ?(?:[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?))?$"
)
_CIVIL_ALONE = re.compile(_CIVIL.removesuffix("$") + r"\Z")
_TAIL = r"^(?:[.,]([0-9]+))? ?(?:([Zz])|([+-])([0-9]{2}):?([0-9]{2})?)?$"


@dataclass(frozen=True)
class ZoneSpan:
    """The zone a site keeps over [start_us, end_us), microseconds since 1970 UTC."""

    timezone: str
    start_us: int = -(2**62)
    end_us: int = 2**62


@dataclass(frozen=True)
class NaiveTimes:
    """How many naive times their wall clock shows twice, never, and at all.

    by_site counts those that were read by the zone of their site.
    """

    repeated: int = 0
    skipped: int = 0
    by_site: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __add__(self, other: NaiveTimes) -> NaiveTimes:
        sites = self.by_site.keys() | other.by_site.keys()
        return NaiveTimes(
            self.repeated + other.repeated,
            self.skipped + other.skipped,
            {s: self.by_site.get(s, 0) + other.by_site.get(s, 0) for s in sites},
        )


def civil_columns(time: pl.Expr) -> list[pl.Expr]:
    """Split ISO 8601 text: `wall_us` (null: unreadable) and `offset_us` (null: naive).

    Fractional digits past the microsecond are cut, never rounded.
    """
    time = time.map_batches(_usual_forms, return_dtype=pl.String)
    has_seconds = time.str.slice(16, 1) == ":"
    head = pl.concat_str(
        time.str.slice(0, 10),
        pl.lit(" "),
        time.str.slice(11, 5),
        pl.when(has_seconds).then(time.str.slice(16, 3)).otherwise(pl.lit(":00")),
    )
    whole = head.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
    tail = pl.when(has_seconds).then(time.str.slice(19)).otherwise(time.str.slice(16))
    parts = tail.str.extract_groups(_TAIL).struct
    fraction = (
        parts.field("1").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64).fill_null(0)
    )
    minutes = parts.field("4").cast(pl.Int64) * 60 + parts.field("5").cast(
        pl.Int64
    ).fill_null(0)
    signed = pl.when(parts.field("3") == "-").then(-minutes).otherwise(minutes)
    offset = pl.when(parts.field("2").is_not_null()).then(0).otherwise(signed)
    readable = time.str.contains(_CIVIL)
    return [
        pl.when(readable).then(whole.dt.epoch("us") + fraction).alias("wall_us"),
        (offset * 60_000_000).alias("offset_us"),
    ]


def _usual_forms(time: pl.Series) -> pl.Series:
    """Times of the rarer forms in the usual one; the others as they are."""
    is_rare = ~time.str.contains(_CIVIL).fill_null(True)
    if not is_rare.any():
        return time
    usual = [usual_form(text) for text in time.filter(is_rare)]
    return time.scatter(is_rare.arg_true(), pl.Series(usual, dtype=pl.String))


def instant_us(time: str) -> int | None:
    """One time with an offset, in UTC microseconds; None: let the columns decide.

    What both read they read alike; Python's reader does not know every form.
    """
    if _CIVIL_ALONE.match(time) is None:
        return None
    try:
        read = datetime.fromisoformat(time)
    except ValueError:
        return None
    return None if read.tzinfo is None else micros(read)


def read_naive(
    naive: pl.DataFrame, spans: Mapping[str, Sequence[ZoneSpan]]
) -> tuple[Micros, NaiveTimes]:
    """UTC microseconds of `wall_us` by the zones of `site_id`, in the frame's order.

    `spans` must hold every site of the frame.
    """
    walls = naive["wall_us"].to_numpy()
    instants = np.empty(len(walls), dtype=np.int64)
    repeated = skipped = 0
    by_site: dict[str, int] = {}
    groups = naive.with_row_index("at").group_by("site_id")
    for (site_id,), rows in groups:
        at = rows["at"].to_numpy()
        read = _read_site(walls[at], spans[str(site_id)])
        instants[at] = read.instants
        repeated += int(read.repeated.sum())
        skipped += int(read.skipped.sum())
        by_site[str(site_id)] = len(at)
    return instants, NaiveTimes(repeated, skipped, by_site)


@dataclass(frozen=True)
class _Readings:
    instants: Micros
    repeated: NDArray[np.bool_]
    skipped: NDArray[np.bool_]


def _read_site(walls: Micros, spans: Sequence[ZoneSpan]) -> _Readings:
    """Read each wall time by the zone in force at the instant it stands for.

    Between two zones a wall time may fit neither span or both; the earlier fits first,
    and what fits none is read by the last.
    """
    last = spans[-1]
    chosen = _read_zone(walls, last.timezone)
    for span in reversed(spans[:-1]):
        read = _read_zone(walls, span.timezone)
        fits = (read.instants >= span.start_us) & (read.instants < span.end_us)
        chosen = _Readings(
            np.where(fits, read.instants, chosen.instants),
            np.where(fits, read.repeated, chosen.repeated),
            np.where(fits, read.skipped, chosen.skipped),
        )
    return chosen


def _read_zone(walls: Micros, timezone: str) -> _Readings:
    """What zoneinfo says with fold=0, a whole array at once.

    A repeated time is its first occurrence; a skipped one is read with the offset
    before the change.
    """
    clock = WallClock(zone(timezone), int(walls.min()) - DAY, int(walls.max()) + DAY)
    offsets, changes = clock.offsets, clock.changes
    if len(changes) == 1:
        none = np.zeros(len(walls), dtype=bool)
        return _Readings(walls - offsets[0], none, none)
    # From this wall time on, only the offset after the change can have shown it first.
    over = np.maximum.accumulate(changes[1:] + offsets[:-1])
    span = np.searchsorted(over, walls, side="right")
    read = walls - offsets[span]
    skipped = read < changes[span]
    before = offsets[np.maximum(span - 1, 0)]
    after = np.minimum(span + 1, len(changes) - 1)
    repeated = (after > span) & (walls - offsets[after] >= changes[after])
    return _Readings(np.where(skipped, walls - before, read), repeated, skipped)
