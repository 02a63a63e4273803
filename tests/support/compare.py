"""The product's tables against the reference: every row, seconds to the microsecond."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tests.reference import Row, Sums, Truth, Where, per_hour, ratio, real
from tests.support.wallclock import HOUR, SECOND, moment

KINDS = ["working", "idle", "absent", "product_count"]
Rows = dict[Any, dict[str, Any]]


def rows(
    conn: psycopg.Connection, query: str | sql.Composed, *args: object
) -> list[dict[str, Any]]:
    """What a query gives, by column name."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, args).fetchall()


def same(name: str, got: Any, want: Any) -> bool:
    """Seconds to the microsecond, ratios to nine digits, the rest as it is."""
    if got is None or want is None:
        return got is want
    if name.endswith("_s"):
        return round(float(got) * SECOND) == round(float(want) * SECOND)
    if isinstance(want, float):
        return math.isclose(float(got), want, rel_tol=1e-9)
    return bool(got == want)


def differences(what: str, mine: Rows, theirs: Rows) -> list[str]:
    """Sentences on rows that are missing, too many or not the same; [] when equal.

    `theirs` is the reference: only its columns are compared.
    """
    said = [f"{what}: no row {key}" for key in theirs.keys() - mine.keys()]
    said += [f"{what}: row {key} too many" for key in mine.keys() - theirs.keys()]
    for key in theirs.keys() & mine.keys():
        for name, expected in theirs[key].items():
            got = mine[key][name]
            if not same(name, got, expected):
                said.append(f"{what} {key} {name}: {got}, expected {expected}")
    return sorted(said)


def keyed(found: Iterable[dict[str, Any]], *columns: str) -> Rows:
    """Rows by these columns; two of one key are an error."""
    by_key: Rows = {}
    for row in found:
        key = tuple(row[c] for c in columns)
        assert key not in by_key, f"two rows for {key}"
        by_key[key] = row
    return by_key


def hourly_measures(sums: Sums) -> Row:
    return {
        "working_s": sums.working / SECOND,
        "idle_s": sums.idle / SECOND,
        "absent_s": sums.absent / SECOND,
        "break_s": sums.breaks / SECOND,
        "events": sums.events,
        "units": sums.units,
        "units_working": sums.units_working,
        "utilization": ratio(sums.working, sums.working + sums.idle),
        "units_per_hour": per_hour(sums.units_working, sums.working),
    }


def events(conn: psycopg.Connection, site: str, truth: Truth) -> list[str]:
    """What is stored is what arrived first."""
    query = """
        select e.time, w.worker_id, b.workstation_id, e.event_type,
            e.confidence::float8, e.count, e.duration_s
        from floor.events e
        join floor.sites s using (site_key)
        join floor.workers w using (worker_key)
        join floor.workstations b using (workstation_key)
        where s.site_id = %s
        """
    expected = {
        (moment(e.time), e.worker, e.workstation, KINDS.index(e.kind)): {
            "confidence": real(e.confidence),
            "count": e.count,
            "duration_s": None if e.duration_us is None else e.duration_us / SECOND,
        }
        for e in truth.events
    }
    key = ("time", "worker_id", "workstation_id", "event_type")
    return differences("events", keyed(rows(conn, query, site), *key), expected)


def worker_hourly(conn: psycopg.Connection, site: str, truth: Truth) -> list[str]:
    columns = ("worker_id", "workstation_id", "hour", "production_date", "shift")
    found = rows(conn, "select * from analytics.worker_hourly where site_id = %s", site)
    expected = {
        (worker, bench, moment(hour), day, shift): hourly_measures(sums)
        for (worker, bench, hour, day, shift), sums in truth.worker_hourly.items()
    }
    return differences("worker_hourly", keyed(found, *columns), expected)


def factory_hourly(conn: psycopg.Connection, site: str, truth: Truth) -> list[str]:
    """Sums of the site and means over its workers, hour by hour."""
    query = "select * from analytics.factory_hourly where site_id = %s"
    found = rows(conn, query, site)
    expected = {
        (moment(hour),): {
            name: value
            for name, value in truth.factory_metrics(
                Where(hours=(hour, hour + HOUR))
            ).items()
            if not found or name in found[0]
        }
        for hour in {bucket[2] for bucket in truth.worker_hourly}
    }
    return differences("factory_hourly", keyed(found, "hour"), expected)


def bounds(where: Where) -> tuple[str, list[object]]:
    """The suffix of the functions' names, and the arguments after the site."""
    if where.hours:
        return "", [*(moment(us) for us in where.hours), where.shift]
    assert where.dates
    first, after = where.dates
    return "_by_date", [first, after - timedelta(days=1), where.shift]


def call(
    conn: psycopg.Connection, level: str, site: str | None, where: Where
) -> list[dict[str, Any]]:
    """One of the metrics functions for one window."""
    suffix, args = bounds(where)
    name = sql.Identifier("analytics", f"{level}_metrics{suffix}")
    query = sql.SQL("select * from {}(%s, %s, %s, %s)").format(name)
    return rows(conn, query, site, *args)


