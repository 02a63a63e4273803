"""Files that are proven as a whole: a place is a row, the digest that of all bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import BinaryIO

import polars as pl

from etl.batch import ORIGIN_SCHEMA, Batch
from etl.files.contents import Piece
from etl.files.reading import Reading
from etl.readers.lines import numbered
from etl.readers.source import Source

_NOTHING = hashlib.sha256().digest()


class WholeFile:
    """What Content wants of a file whose rows are read as objects."""

    header = ""

    def __init__(self, source: Source, reading: Reading) -> None:
        self.name, self._site = source.name, reading.site
        self.notices: list[str] = []
        self.stream: BinaryIO = source.seekable()
        self._digest = hashlib.file_digest(self.stream, "sha256").digest()  # type: ignore[arg-type]
        self.bytes = self.stream.tell()
        self.stream.seek(0)
        self.rows_done = 0

    def head_digest(self) -> bytes:
        return self._digest

    def proven(self, prefixes: Iterable[tuple[int, bytes]]) -> set[tuple[int, bytes]]:
        return {
            (place, digest)
            for place, digest in prefixes
            if digest == (self._digest_at(place) if place else _NOTHING)
        }

    def skip(self, bytes_done: int, lines_done: int, block_end: int) -> None:  # noqa: ARG002
        self.rows_done = lines_done

    def place(self) -> str:
        return f"row {self.rows_done + 1:,}"

    def piece(self, rows: pl.DataFrame, columns: dict[str, str], place: int) -> Piece:
        """The next rows, texts by field, up to a place; columns: field to its name.

        Of parked rows, lines are rows of the file and raw bytes are JSON objects.
        """
        first = self.rows_done
        told = rows.rename(columns).with_row_index("row")

        def origin(wanted: pl.Series) -> pl.DataFrame:
            found = told.filter(pl.col("row").is_in(wanted.implode()))
            fields = pl.struct(pl.exclude("row")).struct.json_encode()
            return found.select(
                "row",
                line=pl.col("row").cast(pl.Int64) + (first + 1),
                raw=fields.cast(pl.Binary),
            ).match_to_schema(ORIGIN_SCHEMA)

        self.rows_done += rows.height
        batch = Batch(numbered(rows, None, self._site), origin)
        return Piece(batch, place, self.rows_done, self._digest_at(place))

    def _digest_at(self, place: int) -> bytes:
        return hashlib.sha256(self._digest + place.to_bytes(8, "big")).digest()
