"""A simulated plant is deterministic, continuous, and behaves like people."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from etl.simulation.options import PlantShift, SimulatorOptions, working_zone
from etl.simulation.stream import Stream, simulate, write
from sql.errors import BadSetting, InputError

ANCHOR = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
STATES = ["working", "idle", "absent"]
PLANT = SimulatorOptions(timezone="Europe/Berlin")
LARGE = replace(PLANT, workers=60, stations=40, hours=24 * 7)


def history(options: SimulatorOptions = PLANT) -> pl.DataFrame:
    return pl.concat(list(simulate(options, ANCHOR)))


def local(events: pl.DataFrame) -> pl.DataFrame:
    return events.with_columns(
        pl.col("time").dt.convert_time_zone("Europe/Berlin").alias("local")
    )


@pytest.fixture(scope="module")
def large() -> pl.DataFrame:
    return history(LARGE)


def test_same_seed_same_events() -> None:
    assert_frame_equal(history(), history())


def test_another_seed_other_events() -> None:
    assert not history().equals(history(replace(PLANT, seed=2)))


@pytest.mark.parametrize("cut_h", [0.5, 7, 23.9, 40])
def test_any_cut_gives_the_same_stream(cut_h: float) -> None:
    options = replace(PLANT, duplicates=0.05, late=0.05, shuffle=True)
    stream = Stream(options, ANCHOR)
    end = ANCHOR + timedelta(hours=6)
    cut = stream.begin + timedelta(hours=cut_h)
    whole = stream.arrivals(stream.begin, end)
    parts = [
        Stream(options, ANCHOR).arrivals(stream.begin, cut),
        Stream(options, ANCHOR).arrivals(cut, end),
    ]
    assert_frame_equal(pl.concat(parts), whole)


def test_who_is_early_for_midnight_is_told_before_it() -> None:
    shifts = (PlantShift("night", 0, 480, 0, 0),)
    options = replace(PLANT, workers=40, shifts=shifts)
    stream = Stream(options, ANCHOR)
    midnight = datetime(2026, 11, 20, tzinfo=BERLIN).astimezone(UTC)
    cut = midnight - timedelta(seconds=1)
    whole = stream.arrivals(stream.begin, ANCHOR)
    parts = [stream.arrivals(stream.begin, cut), stream.arrivals(cut, ANCHOR)]
    assert_frame_equal(pl.concat(parts), whole)
    early = parts[0].filter(pl.col("time") > midnight - timedelta(minutes=2))
    assert not early.is_empty()


def test_live_goes_on_where_the_history_ends() -> None:
    stream = Stream(PLANT, ANCHOR)
    later = Stream(replace(PLANT, hours=49), ANCHOR + timedelta(hours=1))
    live = stream.arrivals(ANCHOR, ANCHOR + timedelta(hours=1))
    assert_frame_equal(pl.concat([history(), live.drop("arrives_at")]), tail(later))


def tail(stream: Stream) -> pl.DataFrame:
    return pl.concat(list(stream.history())).drop("arrives_at")


def test_no_event_arrives_before_it_happens() -> None:
    events = pl.concat(list(Stream(LARGE, ANCHOR).history()))
    latency = events["arrives_at"] - events["time"]
    assert (latency > timedelta(0)).all()
    assert (latency < timedelta(seconds=2)).all()


def test_identities_are_unique(large: pl.DataFrame) -> None:
    key = ["worker_id", "workstation_id", "event_type", "time"]
    assert not large.select(key).is_duplicated().any()


def test_units_come_only_while_working(large: pl.DataFrame) -> None:
    ordered = large.sort("worker_id", "time")
    state = pl.when(pl.col("event_type") != "product_count").then("event_type")
    ordered = ordered.with_columns(
        state.forward_fill().over("worker_id").alias("state"),
        pl.when(pl.col("event_type") != "product_count")
        .then("workstation_id")
        .forward_fill()
        .over("worker_id")
        .alias("state_bench"),
    )
    counts = ordered.filter(
        (pl.col("event_type") == "product_count") & pl.col("state").is_not_null()
    )
    assert counts["state"].unique().to_list() == ["working"]
    assert (counts["workstation_id"] == counts["state_bench"]).all()
    assert counts["count"].min() == 1


def test_states_carry_no_count(large: pl.DataFrame) -> None:
    assert large.filter(pl.col("event_type").is_in(STATES))["count"].null_count() > 0
    assert large.filter(pl.col("event_type").is_in(STATES))["count"].count() == 0


def test_normal_work_never_reaches_the_silence_cap(large: pl.DataFrame) -> None:
    gated = large.filter(
        pl.col("event_type").is_in(STATES) & (pl.col("confidence") >= 0.7)
    ).sort("worker_id", "time")
    gaps = gated.select(
        pl.col("time").diff().over("worker_id").dt.total_seconds().alias("gap_s")
    ).filter(pl.col("gap_s") < 4 * 3600)
    assert (gaps["gap_s"] < 600).all()


def test_states_are_sent_again_within_four_minutes(large: pl.DataFrame) -> None:
    states = large.filter(pl.col("event_type").is_in(STATES)).sort("worker_id", "time")
    gaps = states.select(
        pl.col("time").diff().over("worker_id").dt.total_seconds().alias("gap_s")
    ).filter(pl.col("gap_s") < 4 * 3600)
    assert (gaps["gap_s"] <= 240 + 90).all()


def test_people_keep_to_their_shift(large: pl.DataFrame) -> None:
    minute = pl.col("local").dt.hour().cast(int) * 60 + pl.col("local").dt.minute()
    span = local(large).group_by("worker_id").agg(first=minute.min(), last=minute.max())
    early = span.filter(pl.col("worker_id").str.slice(1).cast(int) % 2 == 1)
    late = span.filter(pl.col("worker_id").str.slice(1).cast(int) % 2 == 0)
    assert (early["first"] >= 6 * 60 - 3).all()
    assert (early["last"] <= 14 * 60 + 3).all()
    assert (late["first"] >= 14 * 60 - 3).all()
    assert (late["last"] <= 22 * 60 + 3).all()


@pytest.mark.parametrize(("hour", "parity"), [(13, 1), (18, 0)])
def test_most_are_absent_over_the_break(
    large: pl.DataFrame, hour: int, parity: int
) -> None:
    states = local(large).filter(
        pl.col("event_type").is_in(STATES),
        pl.col("worker_id").str.slice(1).cast(int) % 2 == parity,
        pl.col("local").dt.hour() == hour,
        pl.col("local").dt.minute().is_between(5, 40),
    )
    away = states.group_by("worker_id", pl.col("local").dt.date()).agg(
        (pl.col("event_type") == "absent").all().alias("away")
    )
    assert away["away"].to_numpy().mean() > 0.75


def test_first_half_hour_is_slow(large: pl.DataFrame) -> None:
    counts = local(large).filter(pl.col("event_type") == "product_count")
    hour, minute = pl.col("local").dt.hour(), pl.col("local").dt.minute()
    first = counts.filter((hour == 6) & (minute < 30)).height
    later = counts.filter((hour == 8) & (minute < 30)).height
    assert first < 0.6 * later


def test_two_workers_are_sometimes_at_one_bench(large: pl.DataFrame) -> None:
    minute = pl.col("time").dt.truncate("5m")
    working = large.filter(pl.col("event_type") == "working")
    people = working.group_by(minute, "workstation_id").agg(
        pl.col("worker_id").n_unique().alias("people")
    )
    shared = (people["people"] > 1).to_numpy().mean()
    assert 0.02 < shared < 0.6


def test_rates_differ_by_worker_and_bench(large: pl.DataFrame) -> None:
    units = large.filter(pl.col("event_type") == "product_count")
    for key in ("worker_id", "workstation_id"):
        sums = units.group_by(key).agg(pl.col("count").sum())["count"].to_numpy()
        assert sums.max() > 1.5 * sums.min()


def test_confidence_is_around_088(large: pl.DataFrame) -> None:
    confidence = large["confidence"]
    assert confidence.mean() == pytest.approx(0.88, abs=0.003)
    assert confidence.std() == pytest.approx(0.05, abs=0.012)
    assert 0.003 < (confidence < 0.7).to_numpy().mean() < 0.03
    assert confidence.is_between(0, 1).all()


def test_model_and_camera_are_named(large: pl.DataFrame) -> None:
    assert large["model_version"].unique().to_list() == ["pose-1.4.0"]
    assert large["camera_id"].n_unique() == 40


def test_auto_zone_is_one_where_people_work_now() -> None:
    for hour in range(24):
        now = datetime(2026, 7, 1, hour, 0, tzinfo=UTC)
        where = ZoneInfo(working_zone(now))
        assert 6 <= now.astimezone(where).hour < 22


def test_clock_change_days_are_told() -> None:
    anchor = datetime(2026, 3, 30, 0, 0, tzinfo=UTC)
    events = pl.concat(list(simulate(PLANT, anchor)))
    days = local(events)["local"].dt.date().unique().sort()
    assert [str(day) for day in days] == ["2026-03-28", "2026-03-29"]
    first = (
        local(events)
        .group_by(pl.col("local").dt.date())
        .agg(pl.col("local").dt.hour().min().alias("hour"))
    )
    assert first.sort("local")["hour"].to_list()[1] in (5, 6)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_small_plants_work(workers: int) -> None:
    events = history(replace(PLANT, workers=workers, stations=1))
    assert events["worker_id"].n_unique() == workers


@pytest.mark.parametrize(
    "bad",
    [{"workers": 0}, {"hours": -1}, {"speed": 0}, {"late": 2}, {"timezone": "Mars/X"}],
)
def test_impossible_plants_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(BadSetting):
        SimulatorOptions(**bad)  # type: ignore[arg-type]


def test_anchor_needs_a_zone() -> None:
    with pytest.raises(InputError, match="time zone"):
        list(simulate(PLANT, datetime(2026, 1, 1)))  # noqa: DTZ001


@pytest.mark.parametrize("workers", [6, 50])
def test_exactly_as_many_events_as_asked_for(workers: int) -> None:
    options = replace(PLANT, workers=workers)
    frames = simulate(options, ANCHOR, 20_000)
    assert sum(frame.height for frame in frames) == 20_000


def test_files_hold_the_events(tmp_path: Path) -> None:
    events = history()
    for name, read in (("a.csv", pl.read_csv), ("a.ndjson", pl.read_ndjson)):
        path = tmp_path / name
        assert write(simulate(PLANT, ANCHOR), path) == events.height
        back = read(path, infer_schema_length=None)
        assert back["worker_id"].to_list() == events["worker_id"].to_list()
        times = back["time"].str.to_datetime("%+").dt.cast_time_unit("us")
        assert (times == events["time"]).all()
        assert back["count"].to_list() == events["count"].to_list()


def test_who_leaves_is_absent_for_a_minute_and_not_for_the_cap(
    large: pl.DataFrame,
) -> None:
    left = large.filter(pl.col("duration_s").is_not_null())
    assert left["event_type"].unique().to_list() == ["absent"]
    assert left["duration_s"].unique().to_list() == [60.0]
    last = large.group_by("worker_id", pl.col("time").dt.date().alias("day")).agg(
        pl.col("duration_s").sort_by("time").last()
    )
    assert last["duration_s"].null_count() <= 60, "only those still at work have no end"
