"""`floorpulse export --format parquet`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.cli import floorpulse

EVENTS = """\
time,site_id,worker_id,workstation_id,event_type,confidence,count
2026-03-02T10:00:00Z,plant,W1,S1,working,0.9,
2026-03-02T10:05:00Z,plant,W1,S1,product_count,0.9,6
2026-03-02T10:07:00Z,plant,W1,S1,absent,0.9,
"""


@pytest.mark.plain
def test_exports_as_parquet(dsn: str, tmp_path: Path) -> None:
    floorpulse(dsn, "load", "-", stdin=EVENTS)
    floorpulse(dsn, "refresh", "--site", "plant", "--now", "2026-03-02T10:12:00Z")
    out = tmp_path / "hours.parquet"
    asked = ("--format", "parquet", "--output", str(out))
    floorpulse(dsn, "export", "worker_hourly", *asked)
    (row,) = pq.read_table(out).to_pylist()
    assert row["hour"] == datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert row["production_date"] == date(2026, 3, 2)
    assert (row["working_s"], row["units"], row["shift"]) == (420.0, 6, None)
    floorpulse(dsn, "export", "worker_hourly", *asked, "--site", "nowhere")
    assert pq.read_table(out).num_rows == 0
    for view in ("confidence_hourly", "retraining_requests", "notification_channels"):
        floorpulse(dsn, "export", view, *asked)  # lists, JSON, texts in lists
