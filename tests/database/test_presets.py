"""Other systems' exports: every example of docs/presets.md gives its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.csv
import pyarrow.parquet
import pytest

from tests.support.cli import floorpulse, json_of

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
WINDOW = ("--from", "2026-03-02T10:00Z", "--to", "2026-03-02T11:00Z")
# Of the worked example of metrics.md: what every system says, and those with units.
STATES = {"working_s": 420, "idle_s": 300, "absent_s": 0}
UNITS = {"units": 6, "units_working": 5}


def load(dsn: str, name: str, *options: str, exit_code: int = 0) -> dict[str, Any]:
    path = EXAMPLES / name
    codes = path.with_suffix(".toml")
    if codes.exists():
        options += ("--codes", str(codes))
    preset = ("--preset", path.stem, "--site", "plant")
    return json_of(dsn, "load", str(path), *preset, *options, exit_code=exit_code)


@pytest.mark.plain
@pytest.mark.parametrize(
    ("name", "read", "who", "expected"),
    [
        ("sessions.csv", 4, ("W1", "S1"), STATES | UNITS),
        ("ai-events.ndjson", 6, ("1", "3"), STATES | UNITS),
        ("ai-events.csv", 6, ("1", "3"), STATES | UNITS),
        ("home-assistant.csv", 3, ("W1", "S1"), STATES),
        ("mtconnect.shdr", 3, ("VMC-3", "VMC-3"), STATES),
        ("mtconnect.xml", 3, ("VMC-3", "VMC-3"), STATES),
        ("machine-states.csv", 9, ("press-1", "hall-2/press-1"), STATES | UNITS),
    ],
)
def test_an_example_gives_the_numbers_of_the_worked_example(
    dsn: str, name: str, read: int, who: tuple[str, str], expected: dict[str, int]
) -> None:
    told = load(dsn, name)
    # The bench writes a line again and again: the state goes on, no event is lost.
    assert (told["read"], told["parked"], told["conflicts"]) == (read, {}, 0)
    assert told["stored"] == read
    floorpulse(dsn, "refresh", "--site", "plant", "--now", "2026-03-02T10:12:00Z")
    (row,) = json_of(dsn, "metrics", "workers", "--site", "plant", *WINDOW)["rows"]
    assert {key: row[key] for key in expected} == expected
    assert row["utilization"] == pytest.approx(0.58333, abs=1e-5)
    if "units" in expected:
        assert row["units_per_hour"] == pytest.approx(42.857, abs=1e-3)
    benches = json_of(dsn, "metrics", "workstations", "--site", "plant", *WINDOW)
    assert (row["worker_id"], benches["rows"][0]["workstation_id"]) == who
    again = load(dsn, name)
    assert (again["stored"], again["duplicates"]) == (0, read)


@pytest.mark.plain
def test_what_is_left_out_is_counted_and_what_is_wrong_is_parked(
    dsn: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "export.csv"
    path.write_text(
        "when,entity_type,entity_id,event_type,duration_minutes,units_produced,"
        "confidence\n"
        "2026-03-02T10:00:00Z,worker,W1,working,7.35,0,0.9\n"
        "2026-03-02T10:10:00Z,worker,W1,working,a while,many,0.9\n"
        "2026-03-02T10:20:00Z,worker,W1,product_count,,2,0.9\n"
        "2026-03-02T10:20:00Z,,W1,working,1,,0.9\n"
        "2026-03-02T10:30:00Z,workstation,S1,working,7,1,0.9\n"
        "broken\n"
    )
    options = ("--preset", "sessions", "--map", "when=time", "--site", "plant")
    told = json_of(dsn, "load", str(path), *options, exit_code=3)
    assert told["read"] == 6
    assert told["stored"] == 2
    assert told["parked"] == {"bad_duration": 1, "bad_count": 1, "malformed": 2}
    (file,) = told["files"]
    said = "1 rows left out: the entity_type is another than worker"
    assert file["notices"] == [said]
    rows = conn.execute(
        "select code, line, convert_from(raw, 'UTF8') from ingest.rejects order by 2, 1"
    ).fetchall()
    assert [row[:2] for row in rows] == [
        ("bad_count", 3),
        ("bad_duration", 3),
        ("malformed", 5),
        ("malformed", 7),
    ]
    assert rows[0][2] == "2026-03-02T10:10:00Z,worker,W1,working,a while,many,0.9"
    stored = conn.execute(
        "select event_type, duration_s, count from floor.events order by time"
    ).fetchall()
    assert stored == [(0, 441.0, 0), (3, None, 2)]
    # Nothing was mended: retrying reads the same rows the same way.
    again = json_of(dsn, "rejects", "retry", exit_code=3)
    assert (again["stored"], again["read"]) == (0, 6)


@pytest.mark.plain
def test_parked_rows_of_a_log_are_read_again_by_its_codes(
    dsn: str, conn: psycopg.Connection
) -> None:
    json_of(dsn, "site", "set", "plant", "--registration", "strict")
    assert load(dsn, "machine-states.csv", exit_code=3)["stored"] == 0
    assert load(dsn, "mtconnect.shdr", exit_code=3)["stored"] == 0
    assert load(dsn, "mtconnect.xml", exit_code=3)["stored"] == 0
    json_of(dsn, "site", "set", "plant", "--registration", "open")
    told = json_of(dsn, "rejects", "retry")
    assert (told["stored"], told["duplicates"], told["parked"]) == (12, 3, {})
    left = conn.execute("select count(*) from ingest.rejects where state = 'parked'")
    assert left.fetchone() == (0,)


@pytest.mark.plain
def test_codes_that_nobody_knows_are_parked(dsn: str, tmp_path: Path) -> None:
    path = EXAMPLES / "machine-states.csv"
    options = ("--preset", "machine-states", "--site", "plant")
    told = json_of(dsn, "load", str(path), *options, exit_code=3)
    assert told["parked"] == {"bad_event_type": 7}
    codes = tmp_path / "codes.toml"
    for text, said in [
        ("[states]\n10 = 'running'", "states.10 must be one of"),
        ("[states", "is no TOML"),
        ("hold = 3", "'hold' is none of"),
        ("hold_s = 0", "hold_s must be a number"),
        ("[entities.A]\nworker = 'W1'", "entities.A must say"),
    ]:
        codes.write_text(text)
        arguments = ("load", str(path), *options, "--codes", str(codes))
        result = floorpulse(dsn, *arguments, exit_code=1)
        assert said in result.stderr


@pytest.mark.plain
def test_a_preset_is_told_where_it_would_fit(dsn: str, tmp_path: Path) -> None:
    path = EXAMPLES / "sessions.csv"
    result = floorpulse(dsn, "load", str(path), "--site", "plant", exit_code=1)
    assert "--preset sessions" in result.stderr
    result = floorpulse(dsn, "load", str(path), "--preset", "session", exit_code=2)
    assert "there are sessions, ai-events" in result.stderr
    damaged = tmp_path / "damaged.xml"
    damaged.write_text((EXAMPLES / "mtconnect.xml").read_text()[:-30])
    options = ("--preset", "mtconnect", "--site", "plant")
    result = floorpulse(dsn, "load", str(damaged), *options, exit_code=1)
    assert "damaged or no XML" in result.stderr


@pytest.mark.plain
def test_a_preset_reads_parquet_too(dsn: str, tmp_path: Path) -> None:
    table = pyarrow.csv.read_csv(EXAMPLES / "ai-events.csv")
    path = tmp_path / "events.parquet"
    pyarrow.parquet.write_table(table, path)
    options = ("--preset", "ai-events", "--site", "plant")
    told = json_of(dsn, "load", str(path), *options)
    assert told["stored"] == 6
    assert load(dsn, "ai-events.csv")["duplicates"] == 6


def load_text(
    dsn: str, path: Path, text: str | bytes, preset: str, *options: str
) -> dict[str, Any]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    codes = path.with_suffix(".toml")
    if codes.exists():
        options += ("--codes", str(codes))
    how = ("--preset", preset, "--site", "plant", *options, "--json")
    result = floorpulse(dsn, "load", str(path), *how)
    told: dict[str, Any] = json.loads(result.stdout)
    return told


@pytest.mark.plain
def test_a_line_that_tells_of_several_machines_loses_none(
    dsn: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    log = (
        "2026-03-02T10:00:00Z|A:execution|ACTIVE|B:execution|READY|C:mode|AUTOMATIC\n"
        "2026-03-02T10:01:00Z|program|exec|line|5\n"
        "2026-03-02T10:02:00Z|A:line|7|A:exec|STOPPED\n"
    )
    told = load_text(dsn, tmp_path / "log.shdr", log, "mtconnect")
    assert (told["read"], told["stored"]) == (3, 3)
    rows = conn.execute(
        """select w.worker_id, e.event_type from floor.events e
        join floor.workers w on w.worker_key = e.worker_key order by e.time, 1"""
    ).fetchall()
    assert rows == [("A", 0), ("B", 1), ("A", 1)]
    log = "2026-03-02T10:05:00Z|A:execution|HALTED|B:execution|HALTED\n"
    path = tmp_path / "more.shdr"
    path.write_text(log)
    how = ("--preset", "mtconnect", "--site", "plant")
    assert json_of(dsn, "load", str(path), *how, exit_code=3)["parked"] == {
        "bad_event_type": 2
    }
    mend = ("rejects", "retry", "--replace", "event_type:HALTED=idle")
    assert json_of(dsn, *mend)["stored"] == 2
    assert json_of(dsn, *mend)["read"] == 0


@pytest.mark.plain
def test_the_log_of_one_machine_need_not_name_it(
    dsn: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """And pandas writes 10.0 for 10, Windows a byte order mark into the codes."""
    (tmp_path / "log.toml").write_bytes(
        b'\xef\xbb\xbfentity = "P1"\n[states]\n10 = "working"\n"20.0" = "idle"\n'
    )
    log = "time,state\n2026-03-02T10:00:00Z,10.0\n2026-03-02T10:07:00Z,20.0\n"
    told = load_text(dsn, tmp_path / "log.csv", log, "machine-states")
    assert told["stored"] == 2
    assert conn.execute("select worker_id from floor.workers").fetchall() == [("P1",)]
    (tmp_path / "log.toml").write_text("hold_s = true\n")
    answer = floorpulse(
        *(dsn, "load", str(tmp_path / "log.csv"), "--preset", "machine-states"),
        *("--codes", str(tmp_path / "log.toml")),
        exit_code=1,
    )
    assert "hold_s must be a number" in answer.stderr


@pytest.mark.plain
def test_an_agents_answer_may_begin_with_a_mark_and_must_be_streams(
    dsn: str, tmp_path: Path
) -> None:
    streams = b"\xef\xbb\xbf" + (EXAMPLES / "mtconnect.xml").read_bytes()
    assert load_text(dsn, tmp_path / "a.xml", streams, "mtconnect")["stored"] == 3
    (tmp_path / "b.xml").write_text("<MTConnectError><Errors/></MTConnectError>")
    how = ("--preset", "mtconnect", "--site", "plant")
    answer = floorpulse(dsn, "load", str(tmp_path / "b.xml"), *how, exit_code=1)
    assert "is MTConnectError, not MTConnectStreams" in answer.stderr


@pytest.mark.plain
def test_a_worker_is_one_however_it_is_written(dsn: str, tmp_path: Path) -> None:
    stays = (EXAMPLES / "sessions.csv").read_text().replace(",worker,", ",Worker,")
    assert load_text(dsn, tmp_path / "a.csv", stays, "sessions")["stored"] == 4
