"""Old events go, their numbers stay: to the last digit, whatever happens after."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event as Flag

import psycopg
import pytest

from commands import checks
from etl.door.keys import arrival_of
from scheduler.job import Work
from scheduler.refresh import refresh_site
from scheduler.retention import forget
from sql.connect import connect
from sql.plant.moments import MINUS_INFINITY
from sql.plant.shifts import ShiftChange, change_shift
from sql.plant.sites import SiteChange, set_site, show_site
from sql.queries import load
from tests.database.test_properties import short_calendar
from tests.reference import Truth
from tests.support.kept import (
    END,
    KEPT,
    NIGHT,
    SETTINGS,
    START,
    Frozen,
    differing,
    events_before,
    forget_before,
    forgotten_at,
    kept_differences,
    numbers_before,
    retain,
    send,
    six_days,
    some_events,
)
from tests.support.plant import Plant
from tests.support.wallclock import (
    DAY,
    HOUR,
    Calendar,
    Settings,
    Shift,
    micros,
    moment,
)

__all__ = ["short_calendar"]


@pytest.mark.parametrize("engine", ["plain", "community"], indirect=True)
def test_numbers_stay_and_the_rest_is_counted_on(dsn: str, tmp_path: Path) -> None:
    """Late events, changes of the past, an earlier now, a second run, a neighbour."""
    sent = six_days(dsn, "plant", tmp_path)
    six_days(dsn, "other", tmp_path, seed=2)
    with connect(dsn) as conn:
        before = numbers_before(conn, "plant", KEPT)
        others = numbers_before(conn, "other", KEPT)
        assert before["worker_hourly"]
        assert before["confidence_hourly"] == []  # nothing is judged yet
    done = forget_before(dsn, "plant", KEPT)
    assert done.sites == {"plant"}
    assert done.waiting == {}
    with connect(dsn) as conn:
        before |= {
            name: rows
            for name, rows in numbers_before(conn, "plant", KEPT).items()
            if name in {"confidence_hourly", "state_mix_hourly", "rate_hourly"}
        }
        assert before["rate_hourly"]
        assert differing(before, numbers_before(conn, "plant", KEPT)) == []
        assert events_before(conn, "plant", KEPT - 3 * DAY) == 0
        assert events_before(conn, "plant", KEPT) > 0
        assert events_before(conn, "other", KEPT - 3 * DAY) > 0
    assert forget_before(dsn, "plant", KEPT).sites == set()

    plant = Plant(dsn, "plant", tmp_path)
    late = some_events(3, KEPT, KEPT + 2 * HOUR, 10)
    assert send(plant, late)[0] == len(late)
    with connect(dsn) as conn:
        set_site(conn, "plant", SiteChange(min_confidence=0.5), MINUS_INFINITY)
        shorter = ShiftChange(length_min=480, breaks=())
        change_shift(conn, "plant", "night", shorter, MINUS_INFINITY)
    plant.refresh(END - DAY)
    # the neighbour's hours are counted again, and on Community with them ours
    neighbour = Plant(dsn, "other", tmp_path)
    assert send(neighbour, some_events(4, START, END, 40))[0] == 40
    neighbour.refresh(END)
    settings = [SETTINGS, Settings({"min_confidence": 0.5})]
    night = Shift("night", NIGHT.weekdays, NIGHT.start_min, 480)
    calendar = Frozen(Calendar([SETTINGS], [NIGHT]), Calendar(settings, [night]), KEPT)
    with connect(dsn) as conn:
        assert differing(before, numbers_before(conn, "plant", KEPT)) == []
        truth = Truth([*sent, *late], calendar, END - DAY)
        assert kept_differences(conn, "plant", truth, KEPT) == []
        assert differing(others, numbers_before(conn, "other", KEPT)) != []
    plant.refresh(END)
    with connect(dsn) as conn:
        assert differing(before, numbers_before(conn, "plant", KEPT)) == []
        truth = Truth([*sent, *late], calendar, END)
        assert kept_differences(conn, "plant", truth, KEPT) == []
        conn.execute("select floor.roll_up_models(site_key, 20000) from floor.sites")
        assert differing(before, numbers_before(conn, "plant", KEPT)) == []
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="keeps events from"):
        plant.refresh(KEPT - HOUR)


@pytest.mark.plain
def test_a_lower_gate_and_an_earlier_now_at_once(dsn: str, tmp_path: Path) -> None:
    """Pieces past the earlier now, of a state that another one now ends, go too."""
    sent = six_days(dsn, "plant", tmp_path)
    with connect(dsn) as conn:
        set_site(conn, "plant", SiteChange(min_confidence=0.5), MINUS_INFINITY)
    Plant(dsn, "plant", tmp_path).refresh(END - DAY)
    calendar = Calendar([SETTINGS, Settings({"min_confidence": 0.5})], [NIGHT])
    with connect(dsn) as conn:
        truth = Truth(sent, calendar, END - DAY)
        assert kept_differences(conn, "plant", truth, START) == []


def chunks(conn: psycopg.Connection) -> int:
    """Partitions or chunks that hold events."""
    query = """
        select count(distinct e.tableoid) from floor.events e"""
    return int(conn.execute(query).fetchall()[0][0])


def test_a_chunk_goes_when_every_site_has_expired_it(dsn: str, tmp_path: Path) -> None:
    """And who comes with older events still afterwards takes nobody's hours along."""
    six_days(dsn, "plant", tmp_path)
    six_days(dsn, "other", tmp_path, seed=2)
    with connect(dsn) as conn:
        assert chunks(conn) == 6
    done = forget_before(dsn, "plant", KEPT)
    assert done.gone["chunk"] == 0
    assert done.gone["events"] > 0
    with connect(dsn) as conn:
        assert chunks(conn) == 6
        before = numbers_before(conn, "plant", KEPT)
        others = numbers_before(conn, "other", KEPT)
    assert forget_before(dsn, "other", KEPT).gone["chunk"] == 1
    with connect(dsn) as conn:
        assert chunks(conn) == 5
        assert differing(others, numbers_before(conn, "other", KEPT)) == []
    late = Plant(dsn, "late", tmp_path)
    assert send(late, some_events(5, START, END, 50))[0] == 50
    late.refresh(END)
    with connect(dsn) as conn:
        assert differing(before, numbers_before(conn, "plant", KEPT)) == []
        assert differing(others, numbers_before(conn, "other", KEPT)) == []
        assert events_before(conn, "late", KEPT - 3 * DAY) > 0
        materialize_all(conn)
        assert differing(before, numbers_before(conn, "plant", KEPT)) == []
        low = moment(START), moment(KEPT - 3 * DAY)
        timeline = "select * from analytics.worker_timeline('plant', 'W1', %s, %s)"
        assert conn.execute(timeline, low).fetchall() == []


