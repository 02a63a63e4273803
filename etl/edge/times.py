"""Times of events on their way out: set where missing, moved where wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from etl.edge.lines import parsed
from etl.edge.spool import Event

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# An event that came later than that after its time was not stamped as it came.
_FRESH_US = 60_000_000
# Before that, a clock was never set: this agent is younger.
_NEVER_SET_US = 1_700_000_000_000_000


def outgoing(event: Event, shift_us: int, *, stamp: bool) -> bytes:
    """The event as it is sent: what is not to be changed is sent as it came.

    stamp: an event without a time has happened when it came.
    """
    if not shift_us and not stamp:
        return event.body
    document = parsed(event.body)
    if not isinstance(document, dict):
        return event.body
    name = "time" if document.get("time") is not None else "timestamp"
    said = document.get(name)
    if said is None:
        if not stamp:
            return event.body
        return _with_time(document, "time", event.arrived_us + shift_us)
    time_us = _micros(said)
    if time_us is None or not _stamped_by_us(time_us, event.arrived_us, shift_us):
        return event.body
    return _with_time(document, name, time_us + shift_us)


def was_never_set(event: Event) -> bool:
    """Whether the device's clock cannot have been set when the event came."""
    if event.arrived_us >= _NEVER_SET_US:
        return False
    document = parsed(event.body)
    if not isinstance(document, dict):
        return False
    said = document.get("time", document.get("timestamp"))
    time_us = _micros(said)
    return said is None or (time_us is not None and time_us < _NEVER_SET_US)


def _stamped_by_us(time_us: int, arrived_us: int, shift_us: int) -> bool:
    """Whether a time is of the device's own clock: near to it when the event came.

    A camera with a clock of its own that is right must not be made wrong.
    """
    by_ours = abs(time_us - arrived_us)
    by_true = abs(time_us - (arrived_us + shift_us))
    return by_ours <= _FRESH_US and by_ours < by_true


def _micros(said: Any) -> int | None:
    """A time with an offset; one without is the site's and not for us to read."""
    try:
        moment = datetime.fromisoformat(said)
    except (TypeError, ValueError):
        return None
    return None if moment.tzinfo is None else (moment - _EPOCH) // _MICROSECOND


def _with_time(document: dict[str, Any], name: str, time_us: int) -> bytes:
    moment = _EPOCH + time_us * _MICROSECOND
    text = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return json.dumps(document | {name: text}).encode()
