"""The steps of a period on a time axis: every hour or date in it, and its name.

Steps are a category axis: hours are evenly spaced whatever the clocks do, and what is
not asked for (other shifts) takes no room.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from dash_app.formats import day
from dash_app.records import Band, Overview, TrendStep

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
Key = datetime | date


@dataclass(frozen=True)
class Timeline:
    """Keys (UTC hours, or production dates) with their labels, and ticks at some."""

    keys: Sequence[Key]
    labels: Sequence[str]
    tick_labels: dict[int, str]

    def position(self, moment: datetime) -> float:
        """Where an instant lies on the axis; step i covers [i - 0.5, i + 0.5)."""
        hours = [key for key in self.keys if isinstance(key, datetime)]
        place = bisect_right(hours, moment) - 1
        if place < 0:
            return -0.5
        return place - 0.5 + min(1.0, (moment - hours[place]) / HOUR)


def timeline(page: Overview) -> Timeline:
    """All steps of the page's period in the zone of the page."""
    zone = ZoneInfo(page.timezone)
    if page.step == "day":
        dates = _dates(page)
        return Timeline(dates, _unique([day(d) for d in dates]), _date_ticks(dates))
    hours = _hours(page)
    local = [hour.astimezone(zone) for hour in hours]
    labels = _unique([f"{day(at)}, {at:%H:%M}" for at in local])
    return Timeline(hours, labels, _hour_ticks(local))


def along(keys: Sequence[Key], trend: Sequence[TrendStep]) -> list[TrendStep | None]:
    """The steps of a trend in the order of the timeline, None where there is none."""
    found: dict[Key | None, TrendStep] = {
        step.hour or step.production_date: step for step in trend
    }
    return [found.get(key) for key in keys]


def scheduled(axis: Timeline, bands: Sequence[Band]) -> list[bool]:
    """Which steps lie in a shift; all of them where there are no shifts to see."""
    shifts = [band for band in bands if band.kind == "shift"]
    if not shifts:
        return [True] * len(axis.keys)
    return [
        not isinstance(key, datetime) or any(_meet(key, band) for band in shifts)
        for key in axis.keys
    ]


def _dates(page: Overview) -> list[date]:
    period = page.period
    zone = ZoneInfo(page.timezone)
    first = period.from_date or period.starts_at.astimezone(zone).date()
    last = period.to_date or (period.ends_at - HOUR).astimezone(zone).date()
    every = {first + DAY * i for i in range((last - first).days + 1)}
    return sorted(every | {s.production_date for s in page.trend if s.production_date})


def _hours(page: Overview) -> list[datetime]:
    """Every hour of the period; with a shift chosen its own, and those with data."""
    start = page.period.starts_at.replace(minute=0, second=0, microsecond=0)
    count = -(-(page.period.ends_at - start) // HOUR)
    every = [start.astimezone(UTC) + HOUR * i for i in range(count)]
    shift = page.period.shift_name
    if shift is not None:
        own = [b for b in page.bands if b.kind == "shift" and b.shift == shift]
        every = [h for h in every if any(_meet(h, band) for band in own)]
    held = [step.hour.astimezone(UTC) for step in page.trend if step.hour]
    if page.period.from_date is not None and len(every) <= 26:
        every = _worked(every, page.bands, held)
    return sorted({*every, *held})


def _worked(
    hours: list[datetime], bands: Sequence[Band], held: list[datetime]
) -> list[datetime]:
    """Of a day's hours those from the first shift to the last, and others with data."""
    shifts = [hour for hour in hours if any(_meet(hour, band) for band in bands)]
    if not shifts:
        return hours
    first, last = min([*shifts, *held]), max([*shifts, *held])
    return [hour for hour in hours if first <= hour <= last]


def _meet(hour: datetime, band: Band) -> bool:
    return band.starts_at < hour + HOUR and hour < band.ends_at


def _unique(labels: list[str]) -> list[str]:
    """When clocks go back an hour comes twice: the second one says so."""
    seen: set[str] = set()
    unique = []
    for label in labels:
        unique.append(f"{label} (again)" if label in seen else label)
        seen.add(label)
    return unique


def _hour_ticks(local: Sequence[datetime]) -> dict[int, str]:
    """Hours of the day while they fit, else the dates, in their middle."""
    if len(local) <= 30:
        every = next(n for n in (1, 2, 3, 6) if len(local) <= 8 * n or n == 6)
        return {i: f"{at:%H:%M}" for i, at in enumerate(local) if at.hour % every == 0}
    firsts = [
        i for i, at in enumerate(local) if i == 0 or at.date() != local[i - 1].date()
    ]
    ends = [*firsts[1:], len(local)]
    return {
        (first + end) // 2: f"{local[first]:%a}<br>{local[first].day}"
        for first, end in zip(firsts, ends, strict=True)
        if end - first > len(local) / 30  # a few hours have no room for a name
    }


def _date_ticks(dates: Sequence[date]) -> dict[int, str]:
    every = max(1, -(-len(dates) // 8))
    last = len(dates) - 1
    return {
        i: f"{dates[i].day} {dates[i]:%b}" for i in range(last % every, last + 1, every)
    }
