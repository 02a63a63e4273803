"""Schedulers that are killed, ended and left without a database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from sql.connect import Connection, connect
from sql.embedded import EmbeddedServer
from sql.errors import DsnError
from sql.migrate import migrate
from tests.faults.scheduler_process import TICK_S
from tests.support.database import one
from tests.support.local_server import wait_until

pytestmark = pytest.mark.plain
ROOT = Path(__file__).parents[2]
LEADING = (
    "select count(*) from pg_locks l join pg_database d on d.oid = l.database"
    " where l.locktype = 'advisory' and l.granted and d.datname = current_database()"
    " and l.classid = hashtext('floorpulse.scheduler')::oid"
)


@contextmanager
def scheduler(dsn: str, jobs: str = "test") -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.faults.scheduler_process", dsn, jobs]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ticks(conn: Connection) -> list[tuple[int, int]]:
    """Slot and process of every tick that ended well, in order."""
    rows = conn.execute(
        "select (detail ->> 'slot')::int, (detail ->> 'pid')::int from ops.job_runs"
        " where job = 'tick' and ok order by 1, 2"
    )
    return [(int(slot), int(pid)) for slot, pid in rows.fetchall()]


@pytest.fixture
def ledger(conn: Connection) -> Connection:
    conn.execute(
        "create table public.ticks (pid int, phase text, at timestamptz default now())"
    )
    return conn


@pytest.mark.parametrize("moment", ["idle", "running"])
def test_killed_leader_is_followed_without_a_slot_lost_or_doubled(
    dsn: str, ledger: Connection, moment: str
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(scheduler(dsn))
        wait_until(lambda: len(ticks(ledger)) >= 1)
        second = stack.enter_context(scheduler(dsn))
        time.sleep(2.5)
        if moment == "running":
            open_runs = (
                "select count(*) from ops.job_runs"
                " where job = 'tick' and finished_at is null"
            )
            wait_until(lambda: one(ledger, open_runs))
        else:
            count = len(ticks(ledger))
            wait_until(lambda: len(ticks(ledger)) > count)
        assert {pid for _, pid in ticks(ledger)} == {first.pid}
        os.kill(first.pid, signal.SIGKILL)
        began = time.monotonic()
        wait_until(lambda: {p for _, p in ticks(ledger)} == {first.pid, second.pid})
        took_s = time.monotonic() - began
        wait_until(lambda: ticks(ledger)[-2][1] == second.pid)
    slots = [slot for slot, _ in ticks(ledger)]
    steps = {later - earlier for earlier, later in pairwise(slots)}
    # None is done twice; one is lost only where nobody led for as long as a slot lasts.
    assert steps == {TICK_S} if took_s <= TICK_S else min(steps) == TICK_S
    abandoned = (
        "select count(*) from ops.job_runs"
        " where job = 'tick' and detail ? 'abandoned' and not ok"
    )
    assert one(ledger, abandoned) == (1 if moment == "running" else 0)


def test_a_job_that_raises_is_visible_and_others_go_on(
    dsn: str, ledger: Connection
) -> None:
    with scheduler(dsn):
        failed = "select count(*) from ops.job_runs where job = 'fail' and not ok"
        wait_until(lambda: one(ledger, failed) >= 2)
        wait_until(lambda: len(ticks(ledger)) >= 2)
    seen = "select last_error from ops.jobs where job = 'fail' and last_ok_at is null"
    assert "ValueError: no such bench" in str(one(ledger, seen))
    assert one(ledger, "select ok from analytics.jobs where job = 'fail'") is False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly_and_quickly(
    dsn: str, ledger: Connection, number: signal.Signals
) -> None:
    with scheduler(dsn) as process:
        open_runs = "select count(*) from ops.job_runs where finished_at is null"
        wait_until(lambda: one(ledger, open_runs))
        begin = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=5) == 0
        assert time.monotonic() - begin < 3
    assert one(ledger, open_runs) == 0
    # the server notices the closed connection a moment after the process has ended
    wait_until(lambda: one(ledger, LEADING) == 0, limit_s=5)


def test_standby_ends_on_a_signal_too(dsn: str, ledger: Connection) -> None:
    with scheduler(dsn), scheduler(dsn) as standby:
        wait_until(lambda: len(ticks(ledger)) >= 1)
        time.sleep(1)
        standby.terminate()
        assert standby.wait(timeout=3) == 0


@pytest.fixture
def own_server(
    tmp_path_factory: pytest.TempPathFactory, engine: object
) -> Iterator[EmbeddedServer]:
    """A server that a test may stop and kill."""
    del engine
    folder = tmp_path_factory.mktemp("server")
    server = EmbeddedServer(home=folder, timescaledb="none", durable=False)
    migrate(server.start())
    yield server
    server.remove()


def test_a_database_restart_is_survived(own_server: EmbeddedServer) -> None:
    dsn = own_server.start()
    with scheduler(dsn, "all") as process:
        with connect(dsn) as conn:
            conn.execute("select floor.register_site('plant', false)")
            wait_until(
                lambda: one(
                    conn, "select count(aggregated_now) from floor.refresh_state"
                )
            )
        own_server.stop()
        with pytest.raises(DsnError):
            connect(dsn)
        time.sleep(3)
        assert process.poll() is None
        assert own_server.start() == dsn
        with connect(dsn) as conn:
            before = one(conn, "select aggregated_now from floor.refresh_state")
            moved = "select aggregated_now > %s from floor.refresh_state"
            wait_until(lambda: one(conn, moved, before))
            notified = (
                "select count(*) from ops.job_runs where detail ? 'notified' and ok"
            )
            wait_until(lambda: hear(conn) and one(conn, notified))
        process.terminate()
        assert process.wait(timeout=5) == 0


def hear(conn: Connection) -> bool:
    """The door says that events came."""
    conn.execute("select pg_notify('floorpulse_events', '{\"site\": \"plant\"}')")
    time.sleep(0.5)
    return True
