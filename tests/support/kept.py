"""What retention must leave alone, and what must be right beside it."""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Event as Flag
from typing import Any

import psycopg

from scheduler.job import Work
from scheduler.retention import Forgotten, forget
from sql.connect import connect
from sql.queries import load
from tests.reference import Truth, Where
from tests.support.compare import (
    differences,
    hourly_measures,
    keyed,
    metrics,
    rows,
    scheduled,
)
from tests.support.wallclock import DAY, HOUR, NEVER, Calendar, Place, moment

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


def numbers_before(conn: psycopg.Connection, site: str, kept_from: int) -> Numbers:
    """Every number that analytics has of a site's hours before an instant."""
    until = moment(kept_from)
    # a production date may reach a day and more past its own midnight
    last = (until - timedelta(days=3)).date()
    found: Numbers = {}
    for view in HOURLY:
        query = f"select * from analytics.{view} where site_id = %s and hour < %s"
        found[view] = told(conn, query, site, until)
    for view in DAILY:
        query = (
            f"select * from analytics.{view} where site_id = %s "
            "and production_date <= %s"
        )
        found[view] = told(conn, query, site, last)
    since = until - timedelta(days=9)
    for level in LEVELS:
        query = f"select * from analytics.{level}_metrics(%s, %s, %s)"
        found[level] = told(conn, query, site, since, until)
        query = f"select * from analytics.{level}_metrics_by_date(%s, %s, %s)"
        found[f"{level}_by_date"] = told(conn, query, site, since.date(), last)
    query = "select analytics.scheduled_seconds(%s, %s, %s)"
    found["scheduled"] = told(conn, query, site, since, until)
    return found


def told(conn: psycopg.Connection, query: str, *args: object) -> list[str]:
    """Rows as text, in an order of their own, fractions to nine digits."""
    return sorted(
        str([f"{v:.9g}" if isinstance(v, float) else str(v) for v in row])
        for row in conn.execute(query.encode(), args).fetchall()
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
        conn.execute("select floor.roll_up_models(site_key) from floor.sites")
        return forget(Work(dsn, conn, None, Flag()), moment(now))


def forget_before(dsn: str, site: str, kept_from: int) -> Forgotten:
    """Have a site keep events from a UTC midnight on, then no retention any more."""
    with connect(dsn) as conn:
        retain(conn, site, 1)
    done = forgotten_at(dsn, kept_from + 2 * DAY)
    with connect(dsn) as conn:
        retain(conn, site, None)
    return done
