"""Continuous aggregates: no hour falls between what is materialized and live."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from etl.files.load import load_file
from scheduler.refresh import refresh_site
from sql.connect import connect

HEADER = "time,site_id,worker_id,workstation_id,event_type,confidence"


def see(dsn: str, folder: Path, site: str, time: str, now: str) -> None:
    """One state of one worker, and a refresh at `now`."""
    path = folder / f"{site}.csv"
    path.write_text(f"{HEADER}\n{time},{site},W1,S1,working,0.9\n")
    load_file(dsn, str(path))
    refresh_site(dsn, site, datetime.fromisoformat(now).astimezone(UTC))


def hours(dsn: str, site: str) -> list[tuple[object, ...]]:
    with connect(dsn) as conn:
        return conn.execute(
            "select hour, working_s from analytics.worker_hourly"
            " where site_id = %s order by hour",
            (site,),
        ).fetchall()


@pytest.fixture
def seen_live(dsn: str, tmp_path: Path) -> str:
    """Site a has one hour that was open at its last refresh."""
    see(dsn, tmp_path, "a", "2025-07-01T00:10:00Z", "2025-07-01T02:30:00Z")
    see(dsn, tmp_path, "a", "2025-07-07T00:10:00Z", "2025-07-07T00:30:00Z")
    return dsn


def test_it_keeps_a_live_hour_that_the_watermark_of_another_site_passes(
    seen_live: str, tmp_path: Path
) -> None:
    before = hours(seen_live, "a")
    assert [row[1] for row in before] == [600.0, 600.0]
    see(seen_live, tmp_path, "b", "2025-07-09T05:10:00Z", "2025-07-09T06:30:00Z")
    assert hours(seen_live, "a") == before


def test_it_keeps_a_live_hour_that_its_own_watermark_passes(
    seen_live: str, tmp_path: Path
) -> None:
    before = hours(seen_live, "a")
    see(seen_live, tmp_path, "a", "2025-07-09T05:10:00Z", "2025-07-09T06:30:00Z")
    assert hours(seen_live, "a")[:2] == before


def test_it_keeps_days_too(seen_live: str, tmp_path: Path) -> None:
    see(seen_live, tmp_path, "b", "2025-07-20T05:10:00Z", "2025-07-22T06:30:00Z")
    with connect(seen_live) as conn:
        days = conn.execute(
            "select production_date::text, working_s from analytics.worker_daily"
            " where site_id = 'a' order by 1"
        ).fetchall()
    assert days == [("2025-07-01", 600.0), ("2025-07-07", 600.0)]
