"""The last 100 events, at every event: how low their mean ever is in plants that do
not change.

Whatever is judged by the window last_100 (rolling_low, confidence_low, confidence_drop)
compares such a mean with its threshold at some instant. Where no 100 events in a row
come near, no check could fire, however often it were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from benchmarks.drift_plants import UnchangingPlant
from benchmarks.refresh import Line

LAST = 100
LOW, DROP = 0.75, 0.15


@dataclass(frozen=True)
class Seen:
    """Of a plant: events, the lowest mean of 100 in a row, the highest mean of all of
    one camera.
    """

    events: int
    lowest: float
    highest_base: float


def look(seed: int, days: int) -> Seen:
    """Camera by camera, and all cameras together, as the signals do."""
    plant = UnchangingPlant(seed)
    frames = [frame for n in range(days) if not (frame := plant.day(n)).is_empty()]
    events = pl.concat(frames).sort("time")
    rolling = pl.col("confidence").rolling_mean(LAST)
    lowest = events.select(
        pl.min_horizontal(rolling.min(), rolling.over("camera_id").min())
    ).item()
    base = events.group_by("camera_id").agg(pl.col("confidence").mean())
    return Seen(len(events), float(lowest), float(base["confidence"].to_numpy().max()))


def lowest_means(seeds: Sequence[int], days: int) -> list[Line]:
    """How far 100 events in a row stay from what any of the three signals asks."""
    seen = [look(seed, days) for seed in seeds]
    threshold = max(LOW, (1 - DROP) * max(plant.highest_base for plant in seen))
    lowest = min(plant.lowest for plant in seen)
    what = (
        f"the lowest mean of {LAST} events in a row, of a camera or of all of them:"
        f" {len(seeds)} plants x {days} days, {sum(p.events for p in seen):,} events"
    )
    return [Line(what, f"{lowest:.3f}", f"> {threshold:.3f}", lowest > threshold)]
