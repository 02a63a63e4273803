"""Times of events: ISO 8601 as written, and naive ones as zoneinfo reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.shape.rules import Shaped, SiteRules, shape
from etl.shape.time import NaiveTimes, ZoneSpan
from sql.plant.zones import zone

ARRIVAL = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/New_York",
    "Asia/Kolkata",
    "Africa/Casablanca",
    "Pacific/Apia",
    "America/Sao_Paulo",
]


def shaped(times: list[str], rules: SiteRules, timezone: str | None = None) -> Shaped:
    texts = pl.DataFrame({"time": times}).with_columns(
        site_id=pl.lit("plant"),
        worker_id=pl.lit("W1"),
        workstation_id=pl.lit("S1"),
        event_type=pl.lit("idle"),
        confidence=pl.lit("1"),
    )
    return shape(
        texts.with_row_index("row"),
        arrival=ARRIVAL,
        rules={"plant": rules},
        timezone=timezone,
    )


def read(time: str, timezone: str = "UTC") -> str | None:
    """What a time is read as, in UTC; None where it is bad_time."""
    found = shaped([time], SiteRules((ZoneSpan(timezone),)))
    if found.events.is_empty():
        assert found.rejects["code"].to_list() == ["bad_time"]
        return None
    instant = EPOCH + timedelta(microseconds=found.events["time_us"][0])
    return instant.replace(tzinfo=None).isoformat(" ")


@pytest.mark.parametrize(
    ("time", "utc"),
    [
        ("2026-10-25T02:30:00Z", "2026-10-25 02:30:00"),
        ("2026-10-25t02:30:00z", "2026-10-25 02:30:00"),
        ("2026-10-25 02:30:00+00:00", "2026-10-25 02:30:00"),
        ("2026-10-25T02:30:00+05:30", "2026-10-24 21:00:00"),
        ("2026-10-25T02:30:00+0530", "2026-10-24 21:00:00"),
        ("2026-10-25T02:30:00+05", "2026-10-24 21:30:00"),
        ("2026-10-25T02:30:00 +05:30", "2026-10-24 21:00:00"),
        ("2026-10-25T02:30:00-03:00", "2026-10-25 05:30:00"),
        ("2026-10-25T02:30:00-00:00", "2026-10-25 02:30:00"),
        ("2026-10-25T02:30:00-00:30", "2026-10-25 03:00:00"),
        ("2026-10-25T02:30Z", "2026-10-25 02:30:00"),
        ("2026-10-25 02:30", "2026-10-25 02:30:00"),
        ("2026-10-25 02:30+01:00", "2026-10-25 01:30:00"),
        ("2026-10-25T02:30:00.5Z", "2026-10-25 02:30:00.500000"),
        ("2026-10-25T02:30:00,25Z", "2026-10-25 02:30:00.250000"),
        ("2026-10-25T02:30:00.123456Z", "2026-10-25 02:30:00.123456"),
        ("2026-10-25T02:30:00.1234569Z", "2026-10-25 02:30:00.123456"),
        ("2026-10-25T02:30:00.999999999+02:00", "2026-10-25 00:30:00.999999"),
        ("2026-10-25T02:30:59.999999999999999999Z", "2026-10-25 02:30:59.999999"),
        ("2026-10-25T02Z", "2026-10-25 02:00:00"),
        ("2026-10-25T02", "2026-10-25 02:00:00"),
        ("2026-10-25T02-03", "2026-10-25 05:00:00"),
        ("2026-10-25T02.5Z", "2026-10-25 02:30:00"),
        ("2026-10-25T02:30,25Z", "2026-10-25 02:30:15"),
        ("2026-10-25T02:30.33333333333Z", "2026-10-25 02:30:19.999999"),
        ("2026-10-25T24:00:00Z", "2026-10-26 00:00:00"),
        ("2025-12-31 24:00", "2026-01-01 00:00:00"),
        ("2026-10-25T24:00:00.000+01:00", "2026-10-25 23:00:00"),
        ("2026-W43-7T02:30:00Z", "2026-10-25 02:30:00"),
        ("2020W536T023000,5", "2021-01-02 02:30:00.500000"),
        ("2026-298T02:30:00Z", "2026-10-25 02:30:00"),
        ("2024366t0230+0530", "2024-12-30 21:00:00"),
        ("20261025T023000Z", "2026-10-25 02:30:00"),
        ("20261025T023000.1234569-0330", "2026-10-25 06:00:00.123456"),
        ("20261025T02:30:00Z", "2026-10-25 02:30:00"),
        ("20261025T02", "2026-10-25 02:00:00"),
        ("2026-10-25T02:30:00+05:30:15", "2026-10-24 20:59:45"),
        ("2026-10-25T02:30:00-003015", "2026-10-25 03:00:15"),
        ("1970-01-01T00:00:00Z", "1970-01-01 00:00:00"),
        ("2024-02-29T23:59:59Z", "2024-02-29 23:59:59"),
    ],
)
def test_times_that_are_read(time: str, utc: str) -> None:
    assert read(time) == utc


@pytest.mark.parametrize(
    "time",
    [
        "",
        " ",
        "yesterday",
        "2026-10-25",
        "2026-10-25T",
        "2026-10-25T02:30:00.",
        "2026-10-25T02:30:00.Z",
        "2026-10-25T23:59:60Z",
        "2026-10-25T24:00:01Z",
        "2026-10-25T24:00:00.000001Z",
        "2026-10-25T25:00:00Z",
        "9999-12-31T24:00:00Z",
        "2026-W54-1T02:30:00Z",
        "2026-W43-0T02:30:00Z",
        "2026-W437T02:30:00Z",
        "2026-W43T02:30:00Z",
        "2026-366T02:30:00Z",
        "2026-000T02:30:00Z",
        "2026-1025T02:30:00Z",
        "20261025T02300Z",
        "20261025T02:3000Z",
        "20261025",
        "2026-10-25T2:30Z",
        "2026-10-25T02:30:00+05:30:60",
        "2026-10-25T02:30:00-2400",
        "2026-10-25T02:60:00Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-10-00T00:00:00Z",
        "2026-10-32T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:30:00+01:00",
        "10000-01-01T00:00:00Z",
        "+002026-10-25T02:30:00Z",
        "-2026-10-25T02:30:00Z",
        "26-10-25T02:30:00Z",
        "2026-10-25T02:30:00+24:00",
        "2026-10-25T02:30:00+05:60",
        "2026-10-25T02:30:00+5",
        "2026-10-25T02:30:00 Europe/Berlin",
        "2026-10-25T02:30:00 UTC",
        "2026-10-25T02:30:00Z ",
        " 2026-10-25T02:30:00Z",
        "2026-10-25  02:30:00Z",
        "2026/10/25 02:30:00",
        "25.10.2026 02:30:00",
        "1761359400",
        "1761359400.5",
        "٢٠٢٦-10-25T02:30:00Z",
        "2026-10-25T02:30:00Z\x00",
        "2026-10-25T02:30:00Z\n",
        "x" * 5000,
    ],
)
def test_times_that_are_none(time: str) -> None:
    assert read(time) is None


def test_a_repeated_time_is_its_first_occurrence() -> None:
    assert read("2026-10-25 02:30:00", "Europe/Berlin") == "2026-10-25 00:30:00"
    assert read("2026-10-25 02:59:59.9", "Europe/Berlin") == (
        "2026-10-25 00:59:59.900000"
    )
    assert read("2026-10-25 03:00:00", "Europe/Berlin") == "2026-10-25 02:00:00"


def test_a_skipped_time_is_read_with_the_offset_before_the_change() -> None:
    assert read("2026-03-29 02:30:00", "Europe/Berlin") == "2026-03-29 01:30:00"
    assert read("2026-03-29 01:59:59", "Europe/Berlin") == "2026-03-29 00:59:59"
    assert read("2026-03-29 03:00:00", "Europe/Berlin") == "2026-03-29 01:00:00"


def test_naive_times_at_clock_changes_are_counted() -> None:
    times = [
        "2026-10-25 02:30:00",
        "2026-10-25 02:30:00+02:00",
        "2026-03-29 02:30:00",
        "2026-03-29 02:59:00",
        "2026-06-01 12:00:00",
    ]
    berlin = SiteRules((ZoneSpan("Europe/Berlin"),))
    assert shaped(times, berlin).naive == NaiveTimes(repeated=1, skipped=2)


def test_a_timezone_given_goes_before_the_sites() -> None:
    berlin = SiteRules((ZoneSpan("Europe/Berlin"),))
    found = shaped(["2026-06-01 12:00:00"], berlin, "Asia/Kolkata")
    instant = EPOCH + timedelta(microseconds=found.events["time_us"][0])
    assert instant == datetime(2026, 6, 1, 6, 30, tzinfo=UTC)


def test_the_zone_is_the_one_in_force_at_that_time() -> None:
    moved = (datetime(2026, 6, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    rules = SiteRules(
        (ZoneSpan("UTC", end_us=moved), ZoneSpan("Asia/Kolkata", start_us=moved))
    )
    found = shaped(["2026-05-01 12:00:00", "2026-07-01 12:00:00"], rules)
    read_as = [EPOCH + timedelta(microseconds=us) for us in found.events["time_us"]]
    assert read_as == [
        datetime(2026, 5, 1, 12, 0, tzinfo=UTC),
        datetime(2026, 7, 1, 6, 30, tzinfo=UTC),
    ]


@settings(deadline=None)
@given(
    st.lists(
        st.datetimes(datetime(1970, 1, 3), datetime(2026, 11, 1)),  # noqa: DTZ001
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(ZONES),
)
def test_naive_times_are_what_zoneinfo_says(
    walls: list[datetime], timezone: str
) -> None:
    found = shaped(
        [wall.isoformat() for wall in walls], SiteRules((ZoneSpan(timezone),))
    )
    expected = [
        (wall.replace(tzinfo=zone(timezone), fold=0) - EPOCH)
        // timedelta(microseconds=1)
        for wall in walls
    ]
    assert found.events["time_us"].to_list() == expected
