"""The content of one file on its way: blocks, and the digest of what is committed."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Self

from etl.readers.open import BLOCK_BYTES, STDIN, is_packed, opened, read_exactly
from sql.errors import InputError

HEAD_BYTES = 65_536


class Source:
    """Bytes of a file from the start, a block at a time: use it in a `with`.

    offset counts bytes of decompressed content that were taken, line is the number of
    the line at offset, digest is the sha256 of all bytes before it.
    """

    def __init__(
        self,
        path: str,
        block_bytes: int = BLOCK_BYTES,
        stream: BinaryIO | None = None,
        spool_bytes: int | None = None,
    ) -> None:
        self.path = path
        self._stream = stream
        # What of a stream may go to disk; None: nothing has to be read to and fro.
        self._spool_bytes = spool_bytes
        self.name = "stdin" if path == STDIN else path
        self.size = None if stream else _content_size(path)
        self.block_bytes = block_bytes
        # Of a part of a file: lines of the file before it, its header not counted.
        self.lines_before = 0
        self._open = ExitStack()
        self._content: BinaryIO = io.BytesIO()
        self._spool: BinaryIO | None = None
        self._begin()

    def __enter__(self) -> Self:
        self._content = self._open.enter_context(opened(self.path, self._stream))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _begin(self) -> None:
        self.offset, self.line = 0, 1
        self.data, self.ended = b"", False
        self.in_long_line = False
        self._sha256 = hashlib.sha256()

    @property
    def digest(self) -> bytes:
        return self._sha256.digest()

    @property
    def file_line(self) -> int:
        """The number that `line` has in the file."""
        return self.line + self.lines_before

    def fill(self) -> bytes:
        """Top up `data` to a block; `ended` says that nothing comes after it."""
        missing = self.block_bytes - len(self.data)
        at = self.offset + len(self.data)
        more = read_exactly(self._content, missing, self.name, at)
        self.ended = len(more) < missing
        self.data += more
        return self.data

    def take(self, count: int, lines: int) -> None:
        """Drop bytes from the front of `data`: they have been read."""
        taken = self.data[:count]
        self._sha256.update(taken)
        if self._spool is not None:
            self._spool.write(taken)
        self.in_long_line = bool(taken) and not taken.endswith(b"\n")
        self.data = self.data[count:]
        self.offset += count
        self.line += lines

    def head_digest(self) -> bytes:
        """The digest of the first bytes; call it before any are taken."""
        return hashlib.sha256(self.fill()[:HEAD_BYTES]).digest()

    def seekable(self) -> BinaryIO:
        """All of the content for who has to go to and fro; from a pipe, by way of disk.

        Call it before any bytes are taken, and read it no other way then. InputError
        for a stream that is larger than what may be kept of it.
        """
        if self._stream is not None and self._spool_bytes is None:
            raise InputError(f"{self.name} is Parquet; only a file of it can be read")
        if not self._is_pipe() and not is_packed(self.path):
            return self._open.enter_context(Path(self.path).open("rb"))
        spool = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        room = self._spool_bytes
        while self.data:
            if room is not None and spool.tell() + len(self.data) > room:
                raise InputError(
                    f"{self.name} is larger than {room >> 20:,} MB of content; Parquet "
                    "and XML go by way of the disk here: cut it, or load it with "
                    "`floorpulse load`"
                )
            spool.write(self.data)
            self.data = b""
            self.fill()
        spool.seek(0)
        return spool

    def proven(self, prefixes: Iterable[tuple[int, bytes]]) -> set[tuple[int, bytes]]:
        """Which (length, sha256) are of prefixes of this content; rewinds."""
        found = set()
        if self._is_pipe():
            spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the source
            self._spool = self._open.enter_context(spool)
        for length, digest in sorted(prefixes):
            self._skip_to(length)
            if self.offset == length and self.digest == digest:
                found.add((length, digest))
        self._rewind()
        return found

    def skip(self, length: int, lines: int) -> None:
        """Take a prefix that was committed by an earlier run."""
        self._skip_to(length)
        self.line = lines + 1

    def _skip_to(self, length: int) -> None:
        while self.offset < length and self.fill():
            self.take(min(len(self.data), length - self.offset), 0)

    def _is_pipe(self) -> bool:
        return self.path == STDIN or self._stream is not None

    def _reopen(self) -> None:
        self._open.close()
        self._content = self._open.enter_context(opened(self.path))

    def _rewind(self) -> None:
        if self._spool is None:
            self._reopen()
        else:
            self._spool.seek(0)
            rest = io.BytesIO(self.data)
            self._content = _Chain([self._spool, rest, self._content])  # type: ignore[assignment]
            self._spool = None
        self._begin()


def _content_size(path: str) -> int | None:
    """Bytes of content where that can be known beforehand."""
    if not Path(path).is_file() or is_packed(path):
        return None
    return Path(path).stat().st_size


class _Chain:
    """Streams read one after the other."""

    def __init__(self, streams: list[BinaryIO]) -> None:
        self._streams = streams

    def read(self, size: int) -> bytes:
        while self._streams:
            data = self._streams[0].read(size)
            if data:
                return data
            self._streams.pop(0)
        return b""
