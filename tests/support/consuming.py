"""Consumers in a test's own process, of a broker that is really there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from etl.brokers.choose import label, opening
from etl.brokers.consume import Consumed, Consumer, Opening, Reading, Settings
from etl.brokers.url import parse_url
from tests.support.brokers import Broker
from tests.support.http import event

START = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)


def payloads(count: int, worker: str = "W1") -> list[bytes]:
    """Events of one worker, a second apart."""
    return [
        json.dumps(
            event(time=(START + timedelta(seconds=n)).isoformat(), worker_id=worker)
        ).encode()
        for n in range(count)
    ]


def connecting(
    broker: Broker,
    name: str = "one",
    group: str | None = None,
    read: Reading | None = None,
) -> Opening:
    return opening(parse_url(broker.url), group, name, 500, read)


def subscribe(broker: Broker, name: str = "one", group: str | None = None) -> None:
    """MQTT keeps messages for sessions that are there: begin one."""

    async def once() -> None:
        stream = await connecting(broker, name, group)()
        await stream.close([])

    if broker.kind == "mqtt":
        asyncio.run(once())


def consume(
    dsn: str,
    broker: Broker,
    enough: Callable[[Consumed], bool],
    names: Sequence[str] = ("one",),
    group: str | None = None,
    **settings: Any,
) -> list[Consumed]:
    """Consumers in this process, one a name, until together they have had enough."""

    async def run() -> list[Consumed]:
        source = label(parse_url(broker.url))
        consumers = [
            Consumer(
                dsn,
                connecting(broker, name, group, settings.get("read")),
                source,
                Settings(most=500, wait_s=0.02, **settings),
            )
            for name in names
        ]
        tasks = [asyncio.create_task(each.run()) for each in consumers]
        until = asyncio.get_running_loop().time() + 60
        while not enough(total([each.consumed for each in consumers])):
            for task in tasks:
                if task.done():
                    task.result()
            assert asyncio.get_running_loop().time() < until, consumers[0].consumed
            await asyncio.sleep(0.02)
        for each in consumers:
            each.stop()
        await asyncio.gather(*tasks)
        return [each.consumed for each in consumers]

    return asyncio.run(run())


def total(parts: Sequence[Consumed]) -> Consumed:
    names = ("messages", "read", "stored", "duplicates", "parked", "failed")
    return Consumed(**{name: sum(getattr(p, name) for p in parts) for name in names})


def lag(broker: Broker, name: str = "one", group: str | None = None) -> int | None:
    async def ask() -> int | None:
        stream = await connecting(broker, name, group)()
        try:
            if broker.kind == "kafka":
                # Partitions are known once the group has been joined.
                for _ in range(40):
                    await stream.take(1, 0)
                    if found := await stream.lag():
                        return found
            return await stream.lag()
        finally:
            await stream.close([])

    return asyncio.run(ask())


async def until(happened: Callable[[], bool]) -> None:
    end = asyncio.get_running_loop().time() + 60
    while not happened():
        assert asyncio.get_running_loop().time() < end, "waited in vain"
        await asyncio.sleep(0.02)
