"""What a commit leaves beside its events: conflicts, dirty ranges, latencies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from etl.door.parts import VALUES
from etl.shape.codes import REJECT_SCHEMA
from sql.plant.wall_clock import DAY, HOUR, SECOND, micros, moment

LATE_US = 5 * 60 * SECOND
_MILLISECOND = SECOND // 1000
Integers = NDArray[np.int64]


def conflicts(duplicates: pl.DataFrame, site_id: str | None) -> pl.DataFrame:
    """Duplicates that say something else than the event that stands, as rejects."""
    if duplicates.is_empty():
        return REJECT_SCHEMA.to_frame()
    differs = [pl.col(v).ne_missing(pl.col(f"stored_{v}")) for v in VALUES]
    said = [
        pl.when(differ).then(
            pl.format(
                "{} {} (stored: {})",
                pl.lit(value),
                _shown(value),
                _shown(f"stored_{value}"),
            )
        )
        for value, differ in zip(VALUES, differs, strict=True)
    ]
    return duplicates.filter(pl.any_horizontal(differs)).select(
        "row",
        code=pl.lit("conflict"),
        message=pl.format(
            "the event is stored already with other values: {}",
            pl.concat_str(said, separator=", ", ignore_nulls=True),
        ),
        site_id=pl.lit(site_id, dtype=pl.String),
    )


def _shown(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).fill_null("none")


def dirty_ranges(new: pl.DataFrame) -> pl.DataFrame:
    """Who was touched and when: rows of floor.dirty, times in UTC microseconds.

    One range a worker, split at UTC midnight and where neighbours are more than an hour
    apart. The rows come sorted by UTC day, worker and time.
    """
    workers, times_us = new["worker_key"].to_numpy(), new["time_us"].to_numpy()
    first, last = range_bounds(workers, times_us)
    return pl.DataFrame(
        {
            "site_key": new["site_key"].to_numpy()[first],
            "worker_key": workers[first],
            "from_time": times_us[first],
            "to_time": times_us[last],
            "events": last - first + 1,
        }
    )


def range_bounds(workers: Integers, times_us: Integers) -> tuple[Integers, Integers]:
    """The first and the last position of each range that `dirty_ranges` tells of."""
    apart = (
        (workers[1:] != workers[:-1])
        | (times_us[1:] // DAY != times_us[:-1] // DAY)
        | (np.diff(times_us) > HOUR)
    )
    ends = np.flatnonzero(apart)
    return np.append(0, ends + 1), np.append(ends, len(times_us) - 1)


def latency(times_us: Integers, arrival: datetime) -> tuple[int, list[int]]:
    """How many events came late, and all by latency: see ingest.tallies."""
    if not len(times_us):
        return 0, []
    waited_us = micros(arrival) - times_us
    waited_ms = np.maximum(waited_us // _MILLISECOND, 0)
    # The exponent of x is the number of bits of its whole part: bin 0 is below 1 ms.
    _, bins = np.frexp(waited_ms.astype(np.float64))
    return int((waited_us > LATE_US).sum()), np.bincount(bins).tolist()


def hour_of(arrival: datetime) -> datetime:
    """The hour whose tally an arrival belongs to."""
    return arrival.replace(minute=0, second=0, microsecond=0)


def notice(site_id: str, newest_us: int | None, counts: Mapping[str, int]) -> str:
    """What NOTIFY says of a commit: the site, its newest event, how many of what."""
    newest = None if newest_us is None else moment(newest_us).isoformat()
    return json.dumps({"site": site_id, "time": newest, **counts})
