"""Growing files, followed through rotation, truncation, kills and lost databases."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from etl.files.follow import Follower, Tail
from etl.files.load import LoadReport
from etl.files.reading import Reading
from sql.errors import InputError
from tests.support.database import stored
from tests.support.local_server import wait_until

HEADER = "time,site_id,worker_id,workstation_id,event_type,confidence\n"
START = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)


def lines(first: int, last: int) -> str:
    return "".join(
        f"{(START + timedelta(seconds=i)).isoformat()},plant,W{i % 3},S1,working,0.9\n"
        for i in range(first, last)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.csv"


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def wait_for(conn: psycopg.Connection, wanted: int) -> None:
    """Until exactly so many events are stored."""
    wait_until(lambda: stored(conn) >= wanted)
    assert stored(conn) == wanted


@contextmanager
def following(dsn: str, path: Path) -> Iterator[list[LoadReport]]:
    """Follow in a thread; the report is there when it has ended."""
    stop, reports = threading.Event(), list[LoadReport]()
    follower = Follower(str(path), Reading(), stop, every_s=0.05)
    thread = threading.Thread(
        target=lambda: reports.append(follower.run(dsn, lambda _: None))
    )
    thread.start()
    try:
        yield reports
    finally:
        stop.set()
        thread.join()


@pytest.mark.plain
def test_lines_come_in_as_they_are_finished(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    with following(dsn, path) as reports:
        time.sleep(0.1)
        path.write_text(HEADER[:20])
        time.sleep(0.1)
        append(path, HEADER[20:] + lines(0, 10) + lines(10, 11)[:30])
        wait_for(conn, 10)
        append(path, lines(10, 11)[30:] + "broken\n" + lines(11, 12)[:-1])
        wait_for(conn, 11)
    (report,) = reports
    assert (report.read, report.stored, report.parked) == (12, 11, {"malformed": 1})
    with following(dsn, path) as reports:
        append(path, "\n" + lines(12, 13))
        wait_for(conn, 13)
    (report,) = reports
    assert (report.resumed, report.read, report.stored) == (True, 14, 13)
    parked = conn.execute("select array_agg(line) from ingest.rejects").fetchone()
    assert parked == ([13],)


@pytest.mark.plain
def test_rotated_files_are_read_to_their_end(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    path.write_text(HEADER + lines(0, 10))
    with following(dsn, path) as reports:
        wait_for(conn, 10)
        rotated = path.rename(path.with_suffix(".csv.1"))
        append(rotated, lines(10, 12))
        append(rotated, lines(12, 13)[:-1])
        time.sleep(0.1)
        path.write_text(HEADER + lines(13, 20))
        wait_for(conn, 20)
        path.write_text(HEADER + lines(20, 22))
        wait_for(conn, 22)
        # Emptied, and longer than before at once.
        path.write_text(HEADER + lines(22, 40))
        wait_for(conn, 40)
    (report,) = reports
    assert (report.read, report.stored, report.duplicates) == (40, 40, 0)
    assert sum("truncated" in notice for notice in report.notices) == 1


@pytest.mark.plain
def test_what_was_rotated_away_while_nobody_looked_is_found(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    path.write_text(HEADER + lines(0, 10))
    with following(dsn, path):
        wait_for(conn, 10)
    append(path, lines(10, 12))
    oldest = path.rename(path.with_suffix(".csv.2"))
    os.utime(oldest, (1, 1))
    older = path.with_suffix(".csv.1")
    older.write_text(HEADER + lines(12, 15))
    path.write_text(HEADER + lines(15, 20))
    with following(dsn, path) as reports:
        wait_for(conn, 20)
    (report,) = reports
    assert (report.resumed, report.read, report.duplicates) == (True, 20, 0)
    for file in (oldest, older):
        file.unlink()
    path.unlink()
    path.write_text(HEADER + lines(20, 21))
    with following(dsn, path) as reports:
        wait_for(conn, 21)
    assert "what came in between is not known" in reports[0].notices[0]


@pytest.mark.plain
def test_a_database_that_goes_away_is_waited_for(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    path.write_text(HEADER + lines(0, 10))
    with following(dsn, path) as reports:
        wait_for(conn, 10)
        for i in range(10, 13):
            conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid() "
                "and backend_type = 'client backend'"
            )
            append(path, lines(i, i + 1))
            wait_for(conn, i + 1)
    (report,) = reports
    assert (report.read, report.stored, report.duplicates) == (13, 13, 0)


def test_an_emptied_file_that_has_outgrown_its_length_is_seen(path: Path) -> None:
    """Whatever was read of the new content at the old place is not taken."""
    path.write_text(HEADER + lines(0, 10))
    with Tail(str(path)) as tail:
        tail.fill()
        tail.take(len(tail.data), 11)
        append(path, lines(10, 400))
        tail.fill()
        assert not tail.is_rewritten
        tail.take(len(tail.data), 390)
        path.write_text(HEADER + lines(1_000, 3_000))
        tail.fill()
        assert tail.is_rewritten


@pytest.mark.plain
def test_files_that_cannot_be_followed(dsn: str, tmp_path: Path) -> None:
    for name in ("-", str(tmp_path)):
        follower = Follower(name, Reading(), threading.Event())
        with pytest.raises(InputError, match="one file of lines"):
            follower.run(dsn, lambda _: None)


@pytest.mark.plain
def test_the_command_is_killed_and_interrupted(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    path.write_text(HEADER + lines(0, 100))
    arguments = ["load", str(path), "--follow", "--every", "0.05", "--json"]
    environment = os.environ | {
        "FLOORPULSE_DSN": dsn,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }

    def started() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "cli", *arguments]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)

    with started() as process:
        wait_until(lambda: stored(conn) > 0)
        append(path, lines(100, 30_000))
        wait_until(lambda: stored(conn) > 100)
        process.send_signal(signal.SIGKILL)
    append(path, lines(30_000, 30_100))
    with started() as process:
        wait_for(conn, 30_100)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    told = json.loads(said)
    assert process.returncode == 0
    assert (told["read"], told["stored"], told["duplicates"]) == (30_100, 30_100, 0)
    assert told["files"][0]["resumed"]
