"""What drift says: a row per version and camera, a mark per signal."""

from collections.abc import Mapping, Sequence
from typing import Any

from dash import html

from dash_app import formats
from dash_app.components.confidence_trend import version_name
from dash_app.components.sparkline import sparkline
from dash_app.components.table import table
from dash_app.elements import aria, marks
from dash_app.model_records import ModelHealth, Signal
from sql.model_health.drift import SIGNALS

HEADS = {
    "confidence_drop": "Drop",
    "confidence_low": "Low",
    "confidence_spread": "Spread",
    "confidence_shape": "Shape",
    "rolling_low": "Rolling",
    "state_mix": "States",
    "rate_shift": "Rate",
}
HINTS = {
    "Drop": "Mean confidence, against that of the baseline",
    "Low": "Mean confidence, against a fixed limit",
    "Spread": "Standard deviation of the confidence",
    "Shape": "How confidence is distributed, against the baseline",
    "Rolling": "Mean confidence of the last 100 events",
    "States": "Shares of working, idle and absent, against the baseline",
    "Rate": "Units in an hour, against the same hours of the weeks before",
}
SPANS = {
    "hour": "last hour",
    "day": "last 24 hours",
    "week": "last 7 days",
    "last_100": "last 100 events",
}
TONES = {"ok": "good", "drifting": "bad", "not enough data": "even"}
MOST_ROWS = 60
_Key = tuple[str, str | None, str | None]


def signals_table(page: ModelHealth) -> html.Div:
    """All cameras together before each camera; what drifts first."""
    found = _by_row(page.signals)
    shown = sorted(found, key=lambda key: _place(key, found[key]))[:MOST_ROWS]
    courses: dict[_Key, Sequence[float]] = {
        (c.site_id, c.model_version, c.camera_id): c.means for c in page.cameras
    } | {(d.site_id, d.model_version, None): d.means for d in page.days}
    heads = ["Version", "Camera", "31 days", ">Confidence", ">Baseline"]
    if page.site is None:
        heads.insert(0, "Site")
    rows = [_row(key, found[key], courses.get(key, ()), page) for key in shown]
    return table(
        [*heads, *(f"|{HEADS[name]}" for name in SIGNALS)],
        rows,
        "signals",
        "No verdict yet: a model needs seven days and 500 events.",
        HINTS,
    )


def signals_note(page: ModelHealth) -> str:
    """How many there are, where not all are shown."""
    count = len(_by_row(page.signals))
    return f"{MOST_ROWS} of {count}, what drifts first" if count > MOST_ROWS else ""


def signals_legend() -> html.Div:
    """What the marks mean."""
    said = (("ok", "good"), ("drifting", "bad"), ("not enough data", "even"))
    return html.Div(
        [
            html.Span([html.I(className="fp-mark", **marks(tone=tone)), text])
            for text, tone in said
        ],
        className="fp-marks",
    )


def _by_row(signals: Sequence[Signal]) -> dict[_Key, dict[str, Signal]]:
    found: dict[_Key, dict[str, Signal]] = {}
    for signal in signals:
        key = (signal.site_id, signal.model_version, signal.camera_id)
        found.setdefault(key, {})[signal.signal] = signal
    return found


def _place(key: _Key, said: Mapping[str, Signal]) -> tuple[Any, ...]:
    verdicts = [signal.verdict for signal in said.values()]
    known = any(verdict != "not enough data" for verdict in verdicts)
    site, version, camera = key
    return (
        -verdicts.count("drifting"),
        not known,
        site,
        version or "",
        camera is not None,
        camera or "",
    )


def _row(
    key: _Key, said: Mapping[str, Signal], course: Sequence[float], page: ModelHealth
) -> list[Any]:
    site, version, camera = key
    drop = said.get("confidence_drop")
    known = drop is not None and drop.verdict != "not enough data"
    cells = [
        version_name(version),
        camera or html.Span("all cameras", className="fp-panel-note"),
        sparkline(course) if course else None,
        formats.number(drop.current if drop else None, 3),
        formats.number(drop.baseline if drop and known else None, 3),
        *(_mark(said.get(name)) for name in SIGNALS),
    ]
    return cells if page.site else [site, *cells]


def _mark(signal: Signal | None) -> html.I:
    if signal is None:
        return html.I(className="fp-mark", title="No verdict", **marks(tone="even"))
    said = _said(signal)
    return html.I(
        className="fp-mark",
        title=said,
        role="img",
        **marks(tone=TONES[signal.verdict], signal=signal.signal),
        **aria(label=said),
    )


def _said(signal: Signal) -> str:
    name = HEADS[signal.signal].lower()
    if signal.verdict == "not enough data" or signal.current is None:
        return f"{name}: not enough data"
    parts = [f"{name}: {signal.verdict}, {SPANS[signal.span]}"]
    parts.append(f"now {formats.number(signal.current, 3)}")
    if signal.baseline is not None:
        parts.append(f"baseline {formats.number(signal.baseline, 3)}")
    if signal.threshold is not None:
        parts.append(f"limit {formats.number(signal.threshold, 3)}")
    return "; ".join(parts)
