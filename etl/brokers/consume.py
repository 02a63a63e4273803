"""One consumer for every broker: take, door, commit, then acknowledge.

While a batch is committed the next one is prepared, another is read, and more comes in.
Whatever is lost, database or broker, everything is let go of and begun anew: what was
not acknowledged comes again, and the unique key knows it. A start after a kill is the
same, so there is one way and no other.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from etl.batch import Batch
from etl.brokers.batch import batch_of_messages, failed_batch
from etl.brokers.stream import Message, Stream
from etl.door.admit import Admission, Door
from etl.door.parts import Prepared
from etl.threads import done
from sql.errors import BrokerGone, FloorpulseError, NoDatabase

log = logging.getLogger(__name__)

MOST_MESSAGES = 5_000
WAIT_S = 0.05
# For a batch to grow while another is committed.
LONGEST_WAIT_S = 1.0
# Of payloads in one transaction, and up to one message more.
LARGEST_BATCH = 8 << 20
PAUSE_S = (0.5, 30.0)
_CONNECT_S = "5"
_STATEMENT_S = "60s"
# What the next attempt may mend. Data and IntegrityErrors speak of rows.
_GONE = (FloorpulseError, OSError, psycopg.Error)
_OF_ROWS = (psycopg.DataError, psycopg.IntegrityError)
# What is waited for from the first attempt on: nobody has refused anything.
_ABSENT = (BrokerGone, NoDatabase, psycopg.OperationalError)

_Unstored = tuple[list[Message], Exception]
Opening = Callable[[], Awaitable[Stream]]
Reading = Callable[[Sequence[Message], str | None], Batch]


@dataclass(frozen=True)
class Settings:
    """How batches are taken; read makes a batch of messages."""

    most: int = MOST_MESSAGES
    wait_s: float = WAIT_S
    site: str | None = None
    read: Reading = batch_of_messages


@dataclass
class Consumed:
    """What a consumer did since it began; error: what keeps it from going on."""

    messages: int = 0
    batches: int = 0
    read: int = 0
    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    parked: int = 0
    failed: int = 0
    interruptions: int = 0
    error: str | None = None
    parked_codes: dict[str, int] = field(default_factory=dict)

    def add(self, messages: int, admission: Admission) -> None:
        """Count a batch that is durable."""
        self.messages += messages
        self.batches += 1
        self.read += admission.read
        self.stored += admission.stored
        self.duplicates += admission.duplicates
        self.conflicts += admission.conflicts
        for code, rows in admission.parked.items():
            self.parked += rows
            self.parked_codes[code] = self.parked_codes.get(code, 0) + rows


class Consumer:
    """Messages on their way to the door, in one process; `stop` ends `run` cleanly."""

    def __init__(
        self, dsn: str, opening: Opening, source: str, settings: Settings | None = None
    ) -> None:
        own = {"connect_timeout": _CONNECT_S, **conninfo_to_dict(dsn)}
        options = f"{own.get('options') or ''} -c statement_timeout={_STATEMENT_S}"
        self._dsn = make_conninfo("", **own | {"options": options.strip()})
        self._opening, self._source = opening, source
        self._settings = settings or Settings()
        self._stopped = asyncio.Event()
        self._failures = 0
        self.consumed = Consumed()
        self.stream: Stream | None = None

    def stop(self) -> None:
        """Take nothing more; what was taken is still committed and acknowledged."""
        self._stopped.set()

    async def run(self) -> None:
        """Consume until stopped. Raises what keeps the first session from beginning.

        A broker or a database that is absent does not: it is waited for, then as later.
        """
        began = False
        while not self._stopped.is_set():
            try:
                session = await self._session()
            except _GONE as error:
                if not began and not isinstance(error, _ABSENT):
                    raise
                await self._rest(error)
                continue
            began, self.stream = True, session.stream
            log.info("reading %s", self._source, extra={"action": "connected"})
            try:
                await self._pump(session)
            except _GONE as error:
                await session.close()
                await self._rest(error)
            finally:
                self.stream = None
                await session.close()

    async def _session(self) -> _Session:
        """The door first: without it nothing is taken."""
        with ExitStack() as undo:
            door = await asyncio.to_thread(Door, self._dsn)
            undo.callback(door.close)
            stream = await self._opening()
            undo.pop_all()
        return _Session(door, stream, self._settings, self.consumed, self._source)

    async def _pump(self, session: _Session) -> None:
        before = self.consumed.batches
        while not self._stopped.is_set():
            await session.step()
            if self.consumed.batches > before or session.is_idle:
                self._failures, self.consumed.error = 0, None
        await session.settled()
        self.consumed.error = None

    async def _rest(self, error: Exception) -> None:
        """Wait longer after each failure in a row, up to half a minute, with jitter."""
        self.consumed.interruptions += 1
        self.consumed.error = str(error).strip().split("\n")[0]
        pause_s = min(PAUSE_S[0] * 2**self._failures, PAUSE_S[1])
        pause_s *= 0.5 + random.random() / 2  # noqa: S311 - not a secret
        self._failures = min(self._failures + 1, 16)
        log.warning(
            "%s; nothing is acknowledged; again in %.1f s",
            self.consumed.error.rstrip("."),
            pause_s,
            extra={"action": "interrupted"},
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), pause_s)


class _Session:
    """One door and one connection to the broker, from their begin to their end."""

    def __init__(
        self,
        door: Door,
        stream: Stream,
        settings: Settings,
        consumed: Consumed,
        source: str,
    ) -> None:
        self._door, self.stream = door, stream
        self._settings, self._consumed, self._source = settings, consumed, source
        self._reader = ThreadPoolExecutor(1, "read")
        self._first = ThreadPoolExecutor(1, "prepare")
        self._second = ThreadPoolExecutor(1, "commit")
        self._passing: asyncio.Task[None] | None = None
        self._committing: asyncio.Task[_Unstored | None] | None = None
        self._began_at = self._commit_s = 0.0
        self._unfinished: list[Message] = []
        self._closed = False

    @property
    def is_idle(self) -> bool:
        """Whether all that came is stored and acknowledged."""
        return not self._unfinished

    async def close(self) -> None:
        """Let go of everything; what is not acknowledged comes again."""
        if self._closed:
            return
        self._closed = True
        # In this order: what is passed on begins to be committed.
        if self._passing is not None:
            await asyncio.wait([self._passing])
            self._passing.exception()
        if self._committing is not None:
            await asyncio.wait([self._committing])
            self._committing.exception()
        with suppress(*_GONE):
            await self.stream.close(self._unfinished)
        self._reader.shutdown()
        self._first.shutdown()
        self._second.shutdown()
        with suppress(psycopg.Error):
            self._door.close()

    async def step(self) -> None:
        """Take once, read, and pass it on behind the batch before."""
        messages = await self.stream.take(self._settings.most, self._wait_s())
        self._unfinished += messages
        for part in _parts(messages):
            batch = await done(self._reader, self._read, part)
            await self._passed()
            self._passing = asyncio.create_task(self._pass(part, batch))
        if self._passing is None or self._passing.done():
            await self._passed()
            if self._committing is not None and self._committing.done():
                await self._settled()

    def _wait_s(self) -> float:
        """While a batch is committed the next cannot be: it may as well grow."""
        if self._committing is None:
            return self._settings.wait_s
        left_s = self._began_at + self._commit_s - time.monotonic()
        return max(self._settings.wait_s, min(left_s, LONGEST_WAIT_S))

    async def settled(self) -> None:
        """Until all that was taken is acknowledged; raises why it is not."""
        await self._passed()
        await self._settled()

    async def _passed(self) -> None:
        """Until what was read is prepared, and its turn to be committed has come."""
        passing, self._passing = self._passing, None
        if passing is not None:
            await passing

    async def _settled(self) -> None:
        """Until what is being committed is acknowledged."""
        committing, self._committing = self._committing, None
        if committing is not None and (failed := await committing) is not None:
            await self._apart(*failed)

    async def _pass(self, messages: list[Message], batch: Batch | Exception) -> None:
        found: Prepared | Exception
        if isinstance(batch, Exception):
            found = batch
        else:
            found = await done(self._first, self._door.prepare, batch)
        # Both threads rest here: only now may one use the connections of the other.
        await self._settled()
        if isinstance(found, Exception):
            await self._apart(messages, found)
        else:
            work = self._commit(messages, found)
            self._committing = asyncio.create_task(work)

    async def _commit(
        self, messages: list[Message], prepared: Prepared
    ) -> _Unstored | None:
        """Store and acknowledge; what could not be stored, and why."""
        self._began_at = time.monotonic()
        found = await done(self._second, self._admitted, prepared)
        self._commit_s = time.monotonic() - self._began_at
        if isinstance(found, Exception):
            return messages, found
        await self._acknowledge(messages, found)
        return None

    async def _acknowledge(self, messages: list[Message], admission: Admission) -> None:
        self._consumed.add(len(messages), admission)
        await self.stream.acknowledge(messages)
        del self._unfinished[: len(messages)]

    async def _apart(self, messages: list[Message], error: Exception) -> None:
        """Find the message that fails on a database that answers, and park it alone.

        It would fail for ever, and must not take its neighbours along.
        """
        if isinstance(error, _GONE) and not isinstance(error, _OF_ROWS):
            raise error
        if len(messages) == 1:
            log.error("a message failed", exc_info=error, extra={"action": "parked"})
            found = await done(self._second, self._parked, (messages[0], error))
            if isinstance(found, Exception):
                raise FloorpulseError(f"cannot be parked: {found}") from found
            self._consumed.failed += 1
            await self._acknowledge(messages, found)
            return
        middle = len(messages) // 2
        for half in (messages[:middle], messages[middle:]):
            found = await done(self._second, self._whole, half)
            if isinstance(found, Exception):
                await self._apart(half, found)
            else:
                await self._acknowledge(half, found)

    def _read(self, messages: Sequence[Message]) -> Batch:
        return self._settings.read(messages, self._settings.site)

    def _admitted(self, prepared: Prepared) -> Admission:
        return self._door.commit(prepared, self._source)

    def _whole(self, messages: Sequence[Message]) -> Admission:
        return self._admitted(self._door.prepare(self._read(messages)))

    def _parked(self, failed: tuple[Message, Exception]) -> Admission:
        return self._door.admit(failed_batch(*failed), self._source)


def _parts(messages: list[Message]) -> Iterator[list[Message]]:
    """Messages in parts, each ended by the message with which it is large enough."""
    part: list[Message] = []
    size = 0
    for message in messages:
        part.append(message)
        size += len(message.payload)
        if size >= LARGEST_BATCH:
            yield part
            part, size = [], 0
    if part:
        yield part
