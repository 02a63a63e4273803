"""Events into floor.events: COPY where nothing is there yet, else only what is missing.

Runs inside the batch's transaction. The unique key has the last word: where it objects,
the COPY is undone to its savepoint and every key is matched against what is stored now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from psycopg.errors import UniqueViolation

from etl.door.copy import POSTGRES_EPOCH_US, TIME, copy_rows
from etl.door.parts import IDENTITY, VALUES, Part
from sql import queries
from sql.connect import Connection
from sql.plant.wall_clock import moment

# Keys looked up to learn whether rows of a batch are there already.
_SAMPLE = 128
# Up to so many keys are looked up one by one; of more, all rows of their time are read.
_FEW = 4096
_EVENT_COLUMNS = {
    "site_key": "int4",
    "worker_key": "int4",
    "time": TIME,
    "duration_s": "float8",
    "workstation_key": "int4",
    "confidence": "float4",
    "count": "int4",
    "model_key": "int4",
    "camera_key": "int4",
    "event_type": "int2",
}
_KEY_COLUMNS = {
    "position": "int4",
    "worker_key": "int4",
    "time": TIME,
    "workstation_key": "int4",
    "event_type": "int2",
}
_VALUES = [
    ("stored_confidence", ">f4"),
    ("stored_count", ">i4"),
    ("stored_duration_s", ">f8"),
]
_STORED_VALUES = [name for name, _ in _VALUES]
_MATCHED = np.dtype([("position", ">i4"), *_VALUES])
_STORED = np.dtype(
    [
        ("worker_key", ">i4"),
        ("time_us", ">i8"),
        ("workstation_key", ">i4"),
        ("event_type", ">i2"),
        *_VALUES,
    ]
)


@dataclass(frozen=True)
class Stored:
    """What became of a part's rows: new ones, and duplicates beside what stands there.

    duplicates: the rows with stored_confidence, stored_count, stored_duration_s.
    """

    new: pl.DataFrame
    duplicates: pl.DataFrame


class EventStore:
    """The writing end of the door; remembers whether the last batch held duplicates."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._queries = queries.load("door")
        self._suspicious = False
        conn.execute(self._queries["make_key_staging"])

    def store(self, part: Part) -> Stored:
        """Write what is new of a part; call inside a transaction."""
        rows = part.events.height
        events = part.events.hstack(
            [
                pl.int_range(rows, dtype=pl.Int32, eager=True).alias("position"),
                pl.repeat(part.site_key, rows, dtype=pl.Int32, eager=True).alias(
                    "site_key"
                ),
                part.events["time_us"].alias("time"),
            ]
        )
        matched = self._probe(events, part.site_key)
        while True:
            new = _missing(events, matched)
            if self._copied(new):
                break
            matched = self._match_all(events, part.site_key)
        duplicates = _duplicates(events, matched, part.repeats)
        self._suspicious = not duplicates.is_empty()
        return Stored(new, duplicates)

    def _copied(self, new: pl.DataFrame) -> bool:
        """COPY new rows; False, and nothing written, where the unique key objects."""
        if new.is_empty():
            return True
        try:
            with self._conn.transaction():
                copy_rows(self._conn, "floor.events", new, _EVENT_COLUMNS)
        except UniqueViolation:
            return False
        return True

    def _probe(self, events: pl.DataFrame, site_key: int | None) -> pl.DataFrame:
        """Match a sample of the keys, and all of them where any of it is stored."""
        if self._suspicious or events.height <= _SAMPLE:
            return self._match_all(events, site_key)
        last = events.height - 1
        sample = events[[last * i // (_SAMPLE - 1) for i in range(_SAMPLE)]]
        matched = self._match_few(sample, site_key)
        return matched if matched.is_empty() else self._match_all(events, site_key)

    def _match_all(self, keys: pl.DataFrame, site_key: int | None) -> pl.DataFrame:
        """Positions of keys that are stored, and the values that stand there."""
        if keys.height <= _FEW:
            return self._match_few(keys, site_key)
        dense = {"limit": 2 * keys.height}
        (count,) = self._asked("count_between", keys, site_key, dense)
        if count < dense["limit"]:
            return self._match_here(keys, site_key)
        self._conn.execute("truncate pg_temp.door_keys")
        copy_rows(self._conn, "pg_temp.door_keys", keys, _KEY_COLUMNS)
        (found,) = self._asked("match_staged", keys, site_key)
        return _read(found, _MATCHED)

    def _match_few(self, keys: pl.DataFrame, site_key: int | None) -> pl.DataFrame:
        parameters = {
            "positions": keys["position"].to_list(),
            "worker_keys": keys["worker_key"].to_list(),
            "times": [moment(us) for us in keys["time_us"]],
            "workstation_keys": keys["workstation_key"].to_list(),
            "event_types": keys["event_type"].to_list(),
        }
        (found,) = self._asked("match_few", keys, site_key, parameters)
        return _read(found, _MATCHED)

    def _match_here(self, keys: pl.DataFrame, site_key: int | None) -> pl.DataFrame:
        """All rows that the site has in the keys' time, joined on this side.

        Where they are about as many as the keys, this took half the time of staging.
        """
        (found,) = self._asked("stored_between", keys, site_key)
        stored = _read(found, _STORED)
        shifted = pl.col("time_us") + POSTGRES_EPOCH_US
        identities = keys.select("position", *IDENTITY)
        return identities.join(
            stored.with_columns(shifted), on=IDENTITY, how="inner"
        ).drop(IDENTITY)

    def _asked(
        self,
        query: str,
        keys: pl.DataFrame,
        site_key: int | None,
        parameters: Mapping[str, Any] = MappingProxyType({}),
    ) -> tuple[Any, ...]:
        """One row, for a site and the time from the first of the keys to the last."""
        times_us = keys["time_us"].to_numpy()
        values = {
            **parameters,
            "site_key": site_key,
            "from_time": moment(int(times_us.min())),
            "to_time": moment(int(times_us.max())),
        }
        with self._conn.cursor(binary=True) as cursor:
            row = cursor.execute(self._queries[query], values).fetchone()
        if row is None:
            raise LookupError(query)
        return row


def _missing(events: pl.DataFrame, matched: pl.DataFrame) -> pl.DataFrame:
    """Events that are not stored yet: mostly all of them."""
    if matched.is_empty():
        return events
    return events.join(matched, on="position", how="anti", maintain_order="left")


def _read(found: bytes | None, dtype: np.dtype[np.void]) -> pl.DataFrame:
    """Rows as the *send functions of PostgreSQL wrote them, one after the other."""
    rows = np.frombuffer(found or b"", dtype=dtype)
    columns = {
        name: rows[name].astype(rows[name].dtype.newbyteorder("="))
        for name in dtype.names or ()
    }
    return pl.DataFrame(columns).with_columns(
        # No duration is 0 on the wire: a stored one is always more.
        pl.col("stored_duration_s").replace(0.0, None)
    )


def _duplicates(
    events: pl.DataFrame, matched: pl.DataFrame, repeats: pl.DataFrame
) -> pl.DataFrame:
    """Rows already stored, and repeats within the batch, beside the row that stands.

    A repeat stands beside the stored event where there is one, else beside the first
    line of its identity, which has just become the stored one.
    """
    columns = ["row", "position", *VALUES]
    if matched.is_empty():
        stored = events.clear()[columns].hstack(matched[_STORED_VALUES])
    else:
        stored = events.select(columns).join(matched, on="position", how="inner")
    if repeats.is_empty():
        return stored
    first = events.select("position", *(pl.col(v).alias(f"first_{v}") for v in VALUES))
    beside = (
        repeats.select(columns)
        .join(first, on="position", how="left")
        .join(matched.with_columns(is_stored=pl.lit(True)), on="position", how="left")
        .with_columns(
            pl.when("is_stored")
            .then(f"stored_{value}")
            .otherwise(f"first_{value}")
            .alias(f"stored_{value}")
            for value in VALUES
        )
    )
    return stored.vstack(beside.select(stored.columns))
