"""The calendar against a brute-force reading of metrics.md, minute by minute."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sql.plant.calendar import Break, Plan, Rules, SettingsSpan, ShiftVersion, plan
from sql.plant.wall_clock import ALWAYS, HOUR, NEVER, WallClock, micros
from sql.plant.zones import zone
from tests.support import wallclock as reference

MINUTE = HOUR // 60
ALL_WEEK = (0, 1, 2, 3, 4, 5, 6)
# A place and a day on which its clocks changed in some unusual way.
CLOCK_CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("Asia/Kolkata", "2026-03-02"),
    ("Asia/Kathmandu", "2026-03-02"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Africa/Casablanca", "2025-02-23"),
    ("Africa/Casablanca", "2025-04-06"),
    ("Pacific/Apia", "2011-12-30"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Havana", "2025-11-02"),
    ("America/Nuuk", "2026-03-29"),
    ("America/St_Johns", "2010-11-07"),
    ("UTC", "2026-01-01"),
]


def utc(text: str) -> int:
    return micros(datetime.fromisoformat(text).replace(tzinfo=UTC))


def day_of(number: int) -> date:
    return date(1970, 1, 1) + timedelta(days=int(number))


def told(spans: list[SettingsSpan], versions: list[ShiftVersion]) -> reference.Calendar:
    """The reference calendar that says the same."""
    statements = [
        reference.Settings(
            {"timezone": s.timezone, "count_breaks": s.count_breaks}, s.valid_from
        )
        for s in spans
    ]
    shifts = [
        reference.Shift(
            str(v.shift_key),
            v.weekdays,
            v.start_min,
            v.length_min,
            tuple((b.start_min, b.length_min) for b in v.breaks),
            v.valid_from,
            v.valid_to,
        )
        for v in versions
    ]
    return reference.Calendar(statements, shifts)


def assert_tiled(made: Plan, start: int, end: int) -> None:
    """No gap, no overlap, each slice inside one UTC hour."""
    slices = made.slices
    assert slices.starts_at[0] == start
    assert slices.ends_at[-1] == end
    assert (slices.starts_at[1:] == slices.ends_at[:-1]).all()
    assert (slices.starts_at < slices.ends_at).all()
    assert (slices.hour % HOUR == 0).all()
    assert (slices.hour <= slices.starts_at).all()
    assert (slices.ends_at <= slices.hour + HOUR).all()


def assert_minutes_agree(made: Plan, calendar: reference.Calendar) -> None:
    """Every minute has the date, shift and break that the reference gives it."""
    slices = made.slices
    for i, start in enumerate(slices.starts_at):
        key = int(slices.shift_key[i])
        said = (day_of(slices.production_day[i]), key, bool(slices.in_break[i]))
        for at in range(int(start), int(slices.ends_at[i]), MINUTE):
            place = calendar.place(at)
            outside = -1 if place.around_the_clock else 0
            shift = int(place.shift) if place.shift else outside
            assert said == (place.production_date, shift, place.in_break), at


def assert_ends_agree(made: Plan, calendar: reference.Calendar) -> None:
    """Every instance ends where the reference ends it (a gap counts as far as that)."""
    slices = made.slices
    for i in np.flatnonzero(slices.shift_key > 0):
        end = calendar.instance_end(int(slices.starts_at[i]))
        assert slices.shift_ends_at[i] == end, int(slices.starts_at[i])
    assert (slices.shift_ends_at[slices.shift_key <= 0] == NEVER).all()


@st.composite
def shift_weeks(draw: st.DrawFn) -> list[ShiftVersion]:
    """Shifts that start on every day and do not overlap, with breaks inside."""
    marks = st.lists(st.integers(0, 47), min_size=2, max_size=6, unique=True)
    cuts = sorted(draw(marks))
    versions = []
    for number, (start, stop) in enumerate(
        zip(cuts, [*cuts[1:], cuts[0] + 48], strict=True), 1
    ):
        if draw(st.booleans()):
            continue
        into = draw(st.integers(0, (stop - start) * 30 - 1))
        length = draw(st.integers(1, (stop - start) * 30 - into))
        pause = Break((start * 30 + into) % 1440, length)
        breaks = (pause,) if draw(st.booleans()) else ()
        versions.append(
            ShiftVersion(
                number,
                number,
                tuple(sorted(draw(st.sets(st.integers(0, 6), min_size=1)))),
                start * 30,
                (stop - start) * 30,
                breaks,
            )
        )
    return versions


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(CLOCK_CHANGES), shift_weeks(), st.booleans())
def test_every_minute_around_a_clock_change(
    change: tuple[str, str], versions: list[ShiftVersion], counted: bool
) -> None:
    name, day = change
    start = utc(day) - 30 * HOUR
    end = utc(day) + 54 * HOUR
    spans = [SettingsSpan(name, counted)]
    made = plan(Rules(spans, versions), start, end)
    assert_tiled(made, start, end)
    assert_minutes_agree(made, told(spans, versions))
    assert_ends_agree(made, told(spans, versions))


@settings(max_examples=12, deadline=None)
@given(
    shift_weeks(),
    shift_weeks(),
    st.integers(0, 96 * 60),
    st.integers(0, 96 * 60),
    st.sampled_from(CLOCK_CHANGES),
)
def test_every_minute_around_changes_of_shifts_and_settings(
    before: list[ShiftVersion],
    after: list[ShiftVersion],
    shifts_from_min: int,
    settings_from_min: int,
    change: tuple[str, str],
) -> None:
    start = utc(change[1]) - 24 * HOUR
    end = start + 96 * HOUR
    shifts_from = start + shifts_from_min * MINUTE
    settings_from = start + settings_from_min * MINUTE
    versions = [clipped(v, 0, valid_to=shifts_from) for v in before]
    versions += [clipped(v, 100, valid_from=shifts_from) for v in after]
    spans = [
        SettingsSpan(change[0], False, valid_to=settings_from),
        SettingsSpan("Asia/Kathmandu", True, valid_from=settings_from),
    ]
    made = plan(Rules(spans, versions), start, end)
    assert_tiled(made, start, end)
    assert_minutes_agree(made, told(spans, versions))
    assert_ends_agree(made, told(spans, versions))


def clipped(
    version: ShiftVersion, add: int, valid_from: int = ALWAYS, valid_to: int = NEVER
) -> ShiftVersion:
    return ShiftVersion(
        version.version_key + add,
        version.shift_key + add,
        version.weekdays,
        version.start_min,
        version.length_min,
        version.breaks,
        valid_from,
        valid_to,
    )


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(CLOCK_CHANGES), shift_weeks(), st.integers(1, 71))
def test_a_range_made_in_two_parts_is_the_same(
    change: tuple[str, str], versions: list[ShiftVersion], hours: int
) -> None:
    start = utc(change[1]) - 24 * HOUR
    middle, end = start + hours * HOUR, start + 72 * HOUR
    spans = [SettingsSpan(change[0], False)]
    whole = plan(Rules(spans, versions), start, end).slices
    first = plan(Rules(spans, versions), start, middle).slices
    second = plan(Rules(spans, versions), middle, end).slices
    for column in ("starts_at", "ends_at", "production_day", "shift_key", "in_break"):
        parts = [getattr(first, column), getattr(second, column)]
        assert (np.concatenate(parts) == getattr(whole, column)).all(), column
    ends = np.concatenate([first.shift_ends_at, second.shift_ends_at])
    assert (ends == whole.shift_ends_at).all()


def instances_of(name: str, day: str, start_min: int, length_min: int) -> list[str]:
    """Start and end, in UTC, of one shift's instances that start on a day."""
    low = utc(day) - 72 * HOUR
    version = ShiftVersion(1, 1, ALL_WEEK, start_min, length_min)
    found = plan(Rules([SettingsSpan(name, False)], [version]), low, low + 144 * HOUR)
    return [
        f"{text(starts)} - {text(ends)}"
        for d, starts, ends in zip(
            found.instances.production_day,
            found.instances.starts_at,
            found.instances.ends_at,
            strict=True,
        )
        if str(day_of(d)) == day
    ]


