"""NATS JetStream: a durable pull consumer, shared by all processes of a group."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import api

from etl.brokers.absent import unanswered
from etl.brokers.stream import Inbox, Message
from etl.brokers.url import Address
from sql.errors import BrokerError, BrokerGone

# A message that is not acknowledged for so long is given to somebody else.
ACK_WAIT_S = 60
# Of all processes of a group together.
MOST_UNACKNOWLEDGED = 100_000
# Of bytes that are asked for at once. A server cuts a client for which more than
# max_pending (64 MB unless it says otherwise) waits in it, or which has not read what
# waits within write_deadline (10 s).
FIRST_PULL = 8 << 20
LEAST_PULL = 256 << 10
# The largest message that a server can be told to allow, with its subjects.
LARGEST_PULL = 65 << 20
# A connection that lasted for so long did not end for what was asked for.
_LONG_S = 600.0
_PULL_S = 10.0
_CLOSE_S = 1.0
_AGAIN_S = 0.2
_NAK = b"-NAK"
_LOST = (nats.errors.Error, OSError, asyncio.TimeoutError)
# Statuses that end one pull and no more.
_NO_MESSAGES, _TIMEOUT, _CONFLICT, _NOBODY = "404", "408", "409", "503"
_FATAL = ("Consumer Deleted", "Consumer is push based", "Consumer not found")
_FULL = "Message Size Exceeds MaxBytes"


class _NoTls(nats.errors.Error):
    """Where nats+tls:// is wanted."""

    def __str__(self) -> str:
        return "it speaks no TLS, and nats+tls:// wants it"


# What no waiting mends: of the client, and as the server says it.
_REFUSED = (_NoTls, nats.js.errors.BadRequestError)
_REFUSED_WORDS = "(?i)authorization violation|authentication (revoked|expired)|permiss"


class _Secured(Client):
    """Says nothing, and no password, to a server that does not speak TLS.

    The client itself leaves it to the server whether TLS is spoken.
    """

    def _connect_command(self) -> bytes:
        if not self._server_info.get("tls_required"):
            raise _NoTls
        return super()._connect_command()


