"""Consumers of NATS and MQTT against ones that only acknowledge, and against `load`.

`python -m benchmarks.brokers --rows 300000 [--dsn URI]`; `--kills` loses none over ten.
Broker, database and consumer share the machine's cores; what is published lies ready.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nats
import orjson
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.load import arrays_of, count_of, events, fresh, load, require_stored
from commands.consume import steady
from etl.brokers.choose import opening
from etl.brokers.consume import Consumer, Opening, Settings
from etl.brokers.url import parse_url
from sql.connect import resolve_dsn
from tests.support.brokers import Broker, consuming, mqtt_broker, nats_broker

BAR, KILLS, ARRAY, MOST = 0.6, 10, 100, 10_000
# The load alone, without the start of its process.
_LOAD = """
import json, sys, time
from etl.files.load import load_file
started = time.perf_counter()
report = load_file(sys.argv[1], sys.argv[2])
seconds = time.perf_counter() - started
print(json.dumps({"stored": report.stored, "seconds": seconds}))
"""
BROKERS = {"nats": nats_broker, "mqtt": mqtt_broker}


@dataclass(frozen=True)
class Measured:
    """One line of the table; ratio is against what `of` names, in the same run."""

    what: str
    per_s: float
    ratio: float
    of: str


def connecting(broker: Broker, name: str) -> Opening:
    """Each name has all messages: a consumer of NATS, a session of MQTT."""
    group = name if broker.kind == "nats" else None
    return opening(parse_url(broker.url), group, name, MOST)


async def ours(name: str, broker: Broker, count: int) -> float:
    """Seconds in which our adapter takes and acknowledges so many, without a door."""
    stream = await connecting(broker, name)()
    started, taken = time.perf_counter(), 0
    while taken < count:
        messages = await stream.take(MOST, 0.05)
        await stream.acknowledge(messages)
        taken += len(messages)
    took = time.perf_counter() - started
    await stream.close([])
    return took


async def stored(dsn: str, name: str, broker: Broker, count: int) -> float:
    """Seconds in which a consumer stores so many messages; connecting does not count,

    as it does not where nothing is stored.
    """
    settings = Settings(most=MOST)
    consumer = Consumer(dsn, connecting(broker, name), "benchmark", settings)
    task = asyncio.create_task(consumer.run())
    while consumer.stream is None and not task.done():
        await asyncio.sleep(0.002)
    started = time.perf_counter()
    while consumer.consumed.messages < count and not task.done():
        await asyncio.sleep(0.01)
    took = time.perf_counter() - started
    consumer.stop()
    await task
    return took


async def plain_nats(broker: Broker, count: int) -> float:
    """Seconds in which the client's own `fetch` and `ack` do so many."""
    place, _, stream = broker.url.rpartition("/")
    client = await nats.connect(place)
    taken = await client.jetstream().pull_subscribe("", "plain", stream)
    started, done = time.perf_counter(), 0
    while done < count:
        messages = await taken.fetch(1000, timeout=5)
        for message in messages:
            await message.ack()
        done += len(messages)
    await client.flush()
    took = time.perf_counter() - started
    await client.close()
    return took


async def plain_mqtt(broker: Broker, count: int) -> float:
    """Seconds in which paho's own loop, acknowledging by hand, does so many."""
    address = parse_url(broker.url)
    host, port = address.hosts[0]
    done = 0

    def came(client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        nonlocal done
        client.ack(message.mid, message.qos)
        done += 1
        if done == count:
            client.disconnect()

    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id="plain",
        clean_session=False,
        manual_ack=True,
    )
    client.on_message = came
    client.connect(host, port or 1883)
    started = time.perf_counter()
    await asyncio.to_thread(client.loop_forever)
    return time.perf_counter() - started


Work = Callable[[Broker, int], Coroutine[Any, Any, float]]
PLAIN: dict[str, Work] = {"nats": plain_nats, "mqtt": plain_mqtt}


async def sessions(broker: Broker, name: str) -> None:
    """MQTT keeps messages for clients that it knows: make it know one."""
    if broker.kind == "mqtt":
        stream = await connecting(broker, name)()
        await stream.close([])