def text(us: int) -> str:
    return f"{datetime.fromtimestamp(us / 1e6, UTC):%d %H:%M}"


@pytest.mark.parametrize(
    ("name", "day", "start_min", "length_min", "bounds"),
    [
        # eight hours on the wall are nine where an hour is repeated
        ("Europe/Berlin", "2026-10-24", 22 * 60, 480, "24 20:00 - 25 05:00"),
        # an end that is skipped is the instant of the change
        ("Europe/Berlin", "2026-03-28", 22 * 60, 270, "28 21:00 - 29 01:00"),
        # a repeated start is its first occurrence
        ("Europe/Berlin", "2026-10-25", 150, 60, "25 00:30 - 25 02:30"),
        # a repeated end as well: the second 02:30 is outside
        ("Europe/Berlin", "2026-10-25", 60, 90, "24 23:00 - 25 00:30"),
        # half an hour is repeated
        ("Australia/Lord_Howe", "2026-04-05", 0, 240, "04 13:00 - 04 17:30"),
        # midnight is skipped
        ("America/Sao_Paulo", "2018-11-04", 0, 120, "04 03:00 - 04 04:00"),
        # a night into a day that never was ends at the change
        ("Pacific/Apia", "2011-12-29", 22 * 60, 480, "30 08:00 - 30 10:00"),
    ],
)
def test_bounds_on_a_clock_change(
    name: str, day: str, start_min: int, length_min: int, bounds: str
) -> None:
    assert instances_of(name, day, start_min, length_min) == [bounds]


