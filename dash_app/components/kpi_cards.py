"""The cards on top: a figure, its change against the period before, its course."""

from collections.abc import Sequence
from dataclasses import dataclass

from dash import html

from dash_app import formats
from dash_app.components.sparkline import sparkline
from dash_app.elements import marks
from dash_app.records import Kpis, TrendStep

LABELS = (
    "Utilization",
    "Units",
    "Production rate",
    "Active workers",
    "Operating time",
    "Occupied time",
)


@dataclass(frozen=True)
class Card:
    """What one card shows. `judged`: more is better."""

    label: str
    hint: str
    value: str
    change: str
    course: Sequence[float]
    unit: str = ""
    judged: bool = False
    tone: str = "accent"


def kpi_cards(
    kpis: Kpis, course: Sequence[TrendStep], against: str, explained: str
) -> list[html.Div]:
    """Six cards. `course`: the steps of the small lines; `against`: what the change
    compares with, in a few words, and `explained` in full.
    """
    return [_card(card, against, explained) for card in _cards(kpis, course)]


def skeleton_cards(labels: Sequence[str] = LABELS) -> list[html.Div]:
    """The cards before the first numbers."""
    bones = [(18, "50%"), (28, "70%"), (14, "85%"), (30, "100%")]
    return [
        html.Div(
            [html.Div(label, className="fp-kpi-label")]
            + [
                html.Div(
                    className="fp-bone",
                    style={"height": height, "width": width, "marginTop": 9},
                )
                for height, width in bones[1:]
            ],
            className="fp-card fp-kpi",
        )
        for label in labels
    ]


def _cards(kpis: Kpis, course: Sequence[TrendStep]) -> list[Card]:
    return [*_judged_cards(kpis, course), *_other_cards(kpis, course)]


def _judged_cards(kpis: Kpis, course: Sequence[TrendStep]) -> list[Card]:
    """Of these, more is better."""
    return [
        Card(
            LABELS[0],
            "Working time as a share of working and idle time, all workers together. "
            f"Mean over workers: {formats.percent(kpis.average_utilization)}",
            formats.percent(kpis.weighted_utilization),
            formats.signed_points(kpis.weighted_utilization_change),
            _line(course, "utilization"),
            judged=True,
        ),
        Card(
            LABELS[1],
            "Units counted",
            formats.number(kpis.units),
            formats.signed_percent(kpis.units_change),
            _line(course, "units"),
            judged=True,
            tone="units",
        ),
        Card(
            LABELS[2],
            "Units per hour of working time",
            formats.number(kpis.production_rate, 1),
            formats.signed_percent(kpis.production_rate_change),
            _line(course, "production_rate"),
            unit="/ h",
            judged=True,
            tone="units",
        ),
    ]


def _other_cards(kpis: Kpis, course: Sequence[TrendStep]) -> list[Card]:
    """Of these, neither more nor less is better."""
    return [
        Card(
            LABELS[3],
            "Workers with working or idle time",
            formats.number(kpis.active_workers),
            formats.signed_number(kpis.active_workers_change),
            _line(course, "active_workers"),
        ),
        Card(
            LABELS[4],
            "Time in which somebody worked at a workstation, all workstations together",
            formats.duration(kpis.operating_s),
            formats.signed_percent(kpis.operating_change),
            _line(course, "operating_s"),
        ),
        Card(
            LABELS[5],
            "Time in which somebody worked or idled at a workstation, "
            "all workstations together",
            formats.duration(kpis.occupied_s),
            formats.signed_percent(kpis.occupied_change),
            _line(course, "occupied_s"),
        ),
    ]


def _line(course: Sequence[TrendStep], field: str) -> list[float]:
    values = [getattr(step, field) for step in course]
    return [value for value in values if value is not None]


def _card(card: Card, against: str, explained: str) -> html.Div:
    known = card.change != formats.DASH
    return html.Div(
        [
            html.Div(card.label, className="fp-kpi-label"),
            html.Div(
                [card.value, html.Small(f" {card.unit}") if card.unit else None],
                className="fp-kpi-value",
                **marks(kpi=card.label),
            ),
            html.Div(
                [html.B(card.change, **marks(mood=_mood(card))), f" {against}"]
                if known
                else "No earlier data",
                className="fp-delta",
                title=explained if known else "",
            ),
            sparkline(card.course, card.tone),
        ],
        className="fp-card fp-kpi",
        title=card.hint,
    )


def _mood(card: Card) -> str:
    if not card.judged or card.change[0] not in f"+{formats.MINUS}":
        return "even"
    return "good" if card.change[0] == "+" else "bad"
