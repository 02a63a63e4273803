"""What a simulated plant is like: the same options, the same plant."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from sql.errors import BadSetting
from sql.plant.zones import zone

AUTO_ZONE = "auto"
# One of the two is at work at any hour, so that a demo started at night is alive too.
AUTO_ZONES = ("Europe/Berlin", "America/Los_Angeles")
AUTO_WORKDAY_MIN = (6 * 60, 20 * 60)

# Options that change how fast a plant is told, but not what happens in it.
PACE = frozenset({"speed", "tick_s"})


@dataclass(frozen=True, slots=True)
class PlantShift:
    """One shift of the plant and its break, in minutes of the local day."""

    name: str
    start_min: int
    length_min: int
    break_start_min: int
    break_length_min: int


TWO_SHIFTS = (
    PlantShift("early", 6 * 60, 480, 13 * 60, 45),
    PlantShift("late", 14 * 60, 480, 18 * 60, 45),
)


@dataclass(frozen=True, slots=True)
class Change:
    """What differs from one day of the plant to another (from 1, both included).

    Lighting, lenses and models move confidence_mean and confidence_sd, at the benches
    named (counted from 0, none: at all); pace_factor moves units per hour and
    idle_factor the length of idle spells, everywhere.
    """

    from_day: int
    to_day: int | None = None
    confidence_mean: float | None = None
    confidence_sd: float | None = None
    pace_factor: float = 1.0
    idle_factor: float = 1.0
    benches: tuple[int, ...] = ()

    def holds_on(self, day_number: int) -> bool:
        """Whether the change is in force on that day of the plant."""
        return self.from_day <= day_number and (
            self.to_day is None or day_number <= self.to_day
        )


LIGHTING_CHANGE = Change(from_day=11, confidence_mean=0.82)


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """A plant and its faults. Shares are fractions of 1 of all events.

    hours: history before the anchor; speed: above 1 the history is not put in at once
    but told at that many times real time until it has caught up with the clock.
    edge_offline_from_h and silent_from_h count hours from the start of the history;
    left out, they are chosen so that the fault lies in the history.
    """

    site: str = "demo"
    workers: int = 6
    stations: int = 6
    hours: float = 48.0
    seed: int = 1
    timezone: str = AUTO_ZONE
    shifts: tuple[PlantShift, ...] = TWO_SHIFTS
    units_per_hour: float = 60.0
    confidence_mean: float = 0.88
    confidence_sd: float = 0.05
    model_version: str = "pose-1.4.0"
    speed: float = 1.0
    tick_s: float = 1.0
    duplicates: float = 0.0
    late: float = 0.0
    shuffle: bool = False
    edge_offline: bool = False
    edge_offline_from_h: float | None = None
    silent_camera: int | None = None
    silent_from_h: float | None = None
    changes: tuple[Change, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a plant that cannot be."""
        self._need(self.workers >= 1, "workers", "at least 1")
        self._need(self.stations >= 1, "stations", "at least 1")
        self._need(self.hours >= 0, "hours", "0 or more")
        self._need(self.seed >= 0, "seed", "0 or more")
        self._need(self.speed >= 1, "speed", "1 or more")
        self._need(self.tick_s > 0, "tick_s", "more than 0")
        self._need(0 <= self.duplicates <= 1, "duplicates", "a fraction from 0 to 1")
        self._need(0 <= self.late <= 1, "late", "a fraction from 0 to 1")
        self._need(
            self.silent_camera is None or 1 <= self.silent_camera <= self.stations,
            "silent_camera",
            f"the number of a bench, 1 to {self.stations}",
        )
        if self.timezone != AUTO_ZONE:
            zone(self.timezone)

    def _need(self, holds: bool, name: str, what: str) -> None:
        if not holds:
            value = getattr(self, name)
            raise BadSetting(f"simulate: {name} is {value}; it must be {what}")

    def settled(self, anchor: datetime) -> Self:
        """The same plant with its time zone chosen, if that was left to the anchor."""
        if self.timezone != AUTO_ZONE:
            return self
        return replace(self, timezone=working_zone(anchor))

    def plant(self) -> dict[str, object]:
        """All that decides which events there are, ready for JSON."""
        return {name: part for name, part in asdict(self).items() if name not in PACE}

    def fingerprint(self) -> str:
        """A digest that two plants share only if they are the same."""
        text = json.dumps(self.plant(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def sized(self, events: int) -> Self:
        """The same plant with a history long enough for that many events."""
        per_worker_day = 330 + self.units_per_hour * 4
        days = events / (per_worker_day * self.workers)
        return replace(self, hours=24.0 * (int(days * 1.15) + 2))


def working_zone(anchor: datetime) -> str:
    """A zone where people are at work at the anchor."""
    local = anchor.astimezone(zone(AUTO_ZONES[0]))
    minute = local.hour * 60 + local.minute
    begin, end = AUTO_WORKDAY_MIN
    return AUTO_ZONES[0] if begin <= minute < end else AUTO_ZONES[1]


def local_instant(day: date, minute: int, where: ZoneInfo) -> datetime:
    """The instant of that minute of a local day (beyond 1440: of the next one)."""
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)  # noqa: DTZ001
    return wall.replace(tzinfo=where).astimezone(UTC)