@dataclass
class Pull:
    """What is on its way: one pull at a time; its size outlives the connection.

    size: bytes to ask for; asked, left: messages; number: which pull it is.
    """

    size: int = FIRST_PULL
    asked: int = 0
    left: int = 0
    number: int = 0

    def begin(self, most: int) -> None:
        """The next one."""
        self.number += 1
        self.asked = self.left = most

    def full(self) -> bool:
        """It ends before a message that has no room in it: the next may need more.

        False: nothing larger can be asked for.
        """
        before = self.size
        if self.left == self.asked:
            self.size = min(2 * self.size, LARGEST_PULL)
        is_well = self.left < self.asked or self.size > before
        self.left = 0
        return is_well

    def cut(self, lived_s: float) -> None:
        """The connection ended after so long: perhaps it was too much at once."""
        if self.left > 0:
            before = self.size if lived_s < _LONG_S else FIRST_PULL
            self.size = max(before // 2, LEAST_PULL)
        self.left = 0


class NatsStream:
    """See Stream. Pulls ahead: a batch is on its way while one is worked on."""

    def __init__(
        self, client: Client, address: Address, group: str, most: int, pull: Pull
    ) -> None:
        self._client, self._js, self._pull = client, client.jetstream(), pull
        self._stream, _, self._subject = address.path.partition("/")
        self._group, self._most = group, most
        self._inbox = Inbox()
        self._reply = client.new_inbox()
        self._listening: Subscription | None = None
        self._opened_at, self._pulled_at = time.monotonic(), 0.0

    async def begin(self) -> None:
        """Find or make the consumer, and listen."""
        try:
            config = (await self._js.consumer_info(self._stream, self._group)).config
        except nats.js.errors.NotFoundError:
            config = await self._make()
        _require_fit(config, self._subject)
        self._listening = await self._client.subscribe(
            f"{self._reply}.*", cb=self._came, pending_msgs_limit=-1
        )

    async def _make(self) -> api.ConsumerConfig:
        wanted = api.ConsumerConfig(
            durable_name=self._group,
            description="floorpulse consume",
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_deliver=-1,
            max_ack_pending=MOST_UNACKNOWLEDGED,
            filter_subject=self._subject or None,
        )
        try:
            return (await self._js.add_consumer(self._stream, wanted)).config
        except nats.js.errors.NotFoundError as error:
            raise BrokerError(
                f"NATS has no stream {self._stream!r}: make it (nats stream add "
                f"{self._stream} --subjects 'floor.>' --storage file), or name another"
            ) from error

    async def _came(self, msg: Msg) -> None:
        again = False
        if msg.headers is not None and "Status" in msg.headers and not msg.reply:
            again = self._status(msg.headers, msg.subject)
        else:
            self._pull.left -= 1
            again = self._pull.left <= 0
            self._inbox.put(Message(msg.data, f"nats:{msg.subject}", msg.reply))
        if again:
            with suppress(BrokerGone):
                await self._ask()

    def _status(self, headers: dict[str, str], subject: str) -> bool:
        """Whether it is the end of our pull, and one that lets us ask again at once."""
        code, said = headers["Status"], headers.get("Description", "")
        if code == _NOBODY:
            self._inbox.fail(BrokerGone("NATS: JetStream does not answer"))
        if code == _CONFLICT and said.startswith(_FATAL):
            self._inbox.fail(BrokerGone(f"NATS: {said}"))
        # One that was taken for lost may still be answered.
        if subject != f"{self._reply}.{self._pull.number}":
            return False
        if code == _CONFLICT and said == _FULL:
            return self._pull.full()
        if code in (_NO_MESSAGES, _TIMEOUT, _CONFLICT):
            self._pull.left = 0
        return code == _TIMEOUT

    def lost(self) -> None:
        """The connection has ended."""
        self._pull.cut(time.monotonic() - self._opened_at)
        self._inbox.fail(BrokerGone("The connection to NATS was lost"))

    async def take(self, most: int, wait_s: float) -> list[Message]:
        """As Stream.take."""
        await self._ask()
        messages = await self._inbox.take(most, wait_s)
        await self._ask()
        return messages

    async def _ask(self) -> None:
        """For more where nothing is on its way; forget a pull that was lost."""
        now = time.monotonic()
        is_lost = now > self._pulled_at + 2 * _PULL_S
        if (self._pull.left > 0 and not is_lost) or self._inbox.holds(self._most):
            return
        asked = {
            "batch": self._most,
            "max_bytes": self._pull.size,
            "expires": int(_PULL_S * 1e9),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._group}"
        self._pull.begin(self._most)
        self._pulled_at = now
        reply = f"{self._reply}.{self._pull.number}"
        await self._send(subject, json.dumps(asked).encode(), reply)

    async def _send(self, subject: str, data: bytes = b"", reply: str = "") -> None:
        self._inbox.check()
        try:
            await self._client.publish(subject, data, reply)
        except _LOST as error:
            raise BrokerGone(f"NATS: {error}") from error

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """As Stream.acknowledge."""
        for message in messages:
            await self._send(message.token)

    async def lag(self) -> int | None:
        """Messages not delivered yet, and those that nobody has acknowledged."""
        try:
            info = await self._js.consumer_info(self._stream, self._group)
        except _LOST as error:
            raise BrokerGone(f"NATS: {error}") from error
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def close(self, unfinished: Sequence[Message]) -> None:
        """As Stream.close; what is given back comes at once, to whoever asks first."""
        self._pull.left = 0
        try:
            if self._client.is_connected:
                await self._give_back(unfinished)
        except _LOST as error:
            raise BrokerGone(f"NATS: {error}") from error
        finally:
            await self._client.close()

    async def _give_back(self, unfinished: Sequence[Message]) -> None:
        # First nobody listens any more: a pull of ours would get them all once more.
        if self._listening is not None:
            await self._listening.unsubscribe()
            await self._client.flush()
        # The server may spend a message on that pull all the same, and then keep it for
        # ACK_WAIT_S (seen with NATS 2.9): what nobody has got by then is given again.
        messages = [*unfinished, *self._inbox.left()]
        for pause_s in (0.0, _AGAIN_S if messages else 0.0):
            await asyncio.sleep(pause_s)
            for message in messages:
                await self._send(message.token, _NAK)
            await self._client.flush()


def _require_fit(config: api.ConsumerConfig, subject: str) -> None:
    """A consumer that was made by others must not lose anything."""
    said = None
    if config.deliver_subject:
        said = "it is a push consumer"
    elif config.ack_policy != api.AckPolicy.EXPLICIT:
        said = "it does not want every message acknowledged (AckPolicy explicit)"
    elif (config.max_deliver or -1) > 0:
        said = f"it gives a message up after {config.max_deliver} deliveries"
    elif (config.filter_subject or "") != subject:
        said = f"its subject is {config.filter_subject!r}, not {subject!r}"
    if said:
        name = config.durable_name
        raise BrokerError(f"The consumer {name!r} does not fit: {said}. Use --group")


async def open_nats(
    address: Address, group: str, name: str, most: int, pull: Pull | None = None
) -> NatsStream:
    """Connect to a server or a cluster, to STREAM or STREAM/subject.

    pull: what the connections before have taught on how much may come at once.
    """
    client = _Secured() if address.secure else Client()
    stream: list[NatsStream] = []
    # The latest of what failed: the client itself then tells of its consequence only.
    reasons: list[BaseException] = []

    async def closed() -> None:
        for each in stream:
            each.lost()

    async def failed(error: Exception) -> None:
        reasons[:] = [error]

    try:
        await client.connect(
            disconnected_cb=closed,
            closed_cb=closed,
            error_cb=failed,
            **_options(address, name),
        )
        reasons.clear()
        stream.append(NatsStream(client, address, group, most, pull or Pull()))
        await stream[0].begin()
    except _LOST as error:
        # What was opened before it failed stays open else. TLS may wait for its end.
        with suppress(*_LOST):
            await asyncio.wait_for(client.close(), _CLOSE_S)
        raise _told(address, [*reasons, error]) from error
    except BrokerError:
        await client.close()
        raise
    return stream[0]


def _options(address: Address, name: str) -> dict[str, Any]:
    """How to connect: once, and never again by itself."""
    options: dict[str, Any] = {
        "servers": [f"nats://{host}:{port or 4222}" for host, port in address.hosts],
        "name": f"floorpulse {name}",
        "allow_reconnect": False,
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": 0,
        "connect_timeout": 5,
        "ping_interval": 10,
        "tls": address.tls(),
        "skip_subject_validation": True,
        **address.given(),
    }
    if "credentials" in options:
        options["user_credentials"] = options.pop("credentials")
    if address.user is not None:
        options |= {"user": address.user, "password": address.password or ""}
    return options


def _told(address: Address, errors: Sequence[BaseException]) -> BrokerError:
    """What they mean; the first says most."""
    for error in errors:
        if isinstance(error, _REFUSED) or re.search(_REFUSED_WORDS, str(error)):
            return BrokerError(f"{address.place} refuses: {error}")
    return unanswered(address, errors[0])
