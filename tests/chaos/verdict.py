"""Whether exactly the known set is there, and every number is the reference's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from sql.connect import connect
from sql.errors import NoDatabase
from tests.chaos.known import Known, Site
from tests.reference import Truth
from tests.support.compare import all_differences
from tests.support.database import one
from tests.support.wallclock import Calendar, micros

# What a client says whose server has died, or begins again.
DIED = (
    "server closed the connection",
    "terminating connection",
    "connection is lost",
    "the connection is closed",
    "the database system is",
    "Cannot connect to",
)
LOOK_S = 0.5
SHOWN = 8
# Sites whose last refresh is whole, and newer than a moment: as many as there are. (On
# TimescaleDB Community the hour that is still open stays marked as touched.)
SETTLED = """
    select count(*) from floor.refresh_state r
    where r.cut_now = r.aggregated_now and r.aggregated_now > %s
        and not exists (
            select from floor.dirty d
            where d.site_key = r.site_key and d.from_time <= r.aggregated_now)
        and not exists (
            select from floor.touched t
            where t.site_key = r.site_key
                and t.hour < date_trunc('hour', r.aggregated_now))
    """


def stored(dsn: str) -> int | None:
    """How many events are there; None while no database answers."""
    with suppress(psycopg.OperationalError, NoDatabase), connect(dsn) as conn:
        return int(one(conn, "select count(*) from floor.events"))
    return None


def parked(dsn: str) -> int | None:
    """How many events are parked; None while no database answers."""
    with suppress(psycopg.OperationalError, NoDatabase), connect(dsn) as conn:
        return int(one(conn, "select count(distinct raw) from ingest.rejects"))
    return None


def await_all(dsn: str, known: Known, still_s: float) -> None:
    """Until all is there, or nothing has come for so long."""
    there, moved_at = (-1, -1), time.monotonic()
    while there != (known.events, len(known.poison)):
        now = (stored(dsn) or 0, parked(dsn) or 0)
        if now > there:
            there, moved_at = now, time.monotonic()
        if time.monotonic() > moved_at + still_s:
            return
        time.sleep(LOOK_S)


@contextmanager
def settled(dsn: str, known: Known, limit_s: float) -> Iterator[psycopg.Connection]:
    """One snapshot in which the living scheduler has nothing left to do."""
    with connect(dsn) as conn:
        since, until = one(conn, "select now()"), time.monotonic() + limit_s
        conn.execute("set default_transaction_isolation = 'repeatable read'")
        while True:
            with conn.transaction():
                if one(conn, SETTLED, since) == len(known.sites):
                    yield conn
                    return
            assert time.monotonic() < until, "the scheduler did not catch up"
            time.sleep(LOOK_S)


def judge(
    dsn: str, known: Known, limit_s: float, say: Callable[[str], None]
) -> list[str]:
    """Sentences on what is not as it must be; [] when everything is."""
    said = []
    with settled(dsn, known, limit_s) as conn:
        for site in known.sites:
            wrong = all_differences(conn, site.name, truth(conn, site))
            said += [f"{site.name}: {each}" for each in wrong[:SHOWN]]
            say(f"{site.name}: {len(site.events):,} events, {len(wrong)} differences")
        said += books(conn, known)
    return said


def truth(conn: psycopg.Connection, site: Site) -> Truth:
    """What must be there, up to the site's last refresh."""
    query = "select aggregated_now from floor.refresh_state natural join floor.sites"
    now = one(conn, f"{query} where site_id = %s", site.name)
    calendar = Calendar([site.settings], list(site.shifts))
    return Truth(site.events, calendar, micros(now))


def books(conn: psycopg.Connection, known: Known) -> list[str]:
    """What is parked, and whether what was counted is what is there."""
    raws = {bytes(raw) for (raw,) in conn.execute("select raw from ingest.rejects")}
    said = [f"parked and never sent so: {raw!r}" for raw in raws - known.poison]
    said += [f"not parked: {raw!r}" for raw in known.poison - raws]
    for what, want in (("stored", known.events), ("conflicts", 0)):
        counted = one(conn, f"select sum({what})::int from ingest.tallies")  # noqa: S608
        if counted != want:
            said.append(f"the books say {counted} {what}, not {want}")
    return said[:SHOWN]


def tracebacks(folder: Path) -> list[str]:
    """Errors that nobody foresaw: what our processes' logs hold of them.

    That a job failed because its database died under it was foreseen.
    """
    found = []
    for log in sorted(folder.glob("*.log")):
        blocks = log.read_text(errors="replace").split("Traceback (most recent")[1:]
        last = [block.strip().split("\n") for block in blocks]
        for lines in last:
            end = next((x for x in lines[1:] if x and not x.startswith(" ")), "")
            if not any(words in end for words in DIED):
                found.append(f"{log.name}: {end[:200]}")
    return sorted(set(found))
