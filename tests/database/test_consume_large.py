"""Large messages: all of them come, and what waits for us stays bounded in bytes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from etl.brokers.choose import opening
from etl.brokers.nats import FIRST_PULL, LARGEST_PULL, LEAST_PULL, Pull
from etl.brokers.stream import Stream
from etl.brokers.url import parse_url
from sql.errors import BrokerGone
from tests.support.brokers import BROKERS, Broker, nats_broker
from tests.support.late import passed_on
from tests.support.ports import free_port

pytestmark = pytest.mark.xdist_group("brokers")
MB = 1 << 20


def bodies(*sizes: int) -> list[bytes]:
    """A message of each size, no two alike."""
    return [b"%08d" % at + b"x" * (size - 8) for at, size in enumerate(sizes)]


async def taken(stream: Stream, wanted: set[bytes], most: int = 64 * MB) -> None:
    """Take and acknowledge until nothing is missing any more, so much at once."""
    until = asyncio.get_running_loop().time() + 30
    while wanted:
        assert asyncio.get_running_loop().time() < until, len(wanted)
        messages = await stream.take(1000, 0.01)
        assert sum(len(message.payload) for message in messages) <= most
        if messages:
            await stream.acknowledge(messages)
        wanted -= {message.payload for message in messages}


@pytest.fixture(params=["redis", "rabbitmq", "nats"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    if request.param == "rabbitmq":
        yield request.getfixturevalue("rabbitmq")
        return
    with BROKERS[request.param]() as started:
        yield started


def test_messages_that_grow_are_taken_fewer_at_a_time(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All bounds are a sixteenth here: what is taken, what waits, what is asked for."""
    monkeypatch.setattr("etl.brokers.stream.MOST_BYTES", MB)
    monkeypatch.setattr("etl.brokers.stream.PORTION_BYTES", MB // 4)
    monkeypatch.setattr("etl.brokers.redis._LARGEST_PORTION", 20)
    monkeypatch.setattr("etl.brokers.rabbitmq._PREFETCHED_BYTES", 2 * MB)
    monkeypatch.setattr("etl.brokers.rabbitmq._LARGEST_INBOX", 4 * MB)
    sent = bodies(*[200] * 1000, *[100_000] * 100, *[200] * 1000)
    broker.publish(sent)

    async def run() -> int:
        connect = opening(parse_url(broker.url), None, "one", 500)
        wanted, begun = set(sent), 0
        while wanted:
            stream, begun = await connect(), begun + 1
            with suppress(BrokerGone):
                await taken(stream, wanted, 3 * MB)
            await stream.close([])
        return begun

    # RabbitMQ has sent what was too much when that is seen: then all is begun anew.
    assert asyncio.run(run()) <= (3 if broker.kind == "rabbitmq" else 1)


def test_nats_messages_as_large_as_the_server_allows() -> None:
    """Larger than what is asked for at first, between small ones."""
    sent = bodies(100, 12 * MB, 100, MB, 12 * MB, 100)

    async def run(broker: Broker) -> None:
        stream = await opening(parse_url(broker.url), None, "one", 1000)()
        await taken(stream, set(sent))
        while await stream.lag():
            await asyncio.sleep(0.01)
        await stream.close([])

    with nats_broker(f"max_payload: {12 * MB}") as broker:
        broker.publish(sent)
        asyncio.run(run(broker))


def test_a_nats_that_cuts_a_slow_link_is_asked_for_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It lets 2 MB wait for a client; what the link takes at once is less than 8 MB."""
    monkeypatch.setattr("etl.brokers.nats.ACK_WAIT_S", 1)
    sent = bodies(*[MB // 2] * 30)

    async def run(broker: Broker) -> int:
        (_, port), *_ = parse_url(broker.url).hosts
        between, wanted = free_port(), set(sent)
        cuts = 0
        link = await slow_link(port or 0, between)
        url = broker.url.replace(f":{port}", f":{between}")
        connect = opening(parse_url(url), None, "one", 1000)
        while wanted:
            stream = await connect()
            try:
                await taken(stream, wanted)
            except BrokerGone:
                cuts += 1
            await stream.close([])
        link.close()
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.01)
        return cuts

    with nats_broker(f"max_pending: {2 * MB}") as broker:
        broker.publish(sent)
        assert asyncio.run(run(broker)) in range(1, 5)


async def slow_link(port: int, before: int) -> asyncio.Server:
    """What comes from a port comes slowly, and little of it waits on the way."""

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        narrow.connect(("127.0.0.1", port))
        there, then = await asyncio.open_connection(sock=narrow)
        slowly = passed_on(there, writer, pause_s=0.002)
        await asyncio.gather(passed_on(reader, then), slowly)

    return await asyncio.start_server(met, "127.0.0.1", before)


def test_how_much_nats_is_asked_for() -> None:
    """More where a message has no room, less where the connection was cut."""
    pull = Pull()
    for _ in range(5):
        pull.begin(100)
        pull.full()
    assert pull.size == LARGEST_PULL
    pull.begin(100)
    assert not pull.full()
    for left, lived_s, size in (
        (0, 1, LARGEST_PULL),
        (50, 1, LARGEST_PULL // 2),
        (100, 1, LARGEST_PULL // 4),
        (50, 3600, FIRST_PULL // 2),
    ):
        pull.begin(100)
        pull.left = left
        pull.cut(lived_s)
        assert pull.size == size
    for _ in range(20):
        pull.begin(100)
        pull.cut(1)
    assert pull.size == LEAST_PULL
