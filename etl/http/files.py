"""PUT /api/v1/events/file: a stream of any size into the door, memory flat.

The load runs in a thread of its own and reads from a pipe; the body is read no faster
than the pipe is emptied.
"""

from __future__ import annotations

import asyncio
import io
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import polars as pl
import psycopg
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from etl.files.load import LoadError, LoadReport, load_file
from etl.files.reading import Reading, reading_asked
from etl.http.access import Access, Caller
from etl.http.body import pieces_of
from etl.http.errors import ApiError, json_answer, unavailable
from etl.http.pages import ONLY_KNOWN, SiteOf, checked
from etl.http.schema import FILE_ANSWER, FILE_BODY, errors
from etl.http.scope import CAMERA, breach
from etl.readers.preset_codes import codes_told
from etl.readers.presets import PRESETS
from sql.errors import DsnError, FloorpulseError, InputError

log = logging.getLogger(__name__)

PATIENCE_S = 30.0
LOADS_AT_ONCE = 2
MOST_TOLD = 1_000
BLOCK_BYTES = 4 << 20
# Of a format that is read to and fro, such as Parquet: what goes to disk for it.
LARGEST_SPOOL = 1 << 30
_PIPE_BYTES = 2 << 20
# Whoever sends less for a minute keeps others from sending.
_SLOWEST_BYTES_PER_S, _SLOW_FOR_S = 1024, 60.0


@dataclass(frozen=True)
class HowAsked:
    """How the file is to be read, as the query string has it."""

    site: SiteOf = None
    timezone: Annotated[
        str | None, Query(max_length=64, description="Zone of times without an offset.")
    ] = None
    map_: Annotated[
        list[str] | None,
        Query(alias="map", max_length=64, description="column=name; several times."),
    ] = None
    preset: Annotated[
        str | None, Query(description=f"Whose export it is: {', '.join(PRESETS)}.")
    ] = None
    codes: Annotated[
        str | None, Query(description="What the states of a log mean: TOML.")
    ] = None

    def reading(self) -> Reading:
        """As loads take it; ApiError 400 for what cannot be."""
        told = self.codes
        codes = None if told is None else partial(codes_told, told, "codes")
        mapping, site = self.map_ or [], checked(self.site)
        try:
            return reading_asked(site, self.timezone, mapping, self.preset, codes)
        except FloorpulseError as error:
            raise ApiError(400, "bad_request", f"{error.message}.") from error


Asked = Annotated[HowAsked, Depends()]


class NotAllowed(InputError):  # noqa: N818 - says what is wrong, as its siblings do
    """The file holds rows that its key may not send."""


def file_routes(access: Access, dsn: str) -> APIRouter:
    """The route that takes files."""
    routes = APIRouter(tags=["events in"], dependencies=[ONLY_KNOWN])
    loads = _Loads(dsn)

    @routes.put(
        "/events/file",
        summary="Send a file",
        responses={200: FILE_ANSWER, **errors(400, 401, 403, 503)},
        openapi_extra={"requestBody": FILE_BODY},
    )
    async def put_file(request: Request, asked: Asked) -> Response:
        """CSV with a header, or NDJSON, of any size; Parquet; plain, gzip or zstd.

        Stored block by block while it comes. What was cut off goes on where it was when
        the same content is sent again. The answer tells the first 1,000 parked rows.
        """
        caller = await access.caller(request, "files")
        return json_answer(await loads.load(request, caller, asked.reading()))

    return routes


class _Loads:
    """Loads a few files at once, each in a thread; refuses more than those."""

    def __init__(self, dsn: str) -> None:
        self._dsn, self._running = dsn, 0
        self._threads = ThreadPoolExecutor(LOADS_AT_ONCE, "put file")

    async def load(
        self, request: Request, caller: Caller, reading: Reading
    ) -> dict[str, Any]:
        """What became of the body; ApiError where it did not come in whole."""
        if self._running >= LOADS_AT_ONCE:
            raise unavailable("Other files are coming in; send it again later.", 10)
        self._running += 1
        loop = asyncio.get_running_loop()
        pipe = Pipe(loop)
        work = _Work(self._dsn, caller, reading, pipe)
        loading = loop.run_in_executor(self._threads, work.run)
        try:
            await _feed(request, pipe, loading)
            return _told(await loading)
        except (FloorpulseError, psycopg.Error) as error:
            raise _refused(error) from error
        except OSError as error:
            log.error("no file could be kept", exc_info=error)
            raise unavailable("There is no room for this file here now.") from error
        finally:
            pipe.fail(InputError("The body was cut short."))
            await asyncio.wait([loading])
            self._running -= 1


