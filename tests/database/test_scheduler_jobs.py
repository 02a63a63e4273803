"""What the scheduler's housekeeping jobs do to their tables."""

import threading

import pytest

from scheduler.job import Work
from scheduler.jobs import calendar, chunks, prune, tallies
from sql.connect import Connection

pytestmark = pytest.mark.plain


@pytest.fixture
def work(dsn: str, conn: Connection) -> Work:
    return Work(dsn, conn, None, threading.Event())


def tally(conn: Connection, site: str, hour: str, stored: int, bins: list[int]) -> None:
    conn.execute(
        "insert into ingest.tallies values"
        " (%s, %s, %s, 1, 2, 3, 4, %s, 5,"
        "  timestamptz '2026-01-01' + %s * interval '1 s')",
        (site, hour, stored, bins, stored),
    )


def tallies_of(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute(
        "select site_id, extract(hour from hour)::int, stored, duplicates, conflicts,"
        " parked, late, latency_histogram, unzoned,"
        " recorded_at = timestamptz '2026-01-01' +"
        "  case when stored = 30 then 20 else stored end * interval '1 s'"
        " from ingest.tallies order by 1, 2, 3"
    ).fetchall()


def test_tallies_are_folded_by_site_and_hour(work: Work, conn: Connection) -> None:
    tally(conn, "a", "2026-01-01 05:00+00", 10, [1, 2])
    tally(conn, "a", "2026-01-01 05:00+00", 20, [0, 1, 0, 7])
    tally(conn, "a", "2026-01-01 06:00+00", 5, [])
    tally(conn, "b", "2026-01-01 05:00+00", 7, [3])
    assert tallies.run(work) == {"folded": 2}
    assert tallies_of(conn) == [
        ("a", 5, 30, 2, 4, 6, 8, [1, 3, 0, 7], 10, True),
        ("a", 6, 5, 1, 2, 3, 4, [], 5, True),
        ("b", 5, 7, 1, 2, 3, 4, [3], 5, True),
    ]
    assert tallies.run(work) == {"folded": 0}


def test_tallies_without_latencies_fold_too(work: Work, conn: Connection) -> None:
    for stored in (1, 2):
        tally(conn, "a", "2026-01-01 05:00+00", stored, [])
    assert tallies.run(work) == {"folded": 2}
    assert tallies_of(conn) == [("a", 5, 3, 2, 4, 6, 8, [], 10, False)]


def test_old_runs_are_pruned(work: Work, conn: Connection) -> None:
    conn.execute(
        "insert into ops.jobs (job, interval_s) values ('often', 10), ('daily', 86400)"
    )
    conn.execute(
        "insert into ops.job_runs (job, started_at, ok)"
        " select job, now() - age, ok from (values"
        "  ('often', interval '7 hours', true), ('often', '5 hours', true),"
        "  ('often', '7 hours', false), ('often', '32 days', false),"
        "  ('daily', '7 hours', true), ('daily', '32 days', true),"
        "  ('often', '1 minute', null)) v (job, age, ok)"
    )
    assert prune.run(work) == {"pruned": 3, "messages": 0}
    left = conn.execute(
        "select job, ok from ops.job_runs order by started_at"
    ).fetchall()
    assert left == [("often", False), ("daily", True), ("often", True), ("often", None)]


def test_chunks_are_made_ahead_once(work: Work) -> None:
    assert chunks.run(work)["made"] == 4
    assert chunks.run(work)["made"] == 0


def test_every_calendar_is_extended_once(work: Work, conn: Connection) -> None:
    conn.execute("select floor.register_site(s, false) from unnest('{a,b}'::text[]) s")
    assert calendar.run(work) == {"extended": 2}
    assert calendar.run(work) == {"extended": 0}


def test_runs_that_never_ended_are_closed_after_a_day(
    work: Work, conn: Connection
) -> None:
    conn.execute(
        "insert into ops.job_runs (job, started_at)"
        " values ('refresh', now() - interval '25 hours'), ('refresh', now())"
    )
    prune.run(work)
    rows = conn.execute("select ok, error from ops.job_runs order by started_at")
    assert rows.fetchall() == [(False, "ended without saying how"), (None, None)]
