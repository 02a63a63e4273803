"""A broker that is not there yet: its server is down, or nothing leads to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from etl.brokers.url import parse_url
from tests.support.brokers import Broker
from tests.support.ports import free_port


@dataclass
class Late:
    """Where the broker will be, and how to let it appear there."""

    url: str
    appear: Callable[[], Awaitable[asyncio.Server | None]]


@contextmanager
def late(broker: Broker) -> Iterator[Late]:
    """A broker that is stopped, where it can be; else a port that leads to it later."""
    if broker.kind in ("nats", "mqtt", "redis"):
        broker.stop()
        yield Late(broker.url, lambda: asyncio.to_thread(broker.start))
        return
    (_, port), *_ = parse_url(broker.url).hosts
    before = free_port()

    async def appear() -> asyncio.Server:
        return await asyncio.start_server(led_to(port or 0), "127.0.0.1", before)

    yield Late(broker.url.replace(f":{port}", f":{before}"), appear)


def led_to(
    port: int, heard: bytearray | None = None
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """What is said to one port is said to another, and answered from there.

    heard: all that the first was told.
    """

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, then = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(passed_on(reader, then, heard), passed_on(there, writer))

    return met


async def passed_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    heard: bytearray | None = None,
    pause_s: float = 0.0,
) -> None:
    """From one to the other until it ends; with a pause after each piece."""
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            if heard is not None:
                heard += data
            writer.write(data)
            await writer.drain()
            if pause_s:
                await asyncio.sleep(pause_s)
    writer.close()
