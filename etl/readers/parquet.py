"""Parquet event files: typed columns as the texts that every other file brings.

Row groups are read in slices of bounded size, so that memory depends neither on the
file nor on how its writer cut it. A place is a row; it is proven by the digest of the
whole file, which is small beside what it holds.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from etl.files.contents import Piece
from etl.files.contents_whole import WholeFile
from etl.files.reading import Reading
from etl.readers.header import columns_of
from etl.readers.ndjson import TEXT_ONLY
from etl.readers.source import Source
from etl.shape.codes import WRONG_TYPE
from sql.errors import InputError

# About what a row takes as texts: pieces need as much memory as those of text files.
_BYTES_A_ROW = 160
_READ_AHEAD = 1 << 20
# Its own one keeps tens of megabytes of what was let go.
pa.set_memory_pool(pa.system_memory_pool())


class Parquet(WholeFile):
    """The rows of one file: see Content."""

    format = "parquet"

    def __init__(self, source: Source, reading: Reading) -> None:
        super().__init__(source, reading)
        self.size: int | None = self.bytes
        with _readable(self.name):
            self._file = pq.ParquetFile(
                self.stream, buffer_size=_READ_AHEAD, pre_buffer=False
            )
            names = self._file.schema_arrow.names
        columns, self.notices = columns_of(
            names, self.name, reading.mapping, reading.site, reading.layout
        )
        self._columns = {field: names[at] for field, at in columns.items()}
        self._rows_a_piece = max(1, source.block_bytes // _BYTES_A_ROW)

    def pieces(self) -> Iterator[Piece]:
        with _readable(self.name):
            for rows in self._slices():
                place = self._bytes_at(self.rows_done + rows.num_rows)
                yield self.piece(self._texts(rows), self._columns, place)

    def _bytes_at(self, row: int) -> int:
        """Rows as bytes of the file, as if all were equally long."""
        total: int = self._file.metadata.num_rows
        return self.bytes * row // max(1, total)

    def _slices(self) -> Iterator[pa.RecordBatch]:
        """Rows from rows_done on; equal ones in every run, wherever it begins."""
        at, groups = 0, []
        first = self.rows_done
        for group in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            if at + rows > first:
                groups.append(group)
            else:
                at += rows
        for rows in self._file.iter_batches(
            self._rows_a_piece,
            row_groups=groups,
            columns=[*self._columns.values()],
            use_threads=False,
        ):
            missing = max(0, first - at)
            at += rows.num_rows
            if missing < rows.num_rows:
                yield rows.slice(missing)

    def _texts(self, rows: pa.RecordBatch) -> pl.DataFrame:
        return pl.DataFrame(
            {
                field: _texts(_series(rows.column(column)), field)
                for field, column in self._columns.items()
            }
        )


class _readable:  # noqa: N801 - reads as what it does
    """What Arrow says of a damaged file, as InputError."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, pa.ArrowException | OSError):
            first = str(error).strip().splitlines()[0]
            raise InputError(
                f"{self._name} is damaged or no Parquet that can be read: {first}"
            ) from error


def _series(column: pa.Array) -> pl.Series:
    """Arrow's column as one of polars: zones it does not know become UTC."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        column = column.cast(pa.timestamp(kind.unit, "UTC"))
    elif pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)  # noqa: S101 - of an array, always
    return series


def _texts(column: pl.Series, field: str) -> pl.Series:
    """Values as the text that shape reads; WRONG_TYPE before what cannot be."""
    kind = column.dtype
    if kind == pl.Duration:
        column = column.dt.total_microseconds() / 1_000_000
    if isinstance(kind, pl.Binary):
        return _decoded(column)
    if kind == pl.Boolean or kind.is_nested():
        return _wrong(column)
    if field in TEXT_ONLY and (kind.is_float() or kind.is_decimal()):
        return _wrong(column)
    return column.cast(pl.String)


def _wrong(column: pl.Series) -> pl.Series:
    value = pl.col("value")
    said = pl.struct(value).struct.json_encode().str.slice(len('{"value":'))
    text = pl.lit(WRONG_TYPE) + said.str.head(-1)
    frame = column.alias("value").to_frame()
    return frame.select(pl.when(value.is_not_null()).then(text)).to_series()


def _decoded(column: pl.Series) -> pl.Series:
    """Bytes that are UTF-8 as text: old writers did not say that they wrote strings."""

    def decoded(value: bytes | None) -> str | None:
        if value is None:
            return None
        try:
            return value.decode()
        except UnicodeDecodeError:
            return WRONG_TYPE + value.hex()

    return pl.Series([decoded(value) for value in column], dtype=pl.String)
