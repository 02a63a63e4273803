"""A broker that is not there yet, which is waited for, or one that says no."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import suppress

from etl.brokers.url import Address
from sql.errors import BrokerError, BrokerGone

# OpenSSL's: our clock stands before the certificate, as where no time is set yet.
_NOT_YET_VALID = 9
# Ends of a connection, by whomever: a proxy whose server is not up yet does so as well.
_ENDED = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
# What a broker that speaks no TLS answers, where a ClientHello lets it hang up or wait:
# a connection without account and session, a ping, a question for its versions.
_GREETINGS = {
    "mqtt": b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00",
    "redis": b"PING\r\n",
    "kafka": b"\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x01\xff\xff",
}
_PORTS = {"mqtt": 8883, "redis": 6379, "kafka": 9092}
# Every record of TLS begins so, from a change of ciphers to data.
_TLS_RECORDS = range(0x14, 0x18)
_ANSWER_S = 2.0


async def require_tls(address: Address) -> None:
    """BrokerError, where TLS is wanted and somebody answers who speaks without it."""
    said = b""
    with suppress(OSError, asyncio.TimeoutError):
        said = await _answer(address, None)
    if said and said[0] not in _TLS_RECORDS:
        raise BrokerError(
            f"{address.place} speaks no TLS, and the URL wants it: check both"
        )


async def require_trust(address: Address, context: ssl.SSLContext) -> None:
    """BrokerError, where one side of TLS does not trust the other."""
    with suppress(OSError, asyncio.TimeoutError):
        try:
            await _answer(address, context)
        except ssl.SSLError as error:
            refused = unanswered(address, error)
            if not isinstance(refused, BrokerGone):
                raise refused from error


async def _answer(address: Address, context: ssl.SSLContext | None) -> bytes:
    """The first byte of what is answered to a greeting: TLS 1.3 tells only then that

    the client is not trusted.
    """
    host, port = address.hosts[0]
    port = port or _PORTS[address.kind]
    opening = asyncio.open_connection(host, port, ssl=context)
    reader, writer = await asyncio.wait_for(opening, _ANSWER_S)
    try:
        writer.write(_GREETINGS[address.kind])
        return await asyncio.wait_for(reader.read(1), _ANSWER_S)
    finally:
        writer.close()


def unanswered(address: Address, error: BaseException) -> BrokerError:
    """What a failed attempt to connect means: BrokerGone, unless TLS was refused."""
    refused = next((e for e in _causes(error) if _is_refusal(e)), None)
    if refused is not None:
        return BrokerError(
            f"{address.place} and we do not agree on TLS: {refused}. Check the scheme "
            "and the port of the URL, and the certificates of both sides"
        )
    return BrokerGone(f"{address.place} does not answer: {said(error)}")


def said(error: BaseException) -> str:
    """The first line of what an error says, or its kind."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it was raised for; a client may tie them in a ring."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _is_refusal(error: BaseException) -> bool:
    if not isinstance(error, ssl.SSLError) or isinstance(error, _ENDED):
        return False
    return getattr(error, "verify_code", None) != _NOT_YET_VALID
