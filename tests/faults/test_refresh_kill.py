"""A refresh killed anywhere and run again: as if nothing had happened."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from sql.connect import connect
from tests.reference import Event, Truth, admit
from tests.support.compare import all_differences
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

# What an engine does differently: aggregates in tables, or continuous ones.
pytestmark = pytest.mark.parametrize("engine", ["plain", "community"], indirect=True)
START = 20_241 * DAY  # 2 June 2025, a Monday
SETTINGS = Settings({"timezone": "Europe/Berlin", "gap_state": "idle"})
SHIFTS = [
    Shift("early", (0, 1, 2, 3, 4), 360, 480, ((600, 30),)),
    Shift("late", (0, 1, 2, 3, 4), 840, 480, ((1080, 30),)),
]
SITE = "killed"
# Refreshes, and is killed before it sends its n-th statement; few events a step make
# many statements between which to die.
KILLED_BEFORE = """
import os, signal, sys
from datetime import datetime
import psycopg
import scheduler.refresh as refresh
left = int(sys.argv[4])
class Counting(psycopg.Connection):
    def execute(self, *args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*args, **kwargs)
refresh.EVENTS_PER_STEP = 20
psycopg.connect = Counting.connect
refresh.refresh_site(sys.argv[1], sys.argv[2], datetime.fromisoformat(sys.argv[3]))
"""
REFRESHES = """
import sys
from datetime import datetime
from scheduler.refresh import refresh_site
refresh_site(sys.argv[1], sys.argv[2], datetime.fromisoformat(sys.argv[3]))
"""


def some_events(chance: random.Random, number: int, low: int, high: int) -> list[Event]:
    kinds = ["working", "idle", "absent", "product_count"]
    found = []
    for _ in range(number):
        kind = chance.choice(kinds)
        found.append(
            Event(
                chance.randrange(low, high, SECOND),
                f"W{chance.randrange(4)}",
                f"S{chance.randrange(3)}",
                kind,
                0.9,
                chance.randrange(1, 5) if kind == "product_count" else 0,
            )
        )
    return found


def command(script: str, dsn: str, now: int, *more: str) -> list[str]:
    return [sys.executable, "-c", script, dsn, SITE, moment(now).isoformat(), *more]


def settled(dsn: str, folder: Path) -> Plant:
    plant = Plant(dsn, SITE, folder)
    plant.settle(SETTINGS, SHIFTS)
    return plant


def send(plant: Plant, events: list[Event]) -> None:
    plant.load([line(SITE, e, moment(e.time).isoformat()) for e in events])


def unlike(dsn: str, events: list[Event], now: int) -> list[str]:
    truth = Truth(admit(events).events, Calendar([SETTINGS], SHIFTS), now)
    with connect(dsn) as conn:
        return all_differences(conn, SITE, truth)


def left_over(dsn: str) -> list[str]:
    """Tables that hold work although a refresh has ended; worker 0 marks live hours."""
    with connect(dsn) as conn:
        return [
            table
            for table in ("touched", "dirty")
            if conn.execute(
                f"select from floor.{table} where worker_key <> 0"
            ).fetchone()
        ]


def test_killed_before_each_statement(dsn: str, tmp_path: Path) -> None:
    """New and late events each time, so that every attempt has work to do."""
    plant = settled(dsn, tmp_path)
    chance = random.Random(7)
    sent: list[Event] = []
    killed = 0
    for number in range(1, 19):
        now = START + (number + 8) * HOUR
        batch = some_events(chance, 80, now - 9 * HOUR, now)
        sent += batch
        send(plant, batch)
        done = subprocess.run(
            command(KILLED_BEFORE, dsn, now, str(number)), check=False
        )
        killed += done.returncode == -signal.SIGKILL
        assert done.returncode in {0, -signal.SIGKILL}
        if number % 4 == 0:
            plant.refresh(now)
            assert unlike(dsn, sent, now) == []
    assert killed >= 10
    plant.refresh(now)
    assert unlike(dsn, sent, now) == []
    assert left_over(dsn) == []


def test_killed_while_the_server_works(dsn: str, tmp_path: Path) -> None:
    """At any moment, also in the middle of a statement."""
    plant = settled(dsn, tmp_path)
    now = START + 80 * HOUR
    sent = some_events(random.Random(8), 6000, START, now)
    send(plant, sent)
    for delay_s in (0.35, 0.45, 0.55, 0.7, 0.9):
        process = subprocess.Popen(command(REFRESHES, dsn, now))
        time.sleep(delay_s)
        process.kill()
        process.wait()
    plant.refresh(now)
    assert unlike(dsn, sent, now) == []
    assert left_over(dsn) == []


def test_its_server_process_ended(dsn: str, tmp_path: Path) -> None:
    """The connection goes away in the middle; the next refresh continues."""
    plant = settled(dsn, tmp_path)
    now = START + 80 * HOUR
    sent = some_events(random.Random(9), 6000, START, now)
    send(plant, sent)
    process = subprocess.Popen(command(REFRESHES, dsn, now), stderr=subprocess.DEVNULL)
    with connect(dsn) as conn:
        while process.poll() is None and not ended_a_step(conn):
            time.sleep(0.01)
    process.wait()
    plant.refresh(now)
    assert unlike(dsn, sent, now) == []
    assert left_over(dsn) == []


def ended_a_step(conn: psycopg.Connection) -> bool:
    """Whether a cut was under way, and its server process told to end."""
    row = conn.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where query like '%refresh_step%' and state = 'active' "
        "and datname = current_database() and pid <> pg_backend_pid()"
    ).fetchone()
    return row is not None