def materialize_all(conn: psycopg.Connection) -> None:
    """As by hand, by another version, after a restore: the source must say the same."""
    has_any = "select continuous_aggregates from floor.installation"
    if conn.execute(has_any).fetchone() == (False,):
        return
    hourly = ("activity_hourly", "presence_hourly", "site_hourly")
    for view in (*hourly, "activity_daily", "presence_daily"):
        conn.execute(
            "call refresh_continuous_aggregate(%s, null, null, force => true)",
            (f"floor.{view}",),
        )


@pytest.mark.plain
def test_nothing_goes_before_it_is_counted_and_a_day_has_passed(
    dsn: str, tmp_path: Path
) -> None:
    plant = Plant(dsn, "plant", tmp_path)
    plant.settle(SETTINGS, [])
    with connect(dsn) as conn:
        set_site(conn, "empty", SiteChange(retention_days=1))
        retain(conn, "empty", 1)
    assert forgotten_at(dsn, END).detail() == forgotten_at(dsn, END).detail()
    send(plant, some_events(1, START, END, 50))
    with connect(dsn) as conn:
        assert forget(Work(dsn, conn, None, Flag())).sites == set()
        set_site(conn, "plant", SiteChange(retention_days=30))
        # 30 days ago the events were months old, but the setting is of today
        assert forget(Work(dsn, conn, None, Flag())).sites == set()
        assert show_site(conn, "plant")["kept_from"] is None
        conn.execute(
            "update floor.sites set retention_set_at = now() - '1 day'::interval"
        )
    plant.refresh(END)
    send(plant, some_events(2, START, END, 5))
    with connect(dsn) as conn:
        work = Work(dsn, conn, None, Flag())
        assert forget(work).waiting == {"plant": "a refresh"}
    plant.refresh(END)
    with connect(dsn) as conn:
        work = Work(dsn, conn, None, Flag())
        assert forget(work).waiting == {"plant": "a refresh"}  # up to today
    refresh_site(dsn, "plant")
    with connect(dsn) as conn:
        work = Work(dsn, conn, None, Flag())
        assert forget(work).waiting == {"plant": "a drift check"}
        (told,) = checks.retention(conn)
        assert "wait for a drift check" in told.to_do
        conn.execute("select floor.roll_up_models(site_key, 20000) from floor.sites")
        assert forget(work).gone["chunk"] >= 6
        assert chunks(conn) == 0
        kept_from = show_site(conn, "plant")["kept_from"]
        assert timedelta(31) < datetime.now(UTC) - kept_from < timedelta(32)
        set_site(conn, "plant", SiteChange(retention_days=0))
        assert show_site(conn, "plant")["kept_from"] == kept_from
        notes = conn.execute(
            "select action, detail ->> 'retention_days' from ops.audit_log"
            " where subject = 'plant' order by audit_id"
        ).fetchall()
    actions = [("site retention", "30"), ("retention", None), ("site retention", None)]
    assert notes == actions
    # the door takes what may still count, whatever was set since
    assert send(plant, some_events(6, START, END, 5)) == (0, 0, 0)
    with connect(dsn) as conn:
        row = conn.execute(load("door")["arrival"], {"site_ids": ["plant"]}).fetchall()
        rules = arrival_of(row, ["plant"]).sites["plant"].rules
        assert rules.oldest_us(END) == micros(kept_from)


@pytest.mark.plain
def test_who_reads_is_not_held_up(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that is not to be had is asked for briefly, and the next run goes on."""
    monkeypatch.setattr("scheduler.retention.AGAIN_AFTER_S", 0.01)
    monkeypatch.setattr("scheduler.retention.TRIES", 2)
    six_days(dsn, "plant", tmp_path)
    with connect(dsn) as reader, reader.transaction():
        reader.execute("select count(*) from floor.events")
        done = forget_before(dsn, "plant", KEPT)
        assert done.waiting == {"plant": "a lock"}
        assert done.gone["chunk"] == 0
    assert forget_before(dsn, "plant", KEPT).gone["chunk"] == 1
