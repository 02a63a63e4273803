"""Parked rows whose bytes are equal and which are two; two who mend at once."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import psycopg
import pytest

from etl.retry import Filter, Orders, RetryReport, retry
from etl.shape.mend import Mend
from sql.errors import RetryRunning
from tests.support.cli import floorpulse, json_of

pytestmark = pytest.mark.plain
HEADER = "time,worker_id,workstation_id,event_type,confidence\n"
PERCENT = "2026-11-01T07:00:00Z,W1,S1,working,93\n"
BROKEN = '2026-11-01T07:00:00Z,"W1,S1,working,0.9\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.csv"


def stored(conn: psycopg.Connection) -> list[tuple[str, str]]:
    return conn.execute(
        """select s.site_id, e.time::text from floor.events e
        join floor.sites s on s.site_key = e.site_key order by 1, 2"""
    ).fetchall()


def test_equal_lines_of_two_sites_are_two_parked_events(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    """Two plants name their export alike: one's row was lost in the other's."""
    path.write_text(HEADER + PERCENT)
    for site in ("a", "b", "b"):
        floorpulse(dsn, "load", str(path), "--site", site, exit_code=3)
    for site, seen in (("a", 1), ("b", 2)):
        (row,) = json_of(dsn, "rejects", "list", "--site", site)["rejects"]
        assert (row["code"], row["seen"]) == ("bad_confidence", seen)
    mend = ("--scale", "confidence=0.01")
    assert json_of(dsn, "rejects", "retry", *mend)["stored"] == 2
    assert [site for site, _ in stored(conn)] == ["a", "b"]


def test_equal_lines_under_two_headers_are_two_parked_events(
    dsn: str, path: Path
) -> None:
    other = HEADER.replace("worker_id,workstation_id", "workstation_id,worker_id")
    for header in (HEADER, other):
        path.write_text(header + "x,S1,W1,working,0.9\n")
        floorpulse(dsn, "load", str(path), "--site", "plant", exit_code=3)
    assert len(json_of(dsn, "rejects", "list")["rejects"]) == 2


def test_a_broken_line_is_of_the_site_that_was_named(dsn: str, path: Path) -> None:
    path.write_text(HEADER + BROKEN)
    floorpulse(dsn, "load", str(path), "--site", "plant", exit_code=3)
    (row,) = json_of(dsn, "rejects", "list", "--site", "plant")["rejects"]
    assert (row["code"], row["site_id"]) == ("malformed", "plant")
    again = json_of(dsn, "rejects", "retry", "--site", "plant", exit_code=3)
    assert (again["read"], again["parked"]) == (1, {"malformed": 1})
    (row,) = json_of(dsn, "rejects", "list", "--site", "plant")["rejects"]
    assert row["seen"] == 2


def test_what_is_parked_anew_is_read_as_its_file_was(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    """Under another code it is another row, which knows its load from the first."""
    path.write_text(HEADER + PERCENT.replace("working", "at work"))
    floorpulse(dsn, "load", str(path), "--site", "plant", exit_code=3)
    words = ("--replace", "event_type:at work=working")
    json_of(dsn, "rejects", "retry", *words, exit_code=3)
    loads = conn.execute("select code, load_id, state from ingest.rejects order by 1")
    assert loads.fetchall() == [
        ("bad_confidence", 1, "parked"),
        ("bad_event_type", 1, "retried"),
    ]
    done = json_of(dsn, "rejects", "retry", *words, "--scale", "confidence=0.01")
    assert done["stored"] == 1


def mended_by(dsn: str, seconds: float) -> RetryReport:
    return retry(dsn, Filter(), Orders("ada", Mend(shift_s=seconds)))


def test_two_who_mend_at_once_make_one_event_of_one_row(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    path.write_text(HEADER + "2099-11-01T07:00:00Z,W1,S1,working,0.9\n")
    floorpulse(dsn, "load", str(path), "--site", "plant", exit_code=3)
    year_s = 366.0 * 86_400
    reports: list[RetryReport] = []
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(hashtext('floorpulse.rejects'), 0)")
        threads = [
            threading.Thread(
                target=lambda s=s: reports.append(mended_by(dsn, -s * year_s))
            )
            for s in (80.0, 81.0)
        ]
        for thread in threads:
            thread.start()
        waiting = (
            "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        )
        while conn.execute(waiting).fetchone() != (2,):
            threading.Event().wait(0.01)
    for thread in threads:
        thread.join()
    assert sorted(report.stored for report in reports) == [0, 1]
    assert len(stored(conn)) == 1


def test_one_who_waits_in_vain_is_told(
    dsn: str, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.retry.LONGEST_WAIT_S", 0.05)
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(hashtext('floorpulse.rejects'), 0)")
        with pytest.raises(RetryRunning, match="just now"):
            retry(dsn, Filter(), Orders("ada"))
        assert retry(dsn, Filter(), Orders("ada", dry_run=True)).read == 0


def test_a_retry_that_breaks_off_is_in_the_audit_log(
    dsn: str, conn: psycopg.Connection, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(HEADER + PERCENT)
    floorpulse(dsn, "load", str(path), "--site", "plant", exit_code=3)
    monkeypatch.setattr("etl.retry._mark", lambda *_: 1 / 0)
    how = Orders("ada", Mend(scale={"confidence": 0.01}))
    with pytest.raises(ZeroDivisionError):
        retry(dsn, Filter(), how)
    # Not marked and not stored: both, or neither.
    assert not stored(conn)
    ((who, detail),) = conn.execute("select who, detail from ops.audit_log").fetchall()
    assert (who, detail["error"]) == ("ada", "division by zero")
    assert detail["mended"] == {"scale": {"confidence": 0.01}}


def test_bytes_that_are_several_rows_are_counted(
    dsn: str, conn: psycopg.Connection
) -> None:
    conn.execute(
        """insert into ingest.rejects (code, message, raw, raw_sha256, source)
        values ('malformed', 'no JSON', 'a\nb', sha256('a\nb'), 'nats:floor')"""
    )
    told = json_of(dsn, "rejects", "retry", exit_code=3)
    assert (told["read"], told["parked"]) == (1, {"malformed": 1})


def test_nothing_that_fits_is_said(dsn: str) -> None:
    said = floorpulse(dsn, "rejects", "retry", "--code", "bad_confidense")
    assert "Nothing that stands parked" in said.stderr
    assert json.loads(floorpulse(dsn, "rejects", "retry", "--json").stdout)["read"] == 0
