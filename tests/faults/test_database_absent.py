"""Processes that begin before their database: they say so, wait, and go on with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

import cli
from sql.migrate import migrate
from tests.support.brokers import nats_broker
from tests.support.edge import line
from tests.support.local_server import ask, open_folder, plain_server, wait_until
from tests.support.ports import free_port

pytestmark = pytest.mark.xdist_group("brokers")


@contextmanager
def command(
    dsn: str, log: Path, *arguments: object
) -> Iterator[subprocess.Popen[bytes]]:
    """A command of the product in a process of its own; killed in the end."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, cli.__file__, *map(str, arguments)],
            env=os.environ | {"FLOORPULSE_DSN": dsn},
            stderr=file,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ready(port: int) -> int:
    try:
        address = f"http://127.0.0.1:{port}/api/v1/ready"
        return httpx.get(address, trust_env=False).status_code
    except httpx.TransportError:
        return 0


def test_whatever_begins_before_its_database_waits_for_it(tmp_path: Path) -> None:
    port = free_port()
    with open_folder() as home, nats_broker() as broker, ExitStack() as begun:
        server = plain_server(home)
        dsn = server.start()
        migrate(dsn)
        server.stop()
        broker.publish([line(1)])
        logs = {}
        for name, *arguments in (
            ("consume", broker.url),
            ("schedule",),
            ("serve", "--api-only", "--port", port),
        ):
            logs[name] = tmp_path / name
            begun.enter_context(command(dsn, logs[name], name, *arguments))
        try:
            for name in ("consume", "schedule"):
                log = logs[name]
                wait_until(lambda: "Waiting for it" in log.read_text())  # noqa: B023
            wait_until(lambda: ready(port) == 503, 60)
            assert "Answering 503" in logs["serve"].read_text()
            assert server.start() == dsn
            wait_until(lambda: ask(dsn, "select count(*) from floor.events"), 60)
            wait_until(lambda: ask(dsn, "select count(*) from ops.job_runs"), 60)
            wait_until(lambda: ready(port) == 200, 60)
            assert "The database is there" in logs["consume"].read_text()
        finally:
            server.remove()
