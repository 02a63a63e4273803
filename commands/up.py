"""`floorpulse up`: database, scheduler and web on this machine, and a demo plant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from commands import lifeline
from commands.options import option
from commands.output import note
from commands.processes import Host, LogLevel, Port, begin, listening
from commands.session import is_local

CLI = Path(__file__).parent.parent / "cli.py"
LOOK_EVERY_S = 0.5
LOOK_AT_SERVER_EVERY_S = 5.0
RESTART_S = (1.0, 30.0)
# A child that lived so long had begun well: it is restarted at once.
HEALTHY_S = 60.0
WRONG_USE = 2
END_WITHIN_S = 15.0
ANSWER_WITHIN_S = 60.0


def up(
    demo: Annotated[
        bool, option("--demo", "Add a simulated plant with history, still running.")
    ] = False,
    host: Host = "127.0.0.1",
    port: Port = 8050,
    log_level: LogLevel = "warning",
) -> None:
    """Run everything on this machine, until Ctrl-C."""
    begin(log_level)
    listening(host, port).close()
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: asked.append(number))
    with _database() as dsn:
        commands = {
            "scheduler": ["schedule"],
            "web": ["serve", "--host", host, "--port", str(port)],
        }
        if demo:
            commands["simulator"] = ["simulate"]
        with _children(commands, dsn, log_level) as children:
            _watch(children, _url(host, port), asked)
        note("Stopped.")


@contextmanager
def _database() -> Iterator[str]:
    """A migrated database; the local server ends with us if we have started it."""
    from sql.connect import resolve_dsn
    from sql.migrate import migrate

    ours = is_local() and _local_state() != "running"
    if ours:
        note("Starting the local database ...")
    try:
        dsn = resolve_dsn()
        migrate(dsn)
        yield dsn
    finally:
        if ours:
            from sql import embedded

            embedded.stop()


def _local_state() -> str:
    from sql import embedded

    return embedded.status().state


@dataclass
class Child:
    """One process of ours, started again with growing pauses when it dies."""

    name: str
    command: Sequence[str]
    settings: Mapping[str, str]
    lifeline_fd: int
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    pause_s: float = field(default=RESTART_S[0])
    given_up: bool = False

    def start(self) -> None:
        """Run it in a process group of its own: Ctrl-C is ours to pass on."""
        self.process = subprocess.Popen(
            [sys.executable, str(CLI), *self.command],
            env=self.settings,
            pass_fds=[self.lifeline_fd],
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        self.started_at = time.monotonic()

    def look(self) -> None:
        """Start it again when it has died and its pause is over."""
        if self.given_up:
            return
        now = time.monotonic()
        if self.process is None:
            if now >= self.restart_at:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        self.process = None
        if code == WRONG_USE:
            # It would say the same again.
            self.given_up = True
            note(f"The {self.name} has ended for good; see above.")
            return
        if now - self.started_at > HEALTHY_S:
            self.pause_s = RESTART_S[0]
        self.restart_at = now + self.pause_s
        note(f"The {self.name} ended ({code}); again in {self.pause_s:.0f} s.")
        self.pause_s = min(self.pause_s * 2, RESTART_S[1])

    def ask_to_end(self) -> None:
        """SIGTERM, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def end(self, deadline: float) -> None:
        """Wait for its end, and make it end past the deadline."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def _children(
    commands: Mapping[str, Sequence[str]], dsn: str, log_level: str
) -> Iterator[list[Child]]:
    """All children, started; on the way out all have ended."""
    reading_end, writing_end = os.pipe()
    settings = dict(os.environ) | {
        "FLOORPULSE_DSN": dsn,
        "FLOORPULSE_LOG_LEVEL": log_level,
        lifeline.VARIABLE: str(reading_end),
    }
    children = [
        Child(name, command, settings, reading_end)
        for name, command in commands.items()
    ]
    try:
        for child in children:
            child.start()
        yield children
    finally:
        for child in children:
            child.ask_to_end()
        deadline = time.monotonic() + END_WITHIN_S
        for child in children:
            child.end(deadline)
        os.close(writing_end)
        os.close(reading_end)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _watch(children: Sequence[Child], url: str, asked: Sequence[int]) -> None:
    """Keep everything running until asked to end; say when the web answers."""
    announced, give_up_at = False, time.monotonic() + ANSWER_WITHIN_S
    server_looked_at = time.monotonic()
    while not asked:
        time.sleep(LOOK_EVERY_S)
        for child in children:
            child.look()
        if not announced and _answers(url):
            announced = True
            note(f"floorpulse is up: {url}  (Ctrl-C stops it)")
        elif not announced and time.monotonic() > give_up_at:
            announced = True
            note(f"The web server does not answer at {url}; see the log above.")
        if time.monotonic() - server_looked_at > LOOK_AT_SERVER_EVERY_S:
            _keep_local_server()
            server_looked_at = time.monotonic()


def _keep_local_server() -> None:
    """Start the local server again if somebody killed it."""
    if not is_local():
        return
    from sql import embedded
    from sql.errors import FloorpulseError

    try:
        embedded.start()
    except FloorpulseError as error:
        note(error.message)


def _answers(url: str) -> bool:
    """Whether the web process answers; no proxy between."""
    from http.client import HTTPConnection, HTTPException
    from urllib.parse import urlsplit

    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=1)
    try:
        connection.request("GET", "/api/v1/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
