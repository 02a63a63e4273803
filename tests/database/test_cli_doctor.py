"""`floorpulse doctor` and `db`: what is wrong, and what to do about it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from sql.migrate import migrate
from tests.support.cli import floorpulse, json_of

NAIVE = (
    "time,site_id,worker_id,workstation_id,event_type,confidence\n"
    "2026-03-02 10:00,plant,W1,S1,working,0.9\n"
)
AWARE = NAIVE.replace("10:00", "10:00Z")


def findings(dsn: str, check: str, exit_code: int = 1) -> list[dict[str, Any]]:
    told = json_of(dsn, "doctor", exit_code=exit_code)
    assert told["ok"] is (exit_code == 0)
    return [f for f in told["findings"] if f["check"] == check]


def level(dsn: str, check: str) -> str:
    """The worst of a check's findings."""
    found = {f["level"] for f in findings(dsn, check)}
    return next(word for word in ("wrong", "note", "ok") if word in found)


def beat(conn: psycopg.Connection) -> None:
    """As a scheduler that runs would leave its ledger."""
    conn.execute(
        "insert into ops.jobs (job, interval_s, last_started_at, last_ok_at) "
        "values ('heartbeat', 10, now(), now())"
    )


def test_an_installation_that_is_well(dsn: str, conn: psycopg.Connection) -> None:
    beat(conn)
    told = json_of(dsn, "doctor")
    assert told["ok"] is True
    text = floorpulse(dsn, "doctor").stdout
    for check in ("server", "schema", "engine", "scheduler", "freshness", "backlog"):
        assert check in text


@pytest.mark.plain
def test_a_scheduler_that_does_not_run(dsn: str, conn: psycopg.Connection) -> None:
    (found,) = findings(dsn, "scheduler")
    assert "floorpulse schedule" in found["to_do"]
    beat(conn)
    conn.execute("update ops.jobs set last_ok_at = now() - interval '1 hour'")
    (found,) = findings(dsn, "scheduler")
    assert "it does not run; last seen" in found["found"]


@pytest.mark.plain
def test_a_job_that_fails(dsn: str, conn: psycopg.Connection) -> None:
    beat(conn)
    conn.execute(
        "insert into ops.jobs (job, interval_s, last_started_at, last_error) "
        "values ('calendar', 60, now(), 'no space left')"
    )
    (found,) = findings(dsn, "scheduler")
    assert found["found"] == "job calendar fails: no space left"


@pytest.mark.plain
def test_a_site_loaded_before_its_zone_was_set(dsn: str) -> None:
    floorpulse(dsn, "load", "-", stdin=NAIVE)
    (found,) = findings(dsn, "time zone")
    assert found["level"] == "wrong"
    assert "site plant: 1 events without an offset were read as UTC" in found["found"]
    assert "site set plant --timezone UTC" in found["to_do"]
    floorpulse(dsn, "site", "set", "plant", "--timezone", "Asia/Kolkata")
    (found,) = findings(dsn, "time zone")
    assert "another name to Asia/Kolkata" in found["to_do"]
    floorpulse(dsn, "site", "set", "plant", "--timezone", "UTC")
    assert findings(dsn, "time zone") == []


@pytest.mark.plain
@pytest.mark.parametrize("way", ["offsets", "zone of the file", "zone of the site"])
def test_a_site_whose_times_were_read_well(dsn: str, way: str) -> None:
    if way == "zone of the site":
        floorpulse(dsn, "site", "set", "plant", "--timezone", "Asia/Kolkata")
    options = ["--timezone", "Asia/Kolkata"] if way == "zone of the file" else []
    text = AWARE if way == "offsets" else NAIVE
    floorpulse(dsn, "load", "-", *options, stdin=text)
    assert findings(dsn, "time zone") == []


