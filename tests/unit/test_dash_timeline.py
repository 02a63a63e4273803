"""Steps of a period: every hour once, whatever the clocks do."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from dash_app.components.heatmap import heatmap_figure
from dash_app.components.kpi_cards import kpi_cards
from dash_app.components.trend import trend_figure
from dash_app.records import Band, HeatmapCell, Kpis, Overview, Period, TrendStep
from dash_app.timeline import along, timeline

HOUR = timedelta(hours=1)
KPIS = Kpis(
    0.8, -0.03, 0.79, 905, 0.05, None, None, 6, 0, 1.0, 1.0, 3600.0, 0.1, 1800.0, None
)


def step(hour: datetime, utilization: float | None = 0.5) -> TrendStep:
    return TrendStep(hour, None, utilization, 7, 14.0, 2, 1800.0, 3600.0, 1800.0)


def page(starts_at: datetime, ends_at: datetime, **changes: object) -> Overview:
    """A day of a site in Berlin with nothing in it, but for what is given."""
    period = Period(
        from_date=date(2026, 10, 25),
        to_date=date(2026, 10, 25),
        window_from=None,
        window_to=None,
        shift_name=None,
        starts_at=starts_at,
        ends_at=ends_at,
        running=False,
        so_far_from=None,
        so_far_to=None,
        before_from_date=None,
        before_to_date=None,
        before_from=None,
        before_to=None,
    )
    bare = Overview(
        site=None,
        timezone="Europe/Berlin",
        now=None,
        period=period,
        step="hour",
        by_time_of_day=False,
        kpis=KPIS,
        trend=[],
        course=[],
        bands=[],
        leaderboard=[],
        heatmap=[],
        last_date=None,
    )
    return replace(bare, **changes)  # type: ignore[arg-type]


DAY = datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC)


def test_a_day_of_25_hours_has_25_steps_with_names_of_their_own() -> None:
    axis = timeline(page(*DAY))
    assert len(axis.keys) == 25
    assert axis.labels[2:4] == [
        "Sun 25 Oct 2026, 02:00",
        "Sun 25 Oct 2026, 02:00 (again)",
    ]
    assert len(set(axis.labels)) == 25


def test_an_instant_lies_within_its_hour() -> None:
    axis = timeline(page(*DAY))
    assert axis.position(DAY[0]) == -0.5
    assert axis.position(DAY[0] + HOUR / 2) == 0.0
    assert axis.position(DAY[1] + HOUR) == 24.5
    assert axis.position(DAY[0] - HOUR) == -0.5


def test_a_day_is_shown_from_its_first_shift_to_its_last() -> None:
    start = DAY[0] + 7 * HOUR
    shift = Band("shift", "early", start, start + 8 * HOUR)
    early = step(start - 2 * HOUR)
    axis = timeline(page(*DAY, bands=[shift], trend=[early]))
    assert axis.keys[0] == early.hour
    assert axis.keys[-1] == start + 7 * HOUR


def test_steps_without_anything_stay_empty() -> None:
    held = step(DAY[0] + HOUR)
    axis = timeline(page(*DAY, trend=[held]))
    course = along(axis.keys, [held])
    assert course[1] is held
    assert [c for c in course if c is not None] == [held]


def test_dates_are_steps_where_hours_would_be_too_many() -> None:
    start = datetime(2026, 10, 1, tzinfo=UTC)
    whole = page(start, start + timedelta(days=30), step="day")
    period = replace(whole.period, from_date=date(2026, 10, 1))
    axis = timeline(replace(whole, period=period))
    assert axis.keys[0] == date(2026, 10, 1)
    assert axis.labels[-1] == "Sun 25 Oct 2026"


def test_work_outside_shifts_is_points_and_no_line() -> None:
    start = DAY[0] + 7 * HOUR
    shift = Band("shift", "early", start, start + 2 * HOUR)
    trend = [step(start - HOUR, 1.0), step(start), step(start + HOUR, 0.6)]
    shown = page(*DAY, bands=[shift], trend=trend)
    axis = timeline(shown)
    line, outside, units = trend_figure(shown, axis, along(axis.keys, trend))["data"]
    assert line["y"] == [None, 0.5, 0.6]
    assert outside["y"] == [1.0, None, None]
    assert units["y"] == [7, 7, 7]


def test_an_hour_nobody_scheduled_has_no_column_of_its_own() -> None:
    def cell(hour: datetime, scheduled_s: float, share: float | None) -> HeatmapCell:
        return HeatmapCell("p", "S1", "Bench", hour, None, 60.0, scheduled_s, share)

    cells = [cell(DAY[0], 0.0, None), cell(DAY[0] + HOUR, 3600.0, 0.25)]
    (figure,) = heatmap_figure(page(*DAY, heatmap=cells))["data"]
    assert figure["z"] == [[0.25]]
    (figure,) = heatmap_figure(page(*DAY, heatmap=cells[:1]))["data"]
    assert figure["z"] == [[None]]


def test_a_card_says_when_there_is_nothing_to_compare_with() -> None:
    cards = [str(card) for card in kpi_cards(KPIS, [], "vs yesterday", "in full")]
    assert "'80.0%'" in cards[0]
    assert "'data-mood': 'bad'" in cards[0] or "data-mood='bad'" in cards[0]
    assert "No earlier data" in cards[2]
    assert "\N{EN DASH}" in cards[2]
