"""Workstation by hour: the share of the scheduled time in which somebody was there."""

from typing import Any
from zoneinfo import ZoneInfo

from dash import html

from dash_app import formats
from dash_app.elements import aria
from dash_app.records import HeatmapCell, Overview

LEAST_HEIGHT = 340
SHOWN_HEIGHT = 440
ROW_HEIGHT = 26
TALLEST_ROW = 64
AROUND = 48
COLORS = {"cmin": 0, "cmax": 1, "showscale": False}
HOVER = (
    "<b>%{customdata[0]}</b>, %{customdata[1]}<br>"
    "%{z:.0%} utilized<br>%{customdata[2]}<extra></extra>"
)


def heatmap_figure(page: Overview) -> dict[str, Any]:
    """A bare plotly figure: colours come from the template, in the browser."""
    columns = _columns(page.heatmap)
    rows = sorted({(cell.site_id, cell.workstation_id) for cell in page.heatmap})
    names = _names(page)
    labels = _labels(page, columns)
    shares, texts = _matrix(page, rows, columns)
    every = max(1, -(-len(columns) // 6))
    bare = {"showgrid": False, "showline": False, "ticks": ""}
    trace = {
        "type": "heatmap",
        "z": shares,
        "customdata": [
            [[names[row], *cell] for cell in zip(labels, said, strict=True)]
            for row, said in zip(rows, texts, strict=True)
        ],
        "coloraxis": "coloraxis",
        "hoverongaps": False,
        "hovertemplate": HOVER,
    }
    layout = {
        "height": _height(len(rows)),
        "margin": {"l": 8, "r": 4, "t": 4, "b": 26},
        "coloraxis": COLORS,
        "xaxis": {
            **bare,
            "tickvals": list(range(0, len(columns), every)),
            "ticktext": labels[::every],
            "tickangle": 0,
        },
        "yaxis": {
            **bare,
            "tickvals": list(range(len(rows))),
            "ticktext": [names[row] for row in rows],
            "autorange": "reversed",
            "ticklabelstandoff": 6,
        },
        "uirevision": "same",
    }
    return {"data": [trace], "layout": layout}


def _matrix(
    page: Overview, rows: list[tuple[str, str]], columns: list[str]
) -> tuple[list[list[float | None]], list[list[str]]]:
    """Shares and what to say of them, by row and column."""
    place = {column: i for i, column in enumerate(columns)}
    line = {row: i for i, row in enumerate(rows)}
    shares: list[list[float | None]] = [[None] * len(columns) for _ in rows]
    texts: list[list[str]] = [[""] * len(columns) for _ in rows]
    for cell in page.heatmap:
        column = place.get(_column(cell))
        if column is not None:
            row = line[cell.site_id, cell.workstation_id]
            shares[row][column] = cell.utilization
            texts[row][column] = _text(cell)
    return shares, texts


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


def _columns(cells: list[HeatmapCell]) -> list[str]:
    """In order of time; hours that were not scheduled only where none was."""
    scheduled = {_column(cell) for cell in cells if cell.scheduled_s > 0}
    return sorted(scheduled or {_column(cell) for cell in cells})


def _column(cell: HeatmapCell) -> str:
    """Sorts in order of time."""
    if cell.hour is not None:
        return cell.hour.isoformat()
    return "" if cell.time_of_day is None else f"{cell.time_of_day:%H:%M}"


def _labels(page: Overview, columns: list[str]) -> list[str]:
    if page.by_time_of_day:
        return columns
    zone = ZoneInfo(page.timezone)
    hours = {_column(c): c.hour for c in page.heatmap if c.hour is not None}
    return [f"{hours[column].astimezone(zone):%H:%M}" for column in columns]


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
