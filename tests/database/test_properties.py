"""Any history, arriving in any way: the product's tables equal the reference exactly.

FLOORPULSE_EXAMPLES says how many histories each engine gets.
"""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from sql.connect import connect
from tests.reference import Truth, admit
from tests.support.compare import (
    all_differences,
    by_date_and_shift,
    factory_hourly,
    worker_hourly,
)
from tests.support.plant import Plant
from tests.support.scenarios import Scenario, scenarios
from tests.support.wallclock import HOUR

EXAMPLES = int(os.environ.get("FLOORPULSE_EXAMPLES", "30"))
NUMBERS = count(1)


@pytest.fixture(autouse=True)
def short_calendar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four days around what is asked for, not years: a tenth of the time a history."""
    spare = 4 * 24 * HOUR

    def wanted(asked_from: int, asked_to: int) -> tuple[int, int]:
        low, high = asked_from - spare, asked_to + spare
        return low // HOUR * HOUR, -(-high // HOUR) * HOUR

    monkeypatch.setattr("sql.plant.calendar_store._wanted", wanted)


def test_any_history(common_dsn: str, tmp_path: Path) -> None:
    """Steps in any order, refreshes up to any now, changes of the past between them."""
    lives: list[tuple[str, Truth]] = []

    @given(scenario=scenarios())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def live(scenario: Scenario) -> None:
        plant = Plant(common_dsn, f"site-{next(NUMBERS)}", tmp_path)
        plant.live(scenario)
        admitted = admit(scenario.arrivals)
        stored = len(admitted.events)
        assert plant.counts == [stored, admitted.duplicates, admitted.conflicts]
        truth = scenario.truth()
        with connect(common_dsn) as conn:
            assert all_differences(conn, plant.site, truth) == []
        lives.append((plant.site, truth))

    live()
    with connect(common_dsn) as conn:
        for site, truth in lives:
            assert still_differs(conn, site, truth) == []


def still_differs(conn: psycopg.Connection, site: str, truth: Truth) -> list[str]:
    """What was right stays so when other sites are refreshed, to earlier and later."""
    return (
        worker_hourly(conn, site, truth)
        + factory_hourly(conn, site, truth)
        + by_date_and_shift(conn, site, truth)
    )
