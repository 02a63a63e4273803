"""What a plant manager reads: one alert, several, the end of a shift."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.messages import MOST_ALERTS, Digest, compose
from scheduler.wording import HEADLINES, NUMBERS, TO_DO, Clock, length, numbers

AT = datetime(2026, 11, 20, 13, 5, tzinfo=UTC)
SILENCE = {"last_at": AT.isoformat(), "current": 2820.0, "threshold": 1800}
MEAN = {
    "span": "hour",
    "current": 0.61,
    "baseline": 0.88,
    "threshold": 0.75,
    "events": 1204,
    "baseline_events": 35211,
}


def row(alert: int = 12, **more: Any) -> dict[str, Any]:
    """A camera that fell silent at five past two, as query `contents` tells it."""
    return {
        "alert_id": alert,
        "signal": "silent_camera",
        "subject": "cam-07",
        "severity": "warning",
        "transition": "opened",
        "alert_state": "open",
        "at": AT,
        "who": None,
        "note": None,
        "detail": SILENCE,
        "opened_at": AT,
        "resolved_at": None,
        "acknowledged_by": None,
        "site_id": "plant-nord",
        "site_name": "Werk Nord",
        "timezone": "Europe/Berlin",
    } | more


OVER: dict[str, Any] = {
    "transition": "resolved",
    "alert_state": "resolved",
    "resolved_at": AT + timedelta(minutes=55),
}


def digest(*alerts: dict[str, Any]) -> Digest:
    shift: dict[str, Any] = {"digest_shift": "early", "digest_to": AT}
    shift |= {"digest_from": AT - timedelta(hours=8)}
    told = [{**a, "is_new": True} for a in alerts]
    for alert in told:
        del alert["transition"], alert["who"]
    return Digest(row(**shift), told, {"stored": 48211, "parked": 57})


def test_one_alert_says_what_where_since_when_how_much_and_what_to_do() -> None:
    message = compose([row()], [], "https://floor.example")
    assert message.title == "Warning: camera cam-07 is silent - Werk Nord"
    assert message.kind == "warning"
    assert message.body.splitlines() == [
        "What: Camera cam-07 is silent.",
        "Where: Werk Nord (plant-nord)",
        "Since: Fri 20 Nov 14:05 (Europe/Berlin)",
        "Numbers: Last event Fri 20 Nov 14:05; 47 min of the shift without one, breaks "
        "left out; limit 30 min.",
        "To do: Check power and network of the camera, and whether anybody works in "
        "front of it. If it is not to send: `floorpulse camera expect` says so.",
        "To say that you are at it: floorpulse alerts ack 12",
        "Dashboard: https://floor.example/?site=plant-nord",
    ]


def test_numbers_come_with_threshold_and_sample_sizes() -> None:
    said = numbers("rolling_low", MEAN, Clock("UTC"))
    assert said == (
        "Mean confidence in the last hour 0.61 of 1,204 events; before 0.88 of 35,211 "
        "events; too low below 0.75"
    )


@pytest.mark.parametrize(
    ("more", "title", "kind"),
    [
        ({"severity": "critical"}, "Critical: camera", "failure"),
        ({"transition": "reopened"}, "Warning, back again: camera", "warning"),
        ({"transition": "woken"}, "Warning, still there: camera", "warning"),
        ({"transition": "snoozed", "who": "Ann"}, "Put off by Ann: camera", "warning"),
        (OVER, "Over: camera", "success"),
    ],
)
def test_every_transition_has_its_words(
    more: dict[str, Any], title: str, kind: str
) -> None:
    message = compose([row(**more)], [], None)
    assert message.title.startswith(title)
    assert message.kind == kind
    assert "Dashboard" not in message.body


def test_the_last_word_on_an_alert_is_the_only_one() -> None:
    message = compose([row(), row(**OVER)], [], None)
    assert message.title == "Over: camera cam-07 is silent - Werk Nord"
    assert "until Fri 20 Nov 15:00" in message.body
    assert "after 55 min" in message.body
    assert "To do" not in message.body


def test_several_alerts_are_one_message_the_worst_first() -> None:
    rows = [row(1, **OVER), row(2), row(3, severity="critical")]
    message = compose(rows, [], None)
    assert message.title == "Werk Nord: 3 alerts, 1 critical, 1 over"
    assert message.kind == "failure"
    starts = ["- New, critical:", "- New:", "- Over:"]
    for line, start in zip(message.body.splitlines(), starts, strict=False):
        assert line.startswith(start)


def test_two_hundred_cameras_are_still_one_message() -> None:
    rows = [row(i, subject="c" * 64, site_id=f"s{i % 2}") for i in range(200)]
    message = compose(rows, [], None)
    assert message.title == "2 sites: 200 alerts"
    assert message.body.count("\n") == MOST_ALERTS + 1
    assert f"... and {200 - MOST_ALERTS} more." in message.body


def test_the_end_of_a_shift() -> None:
    over = row(9, **OVER)
    message = compose([], [digest(row(acknowledged_by="Ann"), over)], None)
    assert message.title == "Werk Nord: end of shift early, 1 open"
    lines = message.body.splitlines()
    assert lines[0].endswith("Fri 20 Nov 06:05 to Fri 20 Nov 14:05 (Europe/Berlin)")
    assert [lines[1], lines[3]] == ["Open:", "Over:"]
    assert "At it: Ann." in lines[2]
    assert lines[-1] == "Events that came in: 48,211; rejected: 57."
    assert "No alert was open." in compose([], [digest()], None).body


def test_an_alert_and_a_digest_share_a_message() -> None:
    message = compose([row()], [digest()], None)
    assert message.title.endswith(" - Werk Nord, and 1 more")
    assert "end of shift early" in message.body


def test_what_is_not_known_is_still_said() -> None:
    """A signal of another version, a detail that lacks what ours has."""
    said = compose([row(signal="disk_full", detail={"free": 0.03})], [], None)
    assert "disk full: cam-07" in said.title
    assert "free 0.03" in said.body
    odd: dict[str, Any]
    for odd in ({}, {"current": None, "last_at": "x"}, {"current": "x", "events": [1]}):
        for signal in NUMBERS:
            assert numbers(signal, odd, Clock("UTC"))


def test_every_signal_has_a_headline_and_numbers() -> None:
    assert set(HEADLINES) == set(NUMBERS)
    assert set(TO_DO) < set(HEADLINES)


def test_names_add_no_line_and_no_header() -> None:
    message = compose([row(subject="a\nBcc: x@y", site_name="b\r\nc")], [], None)
    assert "\n" not in message.title
    assert message.body.splitlines()[0] == "What: Camera a Bcc: x@y is silent."


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(20, "20 s"), (2820, "47 min"), (7800, "2 h 10 min"), (3600 * 72, "3 days")],
)
def test_a_while(seconds: float, said: str) -> None:
    assert length(seconds) == said
