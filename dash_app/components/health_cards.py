"""The cards on top of model health: a figure and what it means."""

from dataclasses import dataclass

from dash import html

from dash_app import formats
from dash_app.elements import marks
from dash_app.model_records import ModelKpis

LABELS = (
    "Open alerts",
    "Drifting signals",
    "Confidence",
    "Accuracy",
    "Versions in use",
    "Retraining",
)


@dataclass(frozen=True)
class Figure:
    """What one card shows; `mood` colours its note: good, bad or even."""

    value: str
    note: str
    hint: str
    mood: str = "even"


def health_cards(kpis: ModelKpis) -> list[html.Div]:
    """Six cards, in the order of LABELS."""
    figures = (
        _alerts(kpis),
        _drifting(kpis),
        _confidence(kpis),
        _accuracy(kpis),
        Figure(
            formats.number(kpis.versions),
            "in the last 24 hours",
            "Model versions that sent events in the last 24 hours of the site",
        ),
        _requests(kpis),
    )
    return [_card(label, f) for label, f in zip(LABELS, figures, strict=True)]


def _alerts(kpis: ModelKpis) -> Figure:
    note = (
        f"{kpis.critical_alerts} critical" if kpis.critical_alerts else "none critical"
    )
    mood = "bad" if kpis.critical_alerts else "even"
    hint = "Alerts that are not resolved, of every kind"
    return Figure(formats.number(kpis.alerts), note, hint, mood)


def _drifting(kpis: ModelKpis) -> Figure:
    hint = "Signals of versions and cameras whose last verdict is drifting"
    if not kpis.judged:
        return Figure(formats.DASH, "not enough data yet", hint)
    mood = "bad" if kpis.drifting else "good"
    return Figure(
        formats.number(kpis.drifting), f"of {kpis.judged:,} with a verdict", hint, mood
    )


def _confidence(kpis: ModelKpis) -> Figure:
    version = kpis.model_version or "events without a version"
    hint = f"Mean confidence of {version}, last 24 hours; baseline: the 30 days before"
    if kpis.confidence is None:
        return Figure(formats.DASH, "no verdict yet", hint)
    baseline = formats.number(kpis.confidence_baseline, 3)
    return Figure(formats.number(kpis.confidence, 3), f"baseline {baseline}", hint)


def _accuracy(kpis: ModelKpis) -> Figure:
    hint = "Share of right ones among the verdicts people gave in the last 14 days"
    if kpis.accuracy is None:
        return Figure(formats.DASH, "nobody has looked", hint)
    low, high = (
        formats.percent(kpis.accuracy_low, 0),
        formats.percent(kpis.accuracy_high, 0),
    )
    note = f"{low} {formats.DASH} {high} of {kpis.validated:,}"
    hint = f"{hint}, with its 95 % Wilson interval"
    return Figure(formats.percent(kpis.accuracy), note, hint)


def _requests(kpis: ModelKpis) -> Figure:
    hint = "Requests to train a version anew that have not ended"
    if kpis.calls_given_up:
        calls = "call" if kpis.calls_given_up == 1 else "calls"
        note = f"{kpis.calls_given_up} {calls} given up"
        return Figure(formats.number(kpis.requests), note, hint, "bad")
    return Figure(formats.number(kpis.requests), "open requests", hint)


def _card(label: str, figure: Figure) -> html.Div:
    return html.Div(
        [
            html.Div(label, className="fp-kpi-label"),
            html.Div(figure.value, className="fp-kpi-value", **marks(health=label)),
            html.Div(
                html.B(figure.note, **marks(mood=figure.mood)), className="fp-delta"
            ),
        ],
        className="fp-card fp-kpi",
        title=figure.hint,
    )
