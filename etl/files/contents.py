"""What a load goes through: the content of one file, piece by piece, whatever format.

A piece is whole records and the place behind them, which a later run can prove.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

import numpy as np
import polars as pl

from etl.batch import Batch
from etl.files.reading import Reading
from etl.readers.header import Opening
from etl.readers.lines import TOO_LONG, Spans, block_of, line_spans
from etl.readers.open import Block
from etl.readers.presets import MTCONNECT
from etl.readers.source import Source
from sql.errors import InputError

_PARQUET, _PARQUET_SUFFIXES = b"PAR1", {".parquet", ".pq"}
_NO_TEXTS = pl.DataFrame(schema={"row": pl.UInt32})


@dataclass(frozen=True)
class Piece:
    """Records, and where they end: digest proves the bytes_done bytes before."""

    batch: Batch
    bytes_done: int
    lines_done: int
    digest: bytes


class Content(Protocol):
    """One file: prove what was committed, skip it, go through the rest."""

    name: str
    size: int | None
    format: str
    header: str
    notices: list[str]

    def head_digest(self) -> bytes:
        """What finds loads of the same content."""

    def proven(self, prefixes: Iterable[tuple[int, bytes]]) -> set[tuple[int, bytes]]:
        """Which (bytes_done, digest) are of this content."""

    def skip(self, bytes_done: int, lines_done: int, block_end: int) -> None:
        """Begin behind what an earlier run committed.

        block_end: where the block ends of which it committed some sites; or 0.
        """

    def pieces(self) -> Iterator[Piece]:
        """The rest; InputError where it cannot be read to its end."""

    def place(self) -> str:
        """Where the next piece begins, as a person would say it."""


class Lines:
    """CSV and NDJSON: a stream of bytes, read in blocks of whole records."""

    def __init__(self, source: Source, opening: Opening, head: bytes) -> None:
        self.name, self.size = source.name, source.size
        self.format, self.notices = opening.format, opening.notices
        # What parked lines need to be read again.
        self.header = source.data[: opening.bytes].decode("utf-8", "replace")
        self._source, self._opening, self._head = source, opening, head
        self._block_end = 0

    def head_digest(self) -> bytes:
        return self._head

    def proven(self, prefixes: Iterable[tuple[int, bytes]]) -> set[tuple[int, bytes]]:
        return self._source.proven(prefixes)

    def skip(self, bytes_done: int, lines_done: int, block_end: int) -> None:
        self._source.skip(bytes_done, lines_done)
        self._block_end = block_end

    def place(self) -> str:
        return f"line {self._source.file_line:,}"

    def pieces(self) -> Iterator[Piece]:
        self.skip_header()
        yield from self.rest()

    def skip_header(self) -> None:
        """Go behind what stands before the first record."""
        source = self._source
        if source.offset == 0:
            source.fill()
            source.take(self._opening.bytes, self._opening.lines)
            source.in_long_line = False

    def rest(self) -> Iterator[Piece]:
        """What is left, to its end."""
        while self._source.fill():
            yield self.taken(self.block())

    def whole(self) -> Block:
        """The next whole records of the bytes that are there; maybe none."""
        source = self._source
        data, line = source.data, source.file_line
        begun = self._block_end - source.offset
        if 0 < begun <= len(data):
            # As the run before cut it: some sites of this block are committed.
            data = data[:begun]
        if source.in_long_line:
            end = data.find(b"\n") + 1 or len(data)
            return block_of(data[:end], line, _NO_TEXTS, {}, lambda: line_spans(b""))
        is_last = source.ended and len(data) == len(source.data)
        return self._opening.reader.read(data, line, last=is_last)

    def block(self) -> Block:
        """As `whole`; of a line longer than all there is, its beginning, broken."""
        block = self.whole()
        if block.consumed:
            return block
        data = self._source.data
        spans = Spans(np.array([0]), np.array([len(data)]))
        line = self._source.file_line
        return block_of(data, line, _NO_TEXTS, {0: TOO_LONG}, lambda: spans)

    def taken(self, block: Block) -> Piece:
        """A block that goes on its way."""
        source = self._source
        source.take(block.consumed, block.lines)
        return Piece(block.batch, source.offset, source.line - 1, source.digest)


def open_content(source: Source, reading: Reading) -> Content:
    """See what a file is; InputError where it is none of events."""
    head = source.head_digest()
    if source.data.startswith(_PARQUET):
        # Arrow takes its time to be imported, and few need it.
        from etl.readers.parquet import Parquet  # noqa: PLC0415

        return Parquet(source, reading)
    text = source.data.removeprefix(codecs.BOM_UTF8).lstrip()
    if reading.preset is MTCONNECT and text.startswith(b"<"):
        from etl.readers.mtconnect import Streams  # noqa: PLC0415

        return Streams(source, reading)
    if PurePath(source.name).suffix.lower() in _PARQUET_SUFFIXES:
        raise InputError(f"{source.name} is no Parquet, whatever its name says")
    return Lines(source, reading.opened(source.data, source.name), head)
