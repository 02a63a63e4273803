"""Events on their way to the server: batch by batch, again until they are there.

A batch that the server refuses is halved until the event to blame stands alone. That
is set aside only if the server, asked right after, takes a post without events: else
the key, a proxy or the server is to blame, and everything waits.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

from etl.edge.client import Answer, Client, Taken, taken
from etl.edge.spool import Event, Spool
from etl.edge.stop import Stop
from etl.edge.times import outgoing, was_never_set

log = logging.getLogger(__name__)

BATCH = 100
_BATCH_BYTES = 512 << 10
_LONGEST_WAIT_S = 60.0
# What an event itself can be refused for; 500: a fault that may be an event's own.
_BLAMES = (400, 403, 413, 422)
_FAULT = 500
_FAULTS_ENDURED = 3
_SAY_EVERY_S = 300.0
# The clock is watched by answers that tell the server's to within so much.
_PROMPT_US = 5_000_000
_NEVER_SET = (
    "the clock had not been set when it came, and the device was off before a server "
    "could tell the time"
)


@dataclass(frozen=True)
class Pace:
    """How events are gathered: a batch is sent when it is full, or after so long."""

    batch: int = BATCH
    gather_s: float = 0.5
    first_wait_s: float = 1.0
    stamp: bool = False


class Sender:
    """Empties a spool, in a thread of its own."""

    def __init__(self, spool: Spool, client: Client, stop: Stop, pace: Pace) -> None:
        self._spool, self._client, self._stop = spool, client, stop
        self._pace = pace
        self._failures = 0
        self._trouble = ""
        self._said_at = float("-inf")
        self._draining = False
        self.parked = self.refused = 0

    def drain(self) -> None:
        """Nothing more will come: do not wait for batches to be full."""
        self._draining = True
        self._spool.wake()

    def run(self) -> None:
        """Send until it is time to stop, or nothing is left to drain."""
        while not (
            self._stop.is_set() or (self._draining and not self._spool.waiting.events)
        ):
            try:
                self._turn()
            except sqlite3.OperationalError as error:
                # What was sent is remembered; sent twice, it would be known.
                self._wait(f"the spool cannot be written: {error}", 0.0)
            self._spool.release()

    def _turn(self) -> None:
        self._await(1, None)
        self._await(self._pace.batch, self._pace.gather_s)
        if self._stop.is_set() or not self._spool.waiting.events:
            return
        if not self._knows_the_time():
            return
        batch = self._spool.take(self._pace.batch, _BATCH_BYTES)
        if not batch:
            self._spool.settle()
            return
        self._deliver(batch)

    def _await(self, events: int, timeout_s: float | None) -> None:
        self._spool.wait_for(
            lambda: (
                self._spool.waiting.events >= events
                or self._draining
                or self._stop.is_set()
            ),
            timeout_s,
        )

    def _knows_the_time(self) -> bool:
        """Whether it is decided how wrong our clock is; asks the server if not."""
        clocks = self._spool.clocks
        if not clocks.undecided:
            return True
        answer = self._client.health()
        if answer.status != 200:
            self._wait(_trouble(answer), answer.retry_after_s)
            return False
        clocks.decide(answer.clock)
        return True

    def _deliver(self, batch: list[Event]) -> None:
        """Send a batch, in halves where it is refused, until all of it is settled."""
        parts = self._parts(batch)
        faults = 0
        while parts and not self._stop.is_set():
            part = parts.pop()
            if self._is_hopeless(part[0]):
                self._refuse(part[0], 0, _NEVER_SET)
                continue
            answer = self._posted(part)
            said = taken(answer, len(part))
            faults += answer.status == _FAULT
            if said is not None:
                self._settle(part[-1], said, answer)
            elif not _blames(answer, faults):
                parts.append(part)
                self._wait(_trouble(answer), answer.retry_after_s)
            elif len(part) > 1:
                half = len(part) // 2
                parts += [part[half:], part[:half]]
            elif self._client.takes_events():
                self._refuse(part[0], answer.status, answer.said)
            else:
                parts.append(part)
                self._wait(_trouble(answer), answer.retry_after_s)

    def _parts(self, batch: list[Event]) -> list[list[Event]]:
        """The batch, last part first; events that cannot be sent stand alone."""
        runs = groupby(batch, self._is_hopeless)
        parts: list[list[Event]] = []
        for hopeless, events in runs:
            parts += [[event] for event in events] if hopeless else [list(events)]
        return parts[::-1]

    def _is_hopeless(self, event: Event) -> bool:
        shift_us = self._spool.clocks.shift_us(event.epoch)
        return not shift_us and was_never_set(event)

    def _posted(self, part: Sequence[Event]) -> Answer:
        clocks, stamp = self._spool.clocks, self._pace.stamp
        return self._client.post(
            [outgoing(e, clocks.shift_us(e.epoch), stamp=stamp) for e in part]
        )

    def _settle(self, last: Event, said: Taken, answer: Answer) -> None:
        self.parked += len(said.parked)
        if said.parked:
            codes = Counter(str(reject.get("code")) for reject in said.parked)
            log.warning("parked at the server: %s", dict(codes))
        self._spool.done(last, said.counts)
        if answer.clock and answer.clock.width_us <= _PROMPT_US:
            self._spool.clocks.watch(answer.clock)
        self._is_well()

    def _refuse(self, event: Event, status: int, message: str) -> None:
        log.error("set aside, the server refuses it: %s %s", status, message)
        self.refused += 1
        self._spool.refuse(event, status, message)
        self._is_well()

    def _is_well(self) -> None:
        self._failures = 0
        if self._trouble:
            log.info("sending again")
            self._trouble = ""
            self._spool.note("trouble", "")

    def _wait(self, trouble: str, retry_after_s: float) -> None:
        """Rest before the next attempt: longer each time, and not all at once."""
        self._failures += 1
        doubled_s = self._pace.first_wait_s * 2 ** min(self._failures - 1, 16)
        backoff_s = min(doubled_s, _LONGEST_WAIT_S)
        jitter = random.uniform(0.75, 1.25)  # noqa: S311
        # Not before the server asked for it, and not all agents at once then.
        wait_s = max(backoff_s * jitter, retry_after_s * max(jitter, 2 - jitter))
        if trouble != self._trouble or time.monotonic() - self._said_at > _SAY_EVERY_S:
            log.warning("not sent: %s; %d wait", trouble, self._spool.waiting.events)
            self._trouble, self._said_at = trouble, time.monotonic()
            with suppress(sqlite3.OperationalError):
                self._spool.note("trouble", f"{trouble}")
        self._stop.wait(wait_s)


def _blames(answer: Answer, faults: int) -> bool:
    """Whether it may be an event that the server refuses, and not all of us."""
    if answer.status == _FAULT:
        return faults > _FAULTS_ENDURED
    return answer.status in _BLAMES


def _trouble(answer: Answer) -> str:
    if not answer.status:
        return answer.said
    if answer.status == 200:
        return "the answer is none of a floorpulse server (a proxy, a log-in page?)"
    return f"the server answers {answer.status}: {answer.said}"
