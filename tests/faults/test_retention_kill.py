"""A retention run killed anywhere, or two at once: the next one completes it."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event as Flag

import pytest

from scheduler.job import Work
from scheduler.retention import forget
from sql.connect import connect
from tests.database.test_properties import short_calendar
from tests.support.kept import (
    KEPT,
    differing,
    events_before,
    numbers_before,
    retain,
    six_days,
)
from tests.support.wallclock import DAY, moment

pytestmark = pytest.mark.plain
__all__ = ["short_calendar"]
# Runs, and is killed before it sends its n-th statement.
KILLED_BEFORE = """
import os, signal, sys
from datetime import datetime
from threading import Event
import scheduler.retention as retention
from scheduler.job import Work
from sql.connect import connect
left, step = int(sys.argv[3]), retention._step
def counted(conn, site_key):
    global left
    left -= 1
    if left:
        return step(conn, site_key)
    conn.execute("begin")
    step(conn, site_key)
    os.kill(os.getpid(), signal.SIGKILL)
retention._step, retention.ROWS_PER_STEP = counted, 20
with connect(sys.argv[1]) as conn:
    now = datetime.fromisoformat(sys.argv[2])
    retention.forget(Work(sys.argv[1], conn, None, Event()), now)
"""


def command(dsn: str, step: int) -> list[str]:
    now = moment(KEPT + 2 * DAY).isoformat()
    return [sys.executable, "-c", KILLED_BEFORE, dsn, now, str(step)]


def test_killed_in_its_steps(dsn: str, tmp_path: Path) -> None:
    """Within a step, in which it has deleted and not committed; then two at once."""
    six_days(dsn, "plant", tmp_path)
    six_days(dsn, "other", tmp_path, seed=2)
    with connect(dsn) as conn:
        conn.execute("select floor.roll_up_models(site_key, 20000) from floor.sites")
        retain(conn, "plant", 1)
        before = numbers_before(conn, "plant", KEPT)
        others = numbers_before(conn, "other", KEPT)
        all_there = events_before(conn, "plant", KEPT)
    for step in (1, 4):
        done = subprocess.run(command(dsn, step), check=False)
        assert done.returncode == -signal.SIGKILL
    with connect(dsn) as conn:
        assert differing(before, numbers_before(conn, "plant", KEPT)) == []
        left = events_before(conn, "plant", KEPT - 3 * DAY)
        assert 0 < left <= all_there

    def run(_: int) -> None:
        with connect(dsn) as conn:
            forget(Work(dsn, conn, None, Flag()), moment(KEPT + 2 * DAY))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, range(2)))
    with connect(dsn) as conn:
        assert events_before(conn, "plant", KEPT - 3 * DAY) == 0
        assert differing(before, numbers_before(conn, "plant", KEPT)) == []
        assert differing(others, numbers_before(conn, "other", KEPT)) == []
