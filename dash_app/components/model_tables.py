"""Alerts, versions, two versions side by side, and retraining requests as tables."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from dash import html

from dash_app import formats
from dash_app.components.confidence_trend import version_name
from dash_app.components.table import pill, table, two_lines
from dash_app.model_records import Alert, Measure, ModelHealth, Retraining, Version

MEASURES = {
    "confidence_mean": ("Mean confidence", 3),
    "confidence_stddev": ("Standard deviation", 3),
    "working_share": ("Working", 1),
    "idle_share": ("Idle", 1),
    "absent_share": ("Absent", 1),
    "units_per_camera_hour": ("Units per camera and hour", 1),
    "accuracy": ("Accuracy", 1),
    "event_share": ("Share of events", 1),
}
SHARES = ("working_share", "idle_share", "absent_share", "accuracy", "event_share")
STATE_TONES = {
    "requested": "warn",
    "approved": "warn",
    "exported": "warn",
    "trained": "good",
    "deployed": "good",
    "rejected": "even",
}


def alerts_table(page: ModelHealth) -> html.Div:
    """What is not resolved, the gravest first."""
    zone = ZoneInfo(page.timezone)
    heads = ["Alert", ">Now", ">Limit", "Since", "State"]
    rows = [(alert.site_id, _alert(alert, zone)) for alert in page.alerts]
    return _by_site(page, heads, rows, "alerts", "Nothing is wrong.")


def versions_table(page: ModelHealth) -> html.Div:
    """Model versions: when seen, how much of the events, how right."""
    zone = ZoneInfo(page.timezone)
    heads = ["Version", "Seen", ">Share, 24 h", ">Cameras", "Accuracy"]
    rows = [(version.site_id, _version(version, zone)) for version in page.versions]
    nothing = "No event of a model has been counted yet."
    return _by_site(page, heads, rows, "versions", nothing)


def comparison_table(page: ModelHealth) -> html.Div:
    """Two versions over the last seven days, and whether they differ."""
    known = [row for row in page.comparison if row.a is not None or row.b is not None]
    if page.site is None:
        nothing = "Choose a site: versions are compared within one."
    else:
        nothing = "Shown where two versions sent within the last seven days."
    heads = ["Measure", ">A", ">B", ">B less A", ">95 % interval"]
    if known:
        first = known[0]
        heads[1] = f">{version_name(first.version_a)}"
        heads[2] = f">{version_name(first.version_b)}"
    return table(heads, [_measure(row) for row in known], "comparison", nothing)


def retraining_table(page: ModelHealth) -> html.Div:
    """Requests: why, how far, and who was told."""
    zone = ZoneInfo(page.timezone)
    heads = ["Request", "Version", "State", "Reason", "Evidence", "Told"]
    rows = [_request(found, page, zone) for found in page.retraining]
    nothing = "Nobody has asked for a model to be trained anew."
    return table(heads, rows, "retraining", nothing)


def _by_site(
    page: ModelHealth,
    heads: list[str],
    rows: list[tuple[str, list[Any]]],
    name: str,
    nothing: str,
) -> html.Div:
    """Rows with their sites, which are shown where there are several."""
    if page.site is None:
        cells = [[site, *row] for site, row in rows]
        return table(["Site", *heads], cells, name, nothing)
    return table(heads, [row for _, row in rows], name, nothing)


def _alert(alert: Alert, zone: ZoneInfo) -> list[Any]:
    tone = "bad" if alert.severity == "critical" else "warn"
    state = alert.alert_state
    if alert.acknowledged_by:
        state = f"{state} by {alert.acknowledged_by}"
    return [
        two_lines(pill(alert.signal.replace("_", " "), tone), alert.subject),
        _plain(alert.detail.get("current")),
        _plain(alert.detail.get("threshold")),
        _moment(alert.opened_at, zone),
        two_lines(state, alert.note) if alert.note else state,
    ]


def _version(version: Version, zone: ZoneInfo) -> list[Any]:
    seen = f"{_day(version.first_seen_at, zone)} {formats.DASH} "
    seen += _moment(version.last_seen_at, zone)
    return [
        version_name(version.model_version),
        seen,
        formats.percent(version.recent_share),
        formats.number(version.recent_cameras),
        _accuracy(version),
    ]


def _accuracy(version: Version) -> Any:
    """The share, and its interval drawn to scale."""
    low, high = version.accuracy_low, version.accuracy_high
    if version.accuracy is None or low is None or high is None:
        return html.Span("nobody has looked", className="fp-panel-note")
    ends = f"{formats.percent(low, 0)} {formats.DASH} {formats.percent(high, 0)}"
    bar = html.Span(
        [
            html.I(style={"left": f"{low:.1%}", "width": f"{high - low:.1%}"}),
            html.B(style={"left": f"{version.accuracy:.1%}"}),
        ],
        className="fp-interval",
        title=f"95 % Wilson interval {ends}",
    )
    said = (
        f"{formats.percent(version.accuracy)} ({ends}, {version.validated:,} looked at)"
    )
    return two_lines(said, bar)


def _measure(row: Measure) -> list[Any]:
    name, digits = MEASURES[row.measure]
    share = row.measure in SHARES
    interval: Any = formats.DASH
    if row.difference_low is not None and row.difference_high is not None:
        ends = (row.difference_low, row.difference_high)
        low, high = (_difference(end, digits, share=share) for end in ends)
        interval = f"{low} to {high}"
        if row.difference_low > 0 or row.difference_high < 0:
            interval = html.B(interval, title="They differ: 0 is not within")
    return [
        name,
        _value(row.a, digits, share=share),
        _value(row.b, digits, share=share),
        _difference(row.difference, digits, share=share),
        interval,
    ]


def _value(value: float | None, digits: int, *, share: bool) -> str:
    return formats.percent(value) if share else formats.number(value, digits)


def _difference(value: float | None, digits: int, *, share: bool) -> str:
    if value is None:
        return formats.DASH
    if share:
        return formats.signed_points(value)
    sign = formats.MINUS if value < 0 else "+"
    return f"{sign}{formats.number(abs(value), digits)}"


def _request(found: Retraining, page: ModelHealth, zone: ZoneInfo) -> list[Any]:
    who = found.requested_by or "the signals"
    version = version_name(found.model_version)
    if page.site is None:
        version = f"{found.site_id} · {version}"
    said = two_lines(
        f"No. {found.request_id}", f"{_moment(found.requested_at, zone)} by {who}"
    )
    state = pill(found.request_state, STATE_TONES[found.request_state])
    calls = [
        pill(call, "bad" if call.endswith("given up") else "even")
        for call in found.calls or ()
    ]
    told: Any = html.Div(calls, className="fp-pills") if calls else formats.DASH
    since = two_lines(state, f"since {_moment(found.state_at, zone)}")
    return [said, version, since, found.reason, _evidence(found), told]


def _evidence(found: Retraining) -> html.Div:
    """In a few words; all of it: `floorpulse retraining show`."""
    said = []
    alerts = found.evidence.get("alerts") or []
    held = sorted({str(alert["signal"]) for alert in alerts if alert.get("held")})
    if held:
        said.append(f"held: {', '.join(name.replace('_', ' ') for name in held)}")
    elif alerts:
        said.append(f"{len(alerts)} alerts open")
    accuracy = found.evidence.get("accuracy") or {}
    if accuracy.get("validated"):
        share, count = formats.percent(accuracy["accuracy"]), accuracy["validated"]
        said.append(f"accuracy {share} of {count:,}")
    confidence = found.evidence.get("confidence") or {}
    if confidence.get("mean") is not None:
        said.append(f"confidence {formats.number(confidence['mean'], 3)} over 7 days")
    return html.Div("; ".join(said) or formats.DASH, className="fp-evidence")


def _plain(value: Any) -> str:
    """A number of an alert's detail, as short as it is clear."""
    if not isinstance(value, int | float):
        return formats.DASH
    return formats.number(value, 3 if abs(value) < 10 else 0)


def _moment(at: datetime, zone: ZoneInfo) -> str:
    return f"{_day(at, zone)}, {at.astimezone(zone):%H:%M}"


def _day(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local.day} {local:%b}"
