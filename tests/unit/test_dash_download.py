"""The workers as a file: what a spreadsheet is given, and what it must not run."""

import csv
import io
from datetime import UTC, date, datetime
from typing import Any

import pytest

from dash_app.download import csv_text, file_name
from dash_app.records import LeaderboardRow, Overview, Period, Site


def row(**changed: Any) -> LeaderboardRow:
    fields: dict[str, Any] = {
        "site_id": "hall-a",
        "worker_id": "W1",
        "name": "Ünal",
        "utilization": 0.79664,
        "units": 1825,
        "units_per_hour": 67.91,
        "working_s": 21_600.0,
        "idle_s": 4_290.0,
        "absent_s": 0.0,
        "break_s": 2_700.0,
        "unobserved_s": 60.0,
    }
    return LeaderboardRow(**{**fields, **changed})


def test_it_has_the_units_of_its_heads() -> None:
    (shown,) = csv.DictReader(io.StringIO(csv_text([row()])))
    assert list(shown.values()) == [
        *("hall-a", "W1", "Ünal", "79.66", "1825", "67.91"),
        *("6.00", "1.19", "0.00", "0.75", "0.02"),
    ]


def test_what_is_not_known_is_empty() -> None:
    (shown,) = csv.DictReader(io.StringIO(csv_text([row(utilization=None)])))
    assert shown["Utilization %"] == ""


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"])
def test_no_name_is_a_formula(name: str) -> None:
    (shown,) = csv.DictReader(io.StringIO(csv_text([row(name=name)])))
    assert shown["Name"] == f"'{name}"


def page(site: str | None, **period: Any) -> Overview:
    start, end = (
        datetime(2026, 11, 13, 23, tzinfo=UTC),
        datetime(2026, 11, 20, 23, tzinfo=UTC),
    )
    fields = dict.fromkeys(Period.__dataclass_fields__)
    bounds = {"starts_at": start, "ends_at": end, "running": False}
    told: dict[str, Any] = dict.fromkeys(Overview.__dataclass_fields__)
    told["timezone"] = "Europe/Berlin"
    told["period"] = Period(**{**fields, **bounds, **period})
    if site is not None:
        told["site"] = Site(site, "Hall", "Europe/Berlin", [], None, None)
    return Overview(**told)


def test_its_name_says_of_what_it_is() -> None:
    day = date(2026, 11, 20)
    shift = {"from_date": day, "to_date": day, "shift_name": "Früh / 1"}
    assert file_name(page("hall-a", **shift)) == "workers-hall-a-Fr_h_1-2026-11-20.csv"


def test_a_window_ends_on_its_last_day() -> None:
    assert file_name(page(None)) == "workers-all-sites-2026-11-14-to-2026-11-20.csv"
