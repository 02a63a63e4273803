"""What a commit leaves beside its events: conflicts, dirty ranges, latencies."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from etl.door_parts import VALUES
from etl.shape_codes import REJECT_SCHEMA
from sql.wall_clock import DAY, HOUR, SECOND, micros

LATE_US = 5 * 60 * SECOND
_MILLISECOND = SECOND // 1000


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
    time, worker = pl.col("time_us"), pl.col("worker_key")
    begins = (
        (worker != worker.shift(1))
        | (time // DAY != time.shift(1) // DAY)
        | (time - time.shift(1) > HOUR)
    )
    return (
        new.select(
            "site_key", "worker_key", "time_us", run=begins.fill_null(True).cum_sum()
        )
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("site_key").first(),
            pl.col("worker_key").first(),
            from_time=time.first(),
            to_time=time.last(),
            events=pl.len().cast(pl.Int32),
        )
    )


def latency(new: pl.DataFrame, arrival: datetime) -> tuple[int, list[int]]:
    """How many events came late, and all by latency: see ingest.tallies."""
    if new.is_empty():
        return 0, []
    waited_us = micros(arrival) - new["time_us"].to_numpy()
    waited_ms = np.maximum(waited_us // _MILLISECOND, 0)
    # The exponent of x is the number of bits of its whole part: bin 0 is below 1 ms.
    _, bins = np.frexp(waited_ms.astype(np.float64))
    return int((waited_us > LATE_US).sum()), np.bincount(bins).tolist()
