"""Any history, arriving in any way: the product's tables equal the reference exactly.

FLOORPULSE_EXAMPLES says how many histories each engine gets.
"""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from sql.connect import connect
from tests.support.compare import all_differences
from tests.support.plant import Plant
from tests.support.scenarios import Scenario, scenarios
from tests.support.wallclock import HOUR

EXAMPLES = int(os.environ.get("FLOORPULSE_EXAMPLES", "50"))
NUMBERS = count(1)


@pytest.fixture(autouse=True)
def short_calendar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four days around what is asked for, not years: a tenth of the time a history."""
    spare = 4 * 24 * HOUR

    def wanted(asked_from: int, asked_to: int) -> tuple[int, int]:
        low, high = asked_from - spare, asked_to + spare
        return low // HOUR * HOUR, -(-high // HOUR) * HOUR

    monkeypatch.setattr("sql.calendar_store._wanted", wanted)


@given(scenario=scenarios())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_any_history(common_dsn: str, tmp_path: Path, scenario: Scenario) -> None:
    """Steps in any order, refreshes up to any now, changes of the past between them."""
    plant = Plant(common_dsn, f"site-{next(NUMBERS)}", tmp_path)
    plant.live(scenario)
    with connect(common_dsn) as conn:
        assert all_differences(conn, plant.site, scenario.truth()) == []
