"""What goes wrong on the way: arrival times of events, repeats, and silence."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from etl.simulation.edge import hold_back
from etl.simulation.events import names
from etl.simulation.options import SimulatorOptions
from etl.simulation.plant import Segments

ARRIVES = "arrives_at"
LATE_S = (600, 6 * 3600)
SHUFFLED_S = 120
REPEATED_WITHIN_S = 3_600
# No event arrives later than this after its time.
LATEST_S = LATE_S[1] + SHUFFLED_S + REPEATED_WITHIN_S + 60
SILENT_BEFORE_ANCHOR_H = 4.0


def silent_from(options: SimulatorOptions, anchor: datetime) -> datetime:
    """From when on the silent camera sends nothing (default: 4 h before the anchor)."""
    begin = anchor - timedelta(hours=options.hours)
    if options.silent_from_h is not None:
        return begin + timedelta(hours=options.silent_from_h)
    return max(begin, anchor - timedelta(hours=SILENT_BEFORE_ANCHOR_H))


def deliver(
    events: pl.DataFrame,
    segments: list[Segments],
    options: SimulatorOptions,
    anchor: datetime,
    day: date,
) -> pl.DataFrame:
    """The events of one day as they arrive: with arrives_at, and in its order."""
    rng = np.random.default_rng([options.seed, 2, day.toordinal()])
    if options.silent_camera is not None:
        bench = names("S", options.stations)[options.silent_camera - 1]
        silent = pl.col("time") >= silent_from(options, anchor)
        events = events.filter(~(silent & (pl.col("workstation_id") == bench)))
    held = events.clear().with_columns(pl.col("time").alias(ARRIVES))
    if options.edge_offline:
        events, held = hold_back(events, segments, options, anchor, day)
    delay = rng.uniform(0.2, 1.5, events.height)
    if options.shuffle:
        delay += rng.uniform(0, SHUFFLED_S, events.height)
    if options.late:
        is_late = rng.random(events.height) < options.late
        delay += np.where(is_late, rng.uniform(*LATE_S, events.height), 0.0)
    events = events.with_columns((pl.col("time") + milliseconds(delay)).alias(ARRIVES))
    if options.duplicates:
        again = events.filter(pl.Series(rng.random(events.height) < options.duplicates))
        wait = rng.exponential(60, again.height).clip(0.5, REPEATED_WITHIN_S)
        again = again.with_columns(pl.col(ARRIVES) + milliseconds(wait))
        events = pl.concat([events, again])
    return pl.concat([events, held]).sort(ARRIVES, maintain_order=True)


def milliseconds(seconds: np.ndarray[tuple[int], np.dtype[np.float64]]) -> pl.Series:
    """Seconds as durations of whole milliseconds."""
    whole = np.rint(seconds * 1_000).astype(np.int64) * 1_000
    return pl.Series(whole).cast(pl.Duration("us"))
