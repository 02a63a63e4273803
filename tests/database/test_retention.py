"""Old events go, their numbers stay: to the last digit, whatever happens after."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event as Flag

import psycopg
import pytest

from etl.door.keys import arrival_of
from scheduler.job import Work
from scheduler.refresh import refresh_site
from scheduler.retention import forget
from sql.connect import connect
from sql.moments import MINUS_INFINITY
from sql.queries import load
from sql.shifts import ShiftChange, change_shift
from sql.sites import SiteChange, set_site, show_site
from tests.reference import Event, Truth
from tests.support.kept import (
    Frozen,
    forget_before,
    forgotten_at,
    kept_differences,
    numbers_before,
    retain,
)
from tests.support.plant import Plant, line
from tests.support.wallclock import (
    DAY,
    HOUR,
    SECOND,
    Calendar,
    Settings,
    Shift,
    moment,
)

START = 20_241 * DAY  # 2 June 2025, a Monday
KEPT = START + 6 * DAY
END = START + 9 * DAY
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


def settled(dsn: str, site: str, folder: Path, seed: int = 1) -> list[Event]:
    """A site of nine days, refreshed up to their end."""
    plant = Plant(dsn, site, folder)
    plant.settle(SETTINGS, [NIGHT])
    sent = some_events(seed, START, END, 300)
    send(plant, sent)
    plant.refresh(END)
    return sent


def send(plant: Plant, sent: list[Event]) -> tuple[int, int, int]:
    return plant.load([line(plant.site, e, moment(e.time).isoformat()) for e in sent])


def count(conn: psycopg.Connection, table: str, site: str, before: int) -> int:
    query = (
        f"select count(*) from floor.{table} t join floor.sites s using (site_key) "
        "where s.site_id = %s and t.time < %s"
    )
    return int(conn.execute(query.encode(), (site, moment(before))).fetchall()[0][0])


def unlike(before: dict[str, list[str]], now: dict[str, list[str]]) -> list[str]:
    return [name for name in before if before[name] != now[name]]


def test_numbers_stay_and_the_rest_is_counted_on(dsn: str, tmp_path: Path) -> None:
    """Late events, changes of the past, an earlier now, a second run, a neighbour."""
    sent = settled(dsn, "plant", tmp_path)
    settled(dsn, "other", tmp_path, seed=2)
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
        assert unlike(before, numbers_before(conn, "plant", KEPT)) == []
        assert count(conn, "events", "plant", KEPT - 3 * DAY) == 0
        assert count(conn, "events", "plant", KEPT) > 0
        assert count(conn, "events", "other", KEPT - 3 * DAY) > 0
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
        assert unlike(before, numbers_before(conn, "plant", KEPT)) == []
        truth = Truth([*sent, *late], calendar, END - DAY)
        said = kept_differences(conn, "plant", truth, KEPT); print("\n".join(said)); assert said == []
        assert unlike(others, numbers_before(conn, "other", KEPT)) != []
    plant.refresh(END)
    with connect(dsn) as conn:
        assert unlike(before, numbers_before(conn, "plant", KEPT)) == []
        truth = Truth([*sent, *late], calendar, END)
        said = kept_differences(conn, "plant", truth, KEPT); print("\n".join(said)); assert said == []
        conn.execute("select floor.roll_up_models(site_key) from floor.sites")
        assert unlike(before, numbers_before(conn, "plant", KEPT)) == []
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="keeps events from"):
        plant.refresh(KEPT - HOUR)
