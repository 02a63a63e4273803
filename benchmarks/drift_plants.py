"""Simulated plants whose events go through the door, and checks of them at an instant.

Nothing is cut into activity: drift reads sums of events by hour, which are made from
the events as floor.roll_up_models always makes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from etl.batch import batch_of
from etl.door.admit import Door
from etl.simulation.events import draw_day
from etl.simulation.options import TWO_SHIFTS, PlantShift, SimulatorOptions
from etl.simulation.plant import draw_traits
from etl.simulation.stream import TIME_FORMAT
from sql.connect import Connection
from sql.plant.calendar import Break
from sql.plant.calendar_store import ensure_calendar
from sql.plant.shifts import Pattern, add_shift
from sql.plant.sites import SiteChange, set_site, site_key_of

FIRST = date(2026, 3, 2)
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
EVERY_DAY = tuple(range(7))
THREE_SHIFTS = (*TWO_SHIFTS, PlantShift("night", 22 * 60, 480, 26 * 60, 45))
TEXTS = ("confidence", "count", "duration_s")


def set_up(conn: Connection, site: str, shifts: Sequence[PlantShift]) -> int:
    """A site in UTC with these shifts every day; its key."""
    set_site(conn, site, SiteChange(timezone="UTC"))
    for shift in shifts:
        pause = Break(shift.break_start_min, shift.break_length_min)
        pattern = Pattern(EVERY_DAY, shift.start_min, shift.length_min, (pause,))
        add_shift(conn, site, shift.name, pattern)
    return site_key_of(conn, site)


def as_file(frame: pl.DataFrame) -> pl.DataFrame:
    """Events as a file has them."""
    texts = [pl.col(name).cast(pl.String) for name in TEXTS if name in frame.columns]
    return frame.with_columns(pl.col("time").dt.strftime(TIME_FORMAT), *texts)


def tell(
    conn: Connection, door: Door, frames: Sequence[tuple[int, pl.DataFrame]]
) -> None:
    """Events of sites, by key, through the door and into the sums of their hours."""
    told = [(site_key, frame) for site_key, frame in frames if not frame.is_empty()]
    if not told:
        return
    whole = pl.concat([frame for _, frame in told], how="diagonal")
    door.admit(batch_of(as_file(whole)), "simulated")
    for site_key, frame in told:
        conn.execute(
            "select floor.mark_model_hours(%s, array[%s], array[%s])",
            (site_key, frame["time"].min(), frame["time"].max()),
        )
        conn.execute("select floor.roll_up_models(%s)", (site_key,))


def check(conn: Connection, now: datetime) -> None:
    """Every site at an instant, its metrics as if just brought up to it."""
    conn.execute(
        "update floor.refresh_state set cut_now = %(now)s, aggregated_now = %(now)s,"
        " first_event_at = %(begin)s",
        {"now": now, "begin": BEGIN},
    )
    conn.execute("select ops.check_drift(%s)", (now,))


def opened(conn: Connection) -> dict[str, int]:
    """Alerts that opened (or came back), by signal."""
    rows = conn.execute(
        "select a.signal, count(*) from ops.alert_events e join ops.alerts a"
        " using (alert_key) where e.transition in ('opened', 'reopened') group by 1"
    ).fetchall()
    return dict(rows)


class UnchangingPlant:
    """A plant that never changes. Every second one rests at weekends, every fourth
    works around the clock.
    """

    def __init__(self, seed: int) -> None:
        self.site, self.seed = f"p{seed:02d}", seed
        shifts = THREE_SHIFTS if seed % 4 == 0 else TWO_SHIFTS
        self.options = SimulatorOptions(
            site=self.site, seed=seed, timezone="UTC", shifts=shifts
        )
        self.traits = draw_traits(self.options)
        self._over_midnight = pl.DataFrame()

    def open(self, conn: Connection, days: int) -> int:
        """Make its site, with a calendar for so many days; its key."""
        site_key = set_up(conn, self.site, self.options.shifts)
        ensure_calendar(conn, site_key, BEGIN, BEGIN + (days + 2) * DAY)
        return site_key

    def day(self, number: int) -> pl.DataFrame:
        """The events of a UTC day (from 0)."""
        day = FIRST + number * DAY
        rests = self.seed % 2 == 1 and day.weekday() >= 5
        drawn = [] if self._over_midnight.is_empty() else [self._over_midnight]
        if not rests:
            drawn.append(draw_day(self.options, self.traits, day, number + 1)[0])
        if not drawn:
            return self._over_midnight
        frame = pl.concat(drawn)
        midnight = BEGIN + (number + 1) * DAY
        self._over_midnight = frame.filter(pl.col("time") >= midnight)
        return frame.filter(pl.col("time") < midnight)


def states_of_a_day(
    site: str, seed: int, number: int, *, events: int = 1000, mean: float = 0.88
) -> pl.DataFrame:
    """States of a camera between 06:00 and 22:00 with this mean confidence."""
    rng = np.random.default_rng([seed, 7, number])
    second = np.sort(rng.uniform(6 * 3600, 22 * 3600, events)).round(3)
    start = BEGIN + number * DAY
    said = {"site_id": site, "worker_id": "W1", "workstation_id": "S1"}
    return pl.DataFrame(
        {
            "time": [start + timedelta(seconds=float(s)) for s in second],
            "event_type": np.where(rng.random(events) < 0.8, "working", "idle"),
            "confidence": rng.normal(mean, 0.06, events).clip(0, 1).round(4),
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    ).with_columns(
        **{name: pl.lit(text) for name, text in said.items()},
        model_version=pl.lit("v1"),
        camera_id=pl.lit("cam-01"),
    )


def parts(frame: pl.DataFrame, instants: Sequence[datetime]) -> Iterator[pl.DataFrame]:
    """What of a day's events had come by each instant and not by the one before."""
    before = instants[0] - DAY
    for instant in instants:
        time = pl.col("time")
        yield frame.filter((time >= before) & (time < instant))
        before = instant
