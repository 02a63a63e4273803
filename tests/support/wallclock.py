"""The calendar of metrics.md by brute force: an instant's zone, shift, break and date.

Half of tests/reference.py; see there. Times are microseconds since 1970.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, reset_tzpath

# The pinned tzdata package, as metrics.md says, and not the machine's own files.
reset_tzpath(())

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
ALWAYS = -(2**62)
NEVER = 2**62
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEFAULTS: dict[str, object] = {
    "timezone": "UTC",
    "min_confidence": 0.7,
    "max_state_s": 600,
    "gap_state": "none",
    "count_breaks": False,
}


def micros(moment: datetime) -> int:
    """An aware datetime as microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """Microseconds since 1970 as a datetime in UTC."""
    return EPOCH + timedelta(microseconds=us)


ISO = re.compile(
    r"([0-9W-]{7,10})[Tt ]([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]+))?)?)?"
    r" ?([Zz]|[+-][0-9:]+)?"
)


def read_time(text: str, zone: str) -> int:
    """ISO 8601 to microseconds; without an offset the wall clock of `zone`."""
    found = ISO.fullmatch(text)
    if found is None:
        raise ValueError(text)
    day, hour, minute, second, digits, offset = found.groups()
    local = datetime.combine(_date(day), time())
    local += timedelta(hours=int(hour), minutes=int(minute or 0))
    local += timedelta(seconds=int(second or 0))
    local += timedelta(microseconds=int(((digits or "") + "000000")[:6]))
    if offset is None:
        # fold=0: the first of two, and the offset before the change for none
        return micros(local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC))
    if offset in "Zz":
        return micros(local.replace(tzinfo=UTC))
    parts = [int(part) for part in re.findall("[0-9]{2}", offset)] + [0, 0]
    ahead = timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2])
    return micros(local.replace(tzinfo=timezone(-ahead if offset[0] == "-" else ahead)))


def _date(text: str) -> date:
    """A calendar, week or ordinal date, basic or extended."""
    digits = text.replace("-", "")
    if len(digits) == len("2026061"):
        return date(int(digits[:4]), 1, 1) + timedelta(days=int(digits[4:]) - 1)
    return date.fromisoformat(text)


def instant_of(local: datetime, zone: ZoneInfo) -> int:
    """A boundary of the calendar: first occurrence, or the change that skipped it."""
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == local:
        return micros(first)
    # Skipped. The change is the first instant that shows a later wall clock.
    low, high = micros(first) - 26 * HOUR, micros(first) + 26 * HOUR
    while high - low > 1:
        middle = (low + high) // 2
        shows = moment(middle).astimezone(zone).replace(tzinfo=None)
        low, high = (middle, high) if shows < local else (low, middle)
    return high


@dataclass(frozen=True)
class Settings:
    """One statement about a site; later in the list is recorded later."""

    values: dict[str, object]
    valid_from: int = ALWAYS


@dataclass(frozen=True)
class Shift:
    """One version of a shift; minutes of the local day, breaks as (start, length)."""

    name: str
    weekdays: tuple[int, ...]
    start_min: int
    length_min: int
    breaks: tuple[tuple[int, int], ...] = ()
    valid_from: int = ALWAYS
    valid_to: int = NEVER


@dataclass(frozen=True)
class Place:
    """What the calendar says of an instant."""

    production_date: date
    shift: str | None
    instance: tuple[Shift, date] | None
    in_break: bool
    around_the_clock: bool

    @property
    def scheduled(self) -> bool:
        return (self.shift is not None or self.around_the_clock) and not self.in_break


@dataclass(frozen=True)
class Slice:
    start: int
    end: int
    place: Place


class Calendar:
    """Zone, shifts, breaks and settings of one site as functions of the instant."""

    def __init__(self, settings: list[Settings], shifts: list[Shift]) -> None:
        self.settings, self.shifts = settings, shifts

    def setting(self, name: str, at: int) -> object:
        """Field by field, the last recorded of the statements already valid decides."""
        said = [
            s.values[name]
            for s in self.settings
            if s.valid_from <= at and s.values.get(name) is not None
        ]
        return said[-1] if said else DEFAULTS[name]

    def zone(self, at: int) -> ZoneInfo:
        return ZoneInfo(str(self.setting("timezone", at)))

    def place(self, at: int) -> Place:
        """The production date, shift and break in which an instant lies."""
        zone = self.zone(at)
        today = moment(at).astimezone(zone).date()
        versions = [s for s in self.shifts if s.valid_from <= at < s.valid_to]
        for shift in versions:
            for day in (today - timedelta(days=d) for d in (-1, 0, 1, 2)):
                if day.weekday() in shift.weekdays:
                    inside = self._inside(shift, day, zone, at)
                    if inside is not None:
                        out = inside and not self.setting("count_breaks", at)
                        return Place(day, shift.name, (shift, day), out, False)
        return Place(today, None, None, False, not versions)

    @staticmethod
    def _inside(shift: Shift, day: date, zone: ZoneInfo, at: int) -> bool | None:
        """None outside the instance, else whether in one of its breaks."""
        (start, end), *breaks = _bounds(shift, day, zone)
        if not start <= at < end:
            return None
        return any(low <= at < high for low, high in breaks)

    def boundaries(self, low: int, high: int) -> list[int]:
        """Every instant in [low, high] at which place() or the UTC hour may change."""
        found = set(range(low - low % HOUR, high + HOUR, HOUR)) | {low, high}
        found |= {s.valid_from for s in self.settings}
        for shift in self.shifts:
            found |= {shift.valid_from, shift.valid_to}
        names = {str(s.values.get("timezone") or "UTC") for s in self.settings}
        for zone in [ZoneInfo(name) for name in names | {"UTC"}]:
            day = moment(low).date() - timedelta(days=3)
            while day <= moment(high).date() + timedelta(days=2):
                found.add(instant_of(datetime.combine(day, time()), zone))
                for shift in self.shifts:
                    for bounds in _bounds(shift, day, zone):
                        found |= set(bounds)
                day += timedelta(days=1)
        return sorted(b for b in found if low <= b <= high)

    def slices(self, low: int, high: int) -> list[Slice]:
        """[low, high) cut at every boundary."""
        marks = self.boundaries(low, high)
        return [Slice(a, b, self.place(a)) for a, b in pairwise(marks)]

    def instance_end(self, at: int) -> int | None:
        """End of the shift instance in which an instant lies; None outside shifts."""
        here = self.place(at)
        if here.instance is None:
            return None
        later = self.boundaries(at + 1, at + 50 * HOUR)
        return next(b for b in later if self.place(b).instance != here.instance)


@lru_cache(maxsize=100_000)
def _bounds(shift: Shift, day: date, zone: ZoneInfo) -> tuple[tuple[int, int], ...]:
    """The instance that starts on `day`, then its breaks, as instants."""
    starts = [shift.start_min]
    starts += [
        shift.start_min + (start - shift.start_min) % 1440 for start, _ in shift.breaks
    ]
    lengths = [shift.length_min, *(length for _, length in shift.breaks)]
    midnight = datetime.combine(day, time())
    return tuple(
        (
            instant_of(midnight + timedelta(minutes=start), zone),
            instant_of(midnight + timedelta(minutes=start + length), zone),
        )
        for start, length in zip(starts, lengths, strict=True)
    )
