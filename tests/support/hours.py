"""Hours of cameras as sums, written where the roll-up writes them: scenarios of weeks
without an event. That the sums are those of events: test_model_hours.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from sql.connect import Connection
from sql.plant.calendar import Break
from sql.plant.calendar_store import ensure_calendar
from sql.plant.shifts import Pattern, add_shift
from sql.plant.sites import SiteChange, set_site, site_key_of

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass(frozen=True)
class Seen:
    """What a camera sees in an hour; the last event when `minutes` of it are over."""

    hour: datetime
    camera: str = "c1"
    events: int = 60
    mean: float = 0.88
    deviation: float = 0.06
    mix: tuple[float, float, float] = (0.7, 0.2, 0.1)
    units: int = 60
    model: str = "v1"
    minutes: int = 60


class HourlyPlant:
    """A site in UTC whose cameras' hours are written, and judged."""

    def __init__(
        self, conn: Connection, shifts: tuple[tuple[str, int], ...] = (("early", 6),)
    ) -> None:
        self.conn, self.rng = conn, np.random.default_rng(1)
        set_site(conn, "plant", SiteChange(timezone="UTC"))
        for name, start in shifts:
            pause = Break((start + 4) * 60, 30)
            add_shift(
                conn, "plant", name, Pattern(tuple(range(7)), start * 60, 480, (pause,))
            )
        self.site_key = site_key_of(conn, "plant")
        ensure_calendar(conn, self.site_key, BEGIN, BEGIN + 120 * DAY)

    def put(self, hours: Iterable[Seen]) -> None:
        """Write hours; those that are there are replaced."""
        hours = list(hours)
        cameras = self._keys("cameras", sorted({h.camera for h in hours}))
        models = self._keys("models", sorted({h.model for h in hours}))
        found = [(h, models[h.model], cameras[h.camera]) for h in hours]
        rows, tails = [], []
        for seen, model, camera in found:
            row, tail = self._drawn(seen)
            key = (self.site_key, seen.hour, model, camera)
            rows.append((*key, *row))
            tails.append((*key, tail))
        gone = {"site": self.site_key, "hours": [h.hour for h in hours]}
        gone |= {"cameras": [camera for *_, camera in found]}
        with self.conn.transaction(), self.conn.cursor() as cursor:
            for table, said in (("model_hourly", rows), ("model_tails", tails)):
                cursor.execute(
                    f"delete from floor.{table} where site_key = %(site)s and (hour,"  # noqa: S608
                    " camera_key) in (select * from unnest(%(hours)s::timestamptz[],"
                    " %(cameras)s::integer[]))",
                    gone,
                )
                with cursor.copy(f"copy floor.{table} from stdin") as copy:
                    for line in said:
                        copy.write_row(line)
            days = sorted({h.hour.replace(hour=0) for h in hours})
            cursor.execute(
                "select floor.roll_up_model_days(%s, %s)", (self.site_key, days)
            )

    def days(
        self, first: int, last: int, *, start: int = 6, length: int = 8, **seen: object
    ) -> None:
        """Days (from 1, both included) of alike hours of a shift."""
        self.put(
            Seen(BEGIN + (day - 1) * DAY + (start + n) * HOUR, **seen)  # type: ignore[arg-type]
            for day in range(first, last + 1)
            for n in range(length)
        )

    def check(self, now: datetime) -> None:
        """Judge, the metrics just brought up to now."""
        self.conn.execute(
            "update floor.refresh_state set cut_now = %(now)s,"
            " aggregated_now = %(now)s, first_event_at = %(begin)s",
            {"now": now, "begin": BEGIN},
        )
        self.conn.execute("select ops.check_drift(%s)", (now,))

    def drifting(self, camera: str | None = None) -> set[tuple[str, str]]:
        """Signals and windows that drift, of a camera or of all together."""
        rows = self.conn.execute(
            "select signal, span from analytics.drift where verdict = 'drifting'"
            " and camera_id is not distinct from %s",
            (camera,),
        ).fetchall()
        return {(str(signal), str(span)) for signal, span in rows}

    def verdicts(self, model: str = "v1") -> set[str]:
        """Every verdict on a model."""
        rows = self.conn.execute(
            "select verdict from analytics.drift where model_version = %s", (model,)
        ).fetchall()
        return {str(verdict) for (verdict,) in rows}

    def alerts(self) -> dict[str, set[str]]:
        """Signals with the states of their alerts."""
        found: dict[str, set[str]] = {}
        for signal, state in self.conn.execute(
            "select signal, alert_state from analytics.alerts"
        ).fetchall():
            found.setdefault(signal, set()).add(state)
        return found

    def _keys(self, kind: str, names: list[str]) -> dict[str, int]:
        said = {
            "cameras": ("camera_id", "camera_key"),
            "models": ("model_version", "model_key"),
        }[kind]
        self.conn.execute(
            f"select floor.register_{kind}(%s, %s)",
            (self.site_key, names),
        )
        return dict(
            self.conn.execute(
                f"select {said[0]}, {said[1]} from floor.{kind}"  # noqa: S608
                " where site_key = %s",
                (self.site_key,),
            ).fetchall()
        )

    def _drawn(self, seen: Seen) -> tuple[list[object], list[float]]:
        values = self.rng.normal(seen.mean, seen.deviation, seen.events).clip(0, 1)
        states = self.rng.multinomial(seen.events, seen.mix)
        units = int(self.rng.poisson(seen.units))
        last = seen.hour + timedelta(minutes=seen.minutes, microseconds=-1)
        sums = [float(values.sum()), float((values**2).sum())]
        bins = np.histogram(values, 20, (0, 1))[0].tolist()
        row = [seen.hour, last, seen.events, *states.tolist(), units, *sums, *bins]
        return row, values[-100:].tolist()
