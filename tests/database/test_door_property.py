"""Any events, in any split and repetition: what a dictionary would keep is stored."""

from __future__ import annotations

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.batch import batch_of
from etl.door.admit import Counts, Door

pytestmark = pytest.mark.plain

COLUMNS = (
    "site_id",
    "worker_id",
    "workstation_id",
    "event_type",
    "time",
    "confidence",
    "duration_s",
)
# Few of each, so that identities meet often; the last time is in another day.
ROWS = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from(["W1", "W2"]),
    st.sampled_from(["S1", "S2"]),
    st.sampled_from(["working", "idle", "walking"]),
    st.sampled_from(
        ["2026-11-01T06:00:00Z", "2026-11-01T07:00:00+01:00", "2026-11-02T06:00:00Z"]
    ),
    st.sampled_from(["0.7", "0.70", "0.8"]),
    st.sampled_from([None, "5", "5.0", "6"]),
)
BATCHES = st.lists(st.lists(ROWS, min_size=1, max_size=12), min_size=1, max_size=4)
Row = tuple[str, str, str, str, str, str, str | None]


def expected(
    batches: list[list[Row]],
) -> tuple[dict[tuple[object, ...], object], list[Counts]]:
    """What stands in the end, by identity, and the counts of each batch."""
    kept: dict[tuple[object, ...], object] = {}
    told = []
    for batch in batches:
        counts = Counts(read=len(batch))
        for *identity, time, confidence, duration in batch:
            if "walking" in identity:
                counts.add(Counts(parked={"bad_event_type": 1}))
                continue
            instant = time.replace("07:00:00+01:00", "06:00:00Z")
            said = (float(confidence), duration and float(duration))
            first = kept.setdefault((*identity, instant), said)
            is_new = first is said
            counts.add(Counts(0, int(is_new), int(not is_new), int(first != said)))
        told.append(counts)
    return kept, told


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(batches=BATCHES)
def test_what_a_dictionary_would_keep(
    door: Door, conn: psycopg.Connection, batches: list[list[Row]]
) -> None:
    conn.execute("truncate floor.events, floor.dirty, ingest.rejects")
    kept, told = expected(batches)
    for batch, counts in zip(batches, told, strict=True):
        frame = pl.DataFrame(batch, dict.fromkeys(COLUMNS, pl.String), orient="row")
        found = door.admit(batch_of(frame), "test")
        assert found.read == found.stored + found.duplicates + sum(
            found.parked.values()
        )
        assert (
            Counts(
                found.read,
                found.stored,
                found.duplicates,
                found.conflicts,
                found.parked,
            )
            == counts
        )
        assert sum(map(len, found.duplicates_at)) == counts.duplicates
    stored = conn.execute(
        """select s.site_id, w.worker_id, b.workstation_id,
               (array['working', 'idle'])[e.event_type + 1],
               to_char(e.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
               round(e.confidence::numeric, 3)::float8, e.duration_s
        from floor.events e
        join floor.sites s using (site_key)
        join floor.workers w using (site_key, worker_key)
        join floor.workstations b using (site_key, workstation_key)"""
    ).fetchall()
    assert {row[:5]: row[5:] for row in stored} == kept
    assert len(stored) == len(kept)
    behind = conn.execute("select coalesce(sum(events), 0) from floor.dirty").fetchone()
    assert behind == (len(kept),)
