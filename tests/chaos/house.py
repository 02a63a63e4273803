"""The processes of a plant: each begun again when it ends, and killed when it is due.

Nothing is asked to end before the end of the story: SIGKILL, and the next start finds
what that left.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import cli
from sql.embedded import EmbeddedServer
from tests.support.brokers import MOSQUITTO, program
from tests.support.local_server import ROOT, postmaster, wait_until

LOOK_S = 0.05
# What a service manager waits before it starts what ended by itself.
RESTART_S = 0.5


@dataclass
class Fate:
    """When a process is killed, seconds after the beginning, and for how long."""

    kills: list[tuple[float, float]]
    done: int = 0


def fates(
    seed: int, names: Sequence[str], seconds: float, every_s: float, longest_s: float
) -> dict[str, Fate]:
    """Each name's own: about one kill every_s, at least one, none at the very end."""
    found = {}
    for name in names:
        chance = random.Random(f"{seed} {name}")
        count = max(1, round(seconds / every_s))
        times = sorted(chance.uniform(1.0, seconds * 0.9) for _ in range(count))
        kills = [(at, chance.uniform(0, longest_s)) for at in times]
        found[name] = Fate(kills)
    return found


class Process:
    """One of the plant's processes, with a log of its own."""

    def __init__(
        self,
        name: str,
        command: Sequence[object],
        log: Path,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.log = name, log
        self._command = [str(word) for word in command]
        self._settings = os.environ | {"PYTHONPATH": str(ROOT)} | dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin it; it may need a while until it does its work."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._settings, cwd=ROOT
            )

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def ended(self) -> int | None:
        """Its exit code, where it has ended by itself."""
        return None if self._process is None else self._process.poll()

    def end(self) -> int | None:
        """SIGTERM, and how it ended; None: not within its time."""
        if self._process is None:
            return 0
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(40)
        self.kill()
        return None


class Database:
    """The embedded server; what is killed is its postmaster."""

    name = "database"

    def __init__(self, server: EmbeddedServer, log: Path) -> None:
        self.log = log
        self._server = server

    def start(self) -> None:
        """Begin it, recovery included."""
        self._server.start()

    def kill(self) -> None:
        """SIGKILL of the postmaster; its children notice by themselves."""
        with suppress(ProcessLookupError):
            os.kill(postmaster(self._server.home), signal.SIGKILL)

    def ended(self) -> int | None:
        """It does not end by itself."""
        return None

    def end(self) -> int | None:
        """A clean shutdown."""
        self._server.stop()
        return 0


@dataclass
class Life:
    """One process, from the beginning to the end of the story, in a thread."""

    process: Process | Database
    fate: Fate
    began: float
    say: Callable[[str], None]
    exits: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._over = Event()
        name = self.process.name
        self._thread = Thread(target=self._live, name=name, daemon=True)
        self.error: BaseException | None = None

    def begin(self) -> None:
        """It has been started; from here on it is watched, and killed."""
        self._thread.start()

    def end(self) -> int | None:
        """Ask it to end, and how it did."""
        self._over.set()
        self._thread.join()
        return self.process.end()

    def _live(self) -> None:
        try:
            while not self._over.wait(LOOK_S):
                self._look()
        except BaseException as error:
            self.error = error
            raise

    def _look(self) -> None:
        code = self.process.ended()
        if code is not None:
            self.exits[code] += 1
            self._over.wait(RESTART_S)
            self.process.start()
        if self.fate.done == len(self.fate.kills):
            return
        at, down_s = self.fate.kills[self.fate.done]
        if time.monotonic() < self.began + at:
            return
        self.process.kill()
        self.fate.done += 1
        self.say(f"killed {self.process.name}, for {down_s:.1f} s")
        self._over.wait(down_s)
        self.process.start()


@dataclass(frozen=True)
class Ports:
    """Where everybody listens."""

    web: int
    nats: int
    mqtt: int
    edge: int


def ports() -> Ports:
    """Four that are free: held all at once, so that no two are the same."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    found = Ports(*(each.getsockname()[1] for each in held))
    for each in held:
        each.close()
    return found


def brokers(folder: Path, at: Ports) -> list[Process]:
    """A NATS server with JetStream on disk, and a Mosquitto as the docs want it."""
    (folder / "mqtt").mkdir()
    config = folder / "mosquitto.conf"
    config.write_text(MOSQUITTO.format(port=at.mqtt, folder=folder / "mqtt"))
    store = ["-js", "-sd", folder / "nats"]
    return [
        Process(
            "nats",
            [program("nats"), "-a", "127.0.0.1", "-p", at.nats, *store],
            folder / "nats.log",
        ),
        Process("mqtt", [program("mqtt"), "-c", config], folder / "mqtt.log"),
    ]


def ours(folder: Path, at: Ports, dsn: str, *, whole: bool) -> list[Process]:
    """Web, scheduler, consumers and edge agents; whole: with dashboard and a group."""
    settings = {"FLOORPULSE_DSN": dsn, "FLOORPULSE_LOG_LEVEL": "info"}
    serve = ["serve", "--port", at.web, *([] if whole else ["--api-only"])]
    nats = ["consume", f"nats://127.0.0.1:{at.nats}/EVENTS", "--batch", 500, "--name"]
    mqtt = ["consume", f"mqtt://127.0.0.1:{at.mqtt}/floor/#", "--name", "mqtt"]
    commands: dict[str, list[object]] = {
        "web": list(serve),
        "scheduler": ["schedule"],
        "consumer-nats": [*nats, "n1"],
        "consumer-mqtt": list(mqtt),
    }
    if whole:
        commands["consumer-nats-2"] = [*nats, "n2"]
    server = ["--server", f"http://127.0.0.1:{at.web}", "--retry-s", 0.2]
    (folder / "camera").mkdir()
    sources = {"folder": folder / "camera", "tcp": f"tcp://127.0.0.1:{at.edge}?acks=1"}
    for name, source in sources.items():
        options = ["--spool", folder / f"spool-{name}", *server, "--wait"]
        commands[f"edge-{name}"] = ["edge", "run", source, *options]
    return [
        Process(
            name,
            [sys.executable, cli.__file__, *command],
            folder / f"{name}.log",
            settings,
        )
        for name, command in commands.items()
    ]


def until_open(port: int) -> None:
    """Somebody listens there."""

    def answers() -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return False

    wait_until(answers, 60)
