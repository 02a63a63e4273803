"""What cameras say of the segments: states, sent again and again, and units."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from etl.simulation.options import Change, SimulatorOptions
from etl.simulation.plant import (
    LEFT,
    PRODUCT_COUNT,
    SLOW_START_S,
    WORKING,
    Floats,
    Ints,
    Segments,
    Traits,
    draw_shift,
)

# By kind; who has left is absent, and not for as long as a silent camera would say.
EVENT_TYPES = ("working", "idle", "absent", "product_count", "absent")
LEFT_FOR_S = 60.0
RESEND_S = (60.0, 240.0)
RESEND_EVERY_S = 180.0
OCCLUDED_SHARE = 0.015
OCCLUDED = (0.45, 0.7)

SCHEMA: dict[str, pl.DataType] = {
    "time": pl.Datetime("us", "UTC"),
    "site_id": pl.String(),
    "worker_id": pl.String(),
    "workstation_id": pl.String(),
    "event_type": pl.String(),
    "confidence": pl.Float64(),
    "count": pl.Int64(),
    "model_version": pl.String(),
    "camera_id": pl.String(),
    "duration_s": pl.Float64(),
}


@dataclass(frozen=True, slots=True)
class Signals:
    """Events as arrays: time in microseconds since 1970, the rest as numbers."""

    time_us: Ints
    worker: Ints
    bench: Ints
    kind: Ints
    count: Ints
    occludable: np.ndarray[tuple[int], np.dtype[np.bool_]]


def send_states(segments: Segments, rng: np.random.Generator) -> Signals:
    """Every segment when it begins, and again every 1 to 4 minutes while it lasts."""
    length = segments.end_s - segments.start_s
    sends = np.maximum(np.ceil(length / RESEND_EVERY_S).astype(np.int64), 1)
    index = np.repeat(np.arange(len(length)), sends)
    nth = np.arange(len(index)) - np.repeat(np.cumsum(sends) - sends, sends)
    every = length[index] / sends[index]
    slack = np.minimum(every - RESEND_S[0], RESEND_S[1] - every).clip(min=0) / 2
    jitter = np.where(nth > 0, rng.uniform(-1, 1, len(index)) * slack, 0.0)
    return Signals(
        instants(segments, segments.start_s[index] + nth * every + jitter),
        segments.worker[index],
        segments.bench[index],
        segments.state[index],
        np.zeros(len(index), dtype=np.int64),
        nth % 2 == 1,
    )


def count_units(
    segments: Segments,
    options: SimulatorOptions,
    traits: Traits,
    pace_factor: float,
    rng: np.random.Generator,
) -> Signals:
    """Units of the working segments, by the pace of worker, bench and hour."""
    working = segments.where(segments.state == WORKING)
    length = working.end_s - working.start_s
    pace = traits.pace[working.worker] * traits.bench_pace[working.bench]
    pace *= options.units_per_hour / 3600 * pace_factor
    pace = np.where(working.start_s < SLOW_START_S, pace * 0.6, pace)
    sends = rng.poisson(pace * length)
    index = np.repeat(np.arange(len(length)), sends)
    nth = np.arange(len(index)) - np.repeat(np.cumsum(sends) - sends, sends)
    share = (nth + rng.uniform(0.1, 0.9, len(index))) / sends[index]
    lucky = rng.random(len(index))
    return Signals(
        instants(working, working.start_s[index] + share * length[index]),
        working.worker[index],
        working.bench[index],
        np.full(len(index), PRODUCT_COUNT, dtype=np.int64),
        1 + (lucky < 0.10).astype(np.int64) + (lucky < 0.03),
        np.ones(len(index), dtype=np.bool_),
    )


def instants(segments: Segments, seconds: Floats) -> Ints:
    """Seconds of a shift as microseconds since 1970; cameras tell milliseconds."""
    return segments.origin_us + np.rint(seconds * 1_000).astype(np.int64) * 1_000


def see(
    signals: Signals,
    options: SimulatorOptions,
    traits: Traits,
    changes: list[Change],
    rng: np.random.Generator,
) -> Floats:
    """Confidence of every event: around the mean of its camera, a few occluded."""
    count = len(signals.time_us)
    mean = np.full(options.stations, options.confidence_mean)
    spread = np.full(options.stations, options.confidence_sd)
    for change in changes:
        benches = list(change.benches) or slice(None)
        if change.confidence_mean is not None:
            mean[benches] = change.confidence_mean
        if change.confidence_sd is not None:
            spread[benches] = change.confidence_sd
    occluded = signals.occludable & (rng.random(count) < OCCLUDED_SHARE)
    # Occluded events lower the mean; the clear ones make up for it.
    share = float(occluded.mean()) if count else 0.0
    clear = (mean - share * sum(OCCLUDED) / 2) / (1 - share) + traits.camera_offset
    clear = np.minimum(clear, 0.99)
    confidence = rng.normal(clear[signals.bench], spread[signals.bench] * 0.9)
    confidence = np.where(occluded, rng.uniform(*OCCLUDED, count), confidence)
    return confidence.clip(0.3, 0.995).round(4)


def draw_day(
    options: SimulatorOptions, traits: Traits, day: date, day_number: int
) -> tuple[pl.DataFrame, list[Segments]]:
    """All events of the shifts that start on one local day, in order of time, and the
    segments behind them: a pure function of the plant and the day.
    """
    changes = [change for change in options.changes if change.holds_on(day_number)]
    idle_factor = float(np.prod([change.idle_factor for change in changes]))
    pace_factor = float(np.prod([change.pace_factor for change in changes]))
    frames, all_segments = [], []
    for shift in range(len(options.shifts)):
        rng = np.random.default_rng([options.seed, 1, day.toordinal(), shift])
        if options.workers <= shift:
            continue
        segments = draw_shift(
            options, traits, day, shift=shift, idle_factor=idle_factor, rng=rng
        )
        for signals in (
            send_states(segments, rng),
            count_units(segments, options, traits, pace_factor, rng),
        ):
            confidence = see(signals, options, traits, changes, rng)
            frames.append(to_frame(signals, confidence, options))
        all_segments.append(segments)
    return pl.concat(frames).sort("time", "worker_id", "event_type"), all_segments


def names(prefix: str, count: int) -> pl.Series:
    """Ids like W01, as wide as the plant needs."""
    width = max(2, len(str(count)))
    return pl.Series([f"{prefix}{i:0{width}d}" for i in range(1, count + 1)])


def to_frame(
    signals: Signals, confidence: Floats, options: SimulatorOptions
) -> pl.DataFrame:
    """Signals in the columns of an event file (states carry no count)."""
    count, kind = pl.Series(signals.count), pl.Series(signals.kind)
    return pl.DataFrame(
        {
            "time": pl.Series(signals.time_us).cast(SCHEMA["time"]),
            "site_id": pl.repeat(options.site, len(count), eager=True),
            "worker_id": names("W", options.workers).gather(signals.worker),
            "workstation_id": names("S", options.stations).gather(signals.bench),
            "event_type": pl.Series(EVENT_TYPES).gather(signals.kind),
            "confidence": confidence,
            "count": pl.select(pl.when(count > 0).then(count)).to_series(),
            "model_version": pl.repeat(options.model_version, len(count), eager=True),
            "camera_id": names("cam-", options.stations).gather(signals.bench),
            "duration_s": pl.select(pl.when(kind == LEFT).then(LEFT_FOR_S)).to_series(),
        },
        schema=SCHEMA,
    )
