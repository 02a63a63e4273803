"""Mean confidence day by day, each version a line, over the band of its baseline."""

from typing import Any

from dash import html

from dash_app import formats
from dash_app.model_records import Baseline, ConfidenceDays, ModelHealth

HEIGHT = 340
# Of one lightness, so that they stand on both schemes.
COLORS = ("#17a095", "#7c8fd0", "#cf8a35", "#b8695f", "#6f9a3e", "#9a72c4")
BAND = "rgba(120, 132, 150, 0.14)"
LIMIT = "rgba(185, 58, 44, 0.65)"
SPARE = 0.03
FEW_DAYS = 6
DAY_MS = 86_400_000


def confidence_figure(page: ModelHealth) -> dict[str, Any]:
    """A bare plotly figure: type and axes come from the template, in the browser."""
    if not page.days:
        return _nothing(page)
    baseline = _baseline(page)
    low, high = _range(page, baseline)
    layout: dict[str, Any] = {
        "height": HEIGHT,
        "hovermode": "x unified",
        "margin": {"l": 44, "r": 8, "t": 8, "b": 28},
        "xaxis": _axis_of_days(page),
        "yaxis": {"range": [low, high], "tickformat": ".2f", "nticks": 6},
        "shapes": _shapes(baseline),
        "annotations": _notes(baseline),
        "uirevision": "same",
    }
    traces = [
        _line(page, days, COLORS[i % len(COLORS)]) for i, days in enumerate(page.days)
    ]
    return {"data": traces, "layout": layout}


def _axis_of_days(page: ModelHealth) -> dict[str, Any]:
    """Where days are few, one tick each and none between."""
    axis = {"type": "date", "tickformat": "%-d %b", "hoverformat": "%a %-d %b"}
    known = {day for days in page.days for day in days.days}
    few = (max(known) - min(known)).days <= FEW_DAYS
    return axis | ({"dtick": DAY_MS} if few else {})


def _nothing(page: ModelHealth) -> dict[str, Any]:
    """No line and no axis, but a sentence."""
    why = "No event of the last weeks has a confidence."
    if page.kpis.checked_at is None:
        why = "Shown from the first check on, within 15 minutes."
    middle = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
    layout = {
        "height": HEIGHT,
        "xaxis": {"visible": False},
        "yaxis": {"visible": False},
        "annotations": [{**middle, "text": why}],
    }
    return {"data": [], "layout": layout}


def confidence_legend(page: ModelHealth) -> list[html.Span]:
    """Which line is which version, and what the band is."""
    lines = [
        html.Span(_name(page, d), style={"--tone": COLORS[i % len(COLORS)]})
        for i, d in enumerate(page.days)
    ]
    if _baseline(page) is not None:
        lines.append(html.Span("Baseline ± 1 sd", style={"--tone": BAND}))
    return lines


def version_name(version: str | None) -> str:
    """A version as people read it."""
    return version or "(no version)"


def _line(page: ModelHealth, days: ConfidenceDays, color: str) -> dict[str, Any]:
    alone = len(days.days) < 3
    return {
        "type": "scatter",
        "name": formats.in_figure(_name(page, days)),
        "x": [f"{day:%Y-%m-%d}" for day in days.days],
        "y": list(days.means),
        "mode": "lines+markers",
        "marker": {"size": 7 if alone else 4, "color": color},
        "line": {"color": color, "width": 2.2},
        "hovertemplate": "%{y:.3f}",
        "fill": "none",
    }


def _name(page: ModelHealth, days: ConfidenceDays) -> str:
    name = version_name(days.model_version)
    return name if page.site else f"{days.site_id} · {name}"


def _baseline(page: ModelHealth) -> Baseline | None:
    """That of the version which sent most: one band can be read, six cannot."""
    if page.site is None or not page.days:
        return None
    main = page.days[0].model_version
    return next((b for b in page.baselines if b.model_version == main), None)


def _range(page: ModelHealth, baseline: Baseline | None) -> tuple[float, float]:
    values = [mean for days in page.days for mean in days.means]
    if baseline is not None:
        spread = baseline.stddev or 0.0
        values += [baseline.mean - spread, baseline.mean + spread]
        values += [] if baseline.threshold is None else [baseline.threshold]
    if not values:
        return 0.0, 1.0
    return max(0.0, min(values) - SPARE), min(1.0, max(values) + SPARE)


def _shapes(baseline: Baseline | None) -> list[dict[str, Any]]:
    if baseline is None:
        return []
    across = {"xref": "paper", "x0": 0, "x1": 1, "yref": "y", "layer": "below"}
    spread = baseline.stddev or 0.0
    band = {
        **across,
        "type": "rect",
        "y0": baseline.mean - spread,
        "y1": min(1.0, baseline.mean + spread),
        "line": {"width": 0},
        "fillcolor": BAND,
    }
    shapes = [band]
    if baseline.threshold is not None:
        limit = {"color": LIMIT, "width": 1.2, "dash": "dot"}
        at = {"y0": baseline.threshold, "y1": baseline.threshold}
        shapes.append({**across, **at, "type": "line", "line": limit})
    return shapes


def _notes(baseline: Baseline | None) -> list[dict[str, Any]]:
    if baseline is None or baseline.threshold is None:
        return []
    return [
        {
            "text": f"dropped below {formats.number(baseline.threshold, 2)}",
            "xref": "paper",
            "x": 1,
            "xanchor": "right",
            "y": baseline.threshold,
            "yanchor": "bottom",
            "showarrow": False,
        }
    ]
