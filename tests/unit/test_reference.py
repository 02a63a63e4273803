"""The brute-force reference reproduces the expectation of every conformance case."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from tests.reference import admit
from tests.support.cases import SHARED, Case, all_cases, cases_in, instant
from tests.support.wallclock import SECOND

each_case = pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)


def agree(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Every expected column, seconds to 1 ms and ratios to 1e-6."""
    for name, expected in theirs.items():
        close = 1e-3 if name.endswith("_s") else 1e-6
        assert mine[name] == (
            None if expected is None else pytest.approx(expected, abs=close, rel=0)
        ), name


def test_the_shared_cases_are_there() -> None:
    if not cases_in(SHARED):
        pytest.skip(f"SHARED CASES NOT FOUND in {SHARED}: only our own cases run")


@each_case
def test_admission(case: Case) -> None:
    admitted = admit(case.arrivals)
    found = len(admitted.events), admitted.duplicates, admitted.conflicts
    expect = case.spec["expect"]
    assert found == (expect["stored"], expect["duplicates"], expect["conflicts"])


@each_case
def test_worker_hourly(case: Case) -> None:
    rows = case.truth().worker_hourly
    expected = {
        (
            row["worker_id"],
            row["workstation_id"],
            instant(row["hour"]),
            date.fromisoformat(row["production_date"]),
            row["shift"],
        ): row
        for row in case.spec["expect"]["worker_hourly"]
    }
    for key, row in expected.items():
        sums = rows[key]
        mine = {
            "working_s": sums.working / SECOND,
            "idle_s": sums.idle / SECOND,
            "absent_s": sums.absent / SECOND,
            "units": sums.units,
            "units_working": sums.units_working,
        }
        agree(mine, {name: row[name] for name in mine})
    assert set(rows) == set(expected)


@each_case
def test_metrics(case: Case) -> None:
    truth, where, expect = case.truth(), case.window, case.spec["expect"]
    for level in ("worker_metrics", "workstation_metrics"):
        mine = getattr(truth, level)(where)
        assert set(mine) == set(expect[level])
        for name, row in expect[level].items():
            agree(mine[name], row)
    agree(truth.factory_metrics(where), expect["factory_metrics"])
