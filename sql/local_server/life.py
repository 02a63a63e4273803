"""The life of the local server: does it answer, waiting for it, shutting it down."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from psycopg.pq import Ping

from sql.errors import ServerError
from sql.local_server import process as processes
from sql.local_server.state import ServerRecord, say

SILENCE_LIMIT_S = 60
SHUTDOWN_LIMIT_S = 300


def answer(record: ServerRecord) -> Ping:
    """Ask by the socket, whose folder is ours alone; by TCP if a cleaner took it."""
    heard = processes.ping(record.socket_folder, record.port)
    if heard == Ping.NO_RESPONSE and processes.postmaster_of(record.data):
        return processes.ping("127.0.0.1", record.port)
    return heard


def wait_for_running(record: ServerRecord) -> bool:
    """Wait until a server that is there answers; False when there is none (now)."""
    heard_at = time.monotonic()
    waiting = _Patience("waiting for PostgreSQL, which is starting or recovering")
    while (heard := answer(record)) != Ping.OK:
        pid = processes.postmaster_of(record.data)
        if heard == Ping.REJECT:
            heard_at = time.monotonic()
        elif pid is None:
            processes.clear_wreckage(record.data, Path(record.socket_folder))
            return False
        elif time.monotonic() - heard_at > SILENCE_LIMIT_S:
            raise ServerError(
                f"Process {pid} holds the data folder {record.data} but does not "
                "answer: end it and run this again"
            )
        waiting.pause()
    return True


def wait_for_answer(record: ServerRecord, pid: int) -> bool:
    """Wait until the server just started answers; False when it has ended."""
    waiting = _Patience("PostgreSQL is still starting (recovering after a crash?)")
    while processes.is_alive(pid):
        if processes.ping(record.socket_folder, record.port) == Ping.OK:
            return True
        waiting.pause()
    return False


class _Patience:
    """Pauses of a waiting loop that say now and then what is waited for."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._began = self._told = time.monotonic()

    def pause(self) -> None:
        """Sleep a moment; every five seconds, report."""
        now = time.monotonic()
        if now - self._told > 5:
            say(f"{self._message}, {now - self._began:.0f} s so far")
            self._told = now
        time.sleep(0.02 if now - self._began < 2 else 0.2)


def shut_down(record: ServerRecord) -> bool:
    """End the server and wait until no process of it is left; False if none ran."""
    pid = processes.postmaster_of(record.data)
    if pid is None and answer(record) != Ping.NO_RESPONSE:
        # Its socket is ours alone: where /proc is shut to us, the pid file is true.
        pid = processes.noted_pid(record.data)
    began = time.monotonic()
    waiting = _Patience("waiting for PostgreSQL to write its last checkpoint")
    with contextlib.suppress(ProcessLookupError):
        if pid:
            os.kill(pid, signal.SIGINT)
    while pid and processes.is_alive(pid):
        if time.monotonic() - began > SHUTDOWN_LIMIT_S:
            break
        waiting.pause()
    processes.clear_wreckage(record.data, Path(record.socket_folder))
    return pid is not None
