"""The command line as processes: a local server of its own, `up`, and what is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil
import pytest

import cli
from sql.embedded import EmbeddedServer
from tests.support.local_server import living, open_folder, psql, wait_until
from tests.support.ports import free_port

CLI = [sys.executable, cli.__file__]
EVENT = (
    "time,site_id,worker_id,workstation_id,event_type,confidence\n"
    "2026-03-02T10:00:00Z,plant,W1,S1,working,0.9\n"
)


@pytest.fixture
def home() -> Iterator[Path]:
    """A home for a local server, whose server is gone in the end."""
    with open_folder() as folder:
        yield folder / "home of the plant"
        server = EmbeddedServer(folder / "home of the plant")
        if server.status().state != "not made":
            server.remove()


def settings(home: Path) -> dict[str, str]:
    return os.environ | {
        "FLOORPULSE_HOME": str(home),
        "FLOORPULSE_TIMESCALEDB": "none",
    }


def run(home: Path, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    done = subprocess.run(
        [*CLI, *arguments],
        check=False,
        env=settings(home),
        input=stdin,
        text=True,
        capture_output=True,
    )
    return done.returncode, done.stdout, done.stderr


@contextmanager
def up(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A running `floorpulse up` and the address of its pages."""
    port = free_port()
    command = [*CLI, "up", "--port", str(port), *arguments]
    process = subprocess.Popen(command, env=settings(home))
    try:
        address = f"127.0.0.1:{port}"
        wait_until(lambda: answers(address), 60)
        yield process, address
    finally:
        process.kill()
        process.wait()


def answers(address: str) -> bool:
    connection = HTTPConnection(address, timeout=1)
    try:
        connection.request("GET", "/api/v1/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def children(process: subprocess.Popen[bytes]) -> dict[str, psutil.Process]:
    """Living children of `up` by what they do."""
    found = {}
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.NoSuchProcess, IndexError):
            found[child.cmdline()[2]] = child
    return found


def test_the_first_command_makes_a_database(home: Path) -> None:
    code, out, said = run(home, "load", "-", "--json", stdin=EVENT)
    assert code == 0, said
    assert json.loads(out)["stored"] == 1
    assert "Preparing the local database" in said
    code, out, _ = run(home, "db", "dsn")
    assert psql(out.strip(), "select count(*) from floor.events") == "1"
    status = json.loads(run(home, "db", "status", "--json")[1])
    assert (status["state"], status["schema"]) == ("running", "current")
    assert run(home, "db", "stop")[0] == 0
    assert living(home) == []
    assert json.loads(run(home, "db", "status", "--json")[1])["state"] == "stopped"
    assert run(home, "db", "start")[0] == 0
    assert len(living(home)) > 0


def test_psql_as_an_analyst(home: Path) -> None:
    run(home, "db", "start")
    ask = ("-X", "-At", "-c")
    query = "select current_user, current_setting('statement_timeout')"
    code, out, said = run(home, "db", "psql", "--as", "analyst", *ask, query)
    assert (code, out) == (0, "floorpulse_analyst|1min\n"), said
    code, _, said = run(
        home, "db", "psql", "--as", "analyst", *ask, "select from floor.events"
    )
    assert code == 1
    assert "permission denied" in said
    assert run(home, "db", "psql", *ask, "select 7")[1] == "7\n"
    assert run(home, "db", "psql", "--as", "boss")[0] == 2


def test_up_shows_a_plant_and_ends_whole(home: Path) -> None:
    with up(home, "--demo") as (process, address):
        wait_until(lambda: len(children(process)) == 3)
        dsn = run(home, "db", "dsn")[1].strip()
        worked = "select count(*) > 0 from analytics.worker_hourly where working_s > 0"
        wait_until(lambda: psql(dsn, worked) == "t", 60)
        ours = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert not answers(address)
        _, alive = psutil.wait_procs(ours, timeout=5)
        assert alive == []
        assert living(home) == []


def test_up_starts_again_what_dies(home: Path) -> None:
    with up(home) as (process, address):
        wait_until(lambda: set(children(process)) == {"schedule", "serve"})
        web = children(process)["serve"]
        web.kill()
        wait_until(lambda: children(process).get("serve", web) != web)
        wait_until(lambda: answers(address), 60)


def test_nothing_of_up_outlives_it(home: Path) -> None:
    with up(home) as (process, _):
        wait_until(lambda: set(children(process)) == {"schedule", "serve"})
        ours = list(children(process).values())
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(ours, timeout=20)
        assert alive == []
    assert run(home, "db", "stop")[0] == 0
    assert living(home) == []


def test_up_leaves_a_server_that_ran_before(home: Path) -> None:
    run(home, "db", "start")
    with up(home) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert len(living(home)) > 0


def test_a_port_that_is_taken_is_a_sentence(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, _, said = run(home, "up", "--port", port)
    assert code == 1
    assert "choose another address" in said
    assert not home.exists()
