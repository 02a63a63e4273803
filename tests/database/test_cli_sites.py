"""`floorpulse site`, `shift`, `worker`, `workstation`: what a person sets and sees."""

from __future__ import annotations

import pytest

from sql.connect import Connection
from tests.support.cli import floorpulse, json_of

pytestmark = pytest.mark.plain

DAY = ("--days", "mon-fri", "--start", "06:00", "--length", "8h")


def test_a_site_is_registered_by_its_first_set(dsn: str) -> None:
    floorpulse(dsn, "site", "set", "plant")
    (site,) = json_of(dsn, "site", "list")["sites"]
    assert site["site_id"] == "plant"
    assert site["timezone"] == "UTC"


def test_every_setting(dsn: str) -> None:
    options = {
        "--timezone": "Europe/Berlin",
        "--min-confidence": "0.8",
        "--max-state-s": "120",
        "--gap-state": "idle",
        "--registration": "strict",
        "--retention-days": "90",
        "--count-breaks": "true",
        "--name": "Works [1]",
    }
    flat = [word for pair in options.items() for word in pair]
    shown = json_of(dsn, "site", "set", "plant", *flat)
    assert {k: shown[k] for k in ("timezone", "gap_state", "registration", "name")} == {
        "timezone": "Europe/Berlin",
        "gap_state": "idle",
        "registration": "strict",
        "name": "Works [1]",
    }
    assert shown["min_confidence"] == 0.8
    assert shown["max_state_s"] == 120
    assert shown["retention_days"] == 90
    assert shown["count_breaks"] is True
    assert "Works [1]" in floorpulse(dsn, "site", "list").stdout


def test_an_option_is_a_variable(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOORPULSE_MAX_STATE_S", "77")
    assert json_of(dsn, "site", "set", "plant")["max_state_s"] == 77


def test_settings_may_begin_on_a_local_date(dsn: str) -> None:
    floorpulse(dsn, "site", "set", "plant", "--timezone", "Asia/Kolkata")
    change = ("--max-state-s", "60", "--valid-from", "2026-03-02")
    floorpulse(dsn, "site", "set", "plant", *change)
    statements = json_of(dsn, "site", "show", "plant")["statements"]
    assert statements[1]["valid_from"] == "2026-03-01T18:30:00Z"


def test_a_shift_comes_changes_and_goes(dsn: str) -> None:
    floorpulse(dsn, "site", "set", "plant")
    breaks = ("--break", "12:00+30m", "--break", "09:00+15m")
    (added,) = json_of(dsn, "shift", "add", "plant", "early", *DAY, *breaks)["shifts"]
    assert added["weekdays"] == [0, 1, 2, 3, 4]
    assert added["breaks"] == ["09:00+15m", "12:00+30m"]
    assert added["valid_from"] is None
    change = ("--length", "7h30m", "--no-breaks", "--valid-from", "2026-03-02T06:00")
    before, after = json_of(dsn, "shift", "change", "plant", "early", *change)["shifts"]
    assert (before["length_min"], before["valid_to"]) == (480, "2026-03-02T06:00:00Z")
    assert (after["length_min"], after["breaks"]) == (450, [])
    end = ("--valid-from", "beginning")
    assert json_of(dsn, "shift", "end", "plant", "early", *end)["shifts"] == []
    assert "around the clock" in floorpulse(dsn, "shift", "list").stderr


def test_shifts_are_shown_as_they_are_written(dsn: str) -> None:
    floorpulse(dsn, "site", "set", "plant")
    floorpulse(dsn, "shift", "add", "plant", "early", *DAY, "--break", "12:00+30m")
    table = floorpulse(dsn, "shift", "list", "--site", "plant").stdout
    for word in ("early", "mon-fri", "06:00", "8h00m", "12:00+30m", "beginning"):
        assert word in table


def test_overlapping_shifts_are_refused_in_a_sentence(dsn: str) -> None:
    floorpulse(dsn, "site", "set", "plant")
    floorpulse(dsn, "shift", "add", "plant", "early", *DAY)
    late = ("--days", "wed", "--start", "13:00", "--length", "480m")
    result = floorpulse(dsn, "shift", "add", "plant", "late", *late, exit_code=1)
    assert result.stderr == (
        "Error: Shift 'late' (13:00-21:00) of site plant overlaps shift 'early' on "
        "wed 13:00-14:00; change the start or the length of one\n"
    )


def test_workers_and_workstations_get_names(dsn: str) -> None:
    floorpulse(dsn, "site", "set", "plant")
    floorpulse(dsn, "worker", "set", "plant", "W1", "--name", "Ann")
    floorpulse(dsn, "worker", "set", "plant", "W1", "--pseudonym", "Heron")
    floorpulse(dsn, "workstation", "set", "plant", "S1", "--name", "Press")
    (worker,) = json_of(dsn, "worker", "list", "--site", "plant")["workers"]
    assert (worker["name"], worker["pseudonym"]) == ("Ann", "Heron")
    assert worker["discovered"] is False
    (bench,) = json_of(dsn, "workstation", "list")["workstations"]
    assert bench["name"] == "Press"


@pytest.mark.parametrize(
    "arguments",
    [
        ("site", "show", "nowhere"),
        ("shift", "list", "--site", "nowhere"),
        ("shift", "add", "nowhere", "early", *DAY),
        ("worker", "set", "nowhere", "W1"),
        ("workstation", "list", "--site", "nowhere"),
        ("refresh", "--site", "nowhere"),
        ("metrics", "workers", "--site", "nowhere"),
    ],
)
def test_an_unknown_site_is_one_sentence(dsn: str, arguments: tuple[str, ...]) -> None:
    result = floorpulse(dsn, *arguments, exit_code=1)
    assert "no site 'nowhere'" in result.stderr
    assert "site list" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_cameras_are_listed_and_expected(dsn: str, conn: Connection) -> None:
    floorpulse(dsn, "site", "set", "plant")
    key = "(select site_key from floor.sites)"
    conn.execute(f"select floor.register_cameras({key}, '{{cam_1,cam-2}}')".encode())
    expect = ("camera", "expect", "plant")
    assert json_of(dsn, *expect, "cam_*", "always", "--by", "ann")["cameras"] == [
        "cam_1"
    ]
    before, after = json_of(dsn, "camera", "list", "--site", "plant")["cameras"]
    assert (before["expected"], before["expected_by"]) == ("learned", None)
    assert (after["expected"], after["expected_by"]) == ("always", "ann")
    assert "cam_1" in floorpulse(dsn, "camera", "list").stdout
    unknown = floorpulse(dsn, *expect, "cam-3", "never", exit_code=1)
    assert "floorpulse camera list" in unknown.stderr
    wrong = floorpulse(dsn, *expect, "cam-2", "sometimes", exit_code=2)
    assert "always, learned, never" in wrong.stderr
