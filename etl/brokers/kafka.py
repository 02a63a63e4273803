"""Kafka: a consumer group whose offsets are committed after the database."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Record

from etl.brokers.absent import require_tls, require_trust
from etl.brokers.stream import IDLE_S, Message, Portions
from etl.brokers.url import Address
from sql.errors import BadSetting, BrokerError, BrokerGone

T = TypeVar("T")
# What fails is told by us; in between nobody is asked twenty times a second.
_QUIET = {"log_level": 2, "reconnect.backoff.ms": 500}
# What the client fetches ahead, and at once: more only where one message is larger.
_BOUNDED = {"queued.max.messages.kbytes": 16_384, "fetch.max.bytes": 8 << 20}
_LARGEST_PORTION = 5_000
# A group that is new begins with what is there; nothing is committed by itself.
_ALWAYS = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "partition.assignment.strategy": "cooperative-sticky",
}
_REFUSED = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._AUTHENTICATION,
}
# Another process of the group has the partition now: it stores what we could not mark.
_MOVED = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._NO_OFFSET,
    KafkaError._ASSIGNMENT_LOST,
}
# Told in between; the client goes on by itself.
_PASSING = {KafkaError._PARTITION_EOF, KafkaError._TRANSPORT, KafkaError._TIMED_OUT}
_ANSWER_S = 10.0
# It is asked for its topics so often: in between the client tells how it fares.
_ASKED, _ASKED_S = 10, 1.0


class KafkaStream:
    """See Stream. The client blocks, so it has a thread of its own, and only one."""

    def __init__(self, client: Client, topic: str) -> None:
        self._client, self._topic = client, topic
        self._thread = ThreadPoolExecutor(1, "kafka")
        self._error: BrokerError | None = None
        self._reason: KafkaError | None = None
        self._portions = Portions(_LARGEST_PORTION)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work)
        except KafkaException as error:
            raise self._error or _told(error.args[0]) from error

    async def begin(self) -> None:
        """Find the topic, and join the group."""

        def join() -> None:
            error = self._topic_error()
            if error is not None:
                raise KafkaException(error)
            # One of a host's addresses may have failed before another answered.
            self._client.poll(0)
            self._error = None
            self._client.subscribe([self._topic])

        await self._in_thread(join)

    def _topic_error(self) -> KafkaError | None:
        """What is wrong with the topic; raises why no broker says so."""
        for left in reversed(range(_ASKED)):
            try:
                found = self._client.list_topics(self._topic, timeout=_ASKED_S)
            except KafkaException as failed:
                self._client.poll(0)
                if self._error is not None:
                    raise self._error from failed
                if not left:
                    raise self._absent(self._reason or failed.args[0]) from failed
            else:
                break
        error: KafkaError | None = found.topics[self._topic].error
        return error

    def failed(self, error: KafkaError) -> None:
        """What the client tells of itself: only an end of all brokers ends us."""
        if error.code() in _REFUSED or _is_no_trust(error):
            self._error = _told(error)
        elif error.code() == KafkaError._ALL_BROKERS_DOWN or error.fatal():
            self._error = self._error or self._absent(self._reason or error)
        else:
            self._reason = error

    def _absent(self, reason: KafkaError) -> BrokerError:
        return BrokerGone(f"Kafka does not answer: {reason.str()}")

    async def take(self, most: int, wait_s: float) -> list[Message]:
        """As Stream.take."""
        messages = await self._in_thread(lambda: self._portion(1, IDLE_S))
        if messages and most > 1:
            messages = await self._in_thread(lambda: self._more(messages, most, wait_s))
        if self._error is not None:
            raise self._error
        return messages

    def _more(self, messages: list[Message], most: int, wait_s: float) -> list[Message]:
        """These and what comes for so long, until it is enough."""
        until = time.monotonic() + wait_s
        while asked := self._portions.count(messages, most):
            left_s = max(until - time.monotonic(), 0)
            found = self._portion(asked, left_s)
            self._portions.came(found)
            messages += found
            if not left_s:
                break
        return messages

    def _portion(self, most: int, wait_s: float) -> list[Message]:
        records = self._client.consume(most, wait_s)
        return [self._message(record) for record in records if _is_record(record)]

    def _message(self, record: Record) -> Message:
        token = (record.topic(), record.partition(), record.offset())
        # No value (a tombstone) says that something ended: no event.
        return Message(record.value() or b"", f"kafka:{self._topic}", token)

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """As Stream.acknowledge: the next offset of each partition."""
        following: dict[tuple[str, int], int] = {}
        for message in messages:
            topic, partition, offset = message.token
            following[topic, partition] = offset + 1
        offsets = [TopicPartition(*place, at) for place, at in following.items()]

        def commit() -> None:
            try:
                self._client.commit(offsets=offsets, asynchronous=False)
            except KafkaException as error:
                if error.args[0].code() not in _MOVED:
                    raise

        await self._in_thread(commit)

    async def lag(self) -> int | None:
        """Records of our partitions that are not committed."""

        def count() -> int | None:
            ours = self._client.assignment()
            behind = 0
            for place in (
                self._client.committed(ours, timeout=_ANSWER_S) if ours else []
            ):
                low, high = self._client.get_watermark_offsets(place, timeout=_ANSWER_S)
                behind += high - (place.offset if place.offset >= 0 else low)
            return behind

        return await self._in_thread(count)

    async def close(self, unfinished: Sequence[Message]) -> None:
        """As Stream.close: leaves the group, whose others go on at once."""
        del unfinished
        await self._in_thread(self._client.close)
        self._thread.shutdown()


def _is_record(record: Record) -> bool:
    error = record.error()
    if error is None:
        return True
    if error.code() in _PASSING:
        return False
    raise _told(error)


def _is_no_trust(error: KafkaError) -> bool:
    """Whether TLS was refused; one side may also just have left."""
    return error.code() == KafkaError._SSL and "Disconnected" not in error.str()


def _context(address: Address) -> ssl.SSLContext:
    """What TLS trusts and shows, as its client has it: to ask why it was refused."""
    given = address.options
    context = ssl.create_default_context(cafile=given.get("ssl.ca.location"))
    if given.get("enable.ssl.certificate.verification") == "false":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if given.get("ssl.endpoint.identification.algorithm") == "none":
        context.check_hostname = False
    if "ssl.certificate.location" in given:
        password = given.get("ssl.key.password", "")
        files = given["ssl.certificate.location"], given.get("ssl.key.location")
        context.load_cert_chain(*files, password)
    return context


def _told(error: KafkaError) -> BrokerError:
    kind = BrokerError if error.code() in _REFUSED else BrokerGone
    return kind(f"Kafka: {error.str()}")


async def open_kafka(address: Address, group: str, name: str) -> KafkaStream:
    """Connect to kafka://host,host/topic; ?options with a dot are librdkafka's own."""
    brokers = ",".join(f"{host}:{port or 9092}" for host, port in address.hosts)
    stream: list[KafkaStream] = []

    def failed(error: KafkaError) -> None:
        for each in stream:
            each.failed(error)

    own: dict[str, Any] = {
        "bootstrap.servers": brokers,
        "group.id": group,
        "client.id": f"floorpulse-{name}",
        "error_cb": failed,
    }
    if address.user is not None:
        own |= {"sasl.username": address.user, "sasl.password": address.password or ""}
    try:
        client = Client(_QUIET | _BOUNDED | address.given() | own | _ALWAYS)
    except KafkaException as error:
        raise BadSetting(f"Kafka: {error.args[0].str()}") from error
    stream.append(KafkaStream(client, address.path))
    try:
        await stream[0].begin()
    except BrokerError:
        await stream[0].close([])
        if "ssl" in address.options.get("security.protocol", "").lower():
            await require_tls(address)
            # Where its client reads certificates in a way of its own, it is waited for.
            with suppress(OSError):
                await require_trust(address, _context(address))
        raise
    return stream[0]
