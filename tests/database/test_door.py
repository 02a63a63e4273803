"""The door on real servers: what is stored, parked, registered, marked and told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from etl.door.admit import Door
from tests.support.door import START, admit, counts


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
