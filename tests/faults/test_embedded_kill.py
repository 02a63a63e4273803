"""The local server and its users killed: nothing committed is lost, nothing is left."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sql.embedded import EmbeddedServer
from sql.errors import ServerError
from sql.local_server import life, process
from tests.support import local_server as local
from tests.support.local_server import ask, plain_server, record_of, run_sql, wait_until

ROWS = "select count(*) from kept"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A running server with one committed row."""
    made = plain_server(tmp_path / "home")
    run_sql(made.start(), "create table kept (x int)", "insert into kept values (1)")
    yield made
    made.remove()


def ended(pid: int) -> None:
    """SIGKILL a process and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}/exe").exists())


def test_killed_server_recovers_and_keeps_what_was_committed(
    server: EmbeddedServer,
) -> None:
    dsn = server.dsn
    open_transaction = psycopg.connect(dsn)
    open_transaction.execute("insert into kept values (2)")
    ended(local.postmaster(server.home))
    assert server.start() == dsn
    assert ask(dsn, ROWS) == 1
    with pytest.raises(psycopg.OperationalError):
        open_transaction.execute("select 1")
    open_transaction.close()


def test_orphans_that_hold_the_memory_are_ended(server: EmbeddedServer) -> None:
    """A backend that is stopped outlives its postmaster, whatever that told it."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        orphan = connection.info.backend_pid
        os.kill(orphan, signal.SIGSTOP)
        ended(local.postmaster(server.home))
        assert orphan in local.living(server.home)
        server.start()
        assert orphan not in local.living(server.home)
    assert ask(server.dsn, ROWS) == 1


def test_stop_after_a_kill_leaves_nothing(server: EmbeddedServer) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        os.kill(connection.info.backend_pid, signal.SIGSTOP)
        ended(local.postmaster(server.home))
        server.stop()
    assert local.living(server.home) == []
    server.start()


def test_every_process_killed(server: EmbeddedServer) -> None:
    for pid in local.living(server.home):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not local.living(server.home))
    assert ask(server.start(), ROWS) == 1


def test_a_process_id_that_a_stranger_got_since(server: EmbeddedServer) -> None:
    ended(local.postmaster(server.home))
    wait_until(lambda: not local.living(server.home))
    pid_file = record_of(server.home).data / "postmaster.pid"
    lines = pid_file.read_text().splitlines(keepends=True)
    # Ourselves, for one: as root, PostgreSQL minds its own account's only.
    pid_file.write_text("".join([f"{os.getpid()}\n", *lines[1:]]))
    assert ask(server.start(), ROWS) == 1


def test_the_server_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    app = local.run_python(local.STAYS, tmp_path / "home", start_new_session=True)
    dsn = app.stdout.readline().strip()
    first = local.postmaster(tmp_path / "home")
    os.killpg(app.pid, signal.SIGKILL)
    app.communicate()
    server = plain_server(tmp_path / "home")
    assert server.start() == dsn
    assert local.postmaster(tmp_path / "home") == first
    assert server.stop()
    assert local.living(tmp_path / "home") == []
    server.remove()


@pytest.mark.parametrize("moment", ["server.json", "PG_VERSION", "postmaster.pid"])
def test_first_start_killed_at_any_moment(moment: str) -> None:
    """A home is whole or not made, and the next start makes it whole."""
    with local.open_folder() as folder:
        app = local.run_python(local.STAYS, folder / "home")
        wait_until(lambda: list(folder.rglob(moment)))
        app.kill()
        app.communicate()
        server = plain_server(folder / "home")
        assert ask(server.start(), "select current_user") == "floorpulse"
        wait_until(lambda: not list(folder.rglob(".making.*")))
        server.remove()


def test_start_waits_out_a_long_recovery(
    server: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eleven seconds, since drivers that give up after ten lose the server."""
    ended(local.postmaster(server.home))
    (record_of(server.home).data / "recovery.signal").touch()
    slow = plain_server(
        server.home, extra_settings={"restore_command": "sleep 11; false"}
    )
    heard: list[str] = []
    other = local.run_python(local.STARTS, server.home)
    threading.Thread(target=lambda: heard.extend(other.communicate())).start()
    began = time.monotonic()
    assert ask(slow.start(), ROWS) == 1
    assert time.monotonic() - began > 10
    assert "PostgreSQL is still starting" in capsys.readouterr().err
    wait_until(lambda: heard)
    assert heard[0].strip() == slow.dsn


def test_a_postmaster_that_does_not_answer_is_not_ended_but_named(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = local.postmaster(server.home)
    monkeypatch.setattr(life, "SILENCE_LIMIT_S", 0)
    monkeypatch.setattr(process, "PING_LIMIT_S", 1)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(ServerError, match=f"Process {pid} .* does not answer"):
            server.start()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert ask(server.start(), ROWS) == 1
