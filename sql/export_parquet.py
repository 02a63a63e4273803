"""Rows of an `analytics` view as a Parquet file, in row groups as they come."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql as compose

from sql.connect import Connection
from sql.queries import load

ROWS_AT_ONCE = 20_000
# What PostgreSQL calls a type; any other goes as its text.
TYPES: dict[str, pa.DataType] = {
    "bigint": pa.int64(),
    "bigint[]": pa.list_(pa.int64()),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "double precision": pa.float64(),
    "integer": pa.int32(),
    "real": pa.float32(),
    "text": pa.string(),
    "text[]": pa.list_(pa.string()),
    "timestamp with time zone": pa.timestamp("us", tz="UTC"),
}


def write_parquet(
    conn: Connection, query: compose.Composed, columns: dict[str, str], file: BinaryIO
) -> None:
    """Write the query's rows; columns: names and types as PostgreSQL calls them.

    Memory holds ROWS_AT_ONCE rows, whatever the size; without rows the file has the
    columns alone.
    """
    schema = pa.schema(
        [(name, TYPES.get(kind, pa.string())) for name, kind in columns.items()]
    )
    names = compose.SQL(", ").join(
        compose.SQL("q.{}" if kind in TYPES else "q.{}::text").format(
            compose.Identifier(name)
        )
        for name, kind in columns.items()
    )
    rows = compose.SQL(load("export")["rows"]).format(names=names, query=query)
    with conn.cursor() as cursor, pq.ParquetWriter(file, schema) as writer:
        for block in _blocks(iter(cursor.stream(rows, binary=True))):
            # `names` are in the schema's order, so are the values of a row.
            arrays = [
                pa.array(values, kind)
                for values, kind in zip(
                    zip(*block, strict=True), schema.types, strict=True
                )
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _blocks(rows: Iterator[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    while block := list(islice(rows, ROWS_AT_ONCE)):
        yield block
