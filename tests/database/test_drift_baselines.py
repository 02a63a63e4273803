"""What a verdict needs to be one: a baseline of 7 days and 500 events, still in the
last 30 days; and what lies exactly on a threshold.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from sql.connect import Connection
from sql.model_health.drift import Thresholds, recorded_check, set_thresholds
from tests.support.database import one
from tests.support.hours import BEGIN, DAY, HOUR, HourlyPlant

pytestmark = pytest.mark.plain


@pytest.fixture
def plant(conn: Connection) -> HourlyPlant:
    return HourlyPlant(conn)


def at(day: int, hour: float) -> datetime:
    """An hour of a day of the plant (from 1)."""
    return BEGIN + (day - 1) * DAY + hour * HOUR


def stored(confidence: float) -> float:
    """As the database keeps it."""
    return float(np.float32(confidence))


def test_the_last_100_of_a_first_week_are_no_alert(plant: HourlyPlant) -> None:
    """First seen on day 1 in the evening: on day 8 in the morning that is no week."""
    plant.days(1, 1, start=20, length=2, events=300)
    plant.days(2, 7, events=300)
    plant.days(8, 8, events=300, mean=0.5)
    for hour in (10.25, 10.5, 10.75):
        plant.check(at(8, hour))
    assert plant.verdicts() == {"not enough data"}
    assert plant.alerts() == {}


def test_a_few_events_are_no_baseline_of_the_last_100(plant: HourlyPlant) -> None:
    plant.days(1, 12, events=5)
    plant.days(13, 13, events=300, mean=0.5)
    for hour in (10.25, 10.5, 10.75):
        plant.check(at(13, hour))
    assert plant.drifting("c1") == set()


def test_a_few_events_are_no_baseline_of_a_pace(plant: HourlyPlant) -> None:
    """One event an hour, of many products: 400 events before the week."""
    plant.days(1, 50, events=1, units=60)
    plant.days(51, 58, events=1, units=20)
    plant.check(at(58, 15))
    said = "select verdict from analytics.drift where signal = 'rate_shift'"
    assert set(plant.conn.execute(said).fetchall()) == {("not enough data",)}


def test_a_mean_on_its_threshold_is_not_below_it(
    conn: Connection, plant: HourlyPlant
) -> None:
    """Confidence is stored as real: 0.7 is then a little less than 0.7."""
    set_thresholds(conn, "plant", Thresholds(confidence_low=0.7, rolling_low=0.7), "x")
    plant.days(1, 20, events=100, mean=stored(0.7), deviation=0)
    for hour in (13, 13.25, 13.5):
        plant.check(at(20, hour))
    assert plant.drifting() | plant.drifting("c1") == set()
    assert "ok" in plant.verdicts()


def test_exactly_15_percent_less_is_no_drop(plant: HourlyPlant) -> None:
    plant.days(1, 19, events=100, mean=stored(0.8), deviation=0)
    plant.days(20, 20, events=100, mean=stored(0.68), deviation=0)
    for hour in (13, 13.25, 13.5):
        plant.check(at(20, hour))
    drifting = plant.drifting() | plant.drifting("c1")
    assert "confidence_drop" not in {signal for signal, _ in drifting}


def test_what_was_learnt_of_a_camera_that_left_is_forgotten(
    conn: Connection, plant: HourlyPlant
) -> None:
    """c2 comes back after six weeks: nothing of the last 30 days is like it."""
    plant.days(1, 55, camera="c1", events=50)
    plant.days(1, 9, camera="c2", events=50, mean=0.6)
    plant.check(at(12, 15))
    plant.days(55, 55, camera="c2", events=50, units=0)
    plant.check(at(55, 15))
    sample = one(
        conn,
        "select sample from analytics.drift where signal = 'confidence_drop'"
        " and span = 'day' and camera_id is null",
    )
    assert sample == 400
    assert plant.drifting() == set()


def test_a_check_by_hand_knows_every_camera(plant: HourlyPlant) -> None:
    """Those of the scheduler learn 32 baselines at a time; here are 42."""
    for n in range(20):
        plant.days(1, 12, camera=f"c{n}", length=4, events=100)
    recorded_check(plant.conn, "plant", at(12, 10))
    said = plant.conn.execute(
        "select distinct verdict from analytics.drift"
        " where signal = 'confidence_low' and span = 'day'"
    ).fetchall()
    assert said == [("ok",)]
