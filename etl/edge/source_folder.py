"""Files of a folder: read as they grow, once each, whatever they are renamed to.

How far a file is read is stored with its lines, in one commit. Files are never changed;
they keep what they have, so they wait while the spool is half full.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from etl.edge.clock import now
from etl.edge.lines import Chunk, Mark, parsed, whole_lines
from etl.edge.source import Deliver
from etl.edge.spool import Spool
from etl.edge.stop import Stop

log = logging.getLogger(__name__)

# Rotated ones (`events.ndjson.1`) included.
_NAMES = re.compile(r"\.(ndjson|jsonl)(\.\d+)?$")
_BLOCK_BYTES = 128 << 10
# A last line without its end is taken when it is whole and the file rests so long.
_REST_S = 2.0
_HEAD_BYTES = 256
# More files than that are opened for each reading, and not kept open.
_MOST_OPEN = 128


@dataclass
class _Tail:
    """A file and how far it is read; open, it can be read even when it was replaced."""

    inode: str
    path: Path
    number: int | None = None
    head: bytes = b""
    done: int = 0
    seen: tuple[int, int] = (-1, -1)
    grew_at: float = 0.0

    def mark(self) -> Mark:
        """What is stored of it."""
        return Mark(self.inode, _text(self.path), self.head, self.done)

    def rests(self) -> bool:
        """Whether nobody has written into it for a while."""
        return time.monotonic() - self.grew_at > _REST_S

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Its descriptor."""
        if self.number is not None:
            yield self.number
            return
        number = os.open(self.path, os.O_RDONLY)
        try:
            yield number
        finally:
            os.close(number)

    def let_go(self) -> None:
        """Close it."""
        if self.number is not None:
            os.close(self.number)
            self.number = None


class Folder:
    """All NDJSON files of one folder."""

    keeps = True

    def __init__(self, path: Path, spool: Spool, look_s: float) -> None:
        self.name = f"folder {path}"
        self._path, self._spool, self._look_s = path, spool, look_s
        self._tails: dict[str, _Tail] = {}
        self._left: list[_Tail] = []
        self._complaints: dict[str, str] = {}

    def run(self, deliver: Deliver, stop: Stop) -> None:
        """See Source."""
        for mark in self._spool.marks():
            if mark.inode.startswith(f"{_text(self._path)}:"):
                tail = _Tail(mark.inode, Path(mark.path), None, mark.head, mark.done)
                self._tails[mark.inode] = tail
        while not stop.is_set():
            with self._complaining(self._path):
                self._look()
            for chunk in self._chunks():
                deliver(chunk)
            stop.wait(self._look_s)

    def close(self) -> None:
        """See Source."""
        for tail in self._tails.values():
            tail.let_go()

    def _look(self) -> None:
        """Find what is new, renamed, changed or gone."""
        found = dict(self._files())
        for inode, (path, status) in found.items():
            tail = self._tails.setdefault(inode, _Tail(inode, path))
            tail.path = path
            stamp = (status.st_size, status.st_mtime_ns)
            if tail.seen != stamp:
                with self._complaining(path):
                    self._changed(tail, stamp)
        gone = [inode for inode in self._tails if inode not in found]
        self._left = [self._tails.pop(inode) for inode in gone]

    def _files(self) -> Iterator[tuple[str, tuple[Path, os.stat_result]]]:
        for path in sorted(self._path.iterdir()):
            if not _NAMES.search(path.name):
                continue
            with self._complaining(path):
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    yield f"{_text(self._path)}:{status.st_ino}", (path, status)

    def _changed(self, tail: _Tail, stamp: tuple[int, int]) -> None:
        if tail.number is None and len(self._tails) <= _MOST_OPEN:
            tail.number = os.open(tail.path, os.O_RDONLY)
        with tail.opened() as number:
            head = os.pread(number, len(tail.head), 0)
        if stamp[0] < tail.done or head != tail.head:
            log.info("%s: has new content, read from its beginning", tail.path)
            tail.head, tail.done = b"", 0
        tail.seen, tail.grew_at = stamp, time.monotonic()

    def _chunks(self) -> Iterator[Chunk]:
        for tail in self._left:
            # Renamed away or replaced: what was open is read to its end.
            if tail.number is not None:
                yield from self._rest_of(tail, final=True)
                tail.let_go()
        self._spool.forget(tail.inode for tail in self._left)
        self._left = []
        for tail in list(self._tails.values()):
            if tail.seen[0] > tail.done:
                yield from self._rest_of(tail, final=False)

    def _rest_of(self, tail: _Tail, *, final: bool) -> Iterator[Chunk]:
        with self._complaining(tail.path), tail.opened() as number:
            while data := os.pread(number, _BLOCK_BYTES, tail.done):
                lines, size = self._cut(data, final=final, rests=tail.rests())
                if not size:
                    return
                tail.done += size
                tail.head = os.pread(number, min(_HEAD_BYTES, tail.done), 0)
                yield Chunk(lines, now(), tail.mark())

    def _cut(self, data: bytes, *, final: bool, rests: bool) -> tuple[list[bytes], int]:
        """Lines at the front of a block, and the bytes they take."""
        *whole, rest = data.split(b"\n")
        if whole:
            return whole_lines(whole), sum(map(len, whole)) + len(whole)
        endless = len(rest) == _BLOCK_BYTES
        if endless or final or (rests and isinstance(parsed(rest), dict)):
            return whole_lines([rest]), len(rest)
        return [], 0

    @contextmanager
    def _complaining(self, path: Path) -> Iterator[None]:
        """What cannot be read is said once, and tried again."""
        try:
            yield
        except OSError as error:
            said = f"{error.strerror}"
            if self._complaints.get(str(path)) != said:
                log.warning("%s: %s", path, said)
            self._complaints[str(path)] = said
        else:
            self._complaints.pop(str(path), None)


def _text(path: Path) -> str:
    """A name as text, also where its bytes are no UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
