"""Files of events through the door: bounded memory, resumed where a run was cut off.

A thread reads, shapes and keys the next block while the server takes the last. A block
is committed with its counts and the digest of the content up to its end; a run that
finds an unfinished load of the same content continues behind it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import BinaryIO, cast

import polars as pl
import psycopg

from etl.door.admit import Counts, Door, Progress
from etl.door.parts import NOTHING, Prepared
from etl.files.books import Books, Entry
from etl.files.contents import Content, Piece, open_content
from etl.files.parts import Part, PartStream
from etl.files.reading import Reading
from etl.readers.open import BLOCK_BYTES, STDIN
from etl.readers.source import Source
from etl.shape.time import NaiveTimes
from sql.errors import FloorpulseError, InputError

EXAMPLES = 20
Check = Callable[[pl.DataFrame], None]


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

    def join(self, other: LoadReport) -> None:
        """Take in another part of the same file."""
        self.add(other)
        self.dry_run = other.dry_run
        self.resumed |= other.resumed
        self.notices += [n for n in other.notices if n not in self.notices]
        self.warnings += other.warnings
        self.examples += other.examples
        self.seconds += other.seconds


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


def load_file(
    dsn: str,
    path: str,
    *,
    reading: Reading | None = None,
    dry_run: bool = False,
    progress: Callable[[LoadProgress], None] | None = None,
    block_bytes: int = BLOCK_BYTES,
    stream: BinaryIO | None = None,
    spool_bytes: int | None = None,
    part: Part | None = None,
    check: Check | None = None,
    told: int = 0,
) -> LoadReport:
    """Load one file, CSV, NDJSON or Parquet, plain, .gz or .zst; `-` is stdin.

    Raises InputError for a file that is none of events, LoadError (with the counts of
    what stays) for one that cannot be read to its end.

    A stream that is given is read instead; path is then its name; spool_bytes of it may
    go to disk, where its format is read to and fro. Of a file that is large a part may
    be meant, which is a load of its own. check sees the texts
    of each block first and may raise InputError; told is how many of the rows that are
    parked the report tells as examples.
    """
    load = Load(path, reading or Reading(), dry_run=dry_run)
    load.check, load.told = check, told
    started = time.perf_counter()
    load.part = part
    with ExitStack() as stack:
        if part is not None:
            # What it reads is bytes, and nothing but read() is asked for.
            stream = cast(BinaryIO, stack.enter_context(PartStream(path, part)))
        source = stack.enter_context(Source(path, block_bytes, stream, spool_bytes))
        if part is not None:
            source.lines_before = part.lines_before
        door = stack.enter_context(Door(dsn))
        try:
            content = open_content(source, load.reading)
            load.run(content, door, progress or (lambda _: None))
        finally:
            load.report.seconds = time.perf_counter() - started
    return load.report


class Load:
    """One run over one content."""

    def __init__(self, path: str, reading: Reading, *, dry_run: bool) -> None:
        self.reading = reading
        # A file name is bytes; the books hold text.
        text = os.fsencode(path).decode("utf-8", "backslashreplace")
        name = "stdin" if path == STDIN else text
        self.report = LoadReport(source=name, dry_run=dry_run)
        self.check: Check | None = None
        self.told = 0
        self.part: Part | None = None
        self.follows = False
        self._entry: Entry | None = None
        self._left_out = 0

    def run(
        self,
        content: Content,
        door: Door,
        tell: Callable[[LoadProgress], None],
    ) -> None:
        """Read the content to its end; LoadError where that fails on the way."""
        # One list: some is only known on the way.
        self.report.notices = content.notices
        books = Books(door.conn)
        if not self.report.dry_run:
            format_ = {"format": content.format, "header": content.header}
            place = {"part": asdict(self.part)} if self.part else {}
            options = json.dumps(format_ | place | self.reading.as_json())
            site = self.reading.site
            name, grows = self.report.source, self.follows
            entry = books.enter(content, name, site, options, grows=grows)
            self._entry = entry
            self.report.load_id, self.report.resumed = entry.load_id, entry.resumed
        try:
            self._carry(content, door, tell)
        except (FloorpulseError, psycopg.Error) as error:
            said = _said(error, content)
            if self._entry is not None:
                self.report.add(books.fail(self._entry.load_id, said))
            raise LoadError(said, self.report) from error
        if self._entry is not None:
            self.report.add(books.finish(self._entry.load_id))

    def _carry(
        self,
        content: Content,
        door: Door,
        tell: Callable[[LoadProgress], None],
    ) -> None:
        """Prepare one piece while the one before is committed."""
        naive = NaiveTimes()
        counts = Counts()
        steps = self._steps(content, door)
        with ThreadPoolExecutor(max_workers=1) as thread:
            coming = thread.submit(next, steps, None)
            while (step := coming.result()) is not None:
                coming = thread.submit(next, steps, None)
                piece, prepared = step
                naive += prepared.naive
                counts.add(self._commit(piece, prepared, door))
                tell(LoadProgress(piece.bytes_done, content.size, counts))
        self.report.warnings += _warnings(naive)
        if self._left_out and self.reading.preset is not None:
            because = self.reading.preset.because
            notice = f"{self._left_out:,} rows left out: {because}"
            self.report.notices.append(notice)
        if self.report.dry_run:
            self.report.add(counts)

    def _steps(self, content: Content, door: Door) -> Iterator[tuple[Piece, Prepared]]:
        for piece in content.pieces():
            batch, left_out = self.reading.events(piece.batch)
            self._left_out += left_out
            if self.check is not None:
                self.check(batch.texts)
            prepared = door.prepare(
                batch, timezone=self.reading.timezone, dry_run=self.report.dry_run
            )
            yield piece, prepared

    def _commit(self, piece: Piece, prepared: Prepared, door: Door) -> Counts:
        if self._entry is None:
            return self._tried(prepared)
        place = Progress(
            self._entry.load_id, piece.bytes_done, piece.lines_done, piece.digest
        )
        is_begun = piece.digest == self._entry.block_digest
        after = self._entry.site_done if is_begun else None
        admission = door.commit(prepared, self.report.source, place, after)
        parked = [told.filter(pl.col("code") != "conflict") for told in admission.told]
        self._show(prepared, pl.concat(parked), self.told)
        return admission

    def _tried(self, prepared: Prepared) -> Counts:
        """What a dry run counts of a block; keeps examples of what would be parked."""
        counts = Counts()
        for part in prepared.parts:
            parked = dict(part.rejects["code"].value_counts().iter_rows())
            counts.add(Counts(part.read, part.events.height, parked=parked))
        told = pl.concat([part.rejects for part in [NOTHING, *prepared.parts]])
        self._show(prepared, told, EXAMPLES)
        return counts

    def _show(self, prepared: Prepared, rejects: pl.DataFrame, most: int) -> None:
        """Keep the first of the rejects as examples, with their lines."""
        missing = most - len(self.report.examples)
        first = rejects.sort("row").head(max(0, missing))
        if not first.is_empty():
            lines = prepared.origin(first["row"]).select("row", "line")
            told = first.join(lines, on="row").select("line", "code", "message")
            self.report.examples += told.to_dicts()


def _said(error: Exception, content: Content) -> str:
    """What went wrong, in one sentence."""
    if isinstance(error, FloorpulseError):
        return error.message
    first, *_ = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"{content.name}: the database ended the load before {content.place()} "
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
