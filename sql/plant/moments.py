"""Instants as people write them: a time, a local date, or `beginning`."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import numpy as np

from sql.errors import BadSetting
from sql.plant.wall_clock import WallClock, micros, moment
from sql.plant.zones import zone

BEGINNING = "beginning"
# How PostgreSQL writes it; psycopg has no datetime for it.
MINUS_INFINITY = "-infinity"

Since = datetime | str
"""An aware datetime, or MINUS_INFINITY."""


def read_time(text: str, timezone: str) -> datetime:
    """An ISO 8601 time as an aware datetime; a date alone is its local midnight.

    Without an offset it is wall-clock time of `timezone`. BadSetting for other text.
    """
    words = text.strip()
    try:
        if len(words) == len("2026-03-01"):
            return local_midnight(date.fromisoformat(words), timezone)
        read = datetime.fromisoformat(words)
    except ValueError as error:
        raise BadSetting(
            f"{text!r} is no time: write it as 2026-03-01, 2026-03-01T06:00 or "
            "2026-03-01T06:00+01:00"
        ) from error
    if read.tzinfo is None:
        read = read.replace(tzinfo=zone(timezone))
    return read.astimezone(UTC)


def read_since(text: str, timezone: str) -> Since:
    """As read_time, and `beginning` for ever since."""
    if text.strip().lower() == BEGINNING:
        return MINUS_INFINITY
    return read_time(text, timezone)


def local_midnight(day: date, timezone: str) -> datetime:
    """The instant at which a local date begins, by metrics.md's rule for boundaries."""
    wall = micros(datetime.combine(day, time(), UTC))
    clock = WallClock(zone(timezone), wall, wall)
    return moment(int(clock.instants(np.array([wall]))[0]))
