"""Frames to PostgreSQL's binary COPY format, and back: numpy, no loop over rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray
from psycopg.sql import SQL, Identifier

from sql.connect import Connection

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
# About 256 kB a write: the size at which psycopg was fastest.
_ROWS_A_WRITE = 4096
_NULL = -1
POSTGRES_EPOCH_US = 946_684_800_000_000
TIME = "time"
_TYPES: Mapping[str, type[pl.DataType]] = {
    "int2": pl.Int16,
    "int4": pl.Int32,
    "float4": pl.Float32,
    "float8": pl.Float64,
    TIME: pl.Int64,
}


def copy_rows(
    conn: Connection, table: str, frame: pl.DataFrame, columns: Mapping[str, str]
) -> None:
    """COPY a frame into `table`: columns are target column to type (keys of _TYPES).

    The frame has the same columns; a time is microseconds since 1970 UTC. Raises what
    the server says, UniqueViolation above all.
    """
    present = {n: t for n, t in columns.items() if frame[n].null_count() < frame.height}
    statement = SQL("copy {} ({}) from stdin (format binary)").format(
        Identifier(*table.split(".")), SQL(", ").join(map(Identifier, present))
    )
    with conn.cursor().copy(statement) as copy:
        copy.write(_SIGNATURE)
        for block in _encoded(frame, present):
            copy.write(block)
        copy.write(_TRAILER)


def _encoded(frame: pl.DataFrame, columns: Mapping[str, str]) -> Iterator[bytes]:
    arrays = {name: _array(frame[name], kind) for name, kind in columns.items()}
    valid = {
        name: frame[name].is_not_null().to_numpy()
        for name in columns
        if frame[name].null_count()
    }
    for start in range(0, frame.height, _ROWS_A_WRITE):
        part = slice(start, start + _ROWS_A_WRITE)
        yield _tuples(
            {name: array[part] for name, array in arrays.items()},
            {name: mask[part] for name, mask in valid.items()},
        )


def _array(column: pl.Series, kind: str) -> NDArray[np.generic]:
    # Where there is nothing to fill, asking would cost more than the rest.
    filled = column.fill_null(0) if column.null_count() else column
    array = filled.cast(_TYPES[kind]).to_numpy()
    return array - POSTGRES_EPOCH_US if kind == TIME else array


def _tuples(
    arrays: Mapping[str, NDArray[np.generic]], valid: Mapping[str, NDArray[np.bool_]]
) -> bytes:
    """All rows with room for every column; the bytes of nulls are then cut out."""
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name, array in arrays.items():
        layout += [(f"{name} length", ">i4"), (name, array.dtype.newbyteorder(">").str)]
    rows = np.empty(len(next(iter(arrays.values()))), dtype=np.dtype(layout))
    rows["fields"] = len(arrays)
    for name, array in arrays.items():
        rows[f"{name} length"] = array.dtype.itemsize
        rows[name] = array
    if not valid:
        return rows.tobytes()
    kept = np.ones((len(rows), rows.dtype.itemsize), dtype=bool)
    for name, mask in valid.items():
        rows[f"{name} length"][~mask] = _NULL
        start = rows.dtype.fields[name][1]  # type: ignore[index]
        kept[~mask, start : start + rows.dtype[name].itemsize] = False
    return rows.view(np.uint8).reshape(kept.shape)[kept].tobytes()
