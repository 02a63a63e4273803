"""A large backlog is cut by two sessions side by side: the same tables in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from scheduler import refresh
from sql.connect import connect

pytestmark = pytest.mark.parametrize("engine", ["plain", "community"], indirect=True)

PIECES = (
    "select w.worker_id, a.time, a.ends_at, a.state_at, a.state, a.units,"
    " a.units_working, a.begins, a.in_break, b.workstation_id"
    " from floor.activity a join floor.workers w using (worker_key)"
    " join floor.workstations b using (workstation_key) order by 1, 2, 3, 4, 5, 10"
)
HOURS = "select * from analytics.worker_hourly order by 1, 2, 3, 4, 5, 6"
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "EVENTS_FOR_TWO", 100)
    monkeypatch.setattr(refresh, "EVENTS_PER_STEP", 500)


def tables(dsn: str) -> list[list[tuple[object, ...]]]:
    with connect(dsn) as conn:
        return [conn.execute(query).fetchall() for query in (PIECES, HOURS)]


def recut(dsn: str) -> None:
    """Mark everything as just loaded."""
    with connect(dsn) as conn:
        conn.execute(
            "insert into floor.dirty select site_key, worker_key, min(time), max(time),"
            " count(*) from floor.events group by 1, 2, date_trunc('day', time)"
        )


def test_it_gives_the_same_tables_as_one_session(
    demo_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh.refresh_site(demo_dsn, "demo", NOW)
    expected = tables(demo_dsn)
    assert expected[0]
    recut(demo_dsn)
    monkeypatch.setattr(refresh, "EVENTS_FOR_TWO", 100)
    monkeypatch.setattr(refresh, "EVENTS_PER_STEP", 500)
    report = refresh.refresh_site(demo_dsn, "demo", NOW)
    assert report.ranges > 6, "no backlog was cut"
    assert tables(demo_dsn) == expected


@pytest.mark.usefixtures("small_steps")
def test_it_comes_to_the_same_with_an_earlier_now_between(demo_dsn: str) -> None:
    refresh.refresh_site(demo_dsn, "demo", NOW)
    expected = tables(demo_dsn)
    recut(demo_dsn)
    refresh.refresh_site(demo_dsn, "demo", NOW - timedelta(hours=5))
    recut(demo_dsn)
    refresh.refresh_site(demo_dsn, "demo", NOW)
    assert tables(demo_dsn) == expected


@pytest.mark.usefixtures("small_steps")
def test_what_one_session_fails_at_is_told_and_done_again(
    demo_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh.refresh_site(demo_dsn, "demo", NOW)
    expected = tables(demo_dsn)
    recut(demo_dsn)
    with connect(demo_dsn) as conn, monkeypatch.context() as patch:
        conn.execute("set statement_timeout = '1ms'")
        patch.setattr(refresh, "EVENTS_PER_STEP", 100_000)
        with pytest.raises(psycopg.errors.QueryCanceled):
            refresh.refresh_with(conn, "demo", NOW)
    refresh.refresh_site(demo_dsn, "demo", NOW)
    assert tables(demo_dsn) == expected
