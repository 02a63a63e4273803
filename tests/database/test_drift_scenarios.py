"""Cameras that change, or do not: what fires, what stays silent, and how it ends.

The lighting change goes the whole way, from events through the door and the refresh on
every engine; the others begin with the sums of hours, which are the same wherever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from etl.simulation.options import LIGHTING_CHANGE, PlantShift, SimulatorOptions
from sql.connect import Connection
from tests.support.drift import DriftPlant
from tests.support.hours import BEGIN, DAY, HOUR, HourlyPlant, Seen

ONE_SHIFT = (PlantShift("early", 6 * 60, 480, 13 * 60, 45),)
SMALL = SimulatorOptions(
    site="plant",
    workers=3,
    stations=2,
    timezone="UTC",
    shifts=ONE_SHIFT,
    confidence_sd=0.06,
)


def at(day: int, hour: float) -> datetime:
    """An hour of a day of the plant (from 1)."""
    return BEGIN + (day - 1) * DAY + hour * HOUR


@pytest.mark.parametrize("engine", ["plain", "community"], indirect=True)
def test_a_lighting_change_on_day_11_fires_by_its_shape_and_ends(
    dsn: str, conn: Connection
) -> None:
    """0.88 to 0.82 is no drop of 15 %; the lamps are changed on day 12."""
    dim = replace(LIGHTING_CHANGE, to_day=11)
    plant = DriftPlant(dsn, conn, replace(SMALL, changes=(dim,)))
    plant.tell(1, 10)
    plant.check(at(10, 20))
    assert plant.drifting() == set()
    plant.tell(11, 11)
    plant.check(at(11, 14))
    assert {signal for signal, _ in plant.drifting()} == {"confidence_shape"}
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
    plant.tell(12, 13)
    plant.check(at(13, 13))
    assert plant.drifting() == set()
    plant.check(at(13, 13.25))
    states = {(signal, state) for signal, _, state in plant.alerts()}
    assert states == {("confidence_shape", "resolved")}


@pytest.mark.plain
class TestHours:
    """From hours."""

    @pytest.fixture
    def plant(self, conn: Connection) -> HourlyPlant:
        return HourlyPlant(conn)

    def test_a_broken_lens_fires_within_the_hour_and_its_alerts_end(
        self, plant: HourlyPlant
    ) -> None:
        """Drop, low and rolling, of the camera that broke at 10:00, not of its sister:
        two checks in a row that find its last 100 events low.
        """
        for camera in ("c1", "c2"):
            plant.days(1, 9, camera=camera, events=120)
        for quarter in range(16, 16 + 8):
            now = at(10, 6 + quarter / 4)
            plant.put(lens_hours(now, broken=at(10, 10)))
            plant.check(now)
            if now == at(10, 10):
                assert plant.alerts() == {}
        for span in ("hour", "last_100"):
            both = {("confidence_drop", span), ("confidence_low", span)}
            assert both <= plant.drifting("c1")
        assert ("rolling_low", "last_100") in plant.drifting("c1")
        assert plant.drifting("c2") == set()
        opened: dict[str, datetime] = dict(
            plant.conn.execute(
                "select signal, opened_at from analytics.alerts where subject = 'v1 c1'"
            ).fetchall()
        )
        # At 10:15 most of the last 100 were good still.
        signals = ("confidence_drop", "confidence_low", "rolling_low")
        assert {opened[signal] for signal in signals} == {at(10, 10.75)}
        plant.put(lens_hours(at(10, 14), broken=at(10, 10), mended=at(10, 12)))
        for camera in ("c1", "c2"):
            plant.days(11, 13, camera=camera, events=120)
        for now in (at(13, 10), at(13, 10.25)):
            plant.check(now)
        ended = plant.alerts()
        for signal in signals:
            assert ended[signal] == {"resolved"}

    def test_a_lens_that_breaks_before_the_night_is_not_well_by_night(
        self, plant: HourlyPlant
    ) -> None:
        """The last hour has no verdict any more, and the whole day is well: but nothing
        was seen since. Next morning's good hours are what ends it.
        """
        plant.days(1, 9, camera="c1", events=120)
        plant.put(Seen(at(10, 6 + n), "c1", events=120) for n in range(7))
        plant.put([Seen(at(10, 13), "c1", events=120, mean=0.55)])
        for hour in (13.75, 14, 14.25):
            plant.check(at(10, hour))
        assert plant.alerts()["confidence_drop"] == {"open"}
        for hour in (15.25, 15.5, 15.75, 23):
            plant.check(at(10, hour))
        assert "confidence_drop" not in dict(plant.drifting("c1"))
        assert plant.alerts()["confidence_drop"] == {"open"}
        plant.days(11, 11, camera="c1", events=120)
        for hour in (13, 13.25):
            plant.check(at(11, hour))
        assert plant.alerts()["confidence_drop"] == {"resolved"}

    def test_a_dim_quarter_of_an_hour_is_no_broken_lens(
        self, plant: HourlyPlant
    ) -> None:
        """One check that finds the last 100 low is not enough."""
        plant.days(1, 9, camera="c1", events=600)
        plant.put([Seen(at(10, 6), "c1", events=600)])
        plant.check(at(10, 7))
        plant.put([Seen(at(10, 7), "c1", events=150, mean=0.6)])
        plant.check(at(10, 7.25))
        (since,) = plant.conn.execute(
            "select low_since from ops.drift_checks where signal = 'rolling_low'"
            " and camera_key > 0"
        ).fetchall()[0]
        assert since == at(10, 7.25)
        plant.put([Seen(at(10, 7), "c1", events=300)])
        plant.check(at(10, 7.5))
        assert "rolling_low" not in plant.alerts()
        assert not any(span == "last_100" for _, span in plant.drifting("c1"))

    def test_a_slow_decline_over_60_days_is_found_long_before_it_is_low(
        self, plant: HourlyPlant
    ) -> None:
        """0.88 to 0.70, though every day's baseline has declined with it."""
        plant.days(1, 15)
        found: dict[str, int] = {}
        for day in range(16, 76):
            plant.days(day, day, mean=0.88 - 0.003 * (day - 15))
            if day % 2:
                continue
            plant.check(at(day, 15))
            for signal in plant.alerts():
                found.setdefault(signal, day)
        assert 20 < found["confidence_shape"] < 40
        assert 55 <= found["confidence_low"] <= 62, "0.75 is passed on day 58"
        assert "confidence_drop" not in found
        plant.days(76, 84, mean=0.88)
        for hour in (14, 14.25):
            plant.check(at(84, hour))
        assert plant.alerts()["confidence_low"] == {"resolved"}

    def test_a_uniform_change_is_spread(self, plant: HourlyPlant) -> None:
        """As many low as high: the mean stays, the deviation does not."""
        plant.days(1, 14, mean=0.6, deviation=0.05)
        plant.check(at(14, 15))
        assert "confidence_spread" not in plant.alerts()
        plant.days(15, 15, mean=0.6, deviation=0.28)
        plant.check(at(15, 15))
        assert ("confidence_spread", "day") in plant.drifting()
        assert ("confidence_drop", "day") not in plant.drifting()
        plant.days(16, 24, mean=0.6, deviation=0.05)
        for hour in (14, 14.25):
            plant.check(at(24, hour))
        assert plant.alerts()["confidence_spread"] == {"resolved"}

    def test_a_better_version_is_learnt_and_never_an_alert(
        self, plant: HourlyPlant
    ) -> None:
        plant.days(1, 20)
        plant.days(21, 35, model="v2", mean=0.94, deviation=0.03)
        said = {}
        for day in (19, 20, 21, 24, 29, 33, 35):
            plant.check(at(day, 15))
            said[day] = plant.verdicts("v1"), plant.verdicts("v2")
        assert said[20] == ({"ok", "not enough data"}, set())
        assert said[24][1] == {"not enough data"}
        assert "ok" in said[33][1]
        assert said[35][0] == {"not enough data"}
        assert plant.alerts() == {}

    def test_a_camera_that_was_moved_changes_the_mix(self, plant: HourlyPlant) -> None:
        """It sees people's backs: half of what they do reads as absent."""
        plant.days(1, 16, events=100)
        plant.check(at(16, 15))
        assert plant.alerts() == {}
        plant.days(17, 17, events=100, mix=(0.35, 0.1, 0.55))
        plant.check(at(17, 15))
        assert plant.alerts() == {"state_mix": {"open"}}
        assert ("state_mix", "day") in plant.drifting("c1")
        plant.days(18, 26, events=100)
        for hour in (14, 14.25):
            plant.check(at(26, hour))
        assert plant.alerts() == {"state_mix": {"resolved"}}

    def test_half_the_pace_is_a_rate_shift(self, plant: HourlyPlant) -> None:
        plant.days(1, 37)
        plant.check(at(37, 15))
        assert plant.alerts() == {}
        plant.days(38, 44, units=30)
        plant.check(at(44, 15))
        assert ("rate_shift", "week") in plant.drifting()
        (row,) = plant.conn.execute(
            "select current, baseline from analytics.drift"
            " where signal = 'rate_shift' and span = 'week' and camera_id is null"
        ).fetchall()
        assert row[0] / row[1] == pytest.approx(4.5 / 8, abs=0.03), (
            "a day of 8 was well"
        )

    def test_a_canary_on_one_camera_is_no_change_of_pace(
        self, plant: HourlyPlant
    ) -> None:
        """What a new version counts, the one before it counts no more."""
        for camera in ("c1", "c2"):
            plant.days(1, 37, camera=camera)
        plant.days(38, 44, camera="c1")
        plant.days(38, 44, camera="c2", model="v2")
        plant.check(at(44, 15))
        said = plant.conn.execute(
            "select camera_id, verdict from analytics.drift where signal = 'rate_shift'"
            " and span = 'week' and model_version = 'v1' order by camera_id"
        ).fetchall()
        assert ("c1", "ok") in said
        assert (None, "not enough data") in said
        assert plant.alerts() == {}

    def test_a_first_week_is_not_enough_data(self, plant: HourlyPlant) -> None:
        plant.days(1, 4, events=100)
        plant.days(5, 7, events=100, mean=0.5)
        for day in range(1, 8):
            for hour in (8, 14, 23):
                plant.check(at(day, hour))
        assert plant.verdicts() == {"not enough data"}
        assert plant.alerts() == {}

    def test_a_site_that_is_always_low_says_so_once_it_is_known(
        self, plant: HourlyPlant
    ) -> None:
        plant.days(1, 16, mean=0.7)
        for day in (7, 12, 16):
            plant.check(at(day, 15))
        assert plant.drifting() == {("confidence_low", "week")}


