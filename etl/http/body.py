"""Bodies of requests: bounded in bytes, in time and in what they decompress to."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Protocol

import zstandard
from starlette.requests import ClientDisconnect, Request

from etl.http.errors import ApiError, unavailable

LARGEST_BODY = 16 << 20
LONGEST_WAIT_S = 30.0
# All bodies that are being read or wait for the door, decompressed.
LARGEST_TOTAL = 128 << 20
_PIECE = 64 << 10
_TURN = 8
_GZIP, _ZSTD = ("gzip", "x-gzip"), ("zstd",)


class Budget:
    """Bytes of bodies in memory, of all requests together."""

    def __init__(self, limit: int = LARGEST_TOTAL) -> None:
        self._limit, self._used = limit, 0

    @contextmanager
    def held(self) -> Iterator[Hold]:
        """What one request takes, given back at its end."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            self._used -= hold.size

    def take(self, size: int) -> None:
        """Raise 503 where there is no more room."""
        if self._used + size > self._limit:
            raise unavailable("Too much is on its way in at once; send it again.")
        self._used += size


class Hold:
    """One request's share of the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self.size = budget, 0

    def grow(self, size: int) -> None:
        """Take more of it."""
        self._budget.take(size)
        self.size += size


async def read_body(request: Request, hold: Hold) -> bytes:
    """The body, decompressed; ApiError where it is too large, too slow or damaged."""
    _refuse_announced(request)
    inflate = _inflater(request.headers.get("content-encoding", ""))
    pieces: list[bytes] = []
    size = 0
    with _told():
        async with asyncio.timeout(LONGEST_WAIT_S):
            async for piece in request.stream():
                for part in inflate.parts(piece):
                    size += len(part)
                    if size > LARGEST_BODY:
                        raise _too_large()
                    hold.grow(len(part))
                    pieces.append(part)
                    if len(pieces) % _TURN == 0:
                        # A bomb is megabytes in one piece: others have their turn.
                        await asyncio.sleep(0)
    if not inflate.ended:
        raise ApiError(400, "bad_body", "The compressed body is cut short.")
    return b"".join(pieces)


async def pieces_of(request: Request, piece_s: float) -> AsyncIterator[bytes]:
    """The body as it comes; 408 where a piece of it takes too long."""
    stream = request.stream()
    while True:
        with _told():
            try:
                async with asyncio.timeout(piece_s):
                    piece = await anext(stream)
            except StopAsyncIteration:
                return
        if piece:
            yield piece


@contextmanager
def _told() -> Iterator[None]:
    """What can happen to a body on its way, as an answer."""
    try:
        yield
    except TimeoutError as error:
        said = "The body did not come in time."
        raise ApiError(408, "too_slow", said, Connection="close") from error
    except ClientDisconnect as error:
        raise ApiError(400, "bad_body", "The body is cut short.") from error


def _refuse_announced(request: Request) -> None:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > LARGEST_BODY:
        raise _too_large()


def _too_large() -> ApiError:
    return ApiError(
        413,
        "too_large",
        f"A body may hold {LARGEST_BODY >> 20} MB, decompressed. Send fewer events at "
        "once, or a file to PUT /api/v1/events/file.",
    )


class Inflater(Protocol):
    """Decompresses a body piece by piece, never more than a piece at once."""

    ended: bool

    def parts(self, piece: bytes) -> Iterator[bytes]:
        """What a piece of the body becomes, in parts of bounded size."""


def _inflater(encoding: str) -> Inflater:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _Plain()
    if name in _GZIP:
        return _Gzip()
    if name in _ZSTD:
        return _Zstd()
    said = f"Content-Encoding {name[:40]!r} is not known here; use gzip or zstd."
    raise ApiError(415, "unknown_encoding", said, Accept_Encoding="gzip, zstd")


class _Plain:
    ended = True

    def parts(self, piece: bytes) -> Iterator[bytes]:
        yield piece


class _Gzip:
    """gzip, several members included."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self.ended = False

    def parts(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            try:
                part = self._member.decompress(piece, _PIECE)
            except zlib.error as error:
                raise _damaged("gzip") from error
            piece = self._member.unconsumed_tail or self._member.unused_data
            self.ended = self._member.eof
            if part:
                yield part


class _Zstd:
    """zstd, several frames included; fed in bits: a few bytes can mean megabytes."""

    _FED = 1024
    # What a frame may ask for as its window: more than our whole body is no use.
    _WINDOW = 8 << 20

    def __init__(self) -> None:
        self._frame = self._new()
        self.ended = False

    def _new(self) -> zstandard.ZstdDecompressionObj:
        return zstandard.ZstdDecompressor(max_window_size=self._WINDOW).decompressobj()

    def parts(self, piece: bytes) -> Iterator[bytes]:
        for start in range(0, len(piece), self._FED):
            fed = piece[start : start + self._FED]
            while fed:
                if self._frame.eof:
                    self._frame = self._new()
                try:
                    part = self._frame.decompress(fed)
                except zstandard.ZstdError as error:
                    raise _damaged("zstd") from error
                fed = self._frame.unused_data if self._frame.eof else b""
                self.ended = self._frame.eof
                if part:
                    yield part


def _damaged(kind: str) -> ApiError:
    return ApiError(400, "bad_body", f"The body is no {kind} that can be read.")
