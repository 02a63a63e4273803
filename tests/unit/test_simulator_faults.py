"""Faults on request: each does what it says and leaves the plant as it was."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from etl.simulation.edge import edge_window
from etl.simulation.options import LIGHTING_CHANGE, Change, SimulatorOptions
from etl.simulation.stream import Stream
from sql.errors import BadSetting

ANCHOR = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
PLANT = SimulatorOptions(timezone="Europe/Berlin")
KEY = ["worker_id", "workstation_id", "event_type", "time"]


def arrived(options: SimulatorOptions) -> pl.DataFrame:
    return pl.concat(list(Stream(options, ANCHOR).history()))


def by_time(events: pl.DataFrame) -> pl.DataFrame:
    return events.drop("arrives_at").sort(KEY)


def test_duplicates_are_whole_and_come_later() -> None:
    events = arrived(replace(PLANT, duplicates=0.1))
    plain = arrived(PLANT)
    again = events.height - plain.height
    assert again == pytest.approx(0.1 * plain.height, rel=0.25)
    assert events.drop("arrives_at").is_duplicated().sum() == 2 * again
    assert_frame_equal(by_time(events).unique(maintain_order=True), by_time(plain))


def test_late_events_are_the_same_events() -> None:
    options = replace(PLANT, late=0.05)
    until = ANCHOR + timedelta(hours=8)
    stream = Stream(options, ANCHOR)
    events = stream.arrivals(stream.begin, until)
    delay = (events["arrives_at"] - events["time"]).dt.total_seconds()
    assert (delay >= 600).mean() == pytest.approx(0.05, abs=0.01)
    assert (delay <= 6 * 3600 + 2).all()
    plain = Stream(PLANT, ANCHOR).arrivals(stream.begin, until)
    early = pl.col("time") < ANCHOR
    assert_frame_equal(by_time(events.filter(early)), by_time(plain.filter(early)))


def test_shuffled_events_are_out_of_order() -> None:
    events = arrived(replace(PLANT, shuffle=True))
    assert not events["time"].is_sorted()
    assert arrived(PLANT).height == pytest.approx(events.height, abs=20)


@pytest.mark.parametrize("workers", [6, 200])
def test_edge_sends_exactly_1247_events_when_it_is_back(workers: int) -> None:
    options = replace(PLANT, workers=workers, stations=workers, edge_offline=True)
    start, end = edge_window(options, ANCHOR)
    events = arrived(options)
    held = events.filter(
        pl.col("time").is_between(start, end, closed="left"),
        pl.col("arrives_at") >= end,
        pl.col("arrives_at") - pl.col("time") > timedelta(seconds=2),
    )
    late = events.filter((pl.col("arrives_at") - pl.col("time")).dt.total_seconds() > 2)
    assert late.height == 1_247
    assert held.height >= 1_246
    batches = late["arrives_at"].value_counts(sort=True)["count"]
    assert batches.sort(descending=True).to_list() == [100] * 12 + [47]
    assert not events.select(KEY).is_duplicated().any()


def test_edge_of_a_small_plant_hides_everything_while_offline() -> None:
    options = replace(PLANT, edge_offline=True)
    start, end = edge_window(options, ANCHOR)
    events = arrived(options)
    during = events.filter(pl.col("arrives_at").is_between(start, end, closed="none"))
    assert (during["time"] < start).all()


def test_edge_repeats_only_what_holds() -> None:
    plain = arrived(PLANT)
    events = arrived(replace(PLANT, edge_offline=True))
    states = plain.filter(pl.col("event_type") != "product_count").sort("time")
    extra = events.join(plain, on=KEY, how="anti").sort("time")
    assert set(extra["event_type"]) <= {"working", "idle", "absent"}
    held = extra.join_asof(states, on="time", by="worker_id", suffix="_held")
    held = held.drop_nulls("event_type_held")
    assert (held["event_type"] == held["event_type_held"]).all()
    assert (held["workstation_id"] == held["workstation_id_held"]).all()


def test_edge_offline_at_night_is_refused() -> None:
    night = replace(PLANT, edge_offline=True, edge_offline_from_h=36.0)
    with pytest.raises(BadSetting, match="nobody is at work"):
        arrived(night)


def test_edge_needs_a_history_long_enough() -> None:
    with pytest.raises(BadSetting, match="too short"):
        arrived(replace(PLANT, hours=1, edge_offline=True))


def test_lighting_change_lowers_confidence_on_day_11() -> None:
    options = replace(
        PLANT, workers=30, stations=20, hours=24 * 13, changes=(LIGHTING_CHANGE,)
    )
    events = arrived(options)
    day = pl.col("time").dt.convert_time_zone("Europe/Berlin").dt.date().alias("day")
    means = events.group_by(day).agg(pl.col("confidence").mean()).sort("day")
    first = Stream(options, ANCHOR).local_day(ANCHOR - timedelta(hours=24 * 13))
    for date, mean in means.iter_rows():
        expected = 0.82 if (date - first).days >= 10 else 0.88
        assert mean == pytest.approx(expected, abs=0.005)


def test_changes_hold_for_their_benches_and_days_only() -> None:
    change = Change(from_day=1, confidence_mean=0.6, benches=(2,))
    events = arrived(replace(PLANT, changes=(change,)))
    means = dict(
        events.group_by("workstation_id").agg(pl.col("confidence").mean()).iter_rows()
    )
    assert means.pop("S03") == pytest.approx(0.6, abs=0.03)
    assert min(means.values()) > 0.83
    over = Change(from_day=1, to_day=0, confidence_mean=0.6)
    assert_frame_equal(arrived(replace(PLANT, changes=(over,))), arrived(PLANT))


def test_pace_and_idling_can_drift() -> None:
    slow = Change(from_day=1, pace_factor=0.5, idle_factor=3.0)
    plain, events = arrived(PLANT), arrived(replace(PLANT, changes=(slow,)))
    units, before = (f["count"].drop_nulls().to_numpy() for f in (events, plain))
    assert units.sum() < 0.65 * before.sum()


def test_silent_camera_sends_nothing_from_then_on() -> None:
    options = replace(PLANT, silent_camera=2, silent_from_h=20.0)
    stream = Stream(options, ANCHOR)
    events = stream.arrivals(stream.begin, ANCHOR + timedelta(hours=12))
    silent = events.filter(pl.col("camera_id") == "cam-02")
    assert silent.height > 50
    assert (silent["time"] < stream.begin + timedelta(hours=20)).all()


def test_fingerprint_tells_plants_apart_but_not_their_pace() -> None:
    assert PLANT.fingerprint() == replace(PLANT, speed=9.0).fingerprint()
    assert PLANT.fingerprint() != replace(PLANT, seed=2).fingerprint()
