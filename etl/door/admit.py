"""The one door: every event, whatever way it came, becomes a row here and nowhere else.

A batch is prepared (shaped, keyed, sorted) on one connection and committed on another,
so that the next batch can be prepared while the server takes the last. One site of a
batch is one transaction: events, conflicts, parked rows, dirty ranges, tallies, the
load's counts and the NOTIFY. Batches of one writer, and of writers that overlap, keep
the same order of rows: they may wait for each other and cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Self

import polars as pl
from psycopg import IsolationLevel
from psycopg.errors import CheckViolation, DeadlockDetected, SerializationFailure
from psycopg.types.json import Jsonb

from etl.batch import ORIGIN_SCHEMA, Batch
from etl.door.copy import copy_rows
from etl.door.keys import KeyBook
from etl.door.marks import conflicts, dirty_ranges, hour_of, latency, notice
from etl.door.parts import NOTHING, Part, Prepared, prepare
from etl.door.store import EventStore, Stored
from sql import queries
from sql.connect import Connection, connect

_TRIES = 5
_DIRTY_COLUMNS = {
    "site_key": "int4",
    "worker_key": "int4",
    "from_time": "time",
    "to_time": "time",
    "events": "int4",
}
_REJECT_COLUMNS = ("code", "message", "raw", "line", "site_id", "source")


@dataclass(frozen=True)
class Progress:
    """Where a load stands when a batch is committed (see ingest.loads)."""

    load_id: int
    bytes_done: int
    lines_done: int
    prefix_digest: bytes


@dataclass
class Counts:
    """What became of rows: read = stored + duplicates + parked, always.

    parked is by code; conflicts are among the duplicates.
    """

    read: int = 0
    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    parked: dict[str, int] = field(default_factory=dict)

    def add(self, other: Counts) -> None:
        """Count others too."""
        self.read += other.read
        self.stored += other.stored
        self.duplicates += other.duplicates
        self.conflicts += other.conflicts
        for code, rows in other.parked.items():
            self.parked[code] = self.parked.get(code, 0) + rows


@dataclass
class Admission(Counts):
    """What became of a batch, row by row.

    duplicates_at: rows (positions in the batch) that were stored before; told: row,
    code and message of every parked row and of conflicts. A row in neither is new.
    """

    duplicates_at: list[pl.Series] = field(default_factory=list)
    told: list[pl.DataFrame] = field(default_factory=list)

    def join(self, other: Admission) -> None:
        """Take in another part of the same batch."""
        self.add(other)
        self.duplicates_at += other.duplicates_at
        self.told += other.told


class Door:
    """Two connections to one database; close it, or use it in a `with`."""

    def __init__(self, dsn: str) -> None:
        self._queries = queries.load("door")
        self._book_conn = connect(dsn)
        self._conn = connect(dsn)
        # What the unique key objects to must be seen by the next statement.
        self._conn.isolation_level = IsolationLevel.READ_COMMITTED
        self._conn.execute(self._queries["be_durable"])
        # A client that was killed must not leave a transaction that holds locks.
        self._conn.execute("set client_connection_check_interval = '1s'")
        self._conn.execute(self._queries["make_reject_staging"])
        self._book = KeyBook(self._book_conn)
        self._store = EventStore(self._conn)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close both connections; what is not committed is undone."""
        with closing(self._book_conn), closing(self._conn):
            pass

    @property
    def conn(self) -> Connection:
        """The connection that commits: for what a load has to say in between."""
        return self._conn

    @property
    def book(self) -> KeyBook:
        """The keys that are known: to be asked; only `prepare` adds to them."""
        return self._book

    def admit(self, batch: Batch, source: str) -> Admission:
        """Shape a batch and store what may be stored: for sources that wait for it."""
        return self.commit(self.prepare(batch), source)

    def prepare(
        self, batch: Batch, *, timezone: str | None = None, dry_run: bool = False
    ) -> Prepared:
        """Shape, key and sort a batch; may run beside `commit`, in one other thread.

        timezone replaces the sites' zones for times without offset. A dry run registers
        nothing; what it returns can be counted and not committed.
        """
        return prepare(batch, self._book, timezone=timezone, dry_run=dry_run)

    def commit(
        self,
        prepared: Prepared,
        source: str,
        progress: Progress | None = None,
        after_site: str | None = None,
    ) -> Admission:
        """Store a prepared batch, a transaction a site; each is all or nothing.

        after_site: sites up to it were committed by a run that ended in between.
        """
        total = Admission()
        parts = [p for p in prepared.parts if not _is_done(p, after_site)] or [NOTHING]
        for part in parts:
            is_last = part is parts[-1]
            total.join(self._commit_part(part, prepared, source, progress, is_last))
        return total

    def _commit_part(
        self,
        part: Part,
        prepared: Prepared,
        source: str,
        progress: Progress | None,
        is_last: bool,
    ) -> Admission:
        for attempt in range(_TRIES):
            with _retried(attempt), self._conn.transaction():
                return self._write(part, prepared, source, progress, is_last)
            # Retention may have dropped a chunk that was there when it was looked for.
            if not part.events.is_empty():
                self._book.ensure_chunks(part.events["time_us"], again=True)
        raise AssertionError("the last attempt raises")

    def _write(
        self,
        part: Part,
        prepared: Prepared,
        source: str,
        progress: Progress | None,
        is_last: bool,
    ) -> Admission:
        empty = Stored(part.events, part.events)
        stored = empty if part.events.is_empty() else self._store.store(part)
        clashes = conflicts(stored.duplicates, part.site_id)
        told = part.rejects.vstack(clashes)
        admission = Admission(
            read=part.read,
            stored=stored.new.height,
            duplicates=stored.duplicates.height,
            conflicts=clashes.height,
            parked=dict(part.rejects["code"].value_counts().iter_rows()),
            duplicates_at=[stored.duplicates["row"]],
            told=[told[["row", "code", "message"]]],
        )
        if not stored.new.is_empty():
            ranges = dirty_ranges(stored.new)
            copy_rows(self._conn, "floor.dirty", ranges, _DIRTY_COLUMNS)
        self._park(told, prepared, source, progress)
        if part.site_id is not None:
            self._announce(part.site_id, stored, admission, prepared)
        if progress is not None:
            self._advance(part, admission, prepared, progress, is_last)
        return admission

    def _park(
        self,
        told: pl.DataFrame,
        prepared: Prepared,
        source: str,
        progress: Progress | None,
    ) -> None:
        if told.is_empty():
            return
        origin = prepared.origin(told["row"]).match_to_schema(
            {**ORIGIN_SCHEMA, "source": pl.String}, missing_columns="insert"
        )
        rows = told.join(origin, on="row", how="left").select(_REJECT_COLUMNS)
        with self._conn.cursor().copy(self._queries["stage_rejects"]) as copy:
            for row in rows.iter_rows():
                copy.write_row(row)
        parameters = {
            "source": source,
            "load_id": progress.load_id if progress else prepared.load_id,
            "arrival": prepared.arrival,
        }
        self._conn.execute(self._queries["park"], parameters)
        self._conn.execute("truncate pg_temp.door_rejects")

    def _announce(
        self, site_id: str, stored: Stored, admission: Admission, prepared: Prepared
    ) -> None:
        """The tally of this part, and the NOTIFY that goes out with the commit."""
        counts = {
            "stored": admission.stored,
            "duplicates": admission.duplicates,
            "parked": sum(admission.parked.values()),
        }
        late, histogram = latency(stored.new["time_us"].to_numpy(), prepared.arrival)
        tally = counts | {
            "site_id": site_id,
            "hour": hour_of(prepared.arrival),
            "conflicts": admission.conflicts,
            "late": late,
            "naive": prepared.naive.by_site.get(site_id, 0),
            "latency_histogram": histogram,
        }
        self._conn.execute(self._queries["tally"], tally)
        newest = stored.new["time_us"].max() if admission.stored else None
        said = notice(site_id, newest if isinstance(newest, int) else None, counts)
        self._conn.execute(self._queries["notify"], {"payload": said})

    def _advance(
        self,
        part: Part,
        admission: Admission,
        prepared: Prepared,
        progress: Progress,
        is_last: bool,
    ) -> None:
        parameters = {
            "load_id": progress.load_id,
            "read": admission.read,
            "stored": admission.stored,
            "duplicates": admission.duplicates,
            "conflicts": admission.conflicts,
            "parked": sum(admission.parked.values()),
            "parked_codes": Jsonb(admission.parked),
            "site_done": None if is_last else part.site_id,
            "block_end": None if is_last else progress.bytes_done,
            "block_digest": None if is_last else progress.prefix_digest,
            "bytes_done": progress.bytes_done if is_last else None,
            "lines_done": progress.lines_done if is_last else None,
            "prefix_digest": progress.prefix_digest if is_last else None,
            "arrival": prepared.arrival,
        }
        self._conn.execute(self._queries["advance_load"], parameters)


def _is_done(part: Part, after_site: str | None) -> bool:
    return (
        after_site is not None
        and part.site_id is not None
        and part.site_id.encode() <= after_site.encode()
    )


@contextmanager
def _retried(attempt: int) -> Iterator[None]:
    """Swallow what a new attempt can mend, except from the last one."""
    try:
        yield
    except (DeadlockDetected, SerializationFailure):
        if attempt == _TRIES - 1:
            raise
    except CheckViolation as error:
        # A row that fits no partition has this code too, but names no constraint.
        if error.diag.constraint_name is not None or attempt == _TRIES - 1:
            raise
