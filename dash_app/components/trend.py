"""Utilization and units, step by step, one above the other on one time axis."""

from typing import Any

from dash import html

from dash_app import formats
from dash_app.components.heatmap import shown_height
from dash_app.records import Band, Overview, TrendStep
from dash_app.timeline import Timeline, scheduled

SHIFT_FILL = "rgba(120, 132, 150, 0.07)"
BREAK_FILL = "rgba(120, 132, 150, 0.16)"
PARTIAL_OPACITY = 0.45
NAMED_BANDS_UP_TO = 8
LONGEST_NAME = 18
LAYOUT: dict[str, Any] = {
    "hovermode": "x unified",
    "hoversubplots": "axis",
    "bargap": 0.24,
    "margin": {"l": 44, "r": 4, "t": 22, "b": 26},
    "yaxis": {
        "domain": [0.44, 1],
        "range": [0, 1.04],
        "tickvals": [0, 0.25, 0.5, 0.75, 1],
        "tickformat": ".0%",
        "ticklabelstandoff": 6,
    },
    "uirevision": "same",
}
POINTS_UP_TO = 48


def trend_figure(
    page: Overview, axis: Timeline, course: list[TrendStep | None]
) -> dict[str, Any]:
    """A bare plotly figure: colours come from the template, in the browser."""
    units = {
        "type": "bar",
        "name": "Units",
        "x": list(axis.labels),
        "y": [step.units if step else None for step in course],
        "yaxis": "y2",
        "marker": {"opacity": _opacities(page, axis)},
        "customdata": [_beside(step) for step in course],
        "hovertemplate": "%{y:,} %{customdata}",
    }
    layout = {
        **LAYOUT,
        "height": shown_height(page),
        "xaxis": {
            "type": "category",
            "anchor": "y2",
            "range": [-0.5, len(axis.labels) - 0.5],
            "tickmode": "array",
            "tickvals": list(axis.tick_labels),
            "ticktext": list(axis.tick_labels.values()),
            "tickangle": 0,
            "showspikes": False,
        },
        "yaxis2": {
            **_units_ticks(course),
            "domain": [0, 0.34],
            "tickformat": ",",
            "ticklabelstandoff": 6,
        },
        "shapes": [_shape(axis, band) for band in page.bands],
        "annotations": _names(axis, page.bands),
    }
    return {"data": [*_utilization(page, axis, course), units], "layout": layout}


def trend_legend() -> html.Div:
    """Which of the two is which."""
    return html.Div(
        [
            html.Span("Utilization", style={"--tone": "var(--fp-working)"}),
            html.Span("Units", style={"--tone": "var(--fp-bars)"}),
        ],
        className="fp-legend",
    )


def _utilization(
    page: Overview, axis: Timeline, course: list[TrendStep | None]
) -> list[dict[str, Any]]:
    """A line over the shifts; outside them points: a minute's work is no tendency."""
    inside = scheduled(axis, page.bands)
    shares = [step.utilization if step and not step.brief else None for step in course]
    line = [y if within else None for y, within in zip(shares, inside, strict=True)]
    outside = [None if within else y for y, within in zip(shares, inside, strict=True)]
    held = [i for i, y in enumerate(line) if y is not None]
    whole = bool(held) and len(held) == held[-1] - held[0] + 1
    base = {"type": "scatter", "x": list(axis.labels), "hovertemplate": "%{y:.1%}"}
    return [
        {
            **base,
            "name": "Utilization",
            "y": line,
            "mode": "lines+markers",
            "marker": {"size": _sizes(line), "opacity": 1, "line": {"width": 0}},
            "fill": "tozeroy" if whole else "none",
        },
        {
            **base,
            "name": "Utilization outside shifts",
            "y": outside,
            "mode": "markers",
            "marker": {"size": 4, "opacity": 0.45},
        },
    ]


def _sizes(line: list[float | None]) -> list[int]:
    """Points on a short line; on a long one only where a point has no neighbour."""
    around = [None, *line, None]
    return [
        5
        if len(line) <= POINTS_UP_TO or (around[i] is None and around[i + 2] is None)
        else 0
        for i in range(len(line))
    ]


def _units_ticks(course: list[TrendStep | None]) -> dict[str, Any]:
    """Whole units only, however few there are."""
    most = max((step.units for step in course if step), default=0)
    if most < 4:
        return {"range": [0, max(1, most) * 1.08], "tickvals": [*range(most + 1)]}
    return {"rangemode": "tozero", "nticks": 5}


def _beside(step: TrendStep | None) -> str:
    if step is None:
        return ""
    rate = formats.number(step.production_rate, 1)
    workers = "worker" if step.active_workers == 1 else "workers"
    return f"({rate} / h, {step.active_workers} {workers})"


def _opacities(page: Overview, axis: Timeline) -> list[float]:
    """The step that still runs is paler: it is not comparable yet."""
    if not page.period.running or page.now is None:
        return [1.0] * len(axis.keys)
    running = (
        round(axis.position(page.now)) if page.step == "hour" else len(axis.keys) - 1
    )
    return [PARTIAL_OPACITY if i == running else 1.0 for i in range(len(axis.keys))]


def _shape(axis: Timeline, band: Band) -> dict[str, Any]:
    return {
        "type": "rect",
        "layer": "below",
        "xref": "x",
        "yref": "paper",
        "x0": axis.position(band.starts_at),
        "x1": axis.position(band.ends_at),
        "y0": 0,
        "y1": 1,
        "line": {"width": 0},
        "fillcolor": BREAK_FILL if band.kind == "break" else SHIFT_FILL,
    }


def _names(axis: Timeline, bands: list[Band]) -> list[dict[str, Any]]:
    """The shifts' names above their bands, while there is room for them."""
    shifts = [band for band in bands if band.kind == "shift"]
    if len(shifts) > NAMED_BANDS_UP_TO:
        return []
    return [
        {
            "text": formats.in_figure(band.shift, LONGEST_NAME),
            "xref": "x",
            "yref": "paper",
            "x": (axis.position(band.starts_at) + axis.position(band.ends_at)) / 2,
            "y": 1,
            "yanchor": "bottom",
            "showarrow": False,
        }
        for band in shifts
        if axis.position(band.ends_at) - axis.position(band.starts_at) > 1.5
    ]
