"""Events that are there already: duplicates and conflicts, however they come."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from multiprocessing import get_context
from typing import Any

import polars as pl
import psycopg
import pytest

from etl.door.admit import Door
from tests.support.door import START, Row, admit, counts


def test_duplicates_and_conflicts_in_one_batch(
    door: Door, conn: psycopg.Connection
) -> None:
    admission = admit(
        door, {}, {}, {"confidence": "0.8"}, {"confidence": "0.900000001"}, {}
    )
    assert counts(admission) == (1, 4, 1, {})
    assert admission.told[0].rows() == [
        (
            2,
            "conflict",
            "the event is stored already with other values: "
            "confidence 0.8 (stored: 0.9)",
        )
    ]
    stored = conn.execute("select confidence from floor.events").fetchall()
    assert stored == [(pytest.approx(0.9),)]


@pytest.mark.parametrize(
    ("first", "second", "conflicts"),
    [
        ({}, {}, 0),
        ({}, {"model_version": "v2", "camera_id": "c9"}, 0),
        ({"duration_s": "5"}, {}, 1),
        ({}, {"duration_s": "5"}, 1),
        ({"duration_s": "5"}, {"duration_s": "5.0"}, 0),
        (
            {"event_type": "product_count", "count": "2"},
            {"event_type": "product_count", "count": "3"},
            1,
        ),
        (
            {"event_type": "product_count", "count": "2"},
            {"event_type": "product_count", "count": "2.0"},
            0,
        ),
        ({"confidence": "0.7"}, {"confidence": "0.70000001"}, 0),
        ({"confidence": "0.7"}, {"confidence": "0.7001"}, 1),
    ],
)
def test_a_second_batch_is_compared_with_what_stands(
    door: Door, first: Row, second: Row, conflicts: int
) -> None:
    assert counts(admit(door, first)) == (1, 0, 0, {})
    assert counts(admit(door, second)) == (0, 1, conflicts, {})


def test_repeats_of_a_stored_event_are_compared_with_the_stored_one(
    door: Door, conn: psycopg.Connection
) -> None:
    admit(door, {})
    assert counts(admit(door, {"confidence": "0.5"}, {}, {})) == (0, 3, 1, {})
    parked = conn.execute("select code, raw from ingest.rejects").fetchall()
    assert [code for code, _ in parked] == ["conflict"]
    assert json.loads(parked[0][1])["confidence"] == "0.5"


def test_many_rows_of_which_some_are_stored(
    door: Door, conn: psycopg.Connection
) -> None:
    """More than are looked up one by one: sampled, then matched as a whole."""
    rows = [
        {"time": (START + timedelta(seconds=i)).isoformat(), "worker_id": f"W{i % 7}"}
        for i in range(6000)
    ]
    assert counts(admit(door, *rows[::3])) == (2000, 0, 0, {})
    changed = [row | {"confidence": "0.5"} for row in rows[:30]]
    assert counts(admit(door, *changed, *rows[30:])) == (4000, 2000, 10, {})
    assert counts(admit(door, *rows)) == (0, 6000, 20, {})
    assert conn.execute("select count(*) from floor.events").fetchone() == (6000,)


def test_few_stored_rows_of_many_that_the_sample_misses(door: Door) -> None:
    rows = [{"time": (START + timedelta(seconds=i)).isoformat()} for i in range(20_000)]
    admit(door, rows[7777])
    assert counts(admit(door, *rows)) == (19_999, 1, 0, {})


def test_a_sparse_batch_in_a_dense_history(door: Door) -> None:
    """Staging: reading all rows of the range would read too many."""
    dense = [
        {"time": (START + timedelta(seconds=i)).isoformat()} for i in range(20_000)
    ]
    admit(door, *dense)
    other = [row | {"worker_id": "W2"} for row in dense[::4]]
    assert counts(admit(door, *other)) == (5000, 0, 0, {})
    changed = [row | {"confidence": "0.1"} for row in other[:7]]
    assert counts(admit(door, *changed, *other[7:])) == (0, 5000, 7, {})


def test_rows_that_another_writer_commits_in_between(
    dsn: str, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a database whose transactions would not see them by default."""
    conn.execute(
        f"alter database {conn.info.dbname} "
        "set default_transaction_isolation = 'repeatable read'"
    )
    rows = [{"time": (START + timedelta(seconds=i)).isoformat()} for i in range(300)]

    def probe(*arguments: Any) -> pl.DataFrame:
        found = true_probe(*arguments)
        admit(other, rows[150], rows[299] | {"confidence": "0.1"})
        return found

    with Door(dsn) as door, Door(dsn) as other:
        true_probe = door._store._probe
        monkeypatch.setattr(door._store, "_probe", probe)
        assert counts(admit(door, *rows)) == (298, 2, 1, {})


def _writer(dsn: str, seed: int) -> tuple[int, int, int]:
    """Admits the same events as its siblings, in batches of its own making."""
    rng = random.Random(seed)
    rows: list[Row] = [
        {
            "time": (START + timedelta(minutes=7 * (i % 400))).isoformat(),
            "worker_id": f"W{i // 400}",
        }
        for i in range(6000)
    ]
    rng.shuffle(rows)
    stored = duplicates = conflicts = 0
    with Door(dsn) as door:
        while rows:
            size = rng.choice([1, 50, 700, 2500])
            batch, rows = rows[:size], rows[size:]
            found = counts(admit(door, *batch, source=f"writer {seed}"))
            stored += found[0]
            duplicates += found[1]
            conflicts += found[2]
    return stored, duplicates, conflicts


def test_four_writers_of_the_same_events_store_each_once(
    dsn: str, conn: psycopg.Connection
) -> None:
    with get_context("spawn").Pool(4) as pool:
        found = pool.starmap_async(_writer, [(dsn, i) for i in range(4)]).get(120)
    assert sum(stored for stored, _, _ in found) == 6000
    assert sum(duplicates for _, duplicates, _ in found) == 3 * 6000
    assert sum(conflicts for _, _, conflicts in found) == 0
    assert conn.execute("select count(*) from floor.events").fetchone() == (6000,)
    behind = conn.execute("select sum(events) from floor.dirty").fetchone()
    assert behind == (6000,)
