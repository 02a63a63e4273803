"""MQTT 3.1.1: QoS 1, a session that outlives the process, acknowledged by hand.

The client is driven by the event loop, without a thread of its own: what is received,
stored and acknowledged stays in one order. It never reconnects by itself: an
acknowledgement of an old connection could name another message on a new one. Where more
comes than can be stored, the socket is not read, and the broker has to wait.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from etl.brokers.absent import require_tls, unanswered
from etl.brokers.stream import Inbox, Message
from etl.brokers.url import Address
from sql.errors import BrokerError, BrokerGone

log = logging.getLogger(__name__)

KEEPALIVE_S = 30
ANSWER_S = 10.0
_MISC_S = 1.0
_PIECE = 1 << 16
# Reasons that a new attempt will not mend: names, passwords, rights.
_REFUSED = range(0x84, 0x88)


class _Buffered(Client):
    """Reads and writes the socket in large pieces, where the client wants single bytes.

    Several system calls a message would each hand the interpreter to another thread. A
    client that asks in some other way than this is slower, and no less right.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, **options)
        self._piece, self._at = b"", 0
        self._going = bytearray()
        self.gathers = False
        # What the client keeps to itself: why TLS ended the connection.
        self.refused: ssl.SSLError | None = None

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at == len(self._piece):
            try:
                self._piece, self._at = super()._sock_recv(_PIECE), 0
            except ssl.SSLError as error:
                self.refused = error
                raise
        start, self._at = self._at, min(self._at + bufsize, len(self._piece))
        return self._piece[start : self._at]

    @property
    def buffered(self) -> bool:
        """Whether there is more that no selector knows of."""
        return self._at < len(self._piece)

    def is_open(self, opened: Any) -> bool:
        """Whether this is the connection there is."""
        return opened is not None and self.socket() is opened

    def _sock_send(self, buf: bytes | bytearray) -> int:
        if not self.gathers:
            return super()._sock_send(buf)
        self._going += buf
        return len(buf)

    def want_write(self) -> bool:
        """Also where a packet is gathered, but not gone."""
        return bool(self._going) or super().want_write()

    def loop_write(self) -> MQTTErrorCode:
        """All packets that are to go, in as few pieces as the socket takes."""
        said = super().loop_write()
        with suppress(BlockingIOError):
            while self._going:
                sent = super()._sock_send(self._going[:_PIECE])
                del self._going[:sent]
        if not self.want_write():
            self._call_socket_unregister_write()
        return said


