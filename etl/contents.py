"""What a load goes through: the content of one file, piece by piece, whatever format.

A piece is whole records and the place behind them, which a later run can prove.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

import numpy as np
import polars as pl

from etl.batch import Batch
from etl.readers import Block, Reader
from etl.readers_header import Opening, open_reader
from etl.readers_lines import TOO_LONG, Spans, block_of, line_spans
from etl.readers_source import Source
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

    def skip(self, bytes_done: int, lines_done: int) -> None:
        """Begin behind what an earlier run committed."""

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

    def head_digest(self) -> bytes:
        return self._head

    def proven(self, prefixes: Iterable[tuple[int, bytes]]) -> set[tuple[int, bytes]]:
        return self._source.proven(prefixes)

    def skip(self, bytes_done: int, lines_done: int) -> None:
        self._source.skip(bytes_done, lines_done)

    def place(self) -> str:
        return f"line {self._source.line:,}"

    def pieces(self) -> Iterator[Piece]:
        source = self._source
        if source.offset == 0:
            source.fill()
            source.take(self._opening.bytes, self._opening.lines)
            source.in_long_line = False
        while source.fill():
            block = _next_block(source, self._opening.reader)
            source.take(block.consumed, block.lines)
            yield Piece(block.batch, source.offset, source.line - 1, source.digest)


def open_content(
    source: Source, mapping: Mapping[str, str], site: str | None
) -> Content:
    """See what a file is; InputError where it is none of events."""
    head = source.head_digest()
    if source.data.startswith(_PARQUET):
        # Arrow takes its time to be imported, and few need it.
        from etl.readers_parquet import Parquet  # noqa: PLC0415

        return Parquet(source, mapping, site)
    if PurePath(source.name).suffix.lower() in _PARQUET_SUFFIXES:
        raise InputError(f"{source.name} is no Parquet, whatever its name says")
    return Lines(source, open_reader(source.data, source.name, mapping, site), head)


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
