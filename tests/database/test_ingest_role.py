"""The role floorpulse_ingest brings events in, whatever way, and does nothing else."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

import cli
from etl.files.load import load_file
from sql.connect import Connection
from tests.support.brokers import consuming, nats_broker
from tests.support.database import one
from tests.support.local_server import wait_until

HEADER = "time,site_id,worker_id,workstation_id,event_type,confidence,model_version\n"
GOOD = "2026-10-0{}T06:00:00Z,plant,W{},S1,working,0.9,v1\n"
LUNCH = "2026-10-08T06:00:00Z,plant,W1,S1,lunch,0.9,v1\n"
STORED = "select count(*) from floor.events"


@pytest.fixture
def ingest_dsn(dsn: str) -> str:
    """As whoever logs in with the role sees the database."""
    return make_conninfo(dsn, options="-c role=floorpulse_ingest")


def file_of(folder: Path, name: str, *lines: str) -> str:
    path = folder / name
    path.write_text(HEADER + "".join(lines))
    return str(path)


def test_it_loads_and_parks_and_sends_again(
    ingest_dsn: str,
    conn: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is new is registered, chunks are made, and a second time is a duplicate."""
    lines = [GOOD.format(day, day) for day in range(1, 8)]
    path = file_of(tmp_path, "events.csv", *lines, LUNCH)
    for stored in (7, 0):
        report = load_file(ingest_dsn, path)
        assert (report.stored, report.parked) == (stored, {"bad_event_type": 1})
    assert one(conn, STORED) == 7
    monkeypatch.setenv("FLOORPULSE_DSN", ingest_dsn)
    mended = "event_type:lunch=idle"
    said = CliRunner().invoke(cli.app, ["rejects", "retry", "--replace", mended])
    assert said.exit_code == 0, said.output
    assert one(conn, STORED) == 8


@pytest.mark.parametrize("engine", ["plain"], indirect=True)
def test_it_consumes(ingest_dsn: str, conn: Connection) -> None:
    event = (
        b'{"time":"2026-10-01T06:00:00Z","site_id":"plant","worker_id":"W1",'
        b'"workstation_id":"S1","event_type":"working","confidence":0.9}'
    )
    with nats_broker() as broker:
        broker.publish([event])
        with consuming(ingest_dsn, broker.url):
            wait_until(lambda: one(conn, STORED) == 1)
    runs = "select count(*) from ops.job_runs where job = 'consume'"
    assert one(conn, runs) == 1


@pytest.mark.parametrize(
    "forbidden",
    [
        "select * from analytics.worker_hourly",
        "delete from floor.events",
        "update floor.events set count = 1",
        "update floor.sites set retention_days = 1",
        "delete from ingest.rejects",
        "select * from ops.alerts",
        "select floor.cut_share(1, now(), 1, 0, 1)",
        "drop table floor.workers",
    ],
)
def test_it_may_nothing_else(ingest_dsn: str, forbidden: str) -> None:
    with (
        psycopg.connect(ingest_dsn, autocommit=True) as conn,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        conn.execute(forbidden.encode())