class MqttStream:
    """See Stream. The broker does not tell how much it holds: there is no lag."""

    def __init__(self, address: Address, topic: str, name: str, most: int) -> None:
        self._address, self._topic, self._most = address, topic, most
        self._inbox = Inbox()
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[None] = self._loop.create_future()
        self._socket: Any = None
        self._reads = False
        self._task: asyncio.Task[None] | None = None
        self._client = _Buffered(
            client_id=name,
            clean_session=False,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        if address.user is not None:
            self._client.username_pw_set(address.user, address.password)
        context = address.tls()
        if context is not None:
            self._client.tls_set_context(context)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._came

    async def begin(self) -> None:
        """Connect, and subscribe: twice is harmless, a session remembers it."""
        host, port = self._address.hosts[0]
        port = port or (8883 if self._address.secure else 1883)
        await asyncio.to_thread(self._client.connect, host, port, KEEPALIVE_S)
        self._attach()
        self._task = asyncio.create_task(self._misc())
        await asyncio.wait_for(self._answer, ANSWER_S)

    def _attach(self) -> None:
        """From here on the event loop reads and writes for the client."""
        loop, client = self._loop, self._client
        opened: Any = client.socket()
        self._socket = opened

        def wants_write(*_: object) -> None:
            loop.add_writer(opened, client.loop_write)

        def has_written(*_: object) -> None:
            loop.remove_writer(opened)

        def closes(*_: object) -> None:
            self._reads = False
            loop.remove_reader(opened)
            loop.remove_writer(opened)

        client.on_socket_register_write = wants_write
        client.on_socket_unregister_write = has_written
        client.on_socket_close = closes
        client.gathers = True
        self._read_on()

    def _read_on(self) -> None:
        """Read again where little is left to take."""
        if self._reads or not self._client.is_open(self._socket):
            return
        if not self._inbox.holds(self._most):
            self._reads = True
            self._loop.add_reader(self._socket, self._readable)
            # What the client holds already, no selector tells of.
            self._loop.call_soon(self._readable)

    def _readable(self) -> None:
        """Read what is there: the client takes one packet at a time."""
        opened = self._socket
        pending = True
        while pending and self._client.is_open(opened):
            if self._inbox.holds(2 * self._most):
                self._reads = False
                self._loop.remove_reader(opened)
                return
            self._client.loop_read()
            pending = self._client.buffered or (
                self._address.secure
                and self._client.is_open(opened)
                and opened.pending() > 0
            )

    async def _misc(self) -> None:
        """Pings, and that no answer to one came."""
        while True:
            await asyncio.sleep(_MISC_S)
            self._client.loop_misc()

    def _connected(
        self,
        client: Client,
        _data: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            self._fail(_refusal(reason, self._address))
            return
        session = "kept" if flags.session_present else "new"
        fields = {"action": "connected", "session": session}
        log.info("connected to %s", self._address.place, extra=fields)
        try:
            client.subscribe(self._topic, 1)
        except ValueError as error:
            self._fail(BrokerError(f"{self._topic!r} is no topic filter: {error}"))

    def _subscribed(
        self, _c: object, _d: object, _mid: int, reasons: list[ReasonCode], _p: object
    ) -> None:
        place, reason = self._address.place, reasons[0]
        if reason.is_failure:
            said = f"{place} does not let us read {self._topic!r}: {reason}"
            self._fail(BrokerError(said))
        elif reason.value < 1:
            said = f"{place} grants QoS 0 only: messages would be lost"
            self._fail(BrokerError(said))
        else:
            self._begun()

    def _begun(self) -> None:
        """It is subscribed: the broker says so, or sends what the session holds."""
        if not self._answer.done():
            self._answer.set_result(None)

    def _disconnected(
        self, _c: object, _d: object, _flags: object, reason: ReasonCode, _p: object
    ) -> None:
        place = self._address.place
        if self._client.refused is not None:
            self._fail(unanswered(self._address, self._client.refused))
        elif not self._answer.done():
            said = f"{place} hangs up ({reason}); at a port of TLS the URL is mqtts://"
            self._fail(BrokerGone(said))
        else:
            said = (
                f"The connection to {place} was lost ({reason}); where that happens "
                "all the time, another process has the same --name"
            )
            self._fail(BrokerGone(said))

    def _fail(self, error: BrokerError) -> None:
        self._inbox.fail(error)
        if not self._answer.done():
            self._answer.set_exception(error)

    def _came(self, _client: object, _data: object, message: MQTTMessage) -> None:
        self._begun()
        token = (message.mid, message.qos)
        source = f"mqtt:{_topic_of(message)}"
        self._inbox.put(Message(bytes(message.payload), source, token))

    async def take(self, most: int, wait_s: float) -> list[Message]:
        """As Stream.take."""
        messages = await self._inbox.take(most, wait_s)
        self._read_on()
        return messages

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """As Stream.acknowledge."""
        self._inbox.check()
        for message in messages:
            self._client.ack(*message.token)

    def publish(self, topic: str, payload: bytes) -> None:
        """Say something to senders, from any thread; nobody tells whether it came."""
        self._loop.call_soon_threadsafe(self._client.publish, topic, payload)

    async def lag(self) -> int | None:
        """MQTT has no question for it."""
        return None

    async def close(self, unfinished: Sequence[Message]) -> None:
        """As Stream.close; the session keeps what is unfinished."""
        del unfinished
        with suppress(TimeoutError):
            await asyncio.wait_for(self._flushed(), ANSWER_S)
        if self._task is not None:
            self._task.cancel()
        self._client.on_disconnect = None
        self._client.on_socket_register_write = None
        self._client.gathers = False
        self._client.disconnect()

    async def _flushed(self) -> None:
        while self._client.want_write() and self._client.is_connected():
            await asyncio.sleep(0.01)


def _topic_of(message: MQTTMessage) -> str:
    try:
        return message.topic
    except UnicodeDecodeError:
        return "(a topic that is no UTF-8)"


def _refusal(reason: ReasonCode, address: Address) -> BrokerError:
    kind = BrokerError if reason.value in _REFUSED else BrokerGone
    return kind(f"{address.place} refuses: {reason}")


async def open_mqtt(
    address: Address, group: str | None, name: str, most: int
) -> MqttStream:
    """Connect as `name` and subscribe to the URL's topic, shared within a group."""
    topic = f"$share/{group}/{address.path}" if group else address.path
    stream = MqttStream(address, topic, name, most)
    try:
        await stream.begin()
    except (OSError, TimeoutError) as error:
        await stream.close([])
        if address.secure:
            await require_tls(address)
        raise unanswered(address, error) from error
    except BrokerError:
        await stream.close([])
        raise
    return stream
