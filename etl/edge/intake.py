"""From the sources into the spool: what comes meanwhile shares the next commit.

A commit waits for the disk (milliseconds, tens of them on a memory card), so it takes
all that has come; only then are the sources told that their lines are safe.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import time

from etl.edge.lines import Chunk
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

    def deliver(self, chunk: Chunk) -> None:
        """Hand over lines; waits while the disk is behind. Stopped at the end."""
        while True:
            try:
                self._queue.put(chunk, timeout=1.0)
            except queue.Full:
                if self._stop.is_set():
                    raise Stopped from None
            else:
                return

    def end(self) -> None:
        """Nothing more comes: `run` returns when all is stored."""
        self._queue.put(None)

    def run(self) -> None:
        """Store what is delivered until the end."""
        ended = False
        while not ended:
            chunks, ended = self._gathered()
            if chunks and self._stored(chunks):
                for chunk in chunks:
                    if chunk.durable is not None:
                        chunk.durable()

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
            size += chunk.size
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
