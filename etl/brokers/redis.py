"""Redis Streams: a consumer group; what a process that died had taken is claimed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from etl.brokers.absent import require_tls, unanswered
from etl.brokers.stream import IDLE_S, Message, Portions
from etl.brokers.url import Address
from sql.errors import BrokerError, BrokerGone

# What another process has held for so long without a sign of life is taken over.
CLAIM_AFTER_S = 60.0
_CLAIM_EVERY_S = 10.0
# Entries in one answer, which is in memory as a whole.
_LARGEST_PORTION = 250
_LOST = (RedisError, OSError, asyncio.TimeoutError)
# Answers that time may mend: a replica that becomes the primary, memory that is freed.
_PASSING = (ReadOnlyError, ClusterDownError, TryAgainError, OutOfMemoryError)
# The same, of those without a class: writes are stopped, a script runs.
_PASSING_WORDS = ("MISCONF", "BUSY ", "NOREPLICAS")


class RedisStream:
    """See Stream. Begins with what this name had taken and not acknowledged."""

    def __init__(self, client: Redis, key: str, group: str, name: str) -> None:
        self._client, self._key, self._group, self._name = client, key, group, name
        # Own pending entries come first, from the oldest on; then new ones (">").
        self._after = b"0"
        self._claim_at = time.monotonic()
        self._portion = Portions(_LARGEST_PORTION)

    async def begin(self) -> None:
        """Make the group, and the stream where there is none yet."""
        try:
            await self._client.xgroup_create(self._key, self._group, "0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def take(self, most: int, wait_s: float) -> list[Message]:
        """As Stream.take."""
        try:
            messages = await self._portions([], most, int(IDLE_S * 1000))
            if messages and self._portion.count(messages, most):
                await asyncio.sleep(wait_s)
                messages = await self._portions(messages, most, None)
        except _LOST as error:
            raise BrokerGone(f"Redis: {error}") from error
        return messages

    async def _portions(
        self, messages: list[Message], most: int, block_ms: int | None
    ) -> list[Message]:
        """These and what there is beside them, until it is enough."""
        while asked := self._portion.count(messages, most):
            found = await self._read(asked, block_ms)
            self._portion.came(found)
            messages, block_ms = [*messages, *found], None
            if len(found) < asked:
                break
        return messages

    async def _read(self, most: int, block_ms: int | None) -> list[Message]:
        if self._after == b">" and time.monotonic() >= self._claim_at:
            claimed = await self._claimed(most)
            if claimed:
                return claimed
        streams: dict[Any, Any] = {self._key: self._after}
        found = await self._client.xreadgroup(
            self._group, self._name, streams, count=most, block=block_ms
        )
        entries = _entries_of(found)
        if self._after != b">":
            self._after = entries[-1][0] if entries else b">"
            if not entries:
                return await self._read(most, block_ms)
        return self._messages(entries)

    async def _claimed(self, most: int) -> list[Message]:
        """Entries whose owner has not been heard of; looked for now and then."""
        idle_ms = int(CLAIM_AFTER_S * 1000)
        _, entries, *_ = await self._client.xautoclaim(
            self._key, self._group, self._name, idle_ms, count=most
        )
        if not entries:
            self._claim_at = time.monotonic() + _CLAIM_EVERY_S
        return self._messages(entries)

    def _messages(self, entries: Sequence[tuple[bytes, Any]]) -> list[Message]:
        source = f"redis:{self._key}"
        return [Message(_payload(fields), source, entry) for entry, fields in entries]

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """As Stream.acknowledge."""
        try:
            entries = [message.token for message in messages]
            await self._client.xack(self._key, self._group, *entries)
        except _LOST as error:
            raise BrokerGone(f"Redis: {error}") from error

    async def lag(self) -> int | None:
        """Entries not delivered yet (where Redis knows), and those not acknowledged."""
        try:
            groups = await self._client.xinfo_groups(self._key)
        except _LOST as error:
            raise BrokerGone(f"Redis: {error}") from error
        for group in groups:
            if group["name"] == self._group.encode():
                waiting = group.get("lag")
                return None if waiting is None else waiting + group["pending"]
        return None

    async def close(self, unfinished: Sequence[Message]) -> None:
        """As Stream.close; this name finds what is unfinished when it begins again."""
        del unfinished
        await self._client.aclose()


def _entries_of(found: Any) -> list[tuple[bytes, Any]]:
    """Entries of one stream, as the protocol's version 2 or 3 has them."""
    if not found:
        return []
    if isinstance(found, dict):
        (pages,) = found.values()
        return [entry for page in pages for entry in page]
    ((_, entries),) = found
    return list(entries)


def _payload(fields: dict[bytes, bytes] | None) -> bytes:
    """The only field, whatever its name; several fields are an event themselves."""
    if not fields:
        # Deleted since it was delivered: nothing is left of it.
        return b""
    if len(fields) == 1:
        (payload,) = fields.values()
        return payload
    texts = {_text(name): _text(value) for name, value in fields.items()}
    return orjson.dumps(texts)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


async def open_redis(address: Address, group: str, name: str) -> RedisStream:
    """Connect to redis://host/db?stream=key."""
    key = address.options["stream"]
    host, port = address.hosts[0]
    client = Redis(
        host=host,
        port=port or 6379,
        db=int(address.path or 0),
        username=address.user or None,
        password=address.password,
        socket_connect_timeout=5,
        socket_timeout=30,
        health_check_interval=15,
        # A read that is repeated would leave what the first one was given for a minute.
        retry=Retry(NoBackoff(), 0),
        client_name="floorpulse",
        **_tls(address),
    )
    stream = RedisStream(client, key, group, name)
    try:
        await stream.begin()
    except _LOST as error:
        await client.aclose()
        if address.secure:
            await require_tls(address)
        raise _told(address, error) from error
    return stream


def _told(address: Address, error: BaseException) -> BrokerError:
    if isinstance(error, _PASSING) or str(error).startswith(_PASSING_WORDS):
        return BrokerGone(f"{address.place} is not ready: {error}")
    if isinstance(error, (AuthenticationError, ResponseError)):
        return BrokerError(f"{address.place} refuses: {error}")
    return unanswered(address, error)


def _tls(address: Address) -> dict[str, Any]:
    if not address.secure:
        return {}
    files = {"ssl_ca_certs": "ca", "ssl_certfile": "cert", "ssl_keyfile": "key"}
    options = {name: address.options.get(given) for name, given in files.items()}
    return {"ssl": True, **options}
