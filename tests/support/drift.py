"""Simulated plants for drift: history through the door by days, and checks of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl

from etl.batch import batch_of
from etl.door.admit import Door
from etl.simulation.events import draw_day
from etl.simulation.options import SimulatorOptions
from etl.simulation.plant import draw_traits
from etl.simulation.stream import TIME_FORMAT
from scheduler.refresh import refresh_with
from sql.connect import Connection
from sql.model_health.drift import check_drift
from sql.plant.calendar import Break
from sql.plant.shifts import Pattern, add_shift
from sql.plant.sites import SiteChange, set_site

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
Edit = Callable[[pl.DataFrame], pl.DataFrame]


def as_is(frame: pl.DataFrame) -> pl.DataFrame:
    """No edit."""
    return frame


class DriftPlant:
    """A simulated plant in UTC whose days are put in one after another."""

    def __init__(self, dsn: str, conn: Connection, options: SimulatorOptions) -> None:
        self.dsn, self.conn, self.options = dsn, conn, options
        self.traits = draw_traits(options)
        set_site(conn, options.site, SiteChange(timezone="UTC"))
        for shift in options.shifts:
            pause = Break(shift.break_start_min, shift.break_length_min)
            pattern = Pattern(
                tuple(range(7)), shift.start_min, shift.length_min, (pause,)
            )
            add_shift(conn, options.site, shift.name, pattern)

    def events(self, first: int, last: int, edit: Edit = as_is) -> pl.DataFrame:
        """Events of days (from 1, both included), as a file has them."""
        frames = [
            draw_day(self.options, self.traits, (BEGIN + (n - 1) * DAY).date(), n)[0]
            for n in range(first, last + 1)
        ]
        frame = edit(pl.concat(frames))
        return frame.with_columns(
            pl.col("time").dt.strftime(TIME_FORMAT),
            *[
                pl.col(name).cast(pl.String)
                for name in ("confidence", "count", "duration_s")
            ],
        )

    def tell(self, first: int, last: int, edit: Edit = as_is) -> None:
        """Put days in."""
        with Door(self.dsn) as door:
            door.admit(batch_of(self.events(first, last, edit)), "test")

    def check(self, now: datetime) -> None:
        """Refresh and check up to an instant."""
        refresh_with(self.conn, self.options.site, now)
        check_drift(self.conn, self.options.site, now)

    def drifting(self, *, camera: str | None = None) -> set[tuple[str, str]]:
        """Signals and windows that drift, of the whole model or a camera."""
        rows = self.conn.execute(
            "select signal, span from analytics.drift where verdict = 'drifting'"
            " and camera_id is not distinct from %s",
            (camera,),
        ).fetchall()
        return {(str(signal), str(span)) for signal, span in rows}

    def alerts(self) -> set[tuple[str, str, str]]:
        """Signal, subject and state of every alert."""
        rows = self.conn.execute(
            "select signal, subject, alert_state from analytics.alerts"
        ).fetchall()
        return {(str(a), str(b), str(c)) for a, b, c in rows}
