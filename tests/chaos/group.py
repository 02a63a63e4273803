"""Two processes of a group share a broker's messages, and are killed in turn.

`python -m tests.chaos.group [nats mqtt redis rabbitmq kafka]`: at the end every event
is stored once, and every message that is none is parked once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cli
from etl.brokers.choose import opening
from etl.brokers.url import parse_url
from sql.connect import connect
from sql.migrate import migrate
from tests.chaos.house import Process
from tests.support.brokers import BROKERS, Broker
from tests.support.database import one
from tests.support.edge import line
from tests.support.local_server import open_folder, wait_until
from tests.support.servers import Engine

NAMES = ("first", "second")
GROUP = "chaos"
POISON = 5
# Kafka takes a member that says nothing for gone after so long.
KAFKA = "?session.timeout.ms=6000&heartbeat.interval.ms=1000"


@dataclass(frozen=True)
class Found:
    """What is there at the end."""

    stored: int
    counted: int
    again: int
    poison: list[str]

    def wrong(self, count: int, poison: Sequence[bytes]) -> list[str]:
        """Sentences on what is not as it must be."""
        said = []
        if self.stored != count:
            said.append(f"{self.stored} stored of {count}")
        if self.counted != count:
            said.append(f"the books say {self.counted} of {count}")
        if sorted(self.poison) != sorted(each.decode() for each in poison):
            said.append(f"parked: {self.poison}")
        return said


def shared(broker: Broker, dsn: str, folder: Path, kills: int, count: int) -> Found:
    """Publish all, kill `kills` times, and wait for the rest."""
    url = broker.url + (KAFKA if broker.kind == "kafka" else "")
    sessions(broker)
    members = [member(name, url, dsn, folder) for name in NAMES]
    try:
        for each in members:
            each.start()
        for number, part in enumerate(parts(count, kills)):
            before = found(dsn).stored
            broker.publish(part)
            wait_until(lambda: found(dsn).stored > before, 150)  # noqa: B023
            time.sleep(random.uniform(0, 0.3))
            members[number % 2].kill()
            time.sleep(random.uniform(0, 1))
            members[number % 2].start()
        await_still(dsn, count, 150)
    finally:
        for each in members:
            each.kill()
    return found(dsn)


def member(name: str, url: str, dsn: str, folder: Path) -> Process:
    """One process of the group."""
    options = ["--name", name, "--group", GROUP, "--batch", 100]
    command = [sys.executable, cli.__file__, "consume", url, *options]
    settings = {"FLOORPULSE_DSN": dsn}
    return Process(name, command, folder / f"{name}.log", settings)


def sessions(broker: Broker) -> None:
    """MQTT keeps messages for sessions that are there: begin both."""

    async def once(name: str) -> None:
        stream = await opening(parse_url(broker.url), GROUP, name, 100)()
        await stream.close([])

    for name in NAMES if broker.kind == "mqtt" else ():
        asyncio.run(once(name))


def poisons() -> list[bytes]:
    """Messages that are no events."""
    return [b'"no event %d"' % number for number in range(POISON)]


def parts(count: int, kills: int) -> Iterator[list[bytes]]:
    """All events in as many parts as there are kills, poison in front of the first."""
    for number in range(kills):
        low, high = (count * at // kills for at in (number, number + 1))
        yield poisons()[number : number + 1] + [line(at) for at in range(low, high)]


def await_still(dsn: str, count: int, still_s: float) -> None:
    """Until all is there, or nothing came for so long."""
    before, moved_at = -1, time.monotonic()
    while before < count and time.monotonic() < moved_at + still_s:
        now = found(dsn).stored
        if now > before:
            before, moved_at = now, time.monotonic()
        time.sleep(0.5)
    # What is parked last may come behind the last event.
    time.sleep(2)


def found(dsn: str) -> Found:
    with connect(dsn) as conn:
        raws = conn.execute("select raw from ingest.rejects").fetchall()
        return Found(
            one(conn, "select count(*) from floor.events"),
            one(conn, "select coalesce(sum(stored), 0)::int from ingest.tallies"),
            one(conn, "select coalesce(sum(duplicates), 0)::int from ingest.tallies"),
            [bytes(raw).decode() for (raw,) in raws],
        )


def main() -> int:
    """A line a broker; 1 where something is missing, or twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(BROKERS))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--events", type=int, default=30_000)
    options = parser.parse_args()
    failed = False
    for kind in options.kinds:
        with ExitStack() as stack:
            home = stack.enter_context(open_folder())
            logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            server = Engine("plain").server(home)
            stack.callback(server.remove)
            dsn = server.start()
            migrate(dsn)
            broker = stack.enter_context(BROKERS[kind]())
            began = time.monotonic()
            there = shared(broker, dsn, logs, options.kills, options.events)
            wrong = there.wrong(options.events, poisons()[: options.kills])
            failed |= bool(wrong)
            well = f"{there.stored} stored, none twice, {there.again} came again"
            said = json.dumps(wrong) if wrong else well
            took = time.monotonic() - began
            print(f"{kind}: {options.kills} kills in {took:.0f} s: {said}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
