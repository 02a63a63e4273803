"""Cut in stages, the newest first: pieces that stand across a border go too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from etl.files.load import load_file
from scheduler import refresh
from sql.connect import connect
from sql.plant.moments import MINUS_INFINITY
from sql.plant.shifts import Pattern, add_shift, end_shift
from sql.plant.sites import SiteChange, set_site

HEADER = "time,site_id,worker_id,workstation_id,event_type,confidence,duration_s\n"
#: A state that once ran until 03:30, long past midnight, and the one that ended it.
LONG = [
    "2026-03-01T23:40Z,plant,W1,S1,working,0.9,14400",
    "2026-03-02T03:30Z,plant,W1,S1,idle,0.9,60",
]
#: States between, one on either day, that leave nothing of it after 23:50.
BETWEEN = [
    "2026-03-01T23:50Z,plant,W1,S1,idle,{},60",
    "2026-03-02T00:30Z,plant,W1,S1,idle,{},60",
]
NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)
PIECES = (
    "select time, ends_at, state, state_at from floor.activity order by time, state_at"
)


def load(dsn: str, folder: Path, lines: list[str]) -> None:
    path = folder / "events.csv"
    path.write_text(HEADER + "\n".join(lines) + "\n")
    load_file(dsn, str(path))


def pieces(dsn: str) -> list[tuple[object, ...]]:
    with connect(dsn) as conn:
        return conn.execute(PIECES).fetchall()


def stands_once(dsn: str) -> bool:
    """Whether four states are all there is, none longer than its own time."""
    found = pieces(dsn)
    seconds = [(b - a).total_seconds() for a, b, *_ in found]  # type: ignore[operator]
    return seconds == [600, 60, 60, 60]


def test_the_later_day_is_cut_in_a_step_of_its_own(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "EVENTS_PER_STEP", 1)
    load(dsn, tmp_path, LONG)
    refresh.refresh_site(dsn, "plant", NOW)
    assert len(pieces(dsn)) == 6
    load(dsn, tmp_path, [line.format(0.9) for line in BETWEEN])
    refresh.refresh_site(dsn, "plant", NOW)
    assert stands_once(dsn)


def test_the_later_day_is_restated_first(dsn: str, tmp_path: Path) -> None:
    load(dsn, tmp_path, LONG + [line.format(0.6) for line in BETWEEN])
    refresh.refresh_site(dsn, "plant", NOW)
    assert len(pieces(dsn)) == 6
    with connect(dsn) as conn:
        set_site(conn, "plant", SiteChange(min_confidence=0.5), MINUS_INFINITY)
    refresh.refresh_site(dsn, "plant", NOW)
    assert stands_once(dsn)


def test_a_piece_under_way_is_cut_where_a_shift_ends_for_good(
    dsn: str, tmp_path: Path
) -> None:
    """Nothing of this worker begins after the change: the piece before it is known."""
    load(dsn, tmp_path, ["2026-03-02T03:20Z,plant,W1,S1,working,0.9,600"])
    ends_at = datetime(2026, 3, 2, 3, 25, tzinfo=UTC)
    with connect(dsn) as conn:
        day = Pattern(tuple(range(7)), 6 * 60, 480)
        add_shift(conn, "plant", "day", day, MINUS_INFINITY)
        refresh.refresh_site(dsn, "plant", NOW)
        assert len(pieces(dsn)) == 1
        end_shift(conn, "plant", "day", ends_at)
        refresh.refresh_site(dsn, "plant", NOW)
        # Outside of the shifts until 03:25; where a site has none, all time counts.
        shifts = conn.execute(
            "select shift_key, ends_at - time from floor.activity order by time"
        ).fetchall()
        scheduled = conn.execute(
            "select utilization from analytics.workstation_metrics("
            "'plant', '2026-03-02 03:00+00', '2026-03-02 04:00+00')"
        ).fetchone()
    five_minutes = timedelta(minutes=5)
    assert shifts == [(0, five_minutes), (-1, five_minutes)]
    assert scheduled == (pytest.approx(300 / 2100),)


def test_a_date_that_went_again_before_the_first_event_has_no_row(
    dsn: str, tmp_path: Path
) -> None:
    """On Lord Howe it was the 6th when the site's zone became UTC: the 5th again."""
    at = datetime(2025, 4, 5, 15, tzinfo=UTC)
    with connect(dsn) as conn:
        zone = SiteChange(timezone="Australia/Lord_Howe")
        set_site(conn, "plant", zone, MINUS_INFINITY)
        set_site(conn, "plant", SiteChange(timezone="UTC"), at)
        load(dsn, tmp_path, ["2025-04-05T15:00Z,plant,W1,S1,working,0.9,60"])
        refresh.refresh_site(dsn, "plant", at + timedelta(seconds=30))
        dates = conn.execute(
            "select production_date::text from analytics.workstation_daily"
        ).fetchall()
    assert dates == [("2025-04-05",)]
