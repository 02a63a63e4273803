"""Simulated plants whose cameras change, or do not: what fires, what stays silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from etl.simulation.options import LIGHTING_CHANGE, PlantShift, SimulatorOptions
from sql.connect import Connection
from tests.support.drift import BEGIN, DAY, HOUR, DriftPlant

ONE_SHIFT = (PlantShift("early", 6 * 60, 480, 13 * 60, 45),)
SMALL = SimulatorOptions(
    site="plant",
    workers=3,
    stations=2,
    timezone="UTC",
    shifts=ONE_SHIFT,
    confidence_sd=0.06,
)
# So much happens at its benches that an hour of a camera holds 100 events.
BUSY = replace(SMALL, workers=4, stations=2, units_per_hour=150.0)


def at(day: int, hour: float) -> datetime:
    """An hour of a day of the plant (from 1)."""
    return BEGIN + (day - 1) * DAY + hour * HOUR


def test_a_lighting_change_on_day_11_fires_by_its_shape(
    dsn: str, conn: Connection
) -> None:
    options = replace(SMALL, changes=(LIGHTING_CHANGE,))
    plant = DriftPlant(dsn, conn, options)
    plant.tell(1, 10)
    plant.check(at(10, 20))
    assert plant.drifting() == set()
    plant.tell(11, 11)
    plant.check(at(11, 14))
    signals = {signal for signal, _ in plant.drifting()}
    assert signals == {"confidence_shape"}
    subjects = {(signal, state) for signal, _, state in plant.alerts()}
    assert subjects == {("confidence_shape", "open")}
    (row,) = conn.execute(
        "select current, baseline, threshold, sample, baseline_sample"
        " from analytics.drift where signal = 'confidence_drop' and span = 'day'"
        " and camera_id is null"
    ).fetchall()
    current, baseline, threshold, sample, baseline_sample = row
    assert current == pytest.approx(0.82, abs=0.012)
    assert baseline == pytest.approx(0.88, abs=0.01)
    assert threshold == pytest.approx(baseline * 0.85)
    assert sample >= 500
    assert baseline_sample > sample


def test_a_broken_lens_fires_within_the_hour_and_its_alerts_end(
    dsn: str, conn: Connection
) -> None:
    plant = DriftPlant(dsn, conn, BUSY)
    broken = at(10, 10)

    def break_lens(frame: pl.DataFrame) -> pl.DataFrame:
        rng = np.random.default_rng(1)
        dim = pl.Series(rng.normal(0.6, 0.03, frame.height).clip(0, 1))
        lens = (pl.col("camera_id") == "cam-01") & (pl.col("time") >= broken)
        mended = pl.col("time") >= broken + 4 * HOUR
        return frame.with_columns(
            confidence=pl.when(lens & ~mended).then(dim).otherwise("confidence")
        )

    plant.tell(1, 9)
    plant.check(at(9, 20))
    day = plant.events(10, 10, break_lens)
    put_until(plant, day, broken)
    plant.check(broken)
    assert plant.drifting(camera="cam-01") == set()
    assert plant.alerts() == set()
    for quarter in range(1, 9):
        put_until(plant, day, broken + quarter * HOUR / 4)
        plant.check(broken + quarter * HOUR / 4)
        if quarter == 4:
            fired = plant.drifting(camera="cam-01")
            assert {("confidence_drop", "hour"), ("confidence_low", "hour")} <= fired
    # Low since the first check that saw it, and for more than an hour.
    assert ("rolling_low", "last_100") in plant.drifting(camera="cam-01")
    assert plant.drifting(camera="cam-02") == set()
    said = {signal for signal, subject, _ in plant.alerts() if "cam-01" in subject}
    assert {"confidence_drop", "confidence_low", "rolling_low"} <= said
    # Mended at 14:00, the end of the shift: two clean checks the next day.
    put_until(plant, day, at(10, 20))
    plant.tell(11, 13)
    for now in (at(13, 10), at(13, 10.25)):
        plant.check(now)
    left = {s for s, _, state in plant.alerts() if state != "resolved"}
    assert not left & {"confidence_drop", "confidence_low", "rolling_low"}


def put_until(plant: DriftPlant, day: pl.DataFrame, until: datetime) -> None:
    """Put in what a day's cameras had sent by then; what is there is a duplicate."""
    from etl.batch import batch_of
    from etl.door import Door

    time = pl.col("time").str.to_datetime(time_zone="UTC")
    with Door(plant.dsn) as door:
        door.admit(batch_of(day.filter(time < until)), "test")


