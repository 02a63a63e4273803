"""`floorpulse load`, `refresh`, `metrics`, `rejects`, `export`: in and out."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from tests.support.cli import floorpulse, json_of

HEADER = "time,site_id,worker_id,workstation_id,event_type,confidence,count"
# The worked example of metrics.md.
EXAMPLE = [
    "2026-03-02T10:00:00Z,plant,W1,S1,working,0.9,",
    "2026-03-02T10:02:00Z,plant,W1,S1,product_count,0.9,3",
    "2026-03-02T10:05:00Z,plant,W1,S1,product_count,0.9,2",
    "2026-03-02T10:07:00Z,plant,W1,S1,idle,0.9,",
    "2026-03-02T10:10:00Z,plant,W1,S1,product_count,0.9,1",
    "2026-03-02T10:12:00Z,plant,W1,S1,working,0.9,",
]
NOW = ("--site", "plant", "--now", "2026-03-02T10:12:00Z")
WINDOW = ("--from", "2026-03-02T10:00Z", "--to", "2026-03-02T11:00Z")


def file_of(folder: Path, *lines: str, name: str = "events.csv") -> str:
    path = folder / name
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return str(path)


def test_the_worked_example(dsn: str, tmp_path: Path) -> None:
    loaded = json_of(dsn, "load", file_of(tmp_path, *EXAMPLE))
    counts = ("read", "stored", "duplicates", "conflicts", "parked")
    assert [loaded[k] for k in counts] == [6, 6, 0, 0, {}]
    (site,) = json_of(dsn, "refresh", *NOW)["sites"]
    assert site["now"] == "2026-03-02T10:12:00Z"
    asked = json_of(dsn, "metrics", "workers", *NOW[:2], *WINDOW)
    assert asked["from"] == "2026-03-02T10:00:00Z"
    (worker,) = asked["rows"]
    assert worker["working_s"] == 420
    assert worker["idle_s"] == 300
    assert worker["utilization"] == pytest.approx(0.583333, abs=1e-6)
    assert worker["units_per_hour"] == pytest.approx(42.857143, abs=1e-6)
    (bench,) = json_of(dsn, "metrics", "workstations", *NOW[:2], *WINDOW)["rows"]
    assert bench["occupied_s"] == 720
    (factory,) = json_of(dsn, "metrics", "factory", *WINDOW)["rows"]
    assert factory["active_workers"] == 1


@pytest.mark.plain
def test_metrics_without_options_are_those_of_the_last_day(
    dsn: str, tmp_path: Path
) -> None:
    floorpulse(dsn, "load", file_of(tmp_path, *EXAMPLE))
    floorpulse(dsn, "refresh", *NOW)
    asked = json_of(dsn, "metrics", "workers")
    assert (asked["from"], asked["to"]) == (
        "2026-03-01T11:00:00Z",
        "2026-03-02T11:00:00Z",
    )
    assert asked["rows"][0]["working_s"] == 420
    table = floorpulse(dsn, "metrics", "workers").stdout
    for shown in ("W1", "0:07:00", "58.3 %", "42.86"):
        assert shown in table


@pytest.mark.plain
def test_metrics_by_production_date(dsn: str, tmp_path: Path) -> None:
    floorpulse(dsn, "load", file_of(tmp_path, *EXAMPLE))
    floorpulse(dsn, "refresh", *NOW)
    asked = json_of(dsn, "metrics", "factory", "--by-date", *NOW[:2])
    assert (asked["from"], asked["to"]) == ("2026-03-02", "2026-03-02")
    assert asked["rows"][0]["working_s"] == 420
    other = ("--from", "2026-03-03", "--to", "2026-03-04")
    (row,) = json_of(dsn, "metrics", "factory", "--by-date", *NOW[:2], *other)["rows"]
    assert row["working_s"] == 0
    assert row["weighted_utilization"] is None


@pytest.mark.plain
def test_a_window_off_the_hour_is_refused(dsn: str, tmp_path: Path) -> None:
    floorpulse(dsn, "load", file_of(tmp_path, *EXAMPLE))
    window = ("--from", "2026-03-02T10:30Z", "--to", "2026-03-02T11:00Z")
    result = floorpulse(
        dsn, "metrics", "workers", "--site", "plant", *window, exit_code=2
    )
    assert "on the UTC hour" in result.stderr


@pytest.mark.plain
def test_two_sites_want_a_name(dsn: str, tmp_path: Path) -> None:
    other = [line.replace("plant", "works") for line in EXAMPLE]
    floorpulse(dsn, "load", file_of(tmp_path, *EXAMPLE, *other))
    result = floorpulse(dsn, "metrics", "workers", exit_code=2)
    assert "--site, one of plant, works" in result.stderr


@pytest.mark.plain
def test_conflicts_and_parked_rows_are_exit_3(dsn: str, tmp_path: Path) -> None:
    bad = EXAMPLE[0].replace("working", "sleeping")
    other = EXAMPLE[1].replace("0.9", "0.8")
    path = file_of(tmp_path, *EXAMPLE, bad, other)
    loaded = json_of(dsn, "load", path, exit_code=3)
    assert loaded["parked"] == {"bad_event_type": 1}
    assert (loaded["read"], loaded["duplicates"], loaded["conflicts"]) == (8, 1, 1)
    again = json_of(dsn, "load", path, exit_code=3)
    assert (again["stored"], again["duplicates"]) == (0, 7)
    codes = json_of(dsn, "rejects", "list")["codes"]
    assert {c["code"]: c["seen"] for c in codes} == {"bad_event_type": 2, "conflict": 2}


@pytest.mark.plain
def test_a_dry_run_stores_nothing(dsn: str, tmp_path: Path) -> None:
    bad = EXAMPLE[0].replace("10:00:00Z", "noon")
    path = file_of(tmp_path, *EXAMPLE, bad)
    tried = json_of(dsn, "load", path, "--dry-run", exit_code=3)
    assert (tried["read"], tried["stored"], tried["parked"]) == (7, 6, {"bad_time": 1})
    assert tried["files"][0]["examples"][0]["line"] == 8
    assert json_of(dsn, "rejects", "list")["rejects"] == []
    assert json_of(dsn, "worker", "list")["workers"] == []


@pytest.mark.plain
def test_stdin_with_other_columns(dsn: str) -> None:
    text = "when,who,workstation_id,event_type,confidence,noise\n"
    text += "2026-03-02 10:00,W1,S1,working,0.9,x\n"
    options = ("--site", "plant", "--timezone", "Asia/Kolkata")
    names = ("--map", "when=time", "--map", "who=worker_id")
    result = floorpulse(dsn, "load", "-", *options, *names, stdin=text)
    assert "columns ignored: noise" in result.stderr
    floorpulse(dsn, "refresh", *NOW)
    hours = floorpulse(dsn, "export", "worker_hourly").stdout
    assert "2026-03-02 04:00:00+00" in hours


@pytest.mark.plain
def test_a_file_that_is_none_fails_and_keeps_what_was_loaded(
    dsn: str, tmp_path: Path
) -> None:
    good, missing = file_of(tmp_path, *EXAMPLE), str(tmp_path / "missing.csv")
    result = floorpulse(dsn, "load", good, missing, "--json", exit_code=1)
    told = json.loads(result.stdout)
    assert told["stored"] == 6
    assert "missing.csv" in told["error"]
    assert "missing.csv cannot be read" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.plain
def test_parked_lines_are_sent_again_when_the_site_is_mended(
    dsn: str, tmp_path: Path
) -> None:
    floorpulse(dsn, "site", "set", "plant", "--registration", "strict")
    path = file_of(tmp_path, *EXAMPLE, '2026-03-02T10:13Z,plant,"W1,S1,idle,0.9,')
    loaded = json_of(dsn, "load", path, exit_code=3)
    assert loaded["parked"]["malformed"] == 1
    assert loaded["parked"]["unknown_worker"] == 6
    floorpulse(dsn, "worker", "set", "plant", "W1")
    # Now it is the bench that nobody knows: parked anew, and still readable.
    still = json_of(dsn, "rejects", "retry", exit_code=3)
    assert still["parked"] == {"malformed": 1, "unknown_workstation": 6}
    floorpulse(dsn, "workstation", "set", "plant", "S1")
    done = json_of(dsn, "rejects", "retry", exit_code=3)
    assert (done["read"], done["stored"]) == (7, 6)
    assert done["parked"] == {"malformed": 1}
    (left,) = json_of(dsn, "rejects", "list")["rejects"]
    assert left["code"] == "malformed"
    retried = json_of(dsn, "rejects", "list", "--state", "retried")["codes"]
    assert {c["code"] for c in retried} == {"unknown_worker", "unknown_workstation"}


@pytest.mark.plain
def test_rows_parked_again_after_a_retry_are_parked(dsn: str, tmp_path: Path) -> None:
    floorpulse(dsn, "site", "set", "plant", "--registration", "strict")
    path = file_of(tmp_path, EXAMPLE[0])
    floorpulse(dsn, "load", path, exit_code=3)
    for known in (
        ("worker", "set", "plant", "W1"),
        ("workstation", "set", "plant", "S1"),
    ):
        floorpulse(dsn, *known)
    floorpulse(dsn, "rejects", "retry")
    assert json_of(dsn, "rejects", "list")["rejects"] == []
    other = file_of(tmp_path, EXAMPLE[0].replace("W1", "W2"), name="other.csv")
    floorpulse(dsn, "load", other, exit_code=3)
    floorpulse(dsn, "worker", "set", "plant", "W2")
    floorpulse(dsn, "rejects", "retry", "--source", other)
    assert json_of(dsn, "rejects", "list")["rejects"] == []


@pytest.mark.plain
def test_parked_lines_are_exported_as_a_file_to_load(dsn: str, tmp_path: Path) -> None:
    bad = EXAMPLE[0].replace("working", "sleeping")
    floorpulse(dsn, "load", file_of(tmp_path, bad), exit_code=3)
    out = tmp_path / "mend.csv"
    floorpulse(dsn, "rejects", "export", "--output", str(out))
    assert out.read_text() == f"{HEADER}\n{bad}\n"
    out.write_text(out.read_text().replace("sleeping", "working"))
    assert json_of(dsn, "load", str(out))["stored"] == 1


@pytest.mark.plain
def test_parked_lines_of_different_files_want_a_source(
    dsn: str, tmp_path: Path
) -> None:
    bad = EXAMPLE[0].replace("working", "sleeping")
    floorpulse(dsn, "load", file_of(tmp_path, bad), exit_code=3)
    event = {"site_id": "plant", "time": "noon"}
    lines = tmp_path / "events.ndjson"
    lines.write_text(json.dumps(event) + "\n")
    floorpulse(dsn, "load", str(lines), exit_code=3)
    result = floorpulse(dsn, "rejects", "export", exit_code=2)
    assert "--source" in result.stderr
    result = floorpulse(dsn, "rejects", "export", "--source", str(lines))
    assert json.loads(result.stdout) == event


@pytest.mark.plain
def test_exports(dsn: str, tmp_path: Path) -> None:
    floorpulse(dsn, "load", file_of(tmp_path, *EXAMPLE))
    floorpulse(dsn, "refresh", *NOW)
    text = floorpulse(dsn, "export", "worker_hourly", "--site", "plant").stdout
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["worker_id"], row["working_s"], row["shift"]) == ("W1", "420", "")
    out = tmp_path / "days.json"
    asked = ("--from", "2026-03-02", "--to", "2026-03-03", "--format", "json")
    floorpulse(dsn, "export", "worker_daily", *asked, "--output", str(out))
    (day,) = json.loads(out.read_text())
    assert day["production_date"] == "2026-03-02"
    none = ("--from", "2026-03-03", "--format", "json")
    assert json.loads(floorpulse(dsn, "export", "worker_daily", *none).stdout) == []


@pytest.mark.plain
def test_an_export_of_no_view_names_those_there_are(dsn: str) -> None:
    result = floorpulse(dsn, "export", "events", exit_code=2)
    assert "worker_hourly" in result.stderr
    result = floorpulse(dsn, "export", "freshness", "--from", "2026-03-02", exit_code=2)
    assert "leave out --from" in result.stderr


@pytest.mark.plain
def test_what_no_terminal_should_see_is_escaped(dsn: str, tmp_path: Path) -> None:
    floorpulse(dsn, "load", file_of(tmp_path, "\x1b[2Jnoon,plant"), exit_code=3)
    table = floorpulse(dsn, "rejects", "list").stdout
    assert "\x1b" not in table
    assert "\\x1b[2Jnoon" in table


@pytest.mark.plain
def test_a_file_name_that_is_no_text(dsn: str, tmp_path: Path) -> None:
    path = os.fsdecode(bytes(tmp_path) + b"/\xff.csv")
    Path(path).write_text("\n".join([HEADER, *EXAMPLE]))
    assert json_of(dsn, "load", path)["files"][0]["source"].endswith("\\xff.csv")
