"""Every conformance case through the whole product, on every engine, in many ways."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sql.connect import connect
from tests.support.cases import Case, all_cases
from tests.support.compare import Rows, all_differences, call, differences, keyed, rows
from tests.support.plant import Plant
from tests.support.wallclock import SECOND, Settings

HOURLY = ["working_s", "idle_s", "absent_s", "units", "units_working"]
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
LEVELS = {
    "worker": ["worker_id"],
    "workstation": ["workstation_id"],
    "factory": [],
}
# By the real command, a process a step: settings, shifts with breaks, naive times.
BY_COMMAND = [
    "worked_example",
    "night_shift_half_hour_zone",
    "overtime_and_counted_breaks",
    "clock_change_and_naive_times",
]
NUMBERS = count(1)


each_case = pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)


def rounded(found: Rows, names: list[str]) -> Rows:
    """As the cases are written: seconds to 1 ms, ratios to six digits."""
    return {
        key: {
            name: value if value is None else round(float(value), 6)
            for name, value in row.items()
            if name in names
        }
        for key, row in found.items()
    }


def expected_rows(case: Case, level: str) -> Rows:
    return {(key,): row for key, row in case.spec["expect"][level].items()}


def unmet(conn: psycopg.Connection, case: Case, site: str) -> list[str]:
    """Where the product differs from the case's own expectation."""
    expect = case.spec["expect"]
    found = rows(conn, "select * from analytics.worker_hourly where site_id = %s", site)
    key = ("worker_id", "workstation_id", "hour", "production_date", "shift")
    wanted = [
        row
        | {
            "hour": datetime.fromisoformat(row["hour"]),
            "production_date": date.fromisoformat(row["production_date"]),
        }
        for row in expect["worker_hourly"]
    ]
    hourly = rounded(keyed(wanted, *key), HOURLY)
    said = differences("worker_hourly", rounded(keyed(found, *key), HOURLY), hourly)
    for level, columns in LEVELS.items():
        found = call(conn, level, site, case.window)
        rows_expected = expect[f"{level}_metrics"]
        theirs = (
            {(name,): row for name, row in rows_expected.items()}
            if columns
            else {(): rows_expected}
        )
        names = list(next(iter(theirs.values())))
        mine = rounded(keyed(found, *columns), names)
        said += differences(level, mine, rounded(theirs, names))
    return said


class Sending:
    """A case at a site of its own, so that many share one database."""

    def __init__(self, dsn: str, case: Case, folder: Path) -> None:
        self.case, self.now = case, case.truth().now
        self.site = f"{case.name[:40]}-{next(NUMBERS)}"
        self.header, lines = case.lines
        self.lines = [text.replace(",plant,", f",{self.site},") for text in lines]
        self.plant = Plant(dsn, self.site, folder)
        self.plant.settle(Settings(case.spec["settings"]), case.shifts)
        self.counts = [0, 0, 0]

    def load(self, lines: list[str], *, again: bool = False) -> None:
        counts = self.plant.load(lines, self.header)
        if again:
            assert counts[:2] == (0, len(lines))
        else:
            self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)]

    def pieces(self, number: int) -> list[list[str]]:
        size = -(-len(self.lines) // number)
        return [self.lines[i : i + size] for i in range(0, len(self.lines), size)]


def in_any_way(sending: Sending) -> None:
    """In pieces, each sent twice, refreshed between up to the real and other nows."""
    for number, piece in enumerate(sending.pieces(4)):
        sending.load(piece)
        later_s = (0, -5400, 7200, -60)[number]
        sending.plant.refresh(sending.now + later_s * SECOND)
        sending.load(piece, again=True)


def shuffled(sending: Sending) -> None:
    """Any order, except that among lines of one identity the first counts."""
    first: dict[tuple[object, ...], float] = {}
    chance = random.Random(sending.case.name)
    places = []
    for event in sending.case.arrivals:
        first[event.identity] = first.get(event.identity, 0) + chance.random()
        places.append(first[event.identity])
    order = sorted(range(len(places)), key=places.__getitem__)
    sending.load([sending.lines[i] for i in order])


def check(
    dsn: str, case: Case, folder: Path, arrive: Callable[[Sending], None]
) -> None:
    sending = Sending(dsn, case, folder)
    arrive(sending)
    sending.plant.refresh(sending.now)
    expect = case.spec["expect"]
    counts = [expect["stored"], expect["duplicates"], expect["conflicts"]]
    assert sending.counts == counts
    with connect(dsn) as conn:
        assert unmet(conn, case, sending.site) == []
        assert all_differences(conn, sending.site, case.truth()) == []


@each_case
def test_case_arriving_in_any_way(common_dsn: str, case: Case, tmp_path: Path) -> None:
    check(common_dsn, case, tmp_path, in_any_way)


@each_case
@pytest.mark.plain
def test_case_shuffled(common_dsn: str, case: Case, tmp_path: Path) -> None:
    check(common_dsn, case, tmp_path, shuffled)


def floorpulse(dsn: str, *words: str) -> dict[str, Any]:
    """The real command, as a person or a script runs it."""
    command = Path(sys.executable).parent / "floorpulse"
    done = subprocess.run(
        [str(command), *words, "--json"],
        env=os.environ | {"FLOORPULSE_DSN": dsn},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 3}, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def options(settings: dict[str, Any]) -> list[str]:
    """Settings as options of `site set`."""
    return [f"--{name.replace('_', '-')}={text(v)}" for name, v in settings.items()]


def text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def run_as_command(dsn: str, case: Case) -> dict[str, Any]:
    """A case by the command line alone; what `load` reports."""
    spec = case.spec
    site = spec["site"]
    floorpulse(dsn, "site", "set", site, *options(spec["settings"]))
    for shift in spec["shifts"]:
        days = ",".join(DAYS[day] for day in shift["weekdays"])
        breaks = [f"--break={start}+{length}m" for start, length in shift["breaks"]]
        when = ["--days", days, "--start", shift["start"]]
        length = ["--length", f"{shift['length_min']}m"]
        floorpulse(dsn, "shift", "add", site, shift["name"], *when, *length, *breaks)
    report = floorpulse(dsn, "load", str(case.folder / "events.csv"))
    floorpulse(dsn, "refresh", "--site", site, "--now", spec["now"])
    return report


@pytest.mark.plain
@pytest.mark.parametrize("name", BY_COMMAND)
def test_case_by_the_command_line(dsn: str, name: str) -> None:
    case = next((case for case in all_cases() if case.name == name), None)
    if case is None:
        pytest.skip(f"SHARED CASE NOT FOUND: {name}")
    report = run_as_command(dsn, case)
    for count_of in ("stored", "duplicates", "conflicts"):
        assert report[count_of] == case.spec["expect"][count_of]
    with connect(dsn) as conn:
        assert unmet(conn, case, case.spec["site"]) == []
