"""The calendar in the database: one contiguous stretch of slices that only grows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from sql.plant.calendar_store import ensure_calendar, rebuild_calendar
from sql.plant.shifts import Pattern, add_shift
from sql.plant.sites import SiteChange, register_site, set_site

Connection = psycopg.Connection[Any]
NOON = datetime(2024, 6, 3, 12, tzinfo=UTC)
NIGHT = Pattern((0, 1, 2, 3, 4, 5, 6), 22 * 60, 480)

pytestmark = pytest.mark.plain


@pytest.fixture
def site(conn: Connection) -> int:
    """A plant in Berlin with a night shift, and no slices yet."""
    set_site(conn, "plant", SiteChange(timezone="Europe/Berlin"))
    add_shift(conn, "plant", "night", NIGHT)
    return register_site(conn, "plant")


def coverage(conn: Connection) -> tuple[datetime, datetime]:
    row = conn.execute(
        "select covered_from, covered_to from floor.calendar_coverage"
    ).fetchone()
    assert row is not None
    covered_from, covered_to = row
    return covered_from, covered_to


def slices(conn: Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "select starts_at, ends_at, production_date, shift_key, in_break, "
        "shift_ends_at from floor.calendar_slices order by starts_at"
    ).fetchall()


def instances(conn: Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "select starts_at, ends_at, production_date from floor.shift_instances "
        "order by starts_at"
    ).fetchall()


def assert_whole(conn: Connection) -> None:
    """Slices and instances tile the coverage; neither stands twice."""
    rows = slices(conn)
    assert (rows[0][0], rows[-1][1]) == coverage(conn)
    assert [r[0] for r in rows[1:]] == [r[1] for r in rows[:-1]]
    dates = [r[2] for r in instances(conn)]
    first = dates[0]
    assert dates == [first + timedelta(days=i) for i in range(len(dates))]


def test_the_first_need_covers_a_year_before_and_a_month_ahead(
    conn: Connection, site: int
) -> None:
    assert ensure_calendar(conn, site, NOON, NOON)
    covered_from, covered_to = coverage(conn)
    assert covered_from == datetime(2023, 1, 1, tzinfo=UTC)
    ahead = covered_to - datetime.now(UTC)
    assert timedelta(days=34) < ahead < timedelta(days=36)
    assert_whole(conn)


def test_what_is_covered_costs_nothing(conn: Connection, site: int) -> None:
    ensure_calendar(conn, site, NOON, NOON)
    before = coverage(conn)
    assert not ensure_calendar(conn, site, before[0], datetime.now(UTC))
    assert coverage(conn) == before


def test_it_grows_to_both_sides_and_stays_whole(conn: Connection, site: int) -> None:
    ensure_calendar(conn, site, NOON, NOON)
    later = coverage(conn)[1] + timedelta(days=1)
    assert ensure_calendar(conn, site, later, later)
    assert_whole(conn)
    earlier = datetime(2005, 5, 1, tzinfo=UTC)
    assert ensure_calendar(conn, site, earlier, NOON)
    assert coverage(conn)[0] == datetime(2004, 1, 1, tzinfo=UTC)
    assert coverage(conn)[1] > later
    assert_whole(conn)


@pytest.mark.parametrize("since", [None, NOON, NOON + timedelta(minutes=31)])
def test_made_again_it_is_the_same(
    conn: Connection, site: int, since: datetime | None
) -> None:
    ensure_calendar(conn, site, NOON, NOON)
    before = slices(conn), instances(conn)
    rebuild_calendar(conn, site, since)
    assert (slices(conn), instances(conn)) == before


def test_a_site_without_slices_has_nothing_to_make_again(
    conn: Connection, site: int
) -> None:
    rebuild_calendar(conn, site, None)
    assert slices(conn) == []
