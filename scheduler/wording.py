"""What is said of an alert, in the words of the people on the floor: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sql.plant.zones import zone

Row = Mapping[str, Any]
SPANS = {
    "hour": "in the last hour",
    "day": "in the last 24 hours",
    "week": "in the last 7 days",
    "last_100": "of the last 100 events",
}
LOOK_AT_CAMERA = (
    "Look at the camera: light, dirt, focus, position. If nothing changed there, have "
    "the model's verdicts on a few scenes checked."
)
HEADLINES = {
    "confidence_drop": "model {} is less sure than it was",
    "confidence_low": "model {} is not sure of what it sees",
    "confidence_spread": "model {} is unsteady",
    "confidence_shape": "model {} sees differently than it did",
    "rolling_low": "model {} is not sure of what it sees just now",
    "state_mix": "model {} reports another mix of working, idle and absent",
    "rate_shift": "model {} counts another number of products than usual",
    "silent_site": "nothing comes in from the whole site",
    "silent_camera": "camera {} is silent",
    "freshness": "the figures are behind",
    "parked": "events are rejected",
}
MEAN = (
    "Mean confidence {span} {current} of {events} events; before {baseline} of "
    "{baseline_events} events; too low below {threshold}"
)
INDEX = (
    "Stability index {span} {current} of {events} events, against {baseline_events} "
    "events before; 0 is as it was, too different above {threshold}"
)
SILENCE = (
    "Last event {last_at}; {current} of {counted} without one, breaks left out; limit "
    "{threshold}"
)
NUMBERS = {
    "confidence_drop": MEAN,
    "confidence_low": MEAN,
    "rolling_low": MEAN,
    "confidence_spread": "Standard deviation of the confidence {span} {current} of "
    "{events} events; before {baseline} of {baseline_events} events; too wide above "
    "{threshold}",
    "confidence_shape": INDEX,
    "state_mix": INDEX,
    "rate_shift": "{current} products {span}, from {events} hours of shifts; usual are "
    "{baseline}; up to {threshold} more or less is chance",
    "silent_site": SILENCE,
    "silent_camera": SILENCE,
    "freshness": "Figures are as of {last_at}, {current} behind; limit {threshold}",
    "parked": "{current} of the events of an hour were rejected ({events} events in "
    "two hours); limit {threshold}",
}
TO_DO = {
    "state_mix": "Ask whether the work at that place changed. If not: was the camera "
    "moved? Then have the model's verdicts on a few scenes checked.",
    "rate_shift": "Compare with the line's own counter. If that is as usual, the "
    "camera or the model counts wrongly: was it moved, or the product changed?",
    "silent_site": "Check power and network of the site, and the gateway that sends "
    "its events.",
    "silent_camera": "Check power and network of the camera, and whether anybody "
    "works in front of it. If it is not to send: `floorpulse camera expect` says so.",
    "freshness": "Do not trust today's figures until this is over. Tell whoever runs "
    "floorpulse: `floorpulse doctor` says what is wrong.",
    "parked": "Nothing is lost: rejected events wait. Tell whoever runs floorpulse: "
    "`floorpulse rejects list` shows them and why.",
}
ASK = "Tell whoever runs floorpulse: `floorpulse doctor` says what is wrong."


@dataclass(frozen=True, slots=True)
class Clock:
    """Tells instants by the wall clock of a site."""

    timezone: str

    def at(self, moment: datetime | None) -> str:
        """`Fri 20 Nov 14:05`."""
        if moment is None:
            return "never"
        return f"{moment.astimezone(zone(self.timezone)):%a %d %b %H:%M}"

    def said(self, text: object) -> str:
        """The same of an instant that a detail holds as text."""
        try:
            moment = datetime.fromisoformat(str(text))
        except ValueError:
            return "never"
        return self.at(moment) if moment.tzinfo else "never"


def headline(signal: str, subject: str) -> str:
    """What is wrong, in half a sentence."""
    known = HEADLINES.get(signal)
    if known is None:
        return f"{signal.replace('_', ' ')}: {subject}"
    return known.format(subject)


def to_do(signal: str) -> str:
    """What a person does about it."""
    if signal.startswith("confidence_") or signal == "rolling_low":
        return LOOK_AT_CAMERA
    return TO_DO.get(signal, ASK)


def numbers(signal: str, detail: Row, clock: Clock) -> str:
    """What was measured, against what, and of how many events."""
    template = NUMBERS.get(signal)
    if template is None:
        return ", ".join(f"{plain(k)} {_number(v)}" for k, v in detail.items())
    unit = UNITS.get(signal, _number)
    return template.format(
        span=SPANS.get(str(detail.get("span")), "lately"),
        current=unit(detail.get("current")),
        threshold=unit(detail.get("threshold")),
        baseline=_number(detail.get("baseline")),
        events=_number(detail.get("events")),
        baseline_events=_number(detail.get("baseline_events")),
        last_at=clock.said(detail.get("last_at")),
        counted=plain(detail.get("counted", "the shift")),
    )


def length(seconds: float) -> str:
    """A while, as people say it: 47 min, 2 h 10 min, 3 days."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        rest = f" {minutes % 60} min" if minutes % 60 else ""
        return f"{minutes // 60} h{rest}"
    return f"{minutes // 1440} days"


def plain(text: object) -> str:
    """A text in one line, that moves no cursor and adds no mail header."""
    return "".join(c if c.isprintable() else " " for c in str(text)).strip()


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "an unknown number" if value is None else plain(value)
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}"


def _percent(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "an unknown share"
    return f"{value * 100:.1f} %"


def _while(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "an unknown time"
    return length(value)


#: What current and threshold of a signal are, where they are no plain numbers.
UNITS: Mapping[str, Callable[[object], str]] = {
    "silent_site": _while,
    "silent_camera": _while,
    "freshness": _while,
    "parked": _percent,
}
