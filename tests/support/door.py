"""Events as text for the door, and what it says of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl

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
Row = Mapping[str, str | None]


def texts(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(
        [{**GOOD, **row} for row in rows], schema=dict.fromkeys(GOOD, pl.String)
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
