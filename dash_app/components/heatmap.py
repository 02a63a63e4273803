"""Workstation by hour: the share of the scheduled time in which somebody was there."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from dash import html

from dash_app import formats
from dash_app.elements import aria
from dash_app.records import HeatmapCell, Overview

LEAST_HEIGHT = 340
SHOWN_HEIGHT = 440
ROW_HEIGHT = 26
TALLEST_ROW = 96
AROUND = 48
LONGEST_NAME = 20
_Row = tuple[str, str]
_ColumnOf = Callable[[HeatmapCell], str]
COLORS = {"cmin": 0, "cmax": 1, "showscale": False}
HOVER = (
    "<b>%{customdata[0]}</b>, %{customdata[1]}<br>"
    "%{z:.0%} utilized<br>%{customdata[2]}<extra></extra>"
)


def heatmap_figure(page: Overview) -> dict[str, Any]:
    """A bare plotly figure: colours come from the template, in the browser."""
    column_of = _column_of(page.heatmap)
    columns = _columns(page.heatmap, column_of)
    rows = sorted({(cell.site_id, cell.workstation_id) for cell in page.heatmap})
    names = _names(page)
    labels = _labels(page, columns)
    shares, said = _matrix(page, rows, columns, column_of)
    every = max(1, -(-len(columns) // 6))
    scrolls = _height(len(rows)) > SHOWN_HEIGHT
    bare = {"showgrid": False, "showline": False, "ticks": ""}
    trace = {
        "type": "heatmap",
        "z": shares,
        "customdata": [
            [(formats.in_figure(names[row]), *cell) for cell in line]
            for row, line in zip(rows, said, strict=True)
        ],
        "coloraxis": "coloraxis",
        "hoverongaps": False,
        "hovertemplate": HOVER,
    }
    layout = {
        "height": _height(len(rows)),
        "margin": {"l": 8, "r": 4, "t": 26 if scrolls else 4, "b": 26},
        "coloraxis": COLORS,
        "xaxis": {
            **bare,
            "tickvals": list(range(0, len(columns), every)),
            "ticktext": labels[::every],
            "tickangle": 0,
            # Where the foot is out of sight at first, the hours stand on top.
            "side": "top" if scrolls else "bottom",
        },
        "yaxis": {
            **bare,
            "tickvals": list(range(len(rows))),
            "ticktext": [formats.in_figure(names[row], LONGEST_NAME) for row in rows],
            "autorange": "reversed",
            "ticklabelstandoff": 6,
        },
        "uirevision": "same",
    }
    return {"data": [trace], "layout": layout}


def _matrix(
    page: Overview, rows: list[_Row], columns: list[str], column_of: _ColumnOf
) -> tuple[list[list[float | None]], list[list[tuple[str, str]]]]:
    """Shares, and when they are and what to say of them, by row and column."""
    zone = ZoneInfo(page.timezone)
    place = {column: i for i, column in enumerate(columns)}
    line = {row: i for i, row in enumerate(rows)}
    shares: list[list[float | None]] = [[None] * len(columns) for _ in rows]
    said = [[("", "")] * len(columns) for _ in rows]
    for cell in page.heatmap:
        column = place.get(column_of(cell))
        if column is not None:
            row = line[cell.site_id, cell.workstation_id]
            shares[row][column] = cell.utilization
            said[row][column] = (_clock(cell, zone), _text(cell))
    return shares, said


def shown_height(page: Overview) -> int:
    """Pixels in sight of the panel; what is higher scrolls."""
    rows = {(cell.site_id, cell.workstation_id) for cell in page.heatmap}
    return max(LEAST_HEIGHT, min(SHOWN_HEIGHT, _height(len(rows))))


def _height(rows: int) -> int:
    """Few rows fill the panel, but no row grows into a wall."""
    filling = min(LEAST_HEIGHT, TALLEST_ROW * rows + AROUND)
    return max(filling, ROW_HEIGHT * rows + AROUND)


def scale_legend() -> html.Span:
    """The colours' meaning, as small as it can be said."""
    return html.Span(
        ["0", html.I(className="fp-scale"), "100%"],
        className="fp-panel-note fp-scale-legend",
        **aria(label="Colour scale from 0 to 100 percent"),
    )


def _columns(cells: list[HeatmapCell], column_of: _ColumnOf) -> list[str]:
    """In order of time; hours that were not scheduled only where none was."""
    scheduled = {column_of(cell) for cell in cells if cell.scheduled_s > 0}
    return sorted(scheduled or {column_of(cell) for cell in cells})


def _column_of(cells: list[HeatmapCell]) -> _ColumnOf:
    """Sites half an hour apart share the columns of whole hours: each with its own
    they would be a fence. Not where a workstation has both: clocks change by half
    an hour in some places.
    """
    minutes = {c.time_of_day.minute for c in cells if c.time_of_day is not None}
    whole = {(c.site_id, c.workstation_id, _whole_hour(c)) for c in cells}
    return _whole_hour if len(minutes) > 1 and len(whole) == len(cells) else _column


def _column(cell: HeatmapCell) -> str:
    """Sorts in order of time."""
    if cell.hour is not None:
        return cell.hour.isoformat()
    return "" if cell.time_of_day is None else f"{cell.time_of_day:%H:%M}"


def _whole_hour(cell: HeatmapCell) -> str:
    return "" if cell.time_of_day is None else f"{cell.time_of_day:%H}:00"


def _clock(cell: HeatmapCell, zone: ZoneInfo) -> str:
    """When the hour of a cell begins."""
    return f"{cell.hour.astimezone(zone):%H:%M}" if cell.hour else _column(cell)


def _labels(page: Overview, columns: list[str]) -> list[str]:
    if page.by_time_of_day:
        return columns
    zone = ZoneInfo(page.timezone)
    clocks = {_column(cell): _clock(cell, zone) for cell in page.heatmap}
    return [clocks[column] for column in columns]


def _names(page: Overview) -> dict[tuple[str, str], str]:
    """Names of workstations; with several sites in sight, the site before."""
    return {
        (cell.site_id, cell.workstation_id): cell.name
        if page.site
        else f"{cell.site_id} · {cell.name}"
        for cell in page.heatmap
    }


def _text(cell: HeatmapCell) -> str:
    occupied = formats.duration(cell.occupied_s)
    if cell.scheduled_s == 0:
        return f"occupied {occupied}, not scheduled"
    return f"occupied {occupied} of {formats.duration(cell.scheduled_s)}"