def lens_hours(
    now: datetime, *, broken: datetime, mended: datetime | None = None
) -> Iterator[Seen]:
    """The day's hours as far as they have come, the open one with a part of them."""
    for n in range(8):
        hour = at(10, 6 + n)
        share = min((now - hour) / HOUR, 1)
        for camera in ("c1", "c2"):
            dim = camera == "c1" and hour >= broken and not (mended and hour >= mended)
            if share > 0:
                yield Seen(
                    hour,
                    camera,
                    events=int(120 * share),
                    mean=0.6 if dim else 0.88,
                    units=int(60 * share),
                    minutes=int(60 * share),
                )


NIGHTS = (("early", 6), ("late", 14), ("night", 22))


@pytest.mark.plain
def test_a_night_shift_that_is_simply_different_is_silent(conn: Connection) -> None:
    """Less light by night, half of the work read as idle, half the pace, and nobody
    from Saturday 06:00 to Sunday 22:00: on Saturday a day's window is all night.
    """
    plant = HourlyPlant(conn, NIGHTS)
    plant.put(Seen(hour, **way(hour)) for hour in working_hours(1, 30))
    for day in range(8, 31):
        for hour in (3, 16, 21):
            plant.check(at(day, hour))
            assert plant.drifting() == set(), (day, hour)
    assert plant.verdicts() == {"ok", "not enough data"}
    assert plant.alerts() == {}


