"""Several processes load side by side: the same tables and counts as one would give."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from etl.files.crew import Crew
from etl.files.load import load_file
from etl.files.parts import PartStream, parts_of
from etl.files.reading import Reading
from tests.support.cli import floorpulse, json_of
from tests.support.database import one

HEADER = "time,site_id,worker_id,workstation_id,event_type,confidence\n"
START = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)
ROWS = 20_000
PART = 200_000  # a sixth of the file


def content(rows: int = ROWS) -> str:
    lines = [
        f"{(START + timedelta(seconds=20 * i)).isoformat()},plant-{i % 2},W{i % 9},S1,"
        "working,0.9\n"
        for i in range(rows)
    ]
    return HEADER + "".join(lines)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two sites over five days; one row is broken, one comes twice."""
    path = tmp_path / "events.csv"
    lines = content().splitlines(keepends=True)
    lines[ROWS // 2] = "broken\n"
    path.write_text("".join([*lines, lines[1]]))
    return path


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    def split(path: str, reading: Reading) -> list[Any]:
        return parts_of(path, reading, PART)

    monkeypatch.setattr("etl.files.crew.parts_of", split)


@pytest.mark.plain
def test_a_file_in_parts_is_a_file(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    told = json_of(dsn, "load", str(path), "--jobs", "2", exit_code=3)
    assert (told["read"], told["stored"], told["duplicates"]) == (
        ROWS + 1,
        ROWS - 1,
        1,
    )
    assert told["parked"] == {"malformed": 1}
    assert one(conn, "select line from ingest.rejects") == ROWS // 2 + 1
    assert one(conn, "select count(*) from ingest.loads") > 3
    assert one(conn, "select count(*) from floor.events") == ROWS - 1
    assert one(conn, "select sum(events) from floor.dirty") == ROWS - 1
    assert load_file(dsn, str(path)).duplicates == ROWS
    retried = json_of(dsn, "rejects", "retry", exit_code=3)
    assert (retried["read"], retried["parked"]) == (1, {"malformed": 1})


def test_parts_are_the_whole_file_each_line_once(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    parts = parts_of(str(path), Reading(), PART)
    assert len(parts) == 6
    header = HEADER.encode()
    said = []
    for part in parts:
        with PartStream(str(path), part) as stream:
            said.append(stream.read(1_000) + stream.read())
    assert all(text.startswith(header) for text in said)
    assert header + b"".join(text.removeprefix(header) for text in said) == whole
    for part in parts:
        assert part.lines_before == whole.count(b"\n", len(header), part.start)
    quoted = tmp_path / "quoted.csv"
    quoted.write_bytes(whole + b'"2026-11-01T06:00:00Z",plant,W1,S1,working,1\n')
    assert parts_of(str(quoted), Reading(), PART) == []
    assert parts_of(str(path), Reading(), len(whole)) == []


@pytest.mark.plain
def test_files_that_cannot_be_read_do_not_stop_their_neighbours(
    dsn: str, tmp_path: Path
) -> None:
    for name, text in [("a", "x,y\n"), ("b", content(10)), ("c", content(20))]:
        (tmp_path / f"{name}.csv").write_text(text)
    for jobs in ("1", "3"):
        result = floorpulse(dsn, "load", str(tmp_path), "--jobs", jobs, exit_code=1)
        assert "a.csv is no event file" in result.stderr
        assert "in all" in result.stdout
    assert json_of(dsn, "load", str(tmp_path / "[bc].csv"))["duplicates"] == 30
    result = floorpulse(dsn, "load", "-", "--jobs", "2", exit_code=2)
    assert "stdin is one stream" in result.stderr


_LOAD = f"""
import sys
from etl.files import crew
from etl.files.parts import parts_of
from etl.files.reading import Reading
crew.parts_of = lambda path, reading: parts_of(path, reading, {PART})
crew.Crew(sys.argv[1], Reading(), 2).load([sys.argv[2]])
"""


@pytest.mark.plain
def test_killed_with_its_processes_it_is_continued(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", _LOAD, dsn, str(path)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    until = time.monotonic() + 60
    stored = "select count(*) from ingest.loads where state = 'done'"
    while time.monotonic() < until and one(conn, stored) < 2:
        time.sleep(0.01)
    workers = psutil.Process(running.pid).children()
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert len(workers) == 2
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    (result,) = Crew(dsn, Reading(), 2).load([str(path)])
    assert result.error is None
    assert one(conn, "select count(*) from floor.events") == ROWS - 1
    assert one(conn, "select sum(events) from floor.dirty") == ROWS - 1
    assert one(conn, "select sum(stored) from ingest.tallies") == ROWS - 1
    assert one(conn, "select bool_and(state = 'done') from ingest.loads")
