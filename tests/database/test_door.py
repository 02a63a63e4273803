"""The door on real servers: counts, duplicates, conflicts, registration, one commit."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import Any

import polars as pl
import psycopg
import pytest

from etl.batch import batch_of
from etl.door.admit import Admission, Door

START = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)
GOOD = {
    "time": "2026-11-01T06:00:00Z",
    "site_id": "plant",
    "worker_id": "W1",
    "workstation_id": "S1",
    "event_type": "working",
    "confidence": "0.9",
    "count": None,
    "model_version": None,
    "camera_id": None,
    "duration_s": None,
}
Row = dict[str, str | None]


def texts(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(
        [GOOD | row for row in rows], schema=dict.fromkeys(GOOD, pl.String)
    )


def admit(door: Door, *rows: Row, source: str = "test") -> Admission:
    admission = door.admit(batch_of(texts(list(rows))), source)
    parked = sum(admission.parked.values())
    assert admission.read == admission.stored + admission.duplicates + parked
    assert admission.read == len(rows)
    return admission


def counts(admission: Admission) -> tuple[int, int, int, dict[str, int]]:
    return (
        admission.stored,
        admission.duplicates,
        admission.conflicts,
        admission.parked,
    )


@pytest.fixture
def door(dsn: str) -> Iterator[Door]:
    with Door(dsn) as opened:
        yield opened


def test_an_event_is_stored_with_all_it_says(
    door: Door, conn: psycopg.Connection
) -> None:
    row = {
        "event_type": "idle",
        "duration_s": "30.5",
        "model_version": "v1",
        "camera_id": "c1",
        "time": "2026-11-01T07:00:00.123456+01:00",
    }
    assert counts(admit(door, row)) == (1, 0, 0, {})
    stored = conn.execute(
        """select s.site_id, w.worker_id, b.workstation_id, e.time, e.event_type,
               e.confidence, e.count, e.duration_s, m.model_version, c.camera_id
        from floor.events e
        join floor.sites s using (site_key)
        join floor.workers w using (site_key, worker_key)
        join floor.workstations b using (site_key, workstation_key)
        join floor.models m using (site_key, model_key)
        join floor.cameras c using (site_key, camera_key)"""
    ).fetchall()
    time = START.replace(microsecond=123456)
    assert stored == [
        ("plant", "W1", "S1", time, 1, pytest.approx(0.9), 0, 30.5, "v1", "c1")
    ]


@pytest.mark.plain
def test_optional_columns_may_be_filled_here_and_there(
    door: Door, conn: psycopg.Connection
) -> None:
    """The rows of binary COPY are ragged then."""
    rows = [
        {
            "time": (START + timedelta(seconds=i)).isoformat(),
            "duration_s": str(i + 1) if i % 2 else None,
            "camera_id": f"c{i}" if i % 3 else None,
        }
        for i in range(50)
    ]
    assert admit(door, *rows).stored == 50
    stored = conn.execute(
        """select e.duration_s, c.camera_id
        from floor.events e left join floor.cameras c using (site_key, camera_key)
        order by e.time"""
    ).fetchall()
    assert stored == [
        (i + 1 if i % 2 else None, f"c{i}" if i % 3 else None) for i in range(50)
    ]


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


@pytest.mark.plain
def test_parked_rows_keep_bytes_code_message_and_line(
    door: Door, conn: psycopg.Connection
) -> None:
    admission = admit(door, {}, {"confidence": "2"}, {"worker_id": "a\x00b"})
    assert counts(admission) == (1, 0, 0, {"bad_confidence": 1, "bad_identifier": 1})
    parked = conn.execute(
        "select code, message, raw, line, site_id, source, seen from ingest.rejects "
        "order by line"
    ).fetchall()
    assert [(row[0], *row[3:]) for row in parked] == [
        ("bad_confidence", 2, "plant", "test", 1),
        ("bad_identifier", 3, "plant", "test", 1),
    ]
    assert parked[0][1] == "confidence '2' must be a number from 0 to 1"
    assert json.loads(parked[1][2])["worker_id"] == "a\x00b"


@pytest.mark.plain
def test_the_same_bytes_sent_again_are_counted(
    door: Door, conn: psycopg.Connection
) -> None:
    admit(door, {"confidence": "2"}, {"confidence": "2"})
    admit(door, {"confidence": "2"})
    seen = conn.execute("select code, seen from ingest.rejects").fetchall()
    assert seen == [("bad_confidence", 3)]


@pytest.mark.plain
def test_ids_are_registered_on_sight_and_marked(
    door: Door, conn: psycopg.Connection
) -> None:
    admit(door, {}, {"worker_id": "W2", "confidence": "x"})
    registered = conn.execute(
        """select s.site_id, s.discovered, w.worker_id, w.discovered, b.workstation_id,
               b.discovered, r.site_key is not null, p.timezone
        from floor.sites s
        join floor.workers w using (site_key)
        join floor.workstations b using (site_key)
        join floor.settings_spans p using (site_key)
        left join floor.refresh_state r using (site_key)"""
    ).fetchall()
    assert registered == [("plant", True, "W1", True, "S1", True, True, "UTC")]


@pytest.mark.plain
def test_a_strict_site_parks_what_nobody_registered(
    door: Door, conn: psycopg.Connection
) -> None:
    admit(door, {})
    conn.execute("update floor.sites set registration = 'strict'")
    admission = admit(
        door,
        {"time": "2026-11-01T07:00:00Z"},
        {"worker_id": "W2"},
        {"workstation_id": "S2"},
        {"worker_id": "W2", "workstation_id": "S2"},
        {"worker_id": "W2", "confidence": "2"},
        {"time": "2026-11-01T08:00:00Z", "model_version": "new"},
    )
    assert counts(admission) == (
        2,
        0,
        0,
        {"unknown_worker": 2, "unknown_workstation": 1, "bad_confidence": 1},
    )
    assert conn.execute("select count(*) from floor.workers").fetchone() == (1,)
    message = conn.execute(
        "select message from ingest.rejects where code = 'unknown_workstation'"
    ).fetchone()
    assert message == (
        "workstation_id 'S2' is not registered, and site 'plant' takes registered "
        "ones only",
    )


@pytest.mark.plain
def test_a_strict_installation_parks_unknown_sites(
    door: Door, conn: psycopg.Connection
) -> None:
    admit(door, {})
    conn.execute("update floor.installation set strict_sites = true")
    admission = admit(door, {"site_id": "other"}, {"time": "2026-11-01T07:00:00Z"})
    assert counts(admission) == (1, 0, 0, {"unknown_site": 1})
    assert conn.execute("select count(*) from floor.sites").fetchone() == (1,)


@pytest.mark.plain
def test_retention_and_zone_of_the_site_are_asked_for_each_batch(
    door: Door, conn: psycopg.Connection
) -> None:
    admit(door, {})
    conn.execute("update floor.sites set retention_days = 1")
    assert counts(admit(door, {}))[3] == {"expired": 1}
    conn.execute("update floor.sites set retention_days = null")
    conn.execute("update floor.settings_spans set timezone = 'Asia/Kolkata'")
    assert counts(admit(door, {"time": "2026-11-01 11:30:00"})) == (0, 1, 0, {})


@pytest.mark.plain
def test_a_batch_of_several_sites(door: Door, conn: psycopg.Connection) -> None:
    admission = admit(
        door,
        {"site_id": "b"},
        {"site_id": "a"},
        {"site_id": ""},
        {"site_id": "a", "confidence": "2"},
        {"site_id": "b"},
        {"site_id": "c", "time": "x"},
    )
    assert counts(admission) == (
        2,
        1,
        0,
        {"bad_identifier": 1, "bad_confidence": 1, "bad_time": 1},
    )
    tallies = conn.execute(
        "select site_id, stored, duplicates, parked from ingest.tallies order by 1"
    ).fetchall()
    assert tallies == [("a", 1, 0, 1), ("b", 1, 1, 0), ("c", 0, 0, 1)]


@pytest.mark.plain
def test_dirty_ranges_split_at_an_hour_and_at_midnight(
    door: Door, conn: psycopg.Connection
) -> None:
    minutes = [0, 10, 69, 130, 191, 17 * 60 + 59, 18 * 60, 18 * 60 + 1]
    rows = [{"time": (START + timedelta(minutes=m)).isoformat()} for m in minutes]
    admit(door, *rows, {"worker_id": "W2"})
    ranges = conn.execute(
        """select w.worker_id, d.from_time, d.to_time, d.events
        from floor.dirty d join floor.workers w using (worker_key) order by 1, 2"""
    ).fetchall()
    spans = [
        ("W1", 0, 69, 3),
        ("W1", 130, 130, 1),
        ("W1", 191, 191, 1),
        ("W1", 17 * 60 + 59, 17 * 60 + 59, 1),
        ("W1", 18 * 60, 18 * 60 + 1, 2),
        ("W2", 0, 0, 1),
    ]
    assert ranges == [
        (worker, START + timedelta(minutes=a), START + timedelta(minutes=b), n)
        for worker, a, b, n in spans
    ]
    admit(door, *rows)
    again = conn.execute("select count(*) from floor.dirty").fetchone()
    assert again == (len(spans),)


@pytest.mark.plain
def test_the_commit_is_told_to_who_listens(
    door: Door, conn: psycopg.Connection
) -> None:
    conn.execute("listen floorpulse_events")
    admit(door, {}, {}, {"confidence": "2"}, {"time": "2026-11-01T07:00:00Z"})
    (note,) = list(conn.notifies(timeout=5, stop_after=1))
    assert json.loads(note.payload) == {
        "site": "plant",
        "time": "2026-11-01T07:00:00+00:00",
        "stored": 2,
        "duplicates": 1,
        "parked": 1,
    }


@pytest.mark.plain
def test_tallies_count_late_events_and_their_latency(
    door: Door, conn: psycopg.Connection
) -> None:
    now = datetime.now(UTC)
    admit(
        door,
        {"time": (now - timedelta(seconds=10)).isoformat()},
        {"time": (now - timedelta(hours=1)).isoformat()},
        {"time": (now + timedelta(minutes=1)).isoformat()},
    )
    late, histogram = conn.execute(
        "select late, latency_histogram from ingest.tallies"
    ).fetchone() or (None, [])
    assert late == 1
    bins = {at: rows for at, rows in enumerate(histogram) if rows}
    # 10 s lie in [2^13, 2^14) ms, 1 h in [2^21, 2^22) ms; what is ahead counts as 0.
    assert bins == {0: 1, 14: 1, 22: 1}


def test_an_old_row_makes_its_own_chunk_only(
    door: Door, conn: psycopg.Connection
) -> None:
    admit(door, {"time": "1970-01-01T00:00:00Z"}, {})
    assert conn.execute("select count(*) from floor.events").fetchone() == (2,)
    made = conn.execute("select count(*) from floor.partitions").fetchone() or (0,)
    assert made[0] < 10


def test_a_chunk_that_was_dropped_is_made_again(
    door: Door, conn: psycopg.Connection
) -> None:
    admit(door, {})
    plain = not conn.execute("select hypertables from floor.installation").fetchone()[0]  # type: ignore[index]
    if plain:
        conn.execute("drop table floor.events_20261101, floor.activity_20261101")
    else:
        conn.execute(
            "select drop_chunks('floor.events', older_than => timestamptz '2026-11-03')"
        )
    assert counts(admit(door, {})) == (1, 0, 0, {})


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
    total = [0, 0, 0]
    with Door(dsn) as door:
        while rows:
            size = rng.choice([1, 50, 700, 2500])
            batch, rows = rows[:size], rows[size:]
            found = counts(admit(door, *batch, source=f"writer {seed}"))
            total = [a + b for a, b in zip(total, found, strict=False)]
    return total[0], total[1], total[2]


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