def metrics(
    conn: psycopg.Connection, site: str, truth: Truth, where: Where
) -> list[str]:
    """The three levels for one window."""
    said = []
    for level, key in (("worker", "worker_id"), ("workstation", "workstation_id")):
        found = keyed(call(conn, level, site, where), key)
        expected = getattr(truth, f"{level}_metrics")(where)
        by_key = {(k,): row for k, row in expected.items()}
        said += differences(f"{level}_metrics {where}", found, by_key)
    found = keyed(call(conn, "factory", site, where))
    expected = {(): truth.factory_metrics(where)}
    return said + differences(f"factory_metrics {where}", found, expected)


def scheduled(
    conn: psycopg.Connection, site: str, truth: Truth, where: Where
) -> list[str]:
    """analytics.scheduled_seconds for a window of hours."""
    _, args = bounds(where)
    query = "select analytics.scheduled_seconds(%s, %s, %s, %s) as scheduled_s"
    expected = {(): {"scheduled_s": truth.scheduled(where) / SECOND}}
    return differences(
        f"scheduled {where}", keyed(rows(conn, query, site, *args)), expected
    )


def by_date_and_shift(conn: psycopg.Connection, site: str, truth: Truth) -> list[str]:
    """worker_daily and worker_shift: worker_hourly, added up."""
    said = []
    for view, size in (("worker_daily", 1), ("worker_shift", 2)):
        sums: dict[tuple[object, ...], Sums] = defaultdict(Sums)
        for (worker, _, _, *place), part in truth.worker_hourly.items():
            key = (worker, *place[:size])
            sums[key] = sums[key].plus(part)
        query = sql.SQL("select * from analytics.{} where site_id = %s")
        found = rows(conn, query.format(sql.Identifier(view)), site)
        columns = ["worker_id", "production_date", "shift"][: size + 1]
        expected = {
            key: hourly_measures(total)
            | {"observed_utilization": total.metrics(0)["observed_utilization"]}
            for key, total in sums.items()
        }
        said += differences(view, keyed(found, *columns), expected)
    return said


def workstations(conn: psycopg.Connection, site: str, truth: Truth) -> list[str]:
    """workstation_hourly and _daily: every bench, from the first event to now."""
    first = min(e.time for e in truth.events)
    if first > truth.now:
        return []
    # An hour or a date that begins at now counts what was made at that instant.
    hours = range(first // HOUR * HOUR, truth.now + 1, HOUR)
    by_hour = {moment(h): Where(hours=(h, h + HOUR)) for h in hours}
    parts = truth.calendar.slices(hours.start, truth.now + 1)
    days = {part.place.production_date for part in parts if part.end > first}
    by_day = {day: Where(dates=(day, day + timedelta(days=1))) for day in days}
    return [
        *_workstations(conn, site, truth, "hour", by_hour),
        *_workstations(conn, site, truth, "production_date", by_day),
    ]


def _workstations(
    conn: psycopg.Connection,
    site: str,
    truth: Truth,
    key: str,
    wheres: dict[Any, Where],
) -> list[str]:
    view = "workstation_hourly" if key == "hour" else "workstation_daily"
    query = sql.SQL("select * from analytics.{} where site_id = %s")
    found = rows(conn, query.format(sql.Identifier(view)), site)
    columns = set(found[0]) if found else set()
    expected = {
        (bench, when): {name: row[name] for name in columns & row.keys()}
        for when, where in wheres.items()
        for bench, row in truth.workstation_metrics(where).items()
    }
    return differences(view, keyed(found, "workstation_id", key), expected)


def timelines(conn: psycopg.Connection, site: str, truth: Truth) -> list[str]:
    """Of every worker, a window with bounds on no hour."""
    low, high = truth.now - 2 * HOUR - 5 * SECOND, truth.now - 7 * SECOND
    said = []
    for worker in truth.workers:
        query = "select * from analytics.worker_timeline(%s, %s, %s, %s)"
        found = rows(conn, query, site, worker, moment(low), moment(high))
        mine = [tuple(row.values()) for row in found]
        expected = [
            (state, bench, moment(start), moment(end))
            for state, bench, start, end in truth.timeline(worker, low, high)
        ]
        if mine != expected:
            said.append(f"timeline {worker}: {mine}, expected {expected}")
    return said


def windows(truth: Truth) -> list[Where]:
    """All hours, the last hours, all production dates; each shift and all."""
    times = [e.time for e in truth.events] + [truth.now]
    low = min(times) // HOUR * HOUR - 24 * HOUR
    high = max(times) // HOUR * HOUR + 25 * HOUR
    last = truth.now // HOUR * HOUR
    days = (moment(low).date(), moment(high).date())
    names = [None, *sorted({s.name for s in truth.calendar.shifts})]
    found = [Where(hours=(low, high), shift=name) for name in names]
    found.append(Where(hours=(last - 3 * HOUR, last + HOUR)))
    return found + [Where(dates=days, shift=name) for name in names]


def all_differences(conn: psycopg.Connection, site: str, truth: Truth) -> list[str]:
    """Everything that the product says of a site, against the reference."""
    said = events(conn, site, truth)
    said += worker_hourly(conn, site, truth)
    said += factory_hourly(conn, site, truth)
    said += by_date_and_shift(conn, site, truth)
    said += workstations(conn, site, truth)
    said += timelines(conn, site, truth)
    for where in windows(truth):
        said += metrics(conn, site, truth, where)
        if where.hours:
            said += scheduled(conn, site, truth, where)
    return said


def clock(us: int) -> str:
    """An instant as the command line takes it."""
    return moment(us).isoformat()
