"""Event files as bytes: plain, .gz, .zst or stdin, read in blocks of bounded size."""

from __future__ import annotations

import codecs
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import zstandard
from numpy.typing import NDArray

from etl.batch import Batch
from sql.errors import InputError

LONGEST_LINE = 65_536
BLOCK_BYTES = 16 << 20
STDIN = "-"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# Fed in small pieces: a few bytes of zstd can stand for megabytes.
_ZSTD_PIECE = 1024
_UTF8_PIECE = 1 << 20

Offsets = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Whole records from the front of some bytes, and how much they took of them."""

    batch: Batch
    consumed: int
    lines: int


class Reader(Protocol):
    """One format."""

    def read(self, data: bytes, line: int, *, last: bool) -> Block:
        """Take whole records from the front of `data`, which begins with a record.

        line is the number of its first line; last: no more bytes will come. Raises
        InputError for bytes that are no text.
        """


@contextmanager
def opened(path: str, stream: BinaryIO | None = None) -> Iterator[BinaryIO]:
    """The content of a file, decompressed; `-` is stdin. Known by its first bytes.

    A stream that is given stands for the file; path is then its name only.
    """
    if path == STDIN or stream is not None:
        yield _content(stream or sys.stdin.buffer)
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("rb"))
        except OSError as error:
            raise _unreadable(path, error) from error
        yield _content(file)


def is_packed(path: str) -> bool:
    """Whether a file is .gz or .zst by its first bytes."""
    try:
        with Path(path).open("rb") as file:
            return file.read(4).startswith((_GZIP, _ZSTD))
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(name: str, error: OSError) -> InputError:
    return InputError(f"{name} cannot be read: {error.strerror or error}")


def _content(raw: BinaryIO) -> BinaryIO:
    buffered = io.BufferedReader(_Raw(raw), 1 << 20)
    magic = buffered.peek(4)[:4]
    if magic.startswith(_GZIP):
        return gzip.GzipFile(fileobj=buffered)  # type: ignore[return-value]
    if magic == _ZSTD:
        return io.BufferedReader(_Zstd(buffered), 1 << 20)
    return buffered


class _Raw(io.RawIOBase):
    """A stream that is not closed with what reads it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Zstd(io.RawIOBase):
    """Decompressed zstd; EOFError where the last frame has no end, as gzip does it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._ready = b""
        self._between_frames = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._ready:
            piece = self._frame.unused_data if self._frame.eof else b""
            piece = piece or self._stream.read(_ZSTD_PIECE)
            if not piece:
                if self._frame.eof or self._between_frames:
                    return 0
                raise EOFError("ended in the middle of a frame")
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._ready = self._frame.decompress(piece)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def read_exactly(content: BinaryIO, size: int, name: str, offset: int) -> bytes:
    """Read `size` bytes, fewer only at the end; InputError where they are damaged."""
    pieces: list[bytes] = []
    missing = size
    try:
        while missing and (piece := content.read(min(missing, 1 << 20))):
            pieces.append(piece)
            missing -= len(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
        at = offset + size - missing
        raise InputError(
            f"{name} is damaged or cut short after {at:,} bytes of content: {error}"
        ) from error
    except OSError as error:
        raise _unreadable(name, error) from error
    return b"".join(pieces)


def positions(data: bytes, character: bytes) -> Offsets:
    """Where a character (one byte) stands in `data`."""
    return np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord(character))


def newlines(data: bytes) -> Offsets:
    """Where the lines of `data` end."""
    return positions(data, b"\n")


def has_long_line(data: bytes) -> bool:
    """Whether a line may be longer than LONGEST_LINE: cheap, and never wrongly no."""
    step = LONGEST_LINE // 2
    return (
        any(
            data.find(b"\n", start, start + step) < 0
            for start in range(0, len(data) - step, step)
        )
        or len(data) - data.rfind(b"\n") > step
    )


def require_utf8(data: bytes, name: str, line: int) -> None:
    """Raise InputError at the first byte that is no UTF-8, and say where it is."""
    if data.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _UTF8_PIECE):
        piece = data[start : start + _UTF8_PIECE]
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(piece, final=start + _UTF8_PIECE >= len(data))
        except UnicodeDecodeError as error:
            at = start - pending + error.start
            where = line + data.count(b"\n", 0, at)
            column = at - data.rfind(b"\n", 0, at)
            raise InputError(
                f"{name} is not UTF-8: line {where}, byte {column} of the line is "
                f"0x{data[at]:02x}. Convert it first, for example with "
                f"iconv -f WINDOWS-1252 -t UTF-8"
            ) from error