class _Work:
    """One load, for a thread of its own."""

    def __init__(self, dsn: str, caller: Caller, reading: Reading, pipe: Pipe) -> None:
        self._dsn, self._caller, self._pipe = dsn, caller, pipe
        self._reading = reading

    def run(self) -> LoadReport:
        """Load what comes through the pipe."""
        try:
            return load_file(
                self._dsn,
                self._caller.source,
                reading=self._reading,
                block_bytes=BLOCK_BYTES,
                stream=self._pipe,  # type: ignore[arg-type]
                spool_bytes=LARGEST_SPOOL,
                check=self._check,
                told=MOST_TOLD,
            )
        finally:
            self._pipe.close()

    def _check(self, texts: pl.DataFrame) -> None:
        for field, allowed in self._caller.limits().items():
            if allowed is None or (field not in texts.columns and field != CAMERA):
                continue
            named = texts[field].unique() if field in texts.columns else [None]
            for value in named:
                said = breach(field, value, allowed)
                if said is not None:
                    text = f"The file has {said}. Blocks before it are stored."
                    raise NotAllowed(text)


class Pipe(io.RawIOBase):
    """Bytes from the event loop to a thread, a bounded number at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._changed = threading.Condition()
        self._room = asyncio.Event()
        self._error: Exception | None = None

    async def write_piece(self, piece: bytes) -> None:
        """Hand over a piece; returns when there is room for another."""
        with self._changed:
            self._pieces.append(piece)
            self._size += len(piece)
            self._changed.notify()
        while self._size > _PIPE_BYTES and not self.closed:
            self._room.clear()
            if self._size > _PIPE_BYTES and not self.closed:
                await self._room.wait()

    def end(self) -> None:
        """Nothing comes after what was written."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def fail(self, error: Exception) -> None:
        """Have the reader fail, unless all was written."""
        with self._changed:
            if not self._ended:
                self._error = error
            self._changed.notify()

    def close(self) -> None:
        """The reader has what it wants; whoever writes need not wait."""
        super().close()
        self._loop.call_soon_threadsafe(self._room.set)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """So many bytes, fewer only at the end."""
        taken: list[bytes] = []
        missing = size
        while missing and (piece := self._taken(missing)):
            taken.append(piece)
            missing -= len(piece)
        return b"".join(taken)

    def _taken(self, most: int) -> bytes:
        with self._changed:
            while not self._pieces and not self._ended and self._error is None:
                self._changed.wait()
            if self._error is not None:
                raise self._error
            if not self._pieces:
                return b""
            piece = self._pieces.popleft()
            if len(piece) > most:
                self._pieces.appendleft(piece[most:])
                piece = piece[:most]
            self._size -= len(piece)
            room = self._size <= _PIPE_BYTES
        if room:
            self._loop.call_soon_threadsafe(self._room.set)
        return piece


async def _feed(
    request: Request, pipe: Pipe, loading: asyncio.Future[LoadReport]
) -> None:
    """The body into the pipe, as long as somebody reads it."""
    async for piece in _timed(request):
        if loading.done():
            return
        await pipe.write_piece(piece)
    pipe.end()


async def _timed(request: Request) -> AsyncIterator[bytes]:
    """The body's pieces; 408 for one that comes too slowly. Our own time is free."""
    waited_s, received = 0.0, 0
    began = time.monotonic()
    async for piece in pieces_of(request, PATIENCE_S):
        waited_s += time.monotonic() - began
        received += len(piece)
        if waited_s > _SLOW_FOR_S and received < waited_s * _SLOWEST_BYTES_PER_S:
            said = "The body comes too slowly; send it again to go on where it was."
            raise ApiError(408, "too_slow", said, Connection="close")
        yield piece
        began = time.monotonic()


def _told(report: LoadReport) -> dict[str, Any]:
    return {
        "load_id": report.load_id,
        "resumed": report.resumed,
        "read": report.read,
        "stored": report.stored,
        "duplicates": report.duplicates,
        "conflicts": report.conflicts,
        "parked": report.examples,
        "parked_by_code": report.parked,
        "notices": report.notices,
        "warnings": report.warnings,
    }


def _refused(error: Exception) -> ApiError:
    """What a load failed with, as an answer; what was committed stays."""
    cause = error.__cause__ if isinstance(error, LoadError) else error
    stays = ""
    if isinstance(error, LoadError) and error.report.read:
        read = error.report.read
        stays = f" {read:,} rows before were taken; send it all again to go on."
    if isinstance(cause, NotAllowed):
        return ApiError(403, "not_allowed", cause.message)
    if isinstance(cause, psycopg.Error | DsnError):
        return unavailable(f"The database does not answer.{stays}")
    if isinstance(cause, FloorpulseError):
        return ApiError(400, "bad_file", f"{cause.message}.{stays}".replace("..", "."))
    return unavailable(f"The file could not be stored.{stays}")
