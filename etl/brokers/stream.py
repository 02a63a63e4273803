"""What every broker's adapter is to the consumer: take, acknowledge, lag, close."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

# How long `take` waits where nothing comes, before it says so.
IDLE_S = 0.5
# How often it is looked whether a batch is full.
_LOOK_S = 0.01
# Of payloads: what waits to be taken, and what is taken at once, beyond one message.
MOST_BYTES = 16 << 20
# Of payloads in one portion, and how many messages the first one has at most.
PORTION_BYTES = 4 << 20
FIRST_PORTION = 16


@dataclass(slots=True)
class Message:
    """What one delivery holds; source says where from, token is the adapter's own."""

    payload: bytes
    source: str
    token: Any


class Stream(Protocol):
    """One connection to one broker: messages that are not acknowledged come again.

    Every method raises BrokerGone when the connection is lost. What is of an old
    connection is never acknowledged on a new one: ids may mean other messages there.
    """

    async def take(self, most: int, wait_s: float) -> list[Message]:
        """Up to so many messages, in their order; waits wait_s for more than the first,
        at most: a batch that is full goes at once.

        None came within IDLE_S: an empty list.
        """

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """These are durable; called in the order in which they were taken."""

    async def lag(self) -> int | None:
        """How many messages the broker holds for us; None where it does not tell."""

    async def close(self, unfinished: Sequence[Message]) -> None:
        """End the connection; what was taken and not acknowledged is given back."""


@runtime_checkable
class Reader(Protocol):
    """A reading of messages that has something to say to those who send them."""

    publish: Callable[[str, bytes], None] | None


class Portions:
    """How many messages to ask for, where a broker counts them and not their bytes.

    From few to ever more, as the largest portion of late lets expect; so messages that
    grow of a sudden are at most one portion that is too large.
    """

    def __init__(self, largest: int) -> None:
        self._largest, self._next = largest, FIRST_PORTION

    def count(self, messages: Sequence[Message], most: int) -> int:
        """For the next portion of a take that has these; 0: it has enough."""
        left = MOST_BYTES - sum(len(each.payload) for each in messages)
        if left <= 0:
            return 0
        return min(self._next, most - len(messages))

    def came(self, messages: Sequence[Message]) -> None:
        """Learn from a portion."""
        if messages:
            size = sum(len(each.payload) for each in messages)
            fit = len(messages) * PORTION_BYTES // max(size, 1)
            self._next = max(1, min(fit, 4 * self._next, self._largest))


class Inbox:
    """Messages that a client pushes, waiting to be taken; all in the loop's thread."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._came = asyncio.Event()
        self._error: Exception | None = None

    def holds(self, most: int) -> bool:
        """Whether so many messages wait, or as many bytes as may."""
        return len(self._messages) >= most or self._bytes >= MOST_BYTES

    @property
    def size(self) -> int:
        """Bytes of what waits."""
        return self._bytes

    def put(self, message: Message) -> None:
        """One more; none where the connection is lost."""
        if self._error is not None:
            return
        self._messages.append(message)
        self._bytes += len(message.payload)
        if not self._came.is_set():
            self._came.set()

    def fail(self, error: Exception) -> None:
        """The connection is lost: what was not taken must not be taken any more."""
        self._error = self._error or error
        self.left()
        self._came.set()

    def check(self) -> None:
        """Raise what the connection was lost for."""
        if self._error is not None:
            raise self._error

    async def take(self, most: int, wait_s: float) -> list[Message]:
        """As Stream.take."""
        self.check()
        if not self._messages:
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), IDLE_S)
            except TimeoutError:
                return []
        await self._filled(most, wait_s)
        self.check()
        return self._first(most)

    async def _filled(self, most: int, wait_s: float) -> None:
        """Until so many wait, or for so long; asked now and then, not by each."""
        until = time.monotonic() + wait_s
        while not self.holds(most) and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _LOOK_S))

    def _first(self, most: int) -> list[Message]:
        taken: list[Message] = []
        size = 0
        while self._messages and len(taken) < most and size < MOST_BYTES:
            taken.append(self._messages.popleft())
            size += len(taken[-1].payload)
        self._bytes -= size
        return taken

    def left(self) -> list[Message]:
        """All that nobody has taken."""
        left = list(self._messages)
        self._messages.clear()
        self._bytes = 0
        return left