def working_hours(first: int, last: int) -> Iterator[datetime]:
    """Every hour from Sunday 22:00 to Saturday 06:00, of days (day 1 is a Monday)."""
    hour = at(first, 0)
    while hour < at(last + 1, 0):
        closed_from, closed_to = 5 * 24 + 6, 6 * 24 + 22
        of_week = hour.weekday() * 24 + hour.hour
        if not closed_from <= of_week < closed_to:
            yield hour
        hour += HOUR


def way(hour: datetime) -> dict[str, Any]:
    """How an hour is: by night another one."""
    if 6 <= hour.hour < 22:
        return {}
    return {"mean": 0.72, "mix": (0.35, 0.55, 0.1), "units": 30}


@pytest.mark.plain
def test_weekends_are_no_news(conn: Connection) -> None:
    """A plant that rests on two days a week: silent on them, and on every Monday."""
    plant = HourlyPlant(conn)
    plant.put(
        Seen(at(day, 6 + n), camera)
        for day in range(1, 32)
        if (day - 1) % 7 < 5
        for n in range(8)
        for camera in ("c1", "c2")
    )
    for day in range(8, 32):
        for hour in (7, 15):
            plant.check(at(day, hour))
    assert "ok" in plant.verdicts()
    assert plant.alerts() == {}