def test_a_first_week_is_not_enough_data(dsn: str, conn: Connection) -> None:
    plant = DriftPlant(dsn, conn, SMALL)

    def dim(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(confidence=pl.col("confidence") - 0.3)

    plant.tell(1, 4)
    plant.tell(5, 7, dim)
    for hour in (8, 14, 23):
        plant.check(at(7, hour))
    verdicts = conn.execute("select distinct verdict from analytics.drift").fetchall()
    assert verdicts == [("not enough data",)]
    assert plant.alerts() == set()


def test_a_night_shift_that_is_simply_different_is_silent(
    dsn: str, conn: Connection
) -> None:
    shifts = (*ONE_SHIFT, PlantShift("night", 22 * 60, 480, 26 * 60, 30))
    plant = DriftPlant(dsn, conn, replace(SMALL, workers=6, shifts=shifts))

    def at_night(frame: pl.DataFrame) -> pl.DataFrame:
        """By night less light, and half of what is working is called idle."""
        rng = np.random.default_rng(2)
        hour = pl.col("time").dt.hour()
        night = (hour >= 22) | (hour < 6)
        flip = pl.Series(rng.random(frame.height) < 0.5)
        idle = night & flip & (pl.col("event_type") == "working")
        return frame.with_columns(
            confidence=pl.when(night)
            .then(pl.col("confidence") - 0.15)
            .otherwise("confidence"),
            event_type=pl.when(idle).then(pl.lit("idle")).otherwise("event_type"),
        ).unique(["time", "worker_id", "workstation_id", "event_type"])

    plant.tell(1, 22, at_night)
    for hour in (2, 5, 8, 14, 23, 26, 30):
        plant.check(at(22, hour))
        assert plant.drifting() == set()
    told = conn.execute(
        "select count(*) from analytics.drift where verdict = 'ok'"
        " and signal = 'state_mix' and camera_id is null"
    ).fetchone()
    assert told is not None
    assert told[0] >= 1
    assert plant.alerts() == set()


def test_a_camera_that_was_moved_changes_the_mix(dsn: str, conn: Connection) -> None:
    plant = DriftPlant(dsn, conn, SMALL)

    def moved(frame: pl.DataFrame) -> pl.DataFrame:
        """It sees people's backs: what they do reads as absent half of the time."""
        rng = np.random.default_rng(3)
        flip = pl.Series(rng.random(frame.height) < 0.5)
        wrong = flip & pl.col("event_type").is_in(["working", "idle"])
        absent = pl.when(wrong).then(pl.lit("absent")).otherwise("event_type")
        keys = ["time", "worker_id", "workstation_id", "event_type"]
        return frame.with_columns(event_type=absent).unique(keys)

    plant.tell(1, 16)
    plant.check(at(16, 20))
    assert plant.drifting() == set()
    plant.tell(17, 19, moved)
    plant.check(at(19, 20))
    assert "state_mix" in {signal for signal, _ in plant.drifting()}


def test_half_the_pace_is_a_rate_shift(dsn: str, conn: Connection) -> None:
    plant = DriftPlant(dsn, conn, SMALL)

    def slower(frame: pl.DataFrame) -> pl.DataFrame:
        rng = np.random.default_rng(4)
        kept = pl.Series(rng.random(frame.height) < 0.5)
        return frame.filter((pl.col("event_type") != "product_count") | kept)

    plant.tell(1, 36)
    plant.check(at(36, 20))
    assert plant.drifting() == set()
    plant.tell(37, 43, slower)
    plant.check(at(43, 20))
    assert ("rate_shift", "week") in plant.drifting()
    (row,) = conn.execute(
        "select current, baseline, threshold from analytics.drift"
        " where signal = 'rate_shift' and span = 'week' and camera_id is null"
    ).fetchall()
    assert row[0] / row[1] == pytest.approx(0.5, abs=0.1)