@pytest.mark.plain
def test_work_that_nobody_does(dsn: str) -> None:
    floorpulse(dsn, "load", "-", stdin=AWARE)
    (found,) = findings(dsn, "backlog")
    assert found["found"] == "site plant: 1 events in 1 ranges to cut"
    assert level(dsn, "freshness") == "wrong"
    floorpulse(dsn, "refresh")
    assert level(dsn, "freshness") == level(dsn, "backlog") == "ok"


@pytest.mark.plain
def test_a_share_of_parked_events(dsn: str) -> None:
    floorpulse(dsn, "load", "-", stdin=AWARE.replace("0.9", "90"), exit_code=3)
    (found,) = findings(dsn, "parked")
    assert found["level"] == "wrong"
    assert "100.0 %" in found["found"]
    assert "bad_confidence 1" in found["found"]


@pytest.mark.plain
def test_a_load_that_was_cut_off(dsn: str, conn: psycopg.Connection) -> None:
    conn.execute(
        "insert into ingest.loads (source, updated_at) "
        "values ('week.csv', now() - interval '1 hour')"
    )
    (found,) = findings(dsn, "load")
    assert found["found"] == "week.csv was not loaded to its end"


def test_a_server_that_does_not_answer() -> None:
    (found,) = findings("postgresql://nobody@127.0.0.1:1/none", "server")
    assert "nobody listens there" in found["found"]


def test_a_server_that_could_do_more(
    dsn: str, conn: psycopg.Connection, request: pytest.FixtureRequest
) -> None:
    engine = request.node.callspec.id
    conn.execute(
        "update floor.installation set hypertables = false, "
        "continuous_aggregates = false"
    )
    found = findings(dsn, "engine")
    if engine == "plain":
        assert [f["level"] for f in found] == ["ok"]
    else:
        assert "is installed and not used" in found[0]["found"]
        assert [f["level"] for f in found] == ["note"]


@pytest.mark.plain
def test_a_schema_that_is_not_there(fresh_dsn: str) -> None:
    (found,) = findings(fresh_dsn, "schema")
    assert found["to_do"] == "Run `floorpulse db migrate`."
    result = floorpulse(fresh_dsn, "site", "list", exit_code=1)
    assert "floorpulse db migrate" in result.stderr
    floorpulse(fresh_dsn, "db", "migrate")
    floorpulse(fresh_dsn, "site", "list")


@pytest.mark.plain
def test_a_schema_that_is_older(fresh_dsn: str) -> None:
    migrate(fresh_dsn, until="migrations/0001_registry.sql")
    result = floorpulse(fresh_dsn, "site", "list", exit_code=1)
    assert "older than this version of floorpulse" in result.stderr
    assert json_of(fresh_dsn, "db", "status")["migrations_pending"]


def test_status(dsn: str, conn: psycopg.Connection) -> None:
    status = json_of(dsn, "db", "status")
    row = conn.execute("select hypertables from floor.installation").fetchone()
    assert row == (status["hypertables"],)
    assert status["schema"] == "current"
    assert status["migrations_pending"] == []
    assert floorpulse(dsn, "db", "dsn").stdout == f"{dsn}\n"


@pytest.mark.plain
def test_an_interrupt_is_a_sentence(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("scheduler.refresh.refresh_all", interrupted)
    result = floorpulse(dsn, "refresh", exit_code=130)
    assert result.stderr.startswith("Error: interrupted;")


@pytest.mark.plain
def test_an_error_of_the_database_is_a_sentence(
    dsn: str, conn: psycopg.Connection
) -> None:
    conn.execute("create role reader login password 'x'")
    try:
        parts = psycopg.conninfo.conninfo_to_dict(dsn)
        parts |= {"user": "reader", "password": "x"}
        result = floorpulse(
            psycopg.conninfo.make_conninfo("", **parts), "site", "list", exit_code=1
        )
    finally:
        conn.execute("drop role reader")
    assert "may not" in result.stderr
    assert "Traceback" not in result.output
