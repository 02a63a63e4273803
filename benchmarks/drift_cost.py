"""What ops.check_drift costs for a site of 200 cameras, whatever its hours sum up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from benchmarks.drift_plants import BEGIN, DAY, HOUR, check, set_up
from benchmarks.load import timed
from etl.simulation.options import TWO_SHIFTS
from sql.connect import Connection
from sql.plant.calendar_store import ensure_calendar

CAMERAS, DAYS = 200, 90
BAR_MS, CHECKS, PAIRS = 500, 9, 40
EVENTS = 100_000
END = BEGIN + DAYS * DAY

MAKE_HOURS = f"""
    insert into floor.model_hourly
    select %(site)s, h.hour, %(model)s, c.camera_key, h.hour,
        h.hour + interval '59 minutes', 120, 80, 15, 5, 60 + (random() * 10)::int,
        120 * 0.88, 120 * 0.78, {", ".join(["0"] * 15)}, 10, 20, 40, 40, 10
    from generate_series(%(from)s::timestamptz, %(to)s - interval '1 hour', '1 hour')
        as h (hour)
    cross join floor.cameras c
    where c.site_key = %(site)s
"""
MAKE_TAILS = """
    insert into floor.model_tails
    select h.site_key, h.hour, h.model_key, h.camera_key,
        array_fill(0.88::real, array[100])
    from floor.model_hourly h
    where h.site_key = %(site)s and h.hour >= %(from)s
"""
MAKE_DAYS = """
    select floor.roll_up_model_days(%(site)s, array(
        select generate_series(%(from)s::timestamptz, %(to)s::timestamptz, '1 day')))
"""
MAKE_EVENTS = """
    insert into floor.events
        (site_key, worker_key, time, workstation_key, confidence, event_type)
    select %(site)s, 1 + i %% 500,
        %(end)s::timestamptz - i * interval '1 day' / %(events)s, 1, 0.88, 0
    from generate_series(1, %(events)s) as i
    on conflict do nothing
"""


@dataclass(frozen=True)
class Took:
    """Milliseconds of checks, by what was so."""

    verdicts: int
    first: list[float]
    learning: list[float]
    checks: list[float]


@dataclass(frozen=True)
class Pairs:
    """Checks with few raw events and with many, in turns: milliseconds, and pages."""

    few: list[float]
    many: list[float]
    few_pages: int
    many_pages: int


def make_site(conn: Connection) -> dict[str, Any]:
    """The site with its hours up to END; what its statements take."""
    site = set_up(conn, "large", TWO_SHIFTS)
    names = [f"cam-{i:03d}" for i in range(CAMERAS)]
    conn.execute("select floor.register_cameras(%s, %s)", (site, names))
    made = conn.execute("select key from floor.register_models(%s, '{v1}')", (site,))
    part = {"site": site, "model": made.fetchall()[0][0], "from": BEGIN, "to": END}
    conn.execute(MAKE_HOURS, part)
    conn.execute(MAKE_TAILS, part | {"from": END - 2 * DAY})
    conn.execute(MAKE_DAYS, part)
    ensure_calendar(conn, site, BEGIN, END + 30 * DAY)
    conn.execute("vacuum analyze")
    return part


def measure(conn: Connection) -> Took:
    """Make the site, then check it around two midnights."""
    part = make_site(conn)
    site = part["site"]
    first: list[float] = []
    learning: list[float] = []
    checks: list[float] = []
    for day in range(3):
        if day:
            part |= {"from": END + (day - 1) * DAY, "to": END + day * DAY}
            for statement in (MAKE_HOURS, MAKE_TAILS, MAKE_DAYS):
                conn.execute(statement, part)
            conn.execute("vacuum analyze")
        now = END + day * DAY + HOUR / 6
        first += checks_ms(conn, [now])
        while waiting(conn, site, now):
            now += HOUR / 60
            learning += checks_ms(conn, [now])
        checks += checks_ms(conn, minutes_after(now, CHECKS))
    rows = conn.execute("select count(*) from ops.drift_checks").fetchall()
    return Took(int(rows[0][0]), first, learning, checks)


def compare(few: Connection, many: Connection) -> Pairs:
    """Two such sites, one with ten times the raw events, checked in turns.

    In turns, for a million new rows give the server other work for a while: what the
    machine does beside is then the same for both. Pages read say it without a clock.
    """
    sides = (few, many)
    now = END + HOUR / 6
    for conn, events in zip(sides, (EVENTS, 10 * EVENTS), strict=True):
        site = make_site(conn)["site"]
        conn.execute("select floor.ensure_chunks(%s, %s, 0)", (END - DAY, END))
        conn.execute(MAKE_EVENTS, {"site": site, "end": END, "events": events})
        conn.execute("vacuum analyze")
    while any(waiting(conn, site, now) for conn in sides):
        now += HOUR / 60
        for conn in sides:
            check(conn, now)
    taken: tuple[list[float], list[float]] = ([], [])
    for number, instant in enumerate(minutes_after(now, PAIRS)):
        turns = list(zip(sides, taken, strict=True))
        for conn, times in turns if number % 2 else reversed(turns):
            times.extend(checks_ms(conn, [instant]))
    last = now + PAIRS * HOUR / 60
    pages = [pages_of(conn, minutes_after(last, CHECKS)) for conn in sides]
    return Pairs(*taken, *pages)


def pages_of(conn: Connection, instants: Iterable[datetime]) -> int:
    """Pages that a check reads, from memory or disk: the least of these checks."""
    found: list[int] = []
    for instant in instants:
        plan = conn.execute(
            "explain (analyze, buffers, format json) select ops.check_drift(%s)",
            (instant,),
        ).fetchall()[0][0][0]["Plan"]
        found.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
    return min(found)


def waiting(conn: Connection, site: int, now: datetime) -> bool:
    """Whether cameras wait to be learnt."""
    rows = conn.execute(
        "select count(*) from floor.model_scales where site_key = %s"
        " and base_to = date_trunc('day', %s::timestamptz)"
        " - case span when 'day' then interval '1 day' else interval '7 days' end",
        (site, now),
    ).fetchall()
    return int(rows[0][0]) < 2 * (CAMERAS + 1)


def minutes_after(now: datetime, count: int) -> list[datetime]:
    """Minute after minute."""
    return [now + i * HOUR / 60 for i in range(1, count + 1)]


def checks_ms(conn: Connection, instants: Iterable[datetime]) -> list[float]:
    """Milliseconds of checks at these instants."""
    return [1000 * timed(partial(check, conn, at)) for at in instants]
