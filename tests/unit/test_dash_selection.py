"""The address says what is chosen, and what it cannot say falls back to a default."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from dash_app.selection import Selection, parse, to_search, utc_window

KOLKATA = ZoneInfo("Asia/Kolkata")
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(site="hall a/b & c"),
        Selection(site="p", range="30d", shift="früh"),
        Selection(
            range="custom",
            from_time=datetime(2026, 11, 20, 6),  # noqa: DTZ001
            to_time=datetime(2026, 11, 20, 14),  # noqa: DTZ001
        ),
        Selection(
            range="custom",
            from_time=datetime(2026, 11, 20, 6, tzinfo=UTC),
            to_time=datetime(2026, 11, 21, tzinfo=UTC),
        ),
    ],
)
def test_what_it_writes_it_reads_again(selection: Selection) -> None:
    assert parse(to_search(selection)) == selection


def test_defaults_keep_addresses_short() -> None:
    assert to_search(Selection()) == ""
    assert to_search(Selection(site="p")) == "?site=p"


@pytest.mark.parametrize(
    "search",
    [
        None,
        "",
        "?range=decade",
        "?range=custom",
        "?range=custom&from=2026-11-20",
        "?range=custom&from=noon&to=midnight",
        "?range=custom&from=0001-01-01&to=9999-12-31",
        "?range=today&from=2026-11-20T00:00&to=2026-11-21T00:00",
    ],
)
def test_what_it_does_not_understand_takes_its_default(search: str | None) -> None:
    assert parse(search) == Selection()


def test_no_id_can_carry_what_no_id_may_hold() -> None:
    assert parse("?site=a%00b%0A").site == "ab"
    assert len(parse(f"?site={'x' * 500}").site or "") == 64


def test_a_window_is_the_zones_wall_clock_widened_to_utc_hours() -> None:
    chosen = parse("?range=custom&from=2026-11-20T08:00&to=2026-11-20T16:00")
    assert utc_window(chosen, KOLKATA) == (
        datetime(2026, 11, 20, 2, tzinfo=UTC),
        datetime(2026, 11, 20, 11, tzinfo=UTC),
    )


def test_a_window_with_an_offset_is_an_instant() -> None:
    chosen = parse("?range=custom&from=2026-11-20T08:00Z&to=2026-11-20T16:00Z")
    assert utc_window(chosen, KOLKATA) == (
        datetime(2026, 11, 20, 8, tzinfo=UTC),
        datetime(2026, 11, 20, 16, tzinfo=UTC),
    )


def test_an_hour_that_comes_twice_is_its_first_occurrence() -> None:
    chosen = parse("?range=custom&from=2026-10-25T02:00&to=2026-10-25T03:00")
    assert utc_window(chosen, BERLIN) == (
        datetime(2026, 10, 25, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 2, tzinfo=UTC),
    )


def test_a_window_that_runs_backwards_is_none() -> None:
    chosen = parse("?range=custom&from=2026-11-20T16:00&to=2026-11-20T08:00")
    assert utc_window(chosen, BERLIN) == (None, None)
