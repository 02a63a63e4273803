"""What retention must leave alone, and what must be right beside it."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from threading import Event as Flag
from typing import LiteralString

import psycopg
from psycopg import sql

from scheduler.job import Work
from scheduler.retention import Forgotten, forget
from sql.connect import connect
from tests.reference import Event, Truth, Where
from tests.support.compare import (
    differences,
    hourly_measures,
    keyed,
    metrics,
    rows,
    scheduled,
)
from tests.support.plant import Plant, line
from tests.support.wallclock import (
    DAY,
    HOUR,
    SECOND,
    Calendar,
    Place,
    Settings,
    Shift,
    moment,
)

HOURLY = (
    "worker_hourly",
    "workstation_hourly",
    "factory_hourly",
    "confidence_hourly",
    "state_mix_hourly",
    "rate_hourly",
)
DAILY = ("worker_daily", "worker_shift", "workstation_daily", "factory_daily")
LEVELS = ("worker", "workstation", "factory")
Numbers = dict[str, list[str]]
START = 20_241 * DAY  # 2 June 2025, a Monday
KEPT = START + 4 * DAY
END = START + 6 * DAY
SETTINGS = Settings({"timezone": "Asia/Kolkata", "gap_state": "idle"})
NIGHT = Shift("night", (0, 1, 2, 3, 4, 5, 6), 22 * 60, 600, ((60, 45),))


def some_events(seed: int, low: int, high: int, number: int) -> list[Event]:
    chance = random.Random(seed)
    kinds = ["working", "working", "idle", "absent", "product_count"]
    found = []
    for _ in range(number):
        kind = chance.choice(kinds)
        made = kind == "product_count"
        lasts = None if made else chance.choice([None, None, 3 * HOUR, DAY])
        found.append(
            Event(
                chance.randrange(low, high, 7 * SECOND),
                f"W{chance.randrange(3)}",
                f"S{chance.randrange(2)}",
                kind,
                chance.choice([0.9, 0.65]),
                chance.choice([1, 1_000_000]) if made else 0,
                lasts,
            )
        )
    return found


def six_days(dsn: str, site: str, folder: Path, seed: int = 1) -> list[Event]:
    """A site of six days, a chunk each, refreshed up to their end."""
    with connect(dsn) as conn:
        conn.execute(
            "select floor.ensure_chunks(d, d) from generate_series"
            "(%s::timestamptz, %s::timestamptz, interval '1 day') as d",
            (moment(START), moment(END)),
        )
    plant = Plant(dsn, site, folder)
    plant.settle(SETTINGS, [NIGHT])
    sent = some_events(seed, START, END, 120)
    send(plant, sent)
    plant.refresh(END)
    return sent


def send(plant: Plant, sent: list[Event]) -> tuple[int, int, int]:
    return plant.load([line(plant.site, e, moment(e.time).isoformat()) for e in sent])


def events_before(conn: psycopg.Connection, site: str, before: int) -> int:
    """How many events of a site are stored of the time before an instant."""
    query = (
        "select count(*) from floor.events e join floor.sites s using (site_key) "
        "where s.site_id = %s and e.time < %s"
    )
    return int(conn.execute(query, (site, moment(before))).fetchall()[0][0])


def differing(before: Numbers, now: Numbers) -> list[str]:
    return [name for name in before if before[name] != now[name]]


def numbers_before(conn: psycopg.Connection, site: str, kept_from: int) -> Numbers:
    """Every number that analytics has of a site's hours before an instant."""
    until = moment(kept_from)
    since = until - timedelta(days=9)
    # a production date may reach a day and more past its own midnight
    last = (until - timedelta(days=3)).date()
    hourly = "select * from analytics.{} where site_id = %s and hour < %s"
    daily = "select * from analytics.{} where site_id = %s and production_date <= %s"
    window = "select * from analytics.{}(%s, %s, %s)"
    found = {view: told(conn, hourly, view, site, until) for view in HOURLY}
    found |= {view: told(conn, daily, view, site, last) for view in DAILY}
    for level in LEVELS:
        name = f"{level}_metrics"
        found[name] = told(conn, window, name, site, since, until)
        name += "_by_date"
        found[name] = told(conn, window, name, site, since.date(), last)
    found["scheduled"] = told(conn, window, "scheduled_seconds", site, since, until)
    return found


def told(
    conn: psycopg.Connection, query: LiteralString, name: str, *args: object
) -> list[str]:
    """Rows as text, in an order of their own, fractions to nine digits."""
    asked = sql.SQL(query).format(sql.Identifier(name))
    return sorted(
        str([f"{v:.9g}" if isinstance(v, float) else str(v) for v in row])
        for row in conn.execute(asked, args).fetchall()
    )


class Frozen(Calendar):
    """One calendar up to an instant, another one from it on."""

    def __init__(self, before: Calendar, after: Calendar, kept_from: int) -> None:
        super().__init__(after.settings, [*before.shifts, *after.shifts])
        self.before, self.after, self.kept_from = before, after, kept_from

    def _at(self, at: int) -> Calendar:
        return self.before if at < self.kept_from else self.after

    def place(self, at: int) -> Place:
        return self._at(at).place(at)

    def instance_end(self, at: int) -> int | None:
        return self._at(at).instance_end(at)

    def boundaries(self, low: int, high: int) -> list[int]:
        found = self.before.boundaries(low, high) + self.after.boundaries(low, high)
        return sorted({*found, min(max(self.kept_from, low), high)})


def kept_differences(
    conn: psycopg.Connection, site: str, truth: Truth, kept_from: int
) -> list[str]:
    """Everything of the hours from an instant on, against the reference."""
    columns = ("worker_id", "workstation_id", "hour", "production_date", "shift")
    query = "select * from analytics.worker_hourly where site_id = %s and hour >= %s"
    found = keyed(rows(conn, query, site, moment(kept_from)), *columns)
    expected = {
        (worker, bench, moment(hour), day, shift): hourly_measures(sums)
        for (worker, bench, hour, day, shift), sums in truth.worker_hourly.items()
        if hour >= kept_from
    }
    said = differences("worker_hourly", found, expected)
    high = max(truth.now // HOUR * HOUR + 25 * HOUR, kept_from + HOUR)
    where = Where(hours=(kept_from, high))
    return [
        *said,
        *metrics(conn, site, truth, where),
        *scheduled(conn, site, truth, where),
    ]


def retain(conn: psycopg.Connection, site: str, days: int | None) -> None:
    """A retention that was set long ago."""
    conn.execute(
        "update floor.sites set retention_days = %s, retention_set_at = '2000-01-01'"
        " where site_id = %s",
        (days, site),
    )


def forgotten_at(dsn: str, now: int) -> Forgotten:
    """The job's run at an instant, after the drift job's."""
    with connect(dsn) as conn:
        conn.execute("select floor.roll_up_models(site_key, 20000) from floor.sites")
        return forget(Work(dsn, conn, None, Flag()), moment(now))


def forget_before(dsn: str, site: str, kept_from: int) -> Forgotten:
    """Have a site keep events from a UTC midnight on, then no retention any more."""
    with connect(dsn) as conn:
        retain(conn, site, 1)
    done = forgotten_at(dsn, kept_from + 2 * DAY)
    with connect(dsn) as conn:
        retain(conn, site, None)
    return done