def test_an_instance_in_a_skipped_day_is_dropped() -> None:
    assert instances_of("Pacific/Apia", "2011-12-30", 360, 480) == []


def test_a_break_after_midnight_lies_on_the_next_local_day() -> None:
    version = ShiftVersion(1, 7, (0,), 22 * 60, 480, (Break(120, 30),))
    low = utc("2026-03-02T12:00")
    made = plan(
        Rules([SettingsSpan("Asia/Kolkata", False)], [version]), low, low + 24 * HOUR
    )
    at = made.slices.in_break
    assert [text(t) for t in made.slices.starts_at[at]] == ["02 20:30"]
    assert {str(day_of(d)) for d in made.slices.production_day[at]} == {"2026-03-02"}


def test_a_shift_that_the_zone_cuts_still_ends_at_its_end() -> None:
    """Only a change of the shift itself ends an instance early."""
    change = utc("2026-01-05T10:30")
    version = ShiftVersion(1, 1, ALL_WEEK, 6 * 60, 600)
    spans = [
        SettingsSpan("UTC", False, valid_to=change),
        SettingsSpan("Etc/UTC", False, valid_from=change),
    ]
    start = utc("2026-01-05T00:00")
    slices = plan(Rules(spans, [version]), start, start + 24 * HOUR).slices
    inside = slices.shift_key == 1
    assert {text(t) for t in slices.shift_ends_at[inside]} == {"05 16:00"}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted({name for name, _ in CLOCK_CHANGES})),
    st.integers(utc("1990-01-01"), utc("2026-01-01")),
)
def test_wall_clock_reads_as_zoneinfo_does(name: str, at: int) -> None:
    low = at // HOUR * HOUR
    clock = WallClock(zone(name), low, low + 9 * 24 * HOUR)
    shown = reference.moment(at).astimezone(zone(name)).replace(tzinfo=UTC)
    assert clock.wall(np.array([at]))[0] == micros(shown)
