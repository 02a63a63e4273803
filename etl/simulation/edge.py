"""An edge agent that is offline for two hours and then sends exactly 1,247 events."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from etl.simulation.events import Signals, to_frame
from etl.simulation.options import SimulatorOptions, local_instant
from etl.simulation.plant import Ints, Segments
from sql.errors import BadSetting
from sql.plant.zones import zone

OFFLINE = timedelta(hours=2)
BACKLOG_EVENTS = 1_247
BATCH_EVENTS = 100
BATCH_EVERY_S = 5
STARTS_MIN = 9 * 60


def edge_window(
    options: SimulatorOptions, anchor: datetime
) -> tuple[datetime, datetime]:
    """When the edge is offline; if not said, the last 9:00 to 11:00 of the history."""
    begin = anchor - timedelta(hours=options.hours)
    if options.edge_offline_from_h is not None:
        start = begin + timedelta(hours=options.edge_offline_from_h)
        return start, start + OFFLINE
    where = zone(options.timezone)
    day = anchor.astimezone(where).date()
    start = local_instant(day, STARTS_MIN, where)
    if start + OFFLINE + timedelta(minutes=5) > anchor:
        start = local_instant(day - timedelta(days=1), STARTS_MIN, where)
    if start < begin:
        raise BadSetting(
            "simulate: the history is too short for an edge that is offline from "
            "9:00 to 11:00; use more hours, or say when with edge_offline_from_h"
        )
    return start, start + OFFLINE


def hold_back(
    events: pl.DataFrame,
    segments: list[Segments],
    options: SimulatorOptions,
    anchor: datetime,
    day: date,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events that go through, and exactly 1,247 that the edge keeps until it is back.

    The edge of a small plant sends states more often while it is offline to get there
    (they repeat what holds, so no metric changes); a large plant has several edges, and
    this one keeps the first 1,247. The kept ones arrive in batches, 5 s apart.
    """
    start, end = edge_window(options, anchor)
    none = events.clear().with_columns(pl.col("time").alias("arrives_at"))
    if start.astimezone(zone(options.timezone)).date() != day:
        return events, none
    inside = (pl.col("time") >= start) & (pl.col("time") < end)
    kept = events.filter(inside)
    missing = BACKLOG_EVENTS - kept.height
    if missing > 0:
        extra = repeat_states(kept, segments, (start, end), missing, options)
        kept = pl.concat([kept, extra]).sort("time", "worker_id", "event_type")
    through = pl.concat([events.filter(~inside), kept[BACKLOG_EVENTS:]])
    batch = pl.int_range(pl.len()) // BATCH_EVENTS * BATCH_EVERY_S
    arrives = pl.lit(end).dt.cast_time_unit("us") + pl.duration(seconds=batch)
    return through, kept.head(BACKLOG_EVENTS).with_columns(arrives.alias("arrives_at"))


def repeat_states(
    kept: pl.DataFrame,
    segments: list[Segments],
    window: tuple[datetime, datetime],
    count: int,
    options: SimulatorOptions,
) -> pl.DataFrame:
    """So many more states from the window, each the one that holds at its instant."""
    rng = np.random.default_rng([options.seed, 3])
    starts, rooms = rooms_of(segments, window)
    edges = np.cumsum(rooms)
    free_ms = int(edges[-1]) if len(edges) else 0
    if free_ms < 100 * count:
        raise BadSetting(
            "simulate: nobody is at work while the edge is offline; say another time "
            "with edge_offline_from_h"
        )
    # More than needed: those that fall on an event that is there are left out.
    tick = rng.choice(free_ms, size=2 * count, replace=False)
    index = np.searchsorted(edges, tick, side="right")
    extra = Signals(
        (starts[index] + tick - (edges - rooms)[index]) * 1_000,
        np.concatenate([part.worker for part in segments])[index],
        np.concatenate([part.bench for part in segments])[index],
        np.concatenate([part.state for part in segments])[index],
        np.zeros(len(tick), dtype=np.int64),
        np.zeros(len(tick), dtype=np.bool_),
    )
    spread = rng.normal(options.confidence_mean, options.confidence_sd, len(tick))
    frame = to_frame(extra, np.round(spread.clip(0.3, 0.995), 4), options)
    return frame.join(kept, on=["time", "worker_id"], how="anti").head(count)


def rooms_of(
    segments: list[Segments], window: tuple[datetime, datetime]
) -> tuple[Ints, Ints]:
    """Per segment: its first free millisecond in the window, and how many there are."""
    begin, end = (round(instant.timestamp() * 1_000) for instant in window)
    starts, stops = [], []
    for part in segments:
        origin = part.origin_us // 1_000
        starts.append(np.rint(part.start_s * 1_000).astype(np.int64) + origin + 1)
        stops.append(np.rint(part.end_s * 1_000).astype(np.int64) + origin - 1)
    first = np.maximum(np.concatenate(starts), begin)
    last = np.minimum(np.concatenate(stops), end)
    return first, (last - first).clip(0)
