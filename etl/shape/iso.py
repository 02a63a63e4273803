"""The rarer forms of ISO 8601, written anew in the usual one.

Basic format, week and ordinal dates, 24:00, hours alone, fractions of a minute or an
hour, offsets with seconds: few send them, and they are read one by one.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

_PARTS = re.compile(r"([0-9W-]{7,10})[Tt ]([0-9:.,]{2,}?) ?([Zz]|[+-][0-9:]+)?")
_DATES = (
    re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})"),
    re.compile(r"([0-9]{4})-?W([0-9]{2})-?([1-7])"),
    re.compile(r"([0-9]{4})-?([0-9]{3})"),
)
_CLOCK = re.compile(
    r"([0-9]{2})(?:(:?)([0-5][0-9])(?:\2([0-5][0-9]))?)?(?:[.,]([0-9]+))?"
)
_OFFSET = re.compile(r"([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9])(?::?([0-5][0-9]))?)?")
_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US
# More digits of a fraction change no microsecond.
_DIGITS = 18


def usual_form(text: str) -> str | None:
    """The same time as `2026-11-20T06:00:00.000000`, with a Z if it has an offset.

    None for what is no ISO 8601 date and time of day.
    """
    parts = _PARTS.fullmatch(text)
    if parts is None:
        return None
    day, clock_us, offset_us = _day(parts[1]), _clock_us(parts[2]), _offset_us(parts[3])
    if day is None or clock_us is None or (parts[3] and offset_us is None):
        return None
    try:
        moment = datetime.combine(day, time()) + timedelta(
            microseconds=clock_us - (offset_us or 0)
        )
    except OverflowError:
        return None
    return moment.isoformat(timespec="microseconds") + ("Z" if parts[3] else "")


def _day(text: str) -> date | None:
    calendar, week, ordinal = (form.fullmatch(text) for form in _DATES)
    try:
        if calendar and text.count("-") != 1:
            return date(*map(int, calendar.groups()))
        if week and text.count("-") != 1:
            return date.fromisocalendar(*map(int, week.groups()))
        if ordinal:
            year, number = map(int, ordinal.groups())
            day = date(year, 1, 1) + timedelta(days=number - 1)
            return day if day.year == year else None
    except (ValueError, OverflowError):
        return None
    return None


def _clock_us(text: str) -> int | None:
    """Microseconds after midnight; 24:00 is the day's end, and nothing is after it."""
    read = _CLOCK.fullmatch(text)
    if read is None:
        return None
    hour, _, minute, second, digits = read.groups()
    unit = 1 if second else 60 if minute else 3600
    fraction = 0
    if digits:
        digits = digits[:_DIGITS]
        fraction = int(digits) * unit * _SECOND_US // 10 ** len(digits)
    whole = int(hour) * 3600 + int(minute or 0) * 60 + int(second or 0)
    clock_us = whole * _SECOND_US + fraction
    return clock_us if clock_us <= _DAY_US else None


def _offset_us(text: str | None) -> int | None:
    if text is None or text in "Zz":
        return 0
    read = _OFFSET.fullmatch(text)
    if read is None:
        return None
    sign, hour, minute, second = read.groups()
    seconds = int(hour) * 3600 + int(minute or 0) * 60 + int(second or 0)
    return (-seconds if sign == "-" else seconds) * _SECOND_US
