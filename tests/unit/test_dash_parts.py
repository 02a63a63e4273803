"""What the parts of the page make of odd records."""

from dataclasses import fields
from datetime import UTC, datetime, time
from typing import Any

from dash_app import formats
from dash_app.components.heatmap import heatmap_figure
from dash_app.components.sparkline import sparkline
from dash_app.components.trend import trend_figure
from dash_app.records import HeatmapCell, Overview, Period, TrendStep
from dash_app.timeline import along, timeline

SIX = datetime(2026, 11, 20, 6, tzinfo=UTC)
SEVEN = SIX.replace(hour=7)


def page(**told: Any) -> Overview:
    """A page of 06:00 to 08:00 UTC with nothing in it but what is told."""
    period: dict[str, Any] = dict.fromkeys(field.name for field in fields(Period))
    end = SIX.replace(hour=8)
    period |= {"starts_at": SIX, "ends_at": end, "running": False}
    every: dict[str, Any] = dict.fromkeys(field.name for field in fields(Overview))
    every |= {
        "timezone": "UTC",
        "step": "hour",
        "bands": [],
        "heatmap": [],
        "trend": [],
    }
    return Overview(**{**every, "period": Period(**period), **told})


def test_a_day_without_a_whole_hour_has_no_line_and_no_block() -> None:
    assert vars(sparkline([]))["style"] == {"visibility": "hidden"}
    assert "maskImage" in vars(sparkline([0.5]))["style"]


def test_a_name_is_no_markup_and_keeps_its_end() -> None:
    assert formats.in_figure("R&D <b>1</b>") == "R&amp;D &lt;b&gt;1&lt;/b&gt;"
    assert formats.in_figure("Final assembly, bench 17", 12) == "Final a…h 17"
    assert formats.in_figure("bench 17", 12) == "bench 17"


def cell(site: str, at: time) -> HeatmapCell:
    return HeatmapCell(site, "S1", "S1", None, at, 60.0, 120.0, 0.5)


def columns_of(*cells: HeatmapCell) -> tuple[str, ...]:
    figure = heatmap_figure(page(by_time_of_day=True, heatmap=list(cells)))
    return tuple(figure["layout"]["xaxis"]["ticktext"])


def test_sites_half_an_hour_apart_share_columns() -> None:
    berlin, pune = cell("a", time(6)), cell("b", time(6, 30))
    assert columns_of(berlin, pune) == ("06:00",)
    assert columns_of(pune) == ("06:30",)
    lord_howe = cell("b", time(6))
    assert columns_of(pune, lord_howe) == ("06:00", "06:30")


def test_a_minute_of_work_has_units_and_no_point() -> None:
    steps = [
        TrendStep(SIX, None, 1.0, 1, 60.0, 1, 60.0, 60.0, 60.0, brief=True),
        TrendStep(SEVEN, None, 0.8, 50, 62.0, 1, 2_880.0, 3_600.0, 2_880.0),
    ]
    shown = page(trend=steps)
    axis = timeline(shown)
    line, _, units = trend_figure(shown, axis, along(axis.keys, steps))["data"]
    assert line["y"] == [None, 0.8]
    assert units["y"] == [1, 50]
    assert units["customdata"][1] == "(62.0 / h, 1 worker)"
