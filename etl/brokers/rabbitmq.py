"""RabbitMQ: one queue, acknowledged by hand, a whole batch with one frame."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

import aio_pika
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractIncomingMessage,
    AbstractQueue,
)
from aio_pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelClosed,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from aiormq.exceptions import ChannelAccessRefused

from etl.brokers.absent import said, unanswered
from etl.brokers.stream import Inbox, Message
from etl.brokers.url import Address
from sql.errors import BrokerError, BrokerGone

_LOST = (AMQPError, ChannelInvalidStateError, OSError, asyncio.TimeoutError)
_REFUSED = (
    AuthenticationError,
    ProbableAuthenticationError,
    ChannelAccessRefused,
    ChannelPreconditionFailed,
)
# How its client tells that a virtual host is not there, or not for us.
_NOT_OPENED = "Connection.OpenOk"
# How many messages may be here without being acknowledged, and of how many bytes as
# far as those before them tell.
_FIRST_PREFETCHED, _LEAST_PREFETCHED, _MOST_PREFETCHED = 32, 4, 65_535
_PREFETCHED_BYTES = 32 << 20
# Where large ones follow small ones: what is here is stored, and then all begins anew.
_LARGEST_INBOX = 64 << 20


class RabbitStream:
    """See Stream. Closing the channel gives back what was not acknowledged."""

    def __init__(self, connection: AbstractConnection, queue: str, most: int) -> None:
        self._connection, self._name, self._most = connection, queue, most
        self._inbox = Inbox()
        self._channel: AbstractChannel | None = None
        self._queue: AbstractQueue | None = None
        self._tag: str | None = None
        self._prefetched, self._is_over = 0, False
        self._asking: AbstractChannel | None = None
        self._held = 0

    async def begin(self) -> None:
        """Find the queue, or make a durable one, and listen."""
        try:
            channel = await self._connection.channel()
            queue = await channel.declare_queue(self._name, passive=True)
        except ChannelNotFoundEntity:
            channel = await self._connection.channel()
            queue = await self._made(channel)
        channel.close_callbacks.add(self._lost)
        self._connection.close_callbacks.add(self._lost)
        self._channel, self._queue = channel, queue
        await self._listen(_FIRST_PREFETCHED)

    async def _listen(self, count: int) -> None:
        """From now on so many messages may be here without being acknowledged.

        The broker counts them, not their bytes, and for a new consumer only.
        """
        if self._channel is None or self._queue is None:
            return
        if self._tag is not None:
            await self._queue.cancel(self._tag)
        await self._channel.set_qos(prefetch_count=count)
        self._tag = await self._queue.consume(self._came)
        self._prefetched = count

    async def _fit(self, messages: Sequence[Message]) -> None:
        """Let more or fewer come at once, as these are small or large."""
        size = sum(len(message.payload) for message in messages)
        fitting = len(messages) * _PREFETCHED_BYTES // max(size, 1)
        most = min(_MOST_PREFETCHED, 2 * self._most)
        count = max(_LEAST_PREFETCHED, min(fitting, most))
        now = self._prefetched
        if 2 * count <= now or now < count >= min(2 * now, most):
            await self._listen(count)

    async def _made(self, channel: AbstractChannel) -> AbstractQueue:
        return await channel.declare_queue(
            self._name, durable=True, arguments={"x-queue-type": "quorum"}
        )

    async def _came(self, message: AbstractIncomingMessage) -> None:
        if self._inbox.size > _LARGEST_INBOX:
            # From here on none is kept: the next connection is given them again.
            self._is_over = True
        if self._is_over:
            return
        self._held += 1
        source = f"amqp:{message.routing_key or self._name}"
        self._inbox.put(Message(message.body, source, message))

    def _lost(self, _sender: Any, error: BaseException | None = None) -> None:
        self._inbox.fail(BrokerGone(f"The connection to RabbitMQ was lost: {error}"))

    async def take(self, most: int, wait_s: float) -> list[Message]:
        """As Stream.take."""
        messages = await self._inbox.take(most, wait_s)
        if self._is_over and not self._held:
            raise BrokerGone("RabbitMQ: messages became too large for so many at once")
        if messages and not self._is_over:
            try:
                await self._fit(messages)
            except _LOST as error:
                raise BrokerGone(f"RabbitMQ: {error}") from error
        return messages

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """As Stream.acknowledge: the last tag stands for all before it."""
        self._inbox.check()
        try:
            await messages[-1].token.ack(multiple=True)
        except _LOST as error:
            raise BrokerGone(f"RabbitMQ: {error}") from error
        self._held -= len(messages)

    async def lag(self) -> int | None:
        """Messages that wait in the queue, and those that we hold."""
        try:
            if self._asking is None or self._asking.is_closed:
                self._asking = await self._connection.channel()
            queue = await self._asking.declare_queue(self._name, passive=True)
        except _LOST as error:
            raise BrokerGone(f"RabbitMQ: {error}") from error
        return (queue.declaration_result.message_count or 0) + self._held

    async def close(self, unfinished: Sequence[Message]) -> None:
        """As Stream.close."""
        del unfinished
        if self._channel is not None:
            self._channel.close_callbacks.discard(self._lost)
        self._connection.close_callbacks.discard(self._lost)
        await self._connection.close()


async def open_rabbitmq(address: Address, name: str, most: int) -> RabbitStream:
    """Connect to amqp://user:password@host/vhost?queue=name."""
    queue = address.options["queue"]
    host, port = address.hosts[0]
    user, password = quote(address.user or "guest"), address.password or "guest"
    port = port or (5671 if address.secure else 5672)
    options = {"name": f"floorpulse {name}", "heartbeat": "15"}
    url = (
        f"{address.scheme}://{user}:{quote(password, safe='')}@{host}:{port}/"
        f"{quote(address.path, safe='')}?{urlencode(options)}"
    )
    try:
        connection = await aio_pika.connect(url, timeout=10, ssl_context=address.tls())
    except _LOST as error:
        raise _told(address, error) from error
    stream = RabbitStream(connection, queue, most)
    try:
        await stream.begin()
    except _LOST as error:
        await connection.close()
        raise _told(address, error, f", queue {queue!r},") from error
    return stream


def _told(address: Address, error: BaseException, what: str = "") -> BrokerError:
    if isinstance(error, InvalidFrameError) and _NOT_OPENED in str(error):
        return BrokerError(
            f"{address.place} has no virtual host {address.path!r} for this user"
        )
    if isinstance(error, _REFUSED):
        return BrokerError(f"{address.place}{what} refuses: {said(error)}")
    if isinstance(error, ChannelClosed):
        return BrokerGone(f"{address.place}{what} is not ready: {said(error)}")
    return unanswered(address, error)
