"""How wrong the device's clock was, span by span: told by the server's Date.

A correction is decided once, before the first event of its span is sent, and kept:
sent again after a crash, an event must be the same event.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from etl.edge.clock import Instant, ServerClock, boot_id
from etl.edge.store import Store

log = logging.getLogger(__name__)

# Both clocks may drift apart by that much before it counts as a jump.
_JUMP_US = 1_000_000


@dataclass(frozen=True)
class Span:
    """Time in which the wall clock ran evenly; see spool.sql."""

    epoch: int
    boot: str
    offset_us: int
    shift_us: int | None = None


class Clocks:
    """The spans of this spool's events; the last one is now."""

    def __init__(self, store: Store, boot: str | None = None) -> None:
        self._store, self._boot = store, boot or boot_id()
        with store.transaction() as db:
            db.execute(
                "delete from clocks where epoch not in (select epoch from events "
                "union select epoch from refused)"
            )
        rows = store.rows("select * from clocks order by epoch")
        self._spans = {row[0]: Span(*row) for row in rows}
        self._current: Span | None = None

    def epoch_of(self, came: Instant) -> int:
        """The span of an instant of now; a jump of the wall clock begins a new one."""
        current = self._current
        if current and abs(came.offset_us - current.offset_us) <= _JUMP_US:
            return current.epoch
        if current:
            moved_s = (came.offset_us - current.offset_us) / 1e6
            log.warning("the clock was moved by %+.1f s", moved_s)
        return self._begin(came.offset_us, None).epoch

    def shift_us(self, epoch: int) -> int:
        """What to add to times of a span; 0 where nothing is known."""
        span = self._spans.get(epoch)
        return (span.shift_us or 0) if span else 0

    def is_of_this_boot(self, epoch: int) -> bool:
        """Whether the server could tell how wrong the clock was."""
        span = self._spans.get(epoch)
        return span is not None and span.boot == self._boot

    @property
    def undecided(self) -> bool:
        """Whether the server must be asked before events are sent."""
        return any(span.shift_us is None for span in list(self._spans.values()))

    def decide(self, server: ServerClock | None) -> None:
        """Fix what is to be added; None: the server does not tell the time."""
        decided = []
        for span in list(self._spans.values()):
            if span.shift_us is None:
                ours = server is not None and span.boot == self._boot
                shift = server.error_us(span.offset_us) if ours and server else 0
                decided.append(replace(span, shift_us=shift))
        with self._store.transaction() as db:
            db.executemany(
                "update clocks set shift_us = ? where epoch = ?",
                [(span.shift_us, span.epoch) for span in decided],
            )
        for span in decided:
            self._spans[span.epoch] = span
            if self._current and self._current.epoch == span.epoch:
                self._current = span
            if span.shift_us:
                log.warning("the clock was wrong by %+.1f s", -span.shift_us / 1e6)

    def watch(self, server: ServerClock) -> None:
        """Begin a new span where the clock has drifted from what was decided."""
        current = self._current
        if current is None or current.shift_us is None:
            return
        if server.error_us(current.offset_us + current.shift_us):
            shift = server.error_us(current.offset_us)
            log.warning("the clock is wrong by %+.1f s", -shift / 1e6)
            self._begin(current.offset_us, shift)

    def _begin(self, offset_us: int, shift_us: int | None) -> Span:
        with self._store.transaction() as db:
            epoch = db.execute(
                "insert into clocks (boot, offset_us, shift_us) values (?, ?, ?)",
                (self._boot, offset_us, shift_us),
            ).lastrowid
        assert epoch is not None  # noqa: S101 - an insert has one
        span = Span(epoch, self._boot, offset_us, shift_us)
        self._spans[epoch] = self._current = span
        return span
