"""A file that grows: its whole lines go through the door soon after they are written.

Rotation (another file under its name), truncation and a last line that is not finished
are told apart; what a killed run had committed is found by its digest, in the file or
in one that has been rotated away meanwhile.
"""

from __future__ import annotations

import glob
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import psycopg

from etl.door.admit import Door
from etl.files.books import Books
from etl.files.contents import Lines, Piece
from etl.files.crew import is_of_database
from etl.files.load import Load, LoadProgress, LoadReport
from etl.files.reading import Reading
from etl.readers.open import BLOCK_BYTES, STDIN, is_packed, opened
from etl.readers.source import Source
from sql.errors import FloorpulseError, InputError

# So much of what was read last is compared again: a file may be emptied and outgrow its
# former length between two looks.
_REMEMBERED = 4096
_LONGEST_WAIT_S = 30.0
_LOG = logging.getLogger(__name__)


class Tail(Source):
    """The bytes of a growing file: use it in a `with`."""

    def __init__(self, path: str, block_bytes: int = BLOCK_BYTES) -> None:
        super().__init__(path, block_bytes)
        self._file: BinaryIO = Path(path).open("rb")  # noqa: SIM115 - closed with it
        self._memory = b""
        # Whether the file no longer holds what was read of it before the last fill.
        self.is_rewritten = False

    def __enter__(self) -> Tail:
        self._stream = self._open.enter_context(self._file)
        super().__enter__()
        return self

    def fill(self) -> bytes:
        held, memory = len(self.data), self._memory
        at = self.offset + held - len(memory)
        super().fill()
        # Asked after reading: what stands before it now stood there while we read.
        found = os.pread(self._file.fileno(), len(memory), at)
        self.is_rewritten = found != memory
        self._memory = (memory + self.data[held:])[-_REMEMBERED:]
        return self.data

    def is_replaced(self) -> bool:
        """Whether its name means another file now, or none."""
        own = os.fstat(self._file.fileno())
        try:
            named = Path(self.path).stat()
        except FileNotFoundError:
            return True
        return (own.st_dev, own.st_ino) != (named.st_dev, named.st_ino)

    def _is_pipe(self) -> bool:
        return False

    def _reopen(self) -> None:
        self._file.seek(0)
        self._memory = b""
        self._content = self._open.enter_context(opened(self.path, self._file))


class Growing(Lines):
    """The lines of a growing file, until it is another one or the stop: see Content."""

    def __init__(
        self, tail: Tail, reading: Reading, stop: threading.Event, every_s: float
    ) -> None:
        super().__init__(tail, reading.opened(tail.data, tail.name), _key(tail.path))
        self.size = None
        self._tail, self._stop, self._every_s = tail, stop, every_s

    def pieces(self) -> Iterator[Piece]:
        tail = self._tail
        self.skip_header()
        ends_soon = False
        while True:
            tail.fill()
            tail.ended = False
            if tail.is_rewritten:
                said = f"{tail.name} was truncated; read again from its beginning"
                self.notices.append(said)
                return
            if piece := self._whole_lines():
                ends_soon = False
                yield piece
                if not self._stop.is_set() and len(tail.data) < tail.block_bytes:
                    self._stop.wait(self._every_s)
                continue
            if self._stop.is_set():
                return
            if ends_soon:
                # It was replaced a while ago and nothing has come: this is all of it.
                tail.ended = True
                yield from self.rest()
                return
            ends_soon = tail.is_replaced()
            self._stop.wait(self._every_s)

    def _whole_lines(self) -> Piece | None:
        """What is finished of the bytes that are there."""
        tail = self._tail
        is_full = len(tail.data) >= tail.block_bytes
        if b"\n" not in tail.data and not is_full:
            return None
        block = self.block() if is_full else self.whole()
        return self.taken(block) if block.consumed else None


@dataclass
class Follower:
    """Loads what a file holds and what it grows by, until stop is set.

    Looks and commits every every_s seconds. A database that goes away is waited for;
    one that was never there raises.
    """

    path: str
    reading: Reading
    stop: threading.Event
    every_s: float = 1.0
    block_bytes: int = BLOCK_BYTES
    _reports: dict[int | None, LoadReport] = field(default_factory=dict)
    _wait_s: float = 0.0

    def run(self, dsn: str, tell: Callable[[LoadProgress], None]) -> LoadReport:
        """The counts of all its loads, runs before this one included if continued."""
        path = self.path
        if path == STDIN or Path(path).is_dir() or _is_packed(path):
            raise InputError(f"{path}: only one file of lines on disk can be followed")
        was_there = False
        while not self.stop.wait(self._wait_s):
            try:
                with Door(dsn) as door:
                    was_there = True
                    self._load(door, tell)
                break
            except (FloorpulseError, psycopg.Error) as error:
                if not (was_there and is_of_database(error)):
                    raise
                self._wait_s = min(_LONGEST_WAIT_S, 2 * self._wait_s or self.every_s)
                _LOG.warning("%s; trying again in %g s", error, self._wait_s)
        total = LoadReport(source=path)
        for report in self._reports.values():
            total.join(report)
        return total

    def _load(self, door: Door, tell: Callable[[LoadProgress], None]) -> None:
        def told(progress: LoadProgress) -> None:
            self._wait_s = 0.0
            tell(progress)

        for content in self._contents(door):
            load = Load(self.path, self.reading, dry_run=False)
            load.follows = True
            load.run(content, door, told)
            self._reports[load.report.load_id] = load.report

    def _contents(self, door: Door) -> Iterator[Lines]:
        """What was rotated away unread, then the file, and what takes its place."""
        is_first = True
        while not self.stop.is_set():
            with ExitStack() as stack:
                tail = self._opened(stack)
                if tail is None:
                    return
                growing = Growing(tail, self.reading, self.stop, self.every_s)
                if is_first:
                    yield from self._missed(growing, door)
                is_first = False
                yield growing

    def _opened(self, stack: ExitStack) -> Tail | None:
        """The file once it has a whole line; None if the stop comes before."""
        while not self.stop.is_set():
            with ExitStack() as attempt, suppress(FileNotFoundError):
                tail = attempt.enter_context(Tail(self.path, self.block_bytes))
                if b"\n" in tail.fill():
                    stack.enter_context(attempt.pop_all())
                    return tail
            self.stop.wait(self.every_s)
        return None

    def _missed(self, growing: Growing, door: Door) -> Iterator[Lines]:
        """Files that were rotated away while nobody looked, from where we were on."""
        key, path = _key(self.path), Path(self.path)
        prefixes = Books(door.conn).followed(key)
        if not prefixes or growing.proven(prefixes):
            return
        rotated = list(path.parent.glob(f"{glob.escape(path.name)}?*"))
        rotated.sort(key=lambda p: p.stat().st_mtime_ns)
        was_found = False
        for file in rotated:
            with Source(str(file), self.block_bytes) as source:
                if not source.fill():
                    continue
                opening = self.reading.opened(source.data, self.path)
                content = Lines(source, opening, key)
                was_found = was_found or bool(content.proven(prefixes))
                if was_found:
                    yield content
        if not was_found:
            growing.notices.append(
                f"{path} is another file than the one that was followed before, and "
                f"that one is not beside it: what came in between is not known"
            )


def _is_packed(path: str) -> bool:
    return Path(path).is_file() and is_packed(path)


def _key(path: str) -> bytes:
    """What finds the loads of a followed file, however long it has become."""
    return hashlib.sha256(b"follow:" + os.fsencode(os.path.abspath(path))).digest()
