"""One story: everything begins, is sent, dies, comes back; and what is there then."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import nats
from nats.js import api

from etl.brokers.choose import opening
from etl.brokers.url import parse_url
from sql.embedded import EmbeddedServer
from sql.migrate import migrate
from tests.chaos import senders
from tests.chaos.house import (
    Database,
    Life,
    Ports,
    Process,
    brokers,
    fates,
    ours,
    ports,
    until_open,
)
from tests.chaos.known import Known, Sending, known_set
from tests.chaos.verdict import await_all, judge, stored, tracebacks
from tests.support.local_server import wait_until
from tests.support.plant import Plant
from tests.support.wallclock import micros

HTTP_CLIENTS = 3
TELL_S = 10.0


@dataclass(frozen=True)
class Plan:
    """How long, how much, and how rough."""

    seed: int
    events: int
    seconds: float
    kill_every_s: float
    longest_down_s: float
    # Processes as in production, or as few as there can be.
    whole: bool = True
    # What NATS waits before it gives to another what a dead consumer had.
    ack_wait_s: float | None = None
    # How long nothing may come, at the end, before the rest counts as lost.
    still_s: float = 150.0


@dataclass
class Outcome:
    """What came of it: `wrong` is what must not be."""

    wrong: list[str] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    exits: dict[str, dict[int, int]] = field(default_factory=dict)
    repeated: Counter[str] = field(default_factory=Counter)
    tracebacks: list[str] = field(default_factory=list)
    sendings: int = 0
    seconds: float = 0.0


def tell_nobody(_: str) -> None:
    """Where nobody reads along."""


def story(
    plan: Plan,
    server: EmbeddedServer,
    folder: Path,
    say: Callable[[str], None] = tell_nobody,
) -> Outcome:
    """From an empty folder and a new database to the verdict."""
    start = datetime.now(UTC)
    known = known_set(plan.seed, plan.events, plan.seconds, micros(start))
    dsn, at, outcome = server.start(), ports(), Outcome(sendings=known.sendings)
    migrate(dsn)
    for site in known.sites:
        Plant(dsn, site.name, folder).settle(site.settings, site.shifts)
    say(f"{known.events:,} events, sent {known.sendings:,} times; {folder}")
    processes = [*brokers(folder, at), *ours(folder, at, dsn, whole=plan.whole)]
    with running(processes, at, plan):
        began = time.monotonic()
        house: list[Process | Database] = [Database(server, folder / "db.log")]
        lives = begun([*house, *processes], plan, began, say)
        try:
            sent = [
                senders.Sender(name, way, sendings, began)
                for name, way, sendings in shares(known, at, folder)
            ]
            await_senders(
                sent, lives, lambda left: say(f"{stored(dsn)} stored, {left}")
            )
            outcome.repeated = Counter({s.name: s.repeated for s in sent})
            await_all(dsn, known, plan.still_s)
            say(f"all is sent, {stored(dsn)} are stored; comparing")
            outcome.wrong += judge(dsn, known, plan.still_s, say)
        finally:
            outcome.wrong += ended(lives)
    for life in lives:
        outcome.kills[life.process.name] = life.fate.done
        outcome.exits[life.process.name] = dict(life.exits)
    outcome.tracebacks = tracebacks(folder)
    outcome.seconds = time.monotonic() - began
    return outcome


@contextmanager
def running(processes: Sequence[Process], at: Ports, plan: Plan) -> Iterator[None]:
    """All of them, begun so that nothing can be published to nobody."""
    try:
        for process in processes[:2]:
            process.start()
        until_open(at.nats)
        until_open(at.mqtt)
        asyncio.run(prepare(at, plan))
        for process in processes[2:]:
            process.start()
        until_open(at.edge)
        wait_until(lambda: ready(at.web), 60)
        yield
    finally:
        for process in processes:
            process.kill()


def ready(port: int) -> bool:
    """Whether the web server takes events."""
    try:
        address = f"http://127.0.0.1:{port}/api/v1/ready"
        return httpx.get(address, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


async def prepare(at: Ports, plan: Plan) -> None:
    """A stream of NATS on disk, and a session of MQTT that is saved."""
    client = await nats.connect(f"nats://127.0.0.1:{at.nats}")
    stream = client.jetstream()
    await stream.add_stream(api.StreamConfig(name="EVENTS", subjects=["floor.>"]))
    if plan.ack_wait_s is not None:
        config = api.ConsumerConfig(
            durable_name="floorpulse",
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=plan.ack_wait_s,
            max_ack_pending=100_000,
        )
        await stream.add_consumer("EVENTS", config)
    await client.close()
    url = parse_url(f"mqtt://127.0.0.1:{at.mqtt}/floor/#")
    session = await opening(url, None, "mqtt", 500)()
    await session.close([])
    await asyncio.sleep(senders.FORGOTTEN_S)


def begun(
    members: Sequence[Process | Database],
    plan: Plan,
    began: float,
    say: Callable[[str], None],
) -> list[Life]:
    """Everybody's life, with the hours of their deaths."""
    names = [member.name for member in members]
    told = fates(plan.seed, names, plan.seconds, plan.kill_every_s, plan.longest_down_s)
    lives = [Life(member, told[member.name], began, say) for member in members]
    for life in lives:
        life.begin()
    return lives


def await_senders(
    sent: Sequence[senders.Sender],
    lives: Sequence[Life],
    say: Callable[[str], None],
) -> None:
    """Until everything has been answered for, and nothing is killed any more."""
    for sender in sent:
        sender.start()
    try:
        told_at = time.monotonic()
        while any(s.is_alive() for s in sent) or dying(lives):
            time.sleep(0.1)
            errors = [*(s.error for s in sent), *(life.error for life in lives)]
            for error in errors:
                if error is not None:
                    raise error
            if time.monotonic() > told_at + TELL_S:
                told_at = time.monotonic()
                say(f"{sum(s.left for s in sent)} to be sent")
    finally:
        for sender in sent:
            sender.stop.set()


def dying(lives: Sequence[Life]) -> bool:
    """Whether somebody will yet be killed."""
    return any(life.fate.done < len(life.fate.kills) for life in lives)


def shares(
    known: Known, at: Ports, folder: Path
) -> Iterator[tuple[str, Any, Sequence[Sending]]]:
    """Who sends what: several clients of HTTP, one of each other way."""
    ways = known.ways
    for number in range(HTTP_CLIENTS):
        share = ways["http"][number::HTTP_CLIENTS]
        yield f"http-{number}", senders.ByHttp(at.web), share
    yield "file", senders.ByFile(at.web), ways["file"]
    yield "folder", senders.ByFolder(folder / "camera"), ways["folder"]
    yield "tcp", senders.ByTcp(at.edge), ways["tcp"]
    yield "nats", senders.ByNats(at.nats), ways["nats"]
    yield "mqtt", senders.ByMqtt(at.mqtt), ways["mqtt"]


def ended(lives: Sequence[Life]) -> list[str]:
    """Ask everybody to end, the database last; who did not end well."""
    said = []
    for life in reversed(lives):
        code = life.end()
        # Brokers have codes of their own.
        if code != 0 and life.process.name not in ("nats", "mqtt"):
            said.append(f"{life.process.name} ended with {code}")
    return said