def measured(kind: str, bodies: Sequence[bytes], work: Work, name: str) -> float:
    """Seconds that a consumer takes for what lies ready in a broker of its own."""
    with BROKERS[kind]() as broker:
        asyncio.run(sessions(broker, name))
        broker.publish(bodies)
        return asyncio.run(work(broker, len(bodies)))


def one_by_one(server_dsn: str, kind: str, bodies: Sequence[bytes]) -> list[Measured]:
    """One event a message: stored, against only acknowledged."""
    count = len(bodies)
    plain = measured(kind, bodies, PLAIN[kind], "plain")
    alone = measured(kind, bodies, partial(ours, "ours"), "ours")
    with fresh(server_dsn) as dsn:
        took = measured(kind, bodies, partial(stored, dsn, "stored"), "stored")
        require_stored(dsn, count)
    return [
        Measured(
            f"{kind}, one event a message, messages/s",
            count / took,
            base / took,
            f"{who}, only acknowledging ({count / base:,.0f}/s)",
        )
        for who, base in (("the client's own loop", plain), ("our adapter", alone))
    ]


def arrays(server_dsn: str, count: int) -> Measured:
    """NATS with 100 events a message, against `load` of the same events."""
    frame = events(count, 500, 10)
    bodies = arrays_of(frame.to_dicts(), ARRAY)
    with tempfile.TemporaryDirectory() as folder, fresh(server_dsn) as dsn:
        path = Path(folder, "events.csv")
        frame.write_csv(path)
        _, said = load(dsn, path, _LOAD)
        loaded_s = said["seconds"]
        assert said["stored"] == frame.height
    with fresh(server_dsn) as dsn, nats_broker() as broker:
        broker.publish(bodies)
        took = asyncio.run(stored(dsn, "stored", broker, len(bodies)))
        require_stored(dsn, frame.height)
    return Measured(
        f"nats, arrays of {ARRAY}, events/s",
        frame.height / took,
        loaded_s / took,
        f"load ({frame.height / loaded_s:,.0f} rows/s)",
    )


def killed(server_dsn: str, kind: str, bodies: Sequence[bytes]) -> str:
    """kill -9 of `floorpulse consume` at ten random moments; nothing may be missing."""
    with fresh(server_dsn) as dsn, BROKERS[kind]() as broker:
        asyncio.run(sessions(broker, "stored"))
        broker.publish(bodies)
        group = ["--group", "stored"] if kind == "nats" else []
        options = ["--name", "stored", "--batch", "500", *group]
        for _ in range(KILLS):
            before = count_of(dsn)
            assert before < len(bodies), "all is stored: kills need more --rows"
            with consuming(dsn, broker.url, *options):
                while count_of(dsn) == before:
                    time.sleep(0.01)
                time.sleep(random.random() / 4)
        at_kill = count_of(dsn)
        with consuming(dsn, broker.url, *options):
            until = time.monotonic() + 180
            while count_of(dsn) < len(bodies) and time.monotonic() < until:
                time.sleep(0.2)
        require_stored(dsn, len(bodies))
    return f"{kind}: {KILLS} kills, {at_kill:,} stored at the last; none lost"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--kills", action="store_true", help="only the ten kills")
    parser.add_argument("--dsn", help="a server where databases may be created")
    options = parser.parse_args(arguments)
    steady()
    dsn = options.dsn or resolve_dsn()
    frame = events(options.rows, 500, 10)
    bodies = [orjson.dumps(document) for document in frame.to_dicts()]
    if options.kills:
        for kind in BROKERS:
            print(killed(dsn, kind, bodies), flush=True)
        return 0
    print("| what | per second | ratio | bar | of |")
    print("|---|---|---|---|---|")
    found = [line for kind in BROKERS for line in one_by_one(dsn, kind, bodies)]
    found.append(arrays(dsn, options.rows * 5))
    for line in found:
        print(
            f"| {line.what} | {line.per_s:,.0f} | {line.ratio:.2f} | {BAR} "
            f"| {line.of} |"
        )
    return 0 if all(line.ratio >= BAR for line in found) else 1


if __name__ == "__main__":
    sys.exit(main())
