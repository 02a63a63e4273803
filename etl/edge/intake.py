"""From the sources into the spool: what comes meanwhile shares the next commit.

A commit waits for the disk (milliseconds, tens of them on a memory card), so it takes
all that has come; only then are the sources told that their lines are safe.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time

from etl.edge.lines import Chunk
from etl.edge.size import Size
from etl.edge.spool import Spool
from etl.edge.stop import Stop

log = logging.getLogger(__name__)

GATHER_S = 0.05
_MOST_BYTES = 1 << 20
# Chunks, of at most 64 kB each, that may wait in memory.
_QUEUE = 64
_RETRY_S = 1.0


class Stopped(Exception):  # noqa: N818 - no error, a message
    """The agent ends; what was not taken is not acknowledged either."""


class Intake:
    """Writes the spool, in a thread of its own."""

    def __init__(self, spool: Spool, stop: Stop) -> None:
        self._spool, self._stop = spool, stop
        self._queue: queue.Queue[Chunk | None] = queue.Queue(_QUEUE)
        # What was delivered and is not stored yet.
        self._pending = Size()
        self._lock = threading.Lock()

    def deliver(self, chunk: Chunk) -> None:
        """Hand over lines; waits while the disk is behind. Stopped at the end."""
        with self._lock:
            self._pending += chunk.size
        while True:
            try:
                self._queue.put(chunk, timeout=1.0)
            except queue.Full:
                if self._stop.is_set():
                    raise Stopped from None
            else:
                return

    def deliver_patiently(self, chunk: Chunk) -> None:
        """The same for a source that can wait: nothing is dropped for its lines.

        It waits while the spool is half full; the other half is for those that cannot.
        """
        for part in chunk.parts(max(1, self._spool.limit.events // 4)):
            self._await_room(part)
            if self._stop.is_set():
                raise Stopped
            self.deliver(part)

    def end(self) -> None:
        """Nothing more comes: `run` returns when all is stored."""
        self._queue.put(None)

    def run(self) -> None:
        """Store what is delivered until the end."""
        ended = False
        while not ended:
            chunks, ended = self._gathered()
            if not chunks or not self._stored(chunks):
                continue
            stored = sum((chunk.size for chunk in chunks), Size())
            with self._lock:
                self._pending -= stored
            for chunk in chunks:
                if chunk.durable is not None:
                    chunk.durable()
            self._spool.wake()

    def _await_room(self, chunk: Chunk) -> None:
        limit = self._spool.limit
        half = Size(limit.events // 2, limit.bytes // 2)

        def fits() -> bool:
            before = self._spool.waiting + self._pending
            fits = not before.events or not (before + chunk.size).exceeds(half)
            return fits or self._stop.is_set()

        self._spool.wait_for(fits, None)

    def _gathered(self) -> tuple[list[Chunk], bool]:
        """What has come, and whether that was the end."""
        chunks: list[Chunk] = []
        size = 0
        until = None
        while size < _MOST_BYTES:
            try:
                left_s = None if until is None else max(0.0, until - time.monotonic())
                chunk = self._queue.get(timeout=left_s)
            except queue.Empty:
                return chunks, False
            if chunk is None:
                return chunks, True
            chunks.append(chunk)
            size += chunk.size.bytes
            if until is None:
                until = time.monotonic() + (0.0 if self._stop.is_set() else GATHER_S)
        return chunks, False

    def _stored(self, chunks: list[Chunk]) -> bool:
        """Whether they are on disk; while it refuses, sources wait."""
        said = False
        while True:
            try:
                self._spool.put(chunks)
            except sqlite3.OperationalError as error:
                if not said:
                    log.error("the spool cannot be written: %s; sources wait", error)
                said = True
                if self._stop.wait(_RETRY_S):
                    log.error(
                        "%d lines are not stored", sum(len(c.lines) for c in chunks)
                    )
                    return False
            else:
                if said:
                    log.info("the spool can be written again")
                return True
