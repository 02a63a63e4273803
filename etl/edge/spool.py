"""What waits for the server: taken in, taken out, dropped where there is no room."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from etl.edge import spool_rows
from etl.edge.clock import Instant, wall_us
from etl.edge.clocks import Clocks
from etl.edge.lines import Chunk, Mark, rank_of
from etl.edge.size import OVERHEAD, Size
from etl.edge.spool_rows import Held
from etl.edge.store import Store

log = logging.getLogger(__name__)

# How much may wait, what the server refused included, unless told otherwise.
LIMIT = Size(10_000, 64 << 20)
# Room that is taken for each event when the spool is made.
_USUAL_EVENT = 512
_SAY_EVERY_S = 60.0
_AT_ONCE_US = 1_000_000
_INSERT = "insert into events (rank, epoch, arrived_us, body) values (?, ?, ?, ?)"


@dataclass(frozen=True)
class Event:
    """A line that waits, and when it came by the device's clock."""

    id: int
    rank: int
    epoch: int
    arrived_us: int
    body: bytes


class Spool:
    """The events of a spool folder, for several threads of one process."""

    def __init__(self, folder: Path, limit: Size = LIMIT) -> None:
        self.limit = limit
        self._store = Store(folder, min(limit.bytes, limit.events * _USUAL_EVENT))
        self.clocks = Clocks(self._store)
        self._changed = threading.Condition()
        with self._store.transaction() as db:
            self._held = spool_rows.held(db)
        # What is sent stays until the disk lets it be taken out; what is on its way
        # is not dropped.
        self._sent_id = self._flying_id = 0
        self._owed: Counter[str] = Counter()
        self._last_us = 0
        self._dropped: Counter[str] = Counter()
        self._said_at = float("-inf")

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing may be asked of it any more."""
        self._store.close()

    @property
    def waiting(self) -> Size:
        """What has not been taken out."""
        return self._held.waiting

    def marks(self) -> list[Mark]:
        """How far files are read."""
        rows = self._store.rows("select inode, path, head, done from files")
        return [Mark(*row) for row in rows]

    def forget(self, inodes: Iterable[str]) -> None:
        """Files that are no more."""
        gone = [(inode,) for inode in inodes]
        with self._store.transaction() as db:
            db.executemany("delete from files where inode = ?", gone)

    def identity(self) -> str:
        """A name of this spool, for ever the same."""
        with self._store.transaction() as db:
            spool_rows.note(db, "identity", uuid.uuid4().hex[:12], once=True)
        rows = self._store.rows("select value from notes where name = 'identity'")
        return str(rows[0][0])

    def put(self, chunks: Sequence[Chunk]) -> None:
        """Store lines, and how far their sources are read: on disk at its return."""
        rows = [
            (rank_of(line), epoch, self._arrived_us(chunk.came), line)
            for chunk in chunks
            for epoch in (self.clocks.epoch_of(chunk.came),)
            for line in chunk.lines
        ]
        came = sum((chunk.size for chunk in chunks), Size())
        marks = [c.mark for c in chunks if c.mark]
        with self._changed:
            with self._store.transaction() as db:
                db.executemany(_INSERT, rows)
                db.executemany(
                    "insert or replace into files values (?, ?, ?, ?)",
                    [(m.inode, m.path, m.head, m.done) for m in marks],
                )
                now = Held(self._held.waiting + came, self._held.refused)
                after = max(self._sent_id, self._flying_id)
                now, lost = spool_rows.fit(db, now, self.limit, after)
                spool_rows.count(db, {"received": len(rows), **lost})
            self._held = now
            self._changed.notify_all()
        self._say(lost)

    def take(self, most: int, most_bytes: int) -> list[Event]:
        """The oldest events. They are not dropped until `done`, or `release`."""
        with self._changed:
            rows = self._store.rows(
                "select id, rank, epoch, arrived_us, body from events where id > ? "
                "order by id limit ?",
                self._sent_id,
                most,
            )
            events: list[Event] = []
            size = 0
            for event in (Event(*row) for row in rows):
                size += len(event.body)
                if events and size > most_bytes:
                    break
                events.append(event)
            if events:
                self._flying_id = events[-1].id
        return events

    def release(self) -> None:
        """What was taken and is not done may be dropped again."""
        self._flying_id = self._sent_id

    def done(self, last: Event, counts: Mapping[str, int]) -> None:
        """Everything up to an event is with the server."""
        self._sent_id = last.id
        self._owed.update(counts)
        self.settle()

    def settle(self) -> None:
        """Take out what was sent; after a disk that was full, what it still held."""
        with self._changed:
            with self._store.transaction() as db:
                taken = spool_rows.take_out(db, self._sent_id)
                spool_rows.count(db, self._owed)
                spool_rows.note(db, "last_taken_us", str(wall_us()))
            self._owed.clear()
            self._held = Held(self._held.waiting - taken, self._held.refused)
            self._changed.notify_all()

    def refuse(self, event: Event, status: int, message: str) -> None:
        """Set aside an event that the server will never take; those before are done."""
        one = Size(1, len(event.body) + OVERHEAD)
        with self._changed:
            with self._store.transaction() as db:
                taken = spool_rows.take_out(db, event.id)
                db.execute(
                    "insert into refused (at_us, status, message, rank, epoch, "
                    "arrived_us, body) values (?, ?, ?, ?, ?, ?, ?)",
                    (
                        wall_us(),
                        status,
                        message,
                        event.rank,
                        event.epoch,
                        event.arrived_us,
                        event.body,
                    ),
                )
                spool_rows.count(db, self._owed + Counter(refused=1))
            self._owed.clear()
            self._sent_id = event.id
            self._held = Held(self._held.waiting - taken, self._held.refused + one)
            self._changed.notify_all()

    def retry_refused(self) -> int:
        """Let what was refused wait for the server again; how many they are."""
        with self._changed:
            with self._store.transaction() as db:
                again = db.execute(
                    "insert into events (rank, epoch, arrived_us, body) "
                    "select rank, epoch, arrived_us, body from refused order by id"
                ).rowcount
                db.execute("delete from refused")
            self._held = Held(self._held.waiting + self._held.refused, Size())
            self._changed.notify_all()
        return again

    def note(self, name: str, value: str) -> None:
        """Something for `status` to tell."""
        with self._store.transaction() as db:
            spool_rows.note(db, name, value)

    def wait_for(self, happened: Callable[[], bool], timeout_s: float | None) -> None:
        """Until something has happened, looked at when events come and at `wake`."""
        with self._changed:
            self._changed.wait_for(happened, timeout_s)

    def wake(self) -> None:
        """Have those who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def _arrived_us(self, came: Instant) -> int:
        """When a line came: no two at once, or stamped with it they would be one event.

        A clock that was set back is believed.
        """
        ahead_us = self._last_us - came.wall_us
        at_once = 0 <= ahead_us < _AT_ONCE_US
        self._last_us = self._last_us + 1 if at_once else came.wall_us
        return self._last_us

    def _say(self, lost: Counter[str]) -> None:
        self._dropped += lost
        if not self._dropped or time.monotonic() - self._said_at < _SAY_EVERY_S:
            return
        said = ", ".join(f"{n} {name}" for name, n in self._dropped.items())
        log.warning("the spool is full: %s", said)
        self._dropped.clear()
        self._said_at = time.monotonic()
