"""A simulated plant over a clock change: what always holds; no KPI has two values."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from etl.simulation.options import TWO_SHIFTS, SimulatorOptions
from etl.simulation.stream import simulate
from sql.connect import connect
from sql.plant.sites import SiteChange, set_site
from tests.reference import Truth, Where, admit, factory_metrics
from tests.support.cases import read_event
from tests.support.compare import (
    Rows,
    all_differences,
    call,
    differences,
    keyed,
    metrics,
    rows,
)
from tests.support.plant import Plant
from tests.support.wallclock import HOUR, SECOND, Calendar, Settings, Shift, micros

# One plant for all of them: on one worker, where pytest-xdist runs.
pytestmark = pytest.mark.xdist_group("invariants")
ANCHOR = datetime(2025, 3, 31, 9, 20, 7, tzinfo=UTC)
ANCHOR_HOUR = ANCHOR.replace(minute=0, second=0)
PLANT = SimulatorOptions(
    site="simulated",
    workers=5,
    stations=4,
    hours=54,
    timezone="Europe/Berlin",
    duplicates=0.05,
    late=0.1,
    shuffle=True,
)
SETTINGS = Settings({"timezone": PLANT.timezone, "gap_state": "idle"})
EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)
SHIFTS = [
    Shift(
        shift.name,
        EVERY_DAY,
        shift.start_min,
        shift.length_min,
        ((shift.break_start_min, shift.break_length_min),),
    )
    for shift in TWO_SHIFTS
]


@dataclass(frozen=True)
class Simulated:
    """The plant as loaded and refreshed, and what it must come to."""

    dsn: str
    truth: Truth


@pytest.fixture(scope="module")
def simulated(common_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Loaded in four files, refreshed after each up to what is known by then."""
    folder: Path = tmp_path_factory.mktemp("simulated")
    text = "".join(
        frame.write_csv(include_header=number == 0)
        for number, frame in enumerate(simulate(PLANT, ANCHOR))
    )
    header, *lines = text.splitlines()
    plant = Plant(common_dsn, PLANT.site, folder)
    plant.settle(SETTINGS, SHIFTS)
    size = -(-len(lines) // 4)
    for number, start in enumerate(range(0, len(lines), size)):
        plant.load(lines[start : start + size], header)
        plant.refresh(micros(ANCHOR - timedelta(hours=13 * (3 - number))))
    events = [read_event(row, "UTC") for row in csv.DictReader([header, *lines])]
    calendar = Calendar([SETTINGS], SHIFTS)
    return Simulated(common_dsn, Truth(admit(events).events, calendar, micros(ANCHOR)))


@pytest.fixture
def conn(simulated: Simulated) -> Iterator[psycopg.Connection]:
    with connect(simulated.dsn) as conn:
        yield conn


def test_it_equals_the_reference(
    simulated: Simulated, conn: psycopg.Connection
) -> None:
    assert len(simulated.truth.events) > 2000
    assert all_differences(conn, PLANT.site, simulated.truth) == []


def view(conn: psycopg.Connection, name: str) -> list[dict[str, Any]]:
    query = sql.SQL("select * from analytics.{} where site_id = %s")
    return rows(conn, query.format(sql.Identifier(name)), PLANT.site)


def function(
    conn: psycopg.Connection, name: str, *args: object
) -> list[dict[str, Any]]:
    holes = sql.SQL(", ").join([sql.Placeholder()] * len(args))
    name_of = sql.Identifier("analytics", name)
    return rows(conn, sql.SQL("select * from {}({})").format(name_of, holes), *args)


def test_pieces_of_a_worker_do_not_overlap(conn: psycopg.Connection) -> None:
    """And each lies in one hour, and is as long as it says."""
    broken = rows(
        conn,
        """
        select * from (
            select a.*, max(a.ends_at) over (
                partition by a.worker_key order by a.time, a.ends_at
                rows between unbounded preceding and 1 preceding) as reached
            from floor.activity a join floor.sites s using (site_key)
            where s.site_id = %s and a.state < 3
        ) p
        where p.reached > p.time or p.ends_at <= p.time
           or p.ends_at > date_bin('1 hour', p.time, '2000-01-01Z') + interval '1 hour'
           or p.duration_us <> extract(epoch from p.ends_at - p.time) * 1000000
        """,
        PLANT.site,
    )
    assert broken == []


@pytest.mark.parametrize("hours", [1, 7, 24, 80])
def test_states_share_out_the_wall_clock(conn: psycopg.Connection, hours: int) -> None:
    """To the last microsecond, and up to now only."""
    to_time = ANCHOR_HOUR + timedelta(hours=1)
    from_time = to_time - timedelta(hours=hours)
    wall_us = micros(ANCHOR) - micros(from_time)
    states = ("working_s", "idle_s", "absent_s", "break_s", "unobserved_s")
    found = function(conn, "worker_metrics", PLANT.site, from_time, to_time)
    assert len(found) == PLANT.workers
    for row in found:
        parts_us = [round(row[name] * SECOND) for name in states]
        assert min(parts_us) >= 0
        assert sum(parts_us) == wall_us


def test_benches_are_used_no_more_than_there_is_time(conn: psycopg.Connection) -> None:
    for row in view(conn, "workstation_hourly"):
        assert 0 <= row["operating_s"] <= row["occupied_s"] <= 3600
        assert row["utilization"] is None or 0 <= row["utilization"] <= 1
    for name in ("worker_hourly", "worker_daily", "worker_shift", "workstation_daily"):
        for row in view(conn, name):
            assert row["utilization"] is None or 0 <= row["utilization"] <= 1


@pytest.mark.parametrize(
    ("level", "keys"),
    [("worker", ["worker_id"]), ("workstation", ["workstation_id"]), ("factory", [])],
)
def test_a_day_is_the_same_in_view_and_function(
    conn: psycopg.Connection, level: str, keys: list[str]
) -> None:
    by_day = defaultdict(list)
    for row in view(conn, f"{level}_daily"):
        by_day[row["production_date"]].append(row)
    assert len(by_day) >= 3
    for day, shown in by_day.items():
        mine = keyed(shown, *keys)
        found = function(conn, f"{level}_metrics_by_date", PLANT.site, day, day)
        theirs = shared_columns(mine, keyed(found, *keys))
        assert differences(f"{level}_daily {day}", mine, theirs) == []


@pytest.mark.parametrize(
    ("level", "keys"), [("workstation", ["workstation_id"]), ("factory", [])]
)
def test_an_hour_is_the_same_in_view_and_function(
    conn: psycopg.Connection, level: str, keys: list[str]
) -> None:
    by_hour = defaultdict(list)
    for row in view(conn, f"{level}_hourly"):
        by_hour[row["hour"]].append(row)
    assert len(by_hour) >= 30
    for hour, shown in by_hour.items():
        mine = keyed(shown, *keys)
        after = hour + timedelta(hours=1)
        found = function(conn, f"{level}_metrics", PLANT.site, hour, after)
        theirs = shared_columns(mine, keyed(found, *keys))
        assert differences(f"{level}_hourly {hour}", mine, theirs) == []


def shared_columns(mine: Rows, theirs: Rows) -> Rows:
    """Of the function's rows what the view has too; rows the view has not are idle."""
    return {
        key: {name: row[name] for name in mine[key].keys() & row.keys()}
        for key, row in theirs.items()
        if key in mine or row.get("events") or row.get("units")
    }


def test_shifts_add_up(conn: psycopg.Connection) -> None:
    """What lies in shifts and what lies outside is all there is."""
    window = (ANCHOR_HOUR - timedelta(hours=50), ANCHOR_HOUR)
    whole = keyed(function(conn, "worker_metrics", PLANT.site, *window), "worker_id")
    outside: dict[Any, int] = defaultdict(int)
    for row in view(conn, "worker_hourly"):
        if row["shift"] is None and window[0] <= row["hour"] < window[1]:
            outside[(row["worker_id"],)] += round(row["working_s"] * SECOND)
    for shift in SHIFTS:
        for row in function(conn, "worker_metrics", PLANT.site, *window, shift.name):
            outside[(row["worker_id"],)] += round(row["working_s"] * SECOND)
    assert outside == {
        key: round(row["working_s"] * SECOND) for key, row in whole.items()
    }


def test_all_sites_are_one_row(
    simulated: Simulated, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Each with a now of its own; a worker of the same name elsewhere is another."""
    other = Plant(simulated.dsn, "second", tmp_path)
    other.settle(Settings({}), [])
    time = ANCHOR - timedelta(hours=2)
    other.load([f"{time.isoformat()},second,W01,S01,working,0.9,,"])
    other.refresh(micros(time + timedelta(minutes=5)))
    event = read_event(
        {
            "time": time.isoformat(),
            "worker_id": "W01",
            "workstation_id": "S01",
            "event_type": "working",
            "confidence": "0.9",
        },
        "UTC",
    )
    second = Truth([event], Calendar([], []), micros(time + timedelta(minutes=5)))
    where = Where(hours=(micros(ANCHOR_HOUR) - 30 * HOUR, micros(ANCHOR_HOUR)))
    expected = {(): factory_metrics([simulated.truth, second], where)}
    found = keyed(call(conn, "factory", None, where))
    assert differences("factory_metrics", found, expected) == []


def test_bounds_lie_on_the_hour(conn: psycopg.Connection) -> None:
    for name in ("worker_metrics", "workstation_metrics", "factory_metrics"):
        with pytest.raises(psycopg.Error, match="hour"):
            function(conn, name, PLANT.site, ANCHOR, ANCHOR + timedelta(hours=1))


def test_a_site_never_refreshed_has_nothing_yet(conn: psycopg.Connection) -> None:
    set_site(conn, "silent", SiteChange())
    window = (ANCHOR_HOUR - timedelta(hours=8), ANCHOR_HOUR)
    assert function(conn, "worker_metrics", "silent", *window) == []
    assert function(conn, "workstation_metrics", "silent", *window) == []
    (row,) = function(conn, "factory_metrics", "silent", *window)
    assert (row["working_s"], row["units"], row["active_workers"]) == (0, 0, 0)
    assert row["average_utilization"] is None
    (scheduled,) = function(conn, "scheduled_seconds", "silent", *window)
    assert scheduled["scheduled_seconds"] == 0


def test_the_calendar_reaches_back_before_the_first_event(
    simulated: Simulated, conn: psycopg.Connection
) -> None:
    """Scheduled seconds come from the calendar, not from rows."""
    low = micros(ANCHOR_HOUR) - 300 * 24 * HOUR
    where = Where(hours=(low, low + 48 * HOUR))
    assert metrics(conn, PLANT.site, simulated.truth, where) == []


@pytest.mark.plain
def test_an_endless_window_is_refused(conn: psycopg.Connection) -> None:
    for window in ("'-infinity', now()", "date_trunc('hour', now()), 'infinity'"):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="finite bounds"):
            conn.execute(f"select floor.require_window({window})")
