"""Shifts: statements that hold from an instant on, overlaps refused by the database."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from sql.connect import connect
from sql.errors import BadSetting, OverlappingShift, UnknownShift, UnknownSite
from sql.plant.calendar import Break
from sql.plant.calendar_store import ensure_calendar
from sql.plant.moments import MINUS_INFINITY
from sql.plant.shifts import (
    Pattern,
    ShiftChange,
    add_shift,
    change_shift,
    end_shift,
    list_shifts,
)
from sql.plant.sites import SiteChange, register_site, set_site

Connection = psycopg.Connection[Any]
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
WEEK = (0, 1, 2, 3, 4)
EARLY = Pattern(WEEK, 6 * 60, 480, (Break(12 * 60, 30),))
NIGHT = Pattern(WEEK, 22 * 60, 480, (Break(2 * 60, 30),))

pytestmark = pytest.mark.plain


@pytest.fixture
def site(conn: Connection) -> int:
    """A plant in UTC whose calendar stands."""
    key = register_site(conn, "plant")
    ensure_calendar(conn, key, MONDAY, MONDAY + timedelta(days=14))
    return key


def told(conn: Connection, *fields: str) -> list[tuple[Any, ...]]:
    return [tuple(s[f] for f in fields) for s in list_shifts(conn, "plant")]


def day(conn: Connection, date: str) -> list[str]:
    """A UTC date as the calendar has it: runs of equal shift, date and break."""
    rows = conn.execute(
        """
        select to_char(c.starts_at, 'HH24:MI'), coalesce(s.name, c.shift_key::text),
            to_char(c.production_date, 'DD'), c.in_break
        from floor.calendar_slices c
        left join floor.shifts s on s.shift_key = c.shift_key
        where c.hour >= %(day)s::timestamptz
          and c.hour < %(day)s::timestamptz + interval '1 day'
        order by c.starts_at
        """,
        {"day": f"{date} 00:00+00"},
    ).fetchall()
    told: list[str] = []
    before = None
    for at, name, date_, in_break in rows:
        if (name, date_, in_break) != before:
            told.append(f"{at} {name} {date_}{' break' if in_break else ''}")
        before = (name, date_, in_break)
    return told


@pytest.mark.usefixtures("site")
def test_a_day_and_a_night(conn: Connection) -> None:
    assert day(conn, "2026-03-03") == ["00:00 -1 03"]
    add_shift(conn, "plant", "early", EARLY)
    add_shift(conn, "plant", "night", NIGHT)
    assert day(conn, "2026-03-03") == [
        "00:00 night 02",
        "02:00 night 02 break",
        "02:30 night 02",
        "06:00 early 03",
        "12:00 early 03 break",
        "12:30 early 03",
        "14:00 0 03",
        "22:00 night 03",
    ]
    assert day(conn, "2026-03-08") == ["00:00 0 08"]


def test_instances_are_those_of_the_slices(conn: Connection, site: int) -> None:
    add_shift(conn, "plant", "night", NIGHT)
    wrong = conn.execute(
        """
        select count(*)
        from floor.calendar_slices c
        left join floor.shift_instances i
          on i.site_key = c.site_key and i.starts_at <= c.starts_at
         and i.ends_at > c.starts_at
        where c.site_key = %s
          and (greatest(c.shift_key, 0) <> coalesce(i.shift_key, 0)
               or c.shift_ends_at is distinct from i.ends_at
               or c.ends_at > i.ends_at
               or (i.shift_key is not null and c.production_date <> i.production_date))
        """,
        (site,),
    ).fetchone()
    assert wrong == (0,)


@pytest.mark.usefixtures("site")
def test_counted_breaks_are_none(conn: Connection) -> None:
    add_shift(conn, "plant", "early", EARLY)
    counted = datetime(2026, 3, 4, tzinfo=UTC)
    set_site(conn, "plant", SiteChange(count_breaks=True), counted)
    assert "12:00 early 03 break" in day(conn, "2026-03-03")
    assert day(conn, "2026-03-04") == ["00:00 0 04", "06:00 early 04", "14:00 0 04"]


@pytest.mark.usefixtures("site")
def test_other_hours_on_other_weekdays(conn: Connection) -> None:
    add_shift(conn, "plant", "early", Pattern((0, 1, 2, 3), 360, 480))
    add_shift(conn, "plant", "early", Pattern((4,), 360, 360))
    assert told(conn, "name", "weekdays", "length_min") == [
        ("early", [0, 1, 2, 3], 480),
        ("early", [4], 360),
    ]
    assert day(conn, "2026-03-06") == ["00:00 0 06", "06:00 early 06", "12:00 0 06"]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("name", "pattern", "sentence"),
    [
        (
            "late",
            Pattern((2,), 13 * 60, 480),
            "Shift 'late' (13:00-21:00) of site plant overlaps shift 'early' on "
            "wed 13:00-14:00; change the start or the length of one",
        ),
        (
            "long",
            Pattern((6,), 20 * 60, 12 * 60),
            "Shift 'long' (20:00-08:00) of site plant overlaps shift 'early' on "
            "mon 06:00-08:00; change the start or the length of one",
        ),
        (
            "early",
            EARLY,
            "Shift 'early' (06:00-14:00) of site plant overlaps shift 'early' on "
            "mon 06:00-14:00; `floorpulse shift change` changes it",
        ),
    ],
)
def test_an_overlap_is_refused(
    conn: Connection, name: str, pattern: Pattern, sentence: str
) -> None:
    add_shift(conn, "plant", "early", EARLY)
    before = day(conn, "2026-03-04")
    with pytest.raises(OverlappingShift) as refused:
        add_shift(conn, "plant", name, pattern)
    assert refused.value.message == sentence
    assert told(conn, "name") == [("early",)]
    assert day(conn, "2026-03-04") == before


@pytest.mark.usefixtures("site")
def test_shifts_that_meet_do_not_overlap(conn: Connection) -> None:
    add_shift(conn, "plant", "one", Pattern((0, 1, 2, 3, 4, 5, 6), 360, 720))
    add_shift(conn, "plant", "two", Pattern((0, 1, 2, 3, 4, 5, 6), 1080, 720))
    assert day(conn, "2026-03-04") == ["00:00 two 03", "06:00 one 04", "18:00 two 04"]


@pytest.mark.usefixtures("site")
def test_a_change_holds_from_its_instant(conn: Connection) -> None:
    add_shift(conn, "plant", "early", EARLY)
    wednesday = datetime(2026, 3, 4, tzinfo=UTC)
    change = ShiftChange(start_min=7 * 60, breaks=())
    change_shift(conn, "plant", "early", change, wednesday)
    assert told(conn, "start", "breaks", "valid_from", "valid_to") == [
        ("06:00", ["12:00+30m"], None, wednesday),
        ("07:00", [], wednesday, None),
    ]
    assert "06:00 early 03" in day(conn, "2026-03-03")
    assert day(conn, "2026-03-04") == ["00:00 0 04", "07:00 early 04", "15:00 0 04"]


@pytest.mark.usefixtures("site")
def test_a_change_in_the_middle_of_an_instance_cuts_it(conn: Connection) -> None:
    add_shift(conn, "plant", "early", EARLY)
    ten = datetime(2026, 3, 4, 10, tzinfo=UTC)
    change_shift(conn, "plant", "early", ShiftChange(length_min=600), ten)
    ends = conn.execute(
        "select distinct starts_at, ends_at from floor.shift_instances "
        "where production_date = '2026-03-04' order by 1"
    ).fetchall()
    eight = timedelta(hours=4)
    assert ends == [(ten - eight, ten), (ten, ten + timedelta(hours=6))]
    slices = conn.execute(
        "select distinct shift_ends_at from floor.calendar_slices "
        "where production_date = '2026-03-04' and shift_key > 0 order by 1"
    ).fetchall()
    assert slices == [(ten,), (ten + timedelta(hours=6),)]


@pytest.mark.usefixtures("site")
def test_a_later_statement_overrules_one_for_later(conn: Connection) -> None:
    add_shift(conn, "plant", "early", EARLY)
    june, march = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC)
    change_shift(conn, "plant", "early", ShiftChange(start_min=420), june)
    change_shift(conn, "plant", "early", ShiftChange(start_min=300), march)
    assert told(conn, "start", "valid_to") == [("06:00", march), ("05:00", None)]


@pytest.mark.usefixtures("site")
def test_days_take_the_place_of_all_patterns(conn: Connection) -> None:
    add_shift(conn, "plant", "early", Pattern((0, 1, 2, 3), 360, 480))
    add_shift(conn, "plant", "early", Pattern((4,), 360, 360))
    with pytest.raises(BadSetting, match="different hours on different weekdays"):
        change_shift(conn, "plant", "early", ShiftChange(weekdays=WEEK))
    change = ShiftChange(weekdays=(5,), length_min=240)
    change_shift(conn, "plant", "early", change)
    assert told(conn, "weekdays", "length_min", "start") == [([5], 240, "06:00")]


@pytest.mark.usefixtures("site")
def test_an_ended_shift_runs_no_more(conn: Connection) -> None:
    add_shift(conn, "plant", "early", EARLY)
    add_shift(conn, "plant", "night", NIGHT)
    thursday = datetime(2026, 3, 5, tzinfo=UTC)
    end_shift(conn, "plant", "early", thursday)
    assert "06:00 early 04" in day(conn, "2026-03-04")
    assert "06:00 0 05" in day(conn, "2026-03-05")
    with pytest.raises(UnknownShift, match="has ended by then"):
        end_shift(conn, "plant", "early", thursday)
    end_shift(conn, "plant", "night", MINUS_INFINITY)
    assert day(conn, "2026-03-05") == ["00:00 -1 05"]


@pytest.mark.usefixtures("site")
def test_a_change_into_another_shift_leaves_all_as_it_was(conn: Connection) -> None:
    add_shift(conn, "plant", "early", EARLY)
    add_shift(conn, "plant", "night", NIGHT)
    before = told(conn, "name", "start", "breaks", "valid_from", "valid_to")
    with pytest.raises(OverlappingShift, match="overlaps shift 'night' on mon 22:00"):
        change_shift(conn, "plant", "early", ShiftChange(start_min=15 * 60, breaks=()))
    assert told(conn, "name", "start", "breaks", "valid_from", "valid_to") == before


@pytest.mark.usefixtures("site")
def test_what_was_known_is_kept(conn: Connection) -> None:
    """As-of needs the versions that held at a time of knowing, and their breaks."""
    add_shift(conn, "plant", "early", EARLY)
    known = conn.execute("select clock_timestamp()").fetchone()
    assert known
    change_shift(conn, "plant", "early", ShiftChange(length_min=600), MINUS_INFINITY)
    rows = conn.execute(
        "select v.length_min, b.length_min from floor.shift_versions v "
        "join floor.breaks b using (version_key) where v.recorded_at <= %(at)s "
        "and (v.superseded_at is null or v.superseded_at > %(at)s)",
        {"at": known[0]},
    ).fetchall()
    assert rows == [(480, 30)]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (Pattern(WEEK, 360, 480, (Break(13 * 60 + 45, 30),)), "does not lie inside"),
        (Pattern(WEEK, 360, 480, (Break(5 * 60, 30),)), "does not lie inside"),
        (
            Pattern(WEEK, 360, 480, (Break(600, 30), Break(615, 30))),
            "overlaps the one before",
        ),
        (Pattern(WEEK, 360, 1441), "24 hours"),
        (Pattern((), 360, 480), "at least one weekday"),
    ],
)
def test_a_pattern_that_cannot_be_is_refused(pattern: Pattern, said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        pattern.check()


def test_unknown_names(conn: Connection) -> None:
    with pytest.raises(UnknownSite):
        add_shift(conn, "plant", "early", EARLY)
    register_site(conn, "plant")
    with pytest.raises(UnknownShift, match="has no shift 'early'"):
        change_shift(conn, "plant", "early", ShiftChange(length_min=60))
    with pytest.raises(UnknownSite):
        list_shifts(conn, "elsewhere")


def test_writers_at_once(dsn: str, conn: Connection) -> None:
    """Four extend the calendar while two change it: one whole calendar comes out."""
    site_key = register_site(conn, "plant")
    add_shift(conn, "plant", "early", EARLY)

    def extend(year: int) -> None:
        with connect(dsn) as other:
            start = datetime(year, 1, 1, tzinfo=UTC)
            ensure_calendar(other, site_key, start, start)

    def change(minutes: int) -> None:
        with connect(dsn) as other:
            for length in (minutes, minutes + 1):
                change_shift(other, "plant", "early", ShiftChange(length_min=length))

    threads = [threading.Thread(target=extend, args=(y,)) for y in range(2022, 2026)]
    threads += [threading.Thread(target=change, args=(m,)) for m in (540, 600)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_one_calendar(conn)


def assert_one_calendar(conn: Connection) -> None:
    """Slices tile the coverage, and shifts are as the only version says."""
    (whole,) = conn.execute(
        "select (select sum(extract(epoch from ends_at - starts_at)) "
        "from floor.calendar_slices) = (select extract(epoch from covered_to - "
        "covered_from) from floor.calendar_coverage)"
    ).fetchone() or (None,)
    assert whole
    (version,) = told(conn, "length_min")
    lengths = conn.execute(
        "select distinct extract(epoch from ends_at - starts_at)::int / 60 "
        "from floor.shift_instances"
    ).fetchall()
    assert lengths == [version]
