"""The API as its clients meet it: a real server on a port of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from etl.http.app import create_app
from etl.http.protocol import WatchfulProtocol
from tests.support.local_server import ROOT, wait_until

V1 = "/api/v1"
SERVES = """
import socket, sys
import uvicorn
from etl.http.app import create_app
bound = socket.socket(fileno=int(sys.argv[2]))
config = uvicorn.Config(create_app(sys.argv[1]), log_level="warning", access_log=False)
uvicorn.Server(config).run(sockets=[bound])
"""


def event(**more: Any) -> dict[str, Any]:
    """An event that breaks no rule, unless it is asked to."""
    return {
        "time": "2026-11-01T06:00:00Z",
        "site_id": "plant",
        "worker_id": "W1",
        "workstation_id": "S1",
        "event_type": "working",
        "confidence": 0.9,
    } | more


def bound_socket() -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return bound


@contextmanager
def serving(dsn: str, app: Any = None) -> Iterator[httpx.Client]:
    """The API in a thread of this process, and a client of it."""
    bound = bound_socket()
    config = uvicorn.Config(
        app or create_app(dsn),
        http=WatchfulProtocol,
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
        bound.close()
    assert not thread.is_alive()


@contextmanager
def served_by_a_process(dsn: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The API in a process of its own, that may be killed: its address, and it."""
    bound = bound_socket()
    address = f"http://127.0.0.1:{bound.getsockname()[1]}"
    process = subprocess.Popen(
        [sys.executable, "-c", SERVES, dsn, str(bound.fileno())],
        pass_fds=[bound.fileno()],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    bound.close()
    try:
        wait_for(f"{address}{V1}/health", process)
        yield address, process
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(url, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(url)
