"""What a test asks of its database, and puts there through the door."""

from __future__ import annotations

from typing import Any

import polars as pl

from etl.batch import batch_of
from etl.door.admit import Door
from sql.connect import Connection


def one(conn: Connection, query: str, *values: object) -> Any:
    """The first value of the first row, None where there is no row."""
    row = conn.execute(query.encode(), values or None).fetchone()
    return row[0] if row else None


def stored(conn: Connection) -> int:
    """How many events are stored."""
    return int(one(conn, "select count(*) from floor.events"))


def put(dsn: str, texts: pl.DataFrame) -> None:
    """Events, as text, through the door."""
    with Door(dsn) as door:
        door.admit(batch_of(texts), "test")
