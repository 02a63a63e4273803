"""Loads that are really killed: run again, and it is as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from etl.files.load import LoadError, LoadReport, load_file
from tests.support.database import one

ROWS = 30_000
BLOCK = 100_000
START = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)
HEADER = "time,site_id,worker_id,workstation_id,event_type,confidence\n"
# Slow enough to be killed between any two steps, as fast as the machine otherwise.
LOAD = f"""
import sys, time
from etl.files.load import load_file
load_file(sys.argv[1], sys.argv[2], block_bytes={BLOCK},
          progress=lambda _: time.sleep(0.02))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two sites, some duplicates, a conflict and parked rows at the end."""
    path = tmp_path / "events.csv"
    with path.open("w") as file:
        file.write(HEADER)
        for i in [*range(ROWS), 5, 6, 7]:
            at = (START + timedelta(seconds=i)).isoformat()
            file.write(f"{at},plant-{i % 2},W{i % 9},S1,working,0.9\n")
        file.write(f"{START.isoformat()},plant-0,W0,S1,working,0.1\n")
        file.write("broken\nyesterday,plant-0,W1,S1,idle,0.9\n")
    return path


@contextmanager
def loading(dsn: str, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", LOAD, dsn, str(path)],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_bytes(
    conn: psycopg.Connection, process: subprocess.Popen[bytes], beyond: int
) -> int:
    """Wait until a load has committed more than that."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        done: int = one(conn, "select coalesce(max(bytes_done), 0) from ingest.loads")
        if done > beyond or process.poll() is not None:
            return done
        time.sleep(0.01)
    raise TimeoutError(f"no more than {beyond} bytes were committed")


def assert_as_if_nothing_had_happened(
    conn: psycopg.Connection, report: LoadReport
) -> None:
    assert report.resumed
    assert (report.read, report.stored) == (ROWS + 6, ROWS)
    assert (report.duplicates, report.conflicts) == (4, 1)
    assert report.parked == {"malformed": 1, "bad_time": 1}
    assert one(conn, "select count(*) from floor.events") == ROWS
    assert one(conn, "select sum(events) from floor.dirty") == ROWS
    assert one(conn, "select sum(stored) from ingest.tallies") == ROWS
    seen = "select array_agg(code || ' ' || seen order by code) from ingest.rejects"
    assert one(conn, seen) == ["bad_time 1", "conflict 1", "malformed 1"]
    assert one(conn, "select array_agg(state) from ingest.loads") == ["done"]


def test_a_load_that_is_killed_again_and_again(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    ends_again_and_again(dsn, conn, path, signal.SIGKILL)


@pytest.mark.plain
def test_a_load_that_is_interrupted(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    ends_again_and_again(dsn, conn, path, signal.SIGINT)


def ends_again_and_again(
    dsn: str, conn: psycopg.Connection, path: Path, how: signal.Signals
) -> None:
    done = 0
    for _ in range(4):
        with loading(dsn, path) as process:
            done = wait_for_bytes(conn, process, done)
            process.send_signal(how)
            assert process.wait(timeout=30) != 0
    assert 0 < done < path.stat().st_size
    report = load_file(dsn, str(path), block_bytes=BLOCK)
    assert_as_if_nothing_had_happened(conn, report)


def test_a_load_whose_connections_are_cut(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    told = []

    def cut(_: object) -> None:
        told.append(1)
        if len(told) == 3:
            conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid() "
                "and backend_type = 'client backend'"
            )

    with pytest.raises(LoadError):
        load_file(dsn, str(path), block_bytes=BLOCK, progress=cut)
    report = load_file(dsn, str(path), block_bytes=BLOCK)
    assert_as_if_nothing_had_happened(conn, report)
