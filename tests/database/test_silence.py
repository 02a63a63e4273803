"""A worker who was not seen for years costs the days on which he was."""

from __future__ import annotations

from pathlib import Path

import psycopg

from tests.support.cases import instant
from tests.support.plant import Plant
from tests.support.wallclock import Settings

OLD, NEW = "2024-01-01T00:00:00Z", "2026-03-02T10:00:00Z"
NOW = instant("2026-03-02T10:30:00Z")


def test_years_of_silence_are_not_touched(
    dsn: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    plant = Plant(dsn, "plant", tmp_path)
    plant.settle(Settings({"max_state_s": 86_400}), [])
    plant.load([f"{time},plant,W1,S1,working,0.9,," for time in (OLD, NEW)])
    plant.refresh(NOW)
    hours = conn.execute(
        "select hour, working_s from analytics.worker_hourly order by hour"
    ).fetchall()
    assert [working_s for _, working_s in hours] == [3600.0] * 24 + [1800.0]
    # The same cut once more, to see what it touches.
    with conn.transaction(force_rollback=True):
        conn.execute(
            "select floor.cut_activity(s.site_key, %s, array[w.worker_key],"
            " array[%s::timestamptz], array[%s::timestamptz])"
            " from floor.sites s join floor.workers w using (site_key)",
            ("2026-03-02T10:30:00Z", OLD, NEW),
        )
        (touched,) = conn.execute("select count(*) from floor.touched").fetchone() or ()
    assert 25 <= touched <= 24 * 6
