"""Files of events through the door: bounded memory, resumed where a run was cut off.

A thread reads, shapes and keys the next block while the server takes the last. A block
is committed with its counts and the digest of the content up to its end; a run that
finds an unfinished load of the same content continues behind it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import psycopg
from psycopg.errors import LockNotAvailable

from etl.door import Counts, Door, Progress
from etl.door_parts import NOTHING, Prepared
from etl.readers import BLOCK_BYTES, STDIN, Block, Reader
from etl.readers_header import Opening, open_reader
from etl.readers_lines import TOO_LONG, Spans, block_of, line_spans
from etl.readers_source import Source
from etl.shape_time import NaiveTimes
from sql import queries
from sql.connect import Connection
from sql.errors import FloorpulseError, InputError

EXAMPLES = 20
_NO_TEXTS = pl.DataFrame(schema={"row": pl.UInt32})


@dataclass
class LoadReport(Counts):
    """What became of a file, the runs that were cut off included: see Counts.

    parked is by code; conflicts are among the duplicates. In a dry run, stored counts
    what would be admitted (duplicates not told apart), and examples say what would be
    parked: line, code and message of the first rows.
    """

    source: str = ""
    dry_run: bool = False
    load_id: int | None = None
    resumed: bool = False
    notices: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    examples: list[dict[str, object]] = field(default_factory=list)
    seconds: float = 0.0


class LoadError(InputError):
    """The file was not loaded to its end. Mend what is said and load it again."""

    def __init__(self, message: str, report: LoadReport) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class LoadProgress:
    """Where a load is: bytes of content, of how many in a plain file, and counts."""

    bytes_done: int
    bytes_total: int | None
    counts: Counts


@dataclass(frozen=True)
class _Step:
    """One block, ready to be committed."""

    prepared: Prepared
    bytes_done: int
    lines_done: int
    digest: bytes


def load_file(
    dsn: str,
    path: str,
    *,
    site: str | None = None,
    timezone: str | None = None,
    mapping: Mapping[str, str] | None = None,
    dry_run: bool = False,
    progress: Callable[[LoadProgress], None] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> LoadReport:
    """Load one CSV or NDJSON file, plain, .gz or .zst; `-` is stdin.

    site names the site of rows that name none; timezone replaces the sites' zones for
    times without an offset; mapping is column of the file to field. Raises InputError
    for a file that is none of events, LoadError (with the counts of what stays) for one
    that cannot be read to its end.
    """
    load = _Load(path, site, timezone, mapping or {}, dry_run=dry_run)
    started = time.perf_counter()
    with Source(path, block_bytes) as source, Door(dsn) as door:
        try:
            load.run(source, door, progress or (lambda _: None))
        finally:
            load.report.seconds = time.perf_counter() - started
    return load.report


class _Load:
    """One run of load_file."""

    def __init__(
        self,
        path: str,
        site: str | None,
        timezone: str | None,
        mapping: Mapping[str, str],
        *,
        dry_run: bool,
    ) -> None:
        self.site, self.timezone, self.mapping = site, timezone, mapping
        # A file name is bytes; the books hold text.
        text = os.fsencode(path).decode("utf-8", "backslashreplace")
        name = "stdin" if path == STDIN else text
        self.report = LoadReport(source=name, dry_run=dry_run)
        self._queries = queries.load("loads")
        self._site_done: str | None = None
        self._block_digest: bytes | None = None

    def run(
        self,
        source: Source,
        door: Door,
        tell: Callable[[LoadProgress], None],
    ) -> None:
        """Read the source to its end; LoadError where that fails on the way."""
        head = source.head_digest()
        opening = open_reader(source.data, source.name, self.mapping, self.site)
        self.report.notices += opening.notices
        if not self.report.dry_run:
            self._begin(source, door.conn, opening, head)
        if source.offset == 0:
            source.fill()
            source.take(opening.bytes, opening.lines)
            source.in_long_line = False
        try:
            self._carry(source, door, opening.reader, tell)
        except (FloorpulseError, psycopg.Error) as error:
            said = _said(error, source)
            self._fail(door.conn, said)
            raise LoadError(said, self.report) from error
        if self.report.load_id is not None:
            self._finish(door.conn)

    def _begin(
        self, source: Source, conn: Connection, opening: Opening, head: bytes
    ) -> None:
        """Continue an unfinished load of this content, or enter a new one."""
        options = json.dumps(
            {
                "format": opening.format,
                # What parked lines need to be read again.
                "header": source.data[: opening.bytes].decode("utf-8", "replace"),
                "site": self.site,
                "timezone": self.timezone,
                "map": dict(sorted(self.mapping.items())),
            }
        )
        found = self._claimed(source, conn, head, options)
        if found is None:
            parameters = {
                "source": self.report.source,
                "site_id": self.site,
                "options": options,
                "head_digest": head,
            }
            # Claimed before anybody can see it.
            with conn.transaction():
                (load_id,) = _row(conn, self._queries["start"], parameters)
                conn.execute(self._queries["claim"], {"load_id": load_id})
            self.report.load_id = load_id
            return
        self.report.load_id, bytes_done, lines_done = found
        key = {"load_id": self.report.load_id}
        row = _row(conn, self._queries["continue"], key)
        self._site_done, self._block_digest = row
        self.report.resumed = bool(bytes_done or self._site_done)
        source.skip(bytes_done, lines_done)

    def _claimed(
        self, source: Source, conn: Connection, head: bytes, options: str
    ) -> tuple[int, int, int] | None:
        """An unfinished load of this very content that no living process works on."""
        parameters = {"head_digest": head, "options": options}
        rows = conn.execute(self._queries["candidates"], parameters).fetchall()
        if not rows:
            return None
        # What is committed, and the block of which some sites are.
        prefixes = {row: {(row[1], row[3]), (row[4], row[5])} for row in rows}
        proven = source.proven(set().union(*prefixes.values()))
        for row in rows:
            load_id, bytes_done, lines_done, *_ = row
            if prefixes[row] <= proven and self._claim(conn, load_id, row[1:]):
                return load_id, bytes_done, lines_done
        return None

    def _claim(self, conn: Connection, load_id: int, proven: tuple[Any, ...]) -> bool:
        """Whether an unfinished load is ours now, and still where it was proven."""
        key = {"load_id": load_id}
        try:
            with conn.transaction():
                # A killed run's backend may need a moment to notice.
                conn.execute("set local lock_timeout = '3s'")
                conn.execute(self._queries["claim"], key)
        except LockNotAvailable:
            return False
        if conn.execute(self._queries["standing"], key).fetchone() == proven:
            return True
        conn.execute(self._queries["release"], key)
        return False

    def _carry(
        self,
        source: Source,
        door: Door,
        reader: Reader,
        tell: Callable[[LoadProgress], None],
    ) -> None:
        """Prepare one block while the one before is committed."""
        naive = NaiveTimes()
        counts = Counts()
        steps = self._steps(source, door, reader)
        with ThreadPoolExecutor(max_workers=1) as thread:
            coming = thread.submit(next, steps, None)
            while (step := coming.result()) is not None:
                coming = thread.submit(next, steps, None)
                naive += step.prepared.naive
                counts.add(self._commit(step, door))
                tell(LoadProgress(step.bytes_done, source.size, counts))
        self.report.warnings += _warnings(naive)
        if self.report.dry_run:
            self.report.add(counts)

    def _steps(self, source: Source, door: Door, reader: Reader) -> Iterator[_Step]:
        while source.fill():
            block = _next_block(source, reader)
            prepared = door.prepare(
                block.batch, timezone=self.timezone, dry_run=self.report.dry_run
            )
            source.take(block.consumed, block.lines)
            lines_done = source.line - 1
            yield _Step(prepared, source.offset, lines_done, source.digest)

    def _commit(self, step: _Step, door: Door) -> Counts:
        if self.report.load_id is None:
            return self._tried(step.prepared)
        place = Progress(
            self.report.load_id, step.bytes_done, step.lines_done, step.digest
        )
        after = self._site_done if step.digest == self._block_digest else None
        return door.commit(step.prepared, self.report.source, place, after)

    def _tried(self, prepared: Prepared) -> Counts:
        """What a dry run counts of a block; keeps examples of what would be parked."""
        counts = Counts()
        for part in prepared.parts:
            parked = dict(part.rejects["code"].value_counts().iter_rows())
            counts.add(Counts(part.read, part.events.height, parked=parked))
        missing = EXAMPLES - len(self.report.examples)
        told = pl.concat([part.rejects for part in [NOTHING, *prepared.parts]])
        first = told.sort("row").head(missing)
        if not first.is_empty():
            lines = prepared.origin(first["row"]).select("row", "line")
            told = first.join(lines, on="row").select("line", "code", "message")
            self.report.examples += told.to_dicts()
        return counts

    def _fail(self, conn: Connection, error: str) -> None:
        """Say so in ingest.loads, where the database still answers."""
        if self.report.load_id is None:
            return
        key = {"load_id": self.report.load_id}
        with suppress(psycopg.Error):
            conn.execute(self._queries["fail"], key | {"error": error})
            self._count(conn)

    def _finish(self, conn: Connection) -> None:
        conn.execute(self._queries["finish"], {"load_id": self.report.load_id})
        self._count(conn)

    def _count(self, conn: Connection) -> None:
        key = {"load_id": self.report.load_id}
        self.report.add(Counts(*_row(conn, self._queries["counts"], key)))


def _row(
    conn: Connection, query: str, parameters: Mapping[str, Any]
) -> tuple[Any, ...]:
    row = conn.execute(query, parameters).fetchone()
    if row is None:
        raise LookupError(f"no row for {parameters}")
    return row


def _said(error: Exception, source: Source) -> str:
    """What went wrong, in one sentence."""
    if isinstance(error, FloorpulseError):
        return error.message
    first, *_ = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"{source.name}: the database ended the load before line {source.line:,} "
        f"({first}); load the file again to continue"
    )


def _warnings(naive: NaiveTimes) -> list[str]:
    told = []
    if naive.repeated:
        told.append(
            f"{naive.repeated:,} times without offset occur twice in their time zone; "
            f"the first occurrence was taken"
        )
    if naive.skipped:
        told.append(
            f"{naive.skipped:,} times without offset do not occur in their time zone; "
            f"they were read with the offset before the clock change"
        )
    return told


def _next_block(source: Source, reader: Reader) -> Block:
    """The next whole records; of an endless line, its beginning as a broken one."""
    data = source.data
    if source.in_long_line:
        end = data.find(b"\n") + 1 or len(data)
        return block_of(data[:end], source.line, _NO_TEXTS, {}, lambda: line_spans(b""))
    block = reader.read(data, source.line, last=source.ended)
    if block.consumed:
        return block
    spans = Spans(np.array([0]), np.array([len(data)]))
    return block_of(data, source.line, _NO_TEXTS, {0: TOO_LONG}, lambda: spans)
