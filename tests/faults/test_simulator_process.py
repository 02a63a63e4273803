"""A simulator that is killed, and one whose database goes away: still one stream."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from etl.simulation.options import PlantShift, SimulatorOptions
from etl.simulation.simulator import open_plant
from etl.simulation.stream import Stream
from sql.connect import Connection, connect
from sql.embedded import EmbeddedServer
from sql.migrate import migrate
from sql.plant.sites import register_site
from tests.support.local_server import wait_until

ROOT = Path(__file__).parents[2]
PLANT = SimulatorOptions(
    workers=120,
    stations=60,
    timezone="UTC",
    hours=24 * 6,
    shifts=(PlantShift("always", 0, 1_440, 0, 0),),
    tick_s=0.1,
)
PROGRAM = """
import sys, threading
from etl.simulation.simulator import run
from tests.faults.test_simulator_process import PLANT
run(sys.argv[1], PLANT, threading.Event())
"""


@contextmanager
def simulator(dsn: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, dsn], cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def told(conn: Connection) -> tuple[int, ...]:
    """Milliseconds told, events sent, stored and duplicate."""
    row = conn.execute(
        "select bytes_done, lines_done, stored, duplicates from ingest.loads"
        " where source = 'simulator'"
    ).fetchone()
    return tuple(row or (0, 0, 0, 0))


def check(conn: Connection) -> None:
    """Every event of the plant is there once, and none was sent twice."""
    plant = open_plant(conn, PLANT, register_site(conn, PLANT.site))
    stream = Stream(plant.options, plant.anchor)
    end = stream.begin + timedelta(milliseconds=plant.told_ms)
    sent = stream.arrivals(stream.begin, end).height
    rows = conn.execute("select count(*) from floor.events").fetchone()
    assert rows == (sent,)
    assert told(conn)[1:] == (sent, sent, 0)


@pytest.mark.plain
def test_killed_at_any_point_it_goes_on(dsn: str, conn: Connection) -> None:
    for days in (0, 2, 4):
        with simulator(dsn) as process:
            wait_until(lambda: told(conn)[0] >= days * 86_400_000 + 1, 60)  # noqa: B023
            assert process.poll() is None
    live_ms = PLANT.hours * 3_600_000
    with simulator(dsn):
        wait_until(lambda: told(conn)[0] >= live_ms, 90)
        time.sleep(1)
    check(conn)


def test_a_database_restart_is_survived(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("server")
    server = EmbeddedServer(home=folder, timescaledb="none", durable=False)
    dsn = server.start()
    migrate(dsn)
    try:
        with simulator(dsn) as process:
            with connect(dsn) as conn:
                wait_until(lambda: told(conn)[0] > 0)
            server.stop()
            time.sleep(1)
            assert process.poll() is None
            server.start()
            with connect(dsn) as conn:
                before = told(conn)
                wait_until(lambda: told(conn)[0] > before[0])
        with connect(dsn) as conn:
            check(conn)
    finally:
        server.remove()
