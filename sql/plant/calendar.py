"""The calendar as arithmetic: zones, shifts and breaks into instances and UTC slices.

Pure: no database here (calendar_store.py keeps the result). Defined in metrics.md,
Calendar. All times are integers, microseconds since 1970; see wall_clock.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from sql.plant.wall_clock import ALWAYS, DAY, HOUR, NEVER, SECOND, Micros, WallClock
from sql.plant.zones import zone

MINUTE = 60 * SECOND
# No instance is longer: 24 h of wall clock and the largest change of a clock.
LONGEST_INSTANCE = 2 * DAY
OUTSIDE_SHIFTS = 0
NO_SHIFT_IN_FORCE = -1


@dataclass(frozen=True, slots=True)
class Break:
    """A break: minutes of the local day at which it starts, and its length."""

    start_min: int
    length_min: int


@dataclass(frozen=True, slots=True)
class ShiftVersion:
    """How a shift runs while [valid_from, valid_to) lasts; weekdays: 0 is Monday."""

    version_key: int
    shift_key: int
    weekdays: tuple[int, ...]
    start_min: int
    length_min: int
    breaks: tuple[Break, ...] = ()
    valid_from: int = ALWAYS
    valid_to: int = NEVER


@dataclass(frozen=True, slots=True)
class SettingsSpan:
    """What the calendar needs of a site's settings during [valid_from, valid_to)."""

    timezone: str
    count_breaks: bool
    valid_from: int = ALWAYS
    valid_to: int = NEVER


@dataclass(frozen=True, slots=True)
class Rules:
    """What a site's calendar rests on: settings without gap or overlap, and shifts."""

    spans: Sequence[SettingsSpan]
    versions: Sequence[ShiftVersion] = ()

    def validity(self) -> Micros:
        """Every instant at which a setting or a shift begins or ceases to hold."""
        bounds = [(s.valid_from, s.valid_to) for s in self.spans]
        bounds += [(v.valid_from, v.valid_to) for v in self.versions]
        return np.array(bounds, dtype=np.int64).ravel()


@dataclass(frozen=True, slots=True)
class Instances:
    """Shift instances as columns, in order of start, clipped to what was in force."""

    shift_key: Micros
    version_key: Micros
    production_day: Micros
    starts_at: Micros
    ends_at: Micros

    def take(self, chosen: NDArray[np.bool_] | Micros) -> Instances:
        """The rows chosen by a mask or an order."""
        return Instances(*(getattr(self, f.name)[chosen] for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Slices:
    """Calendar slices as columns: they tile their range, each within one UTC hour.

    production_day counts days since 1970; shift_ends_at is NEVER outside shifts.
    """

    hour: Micros
    starts_at: Micros
    ends_at: Micros
    production_day: Micros
    shift_key: Micros
    in_break: NDArray[np.bool_]
    shift_ends_at: Micros


@dataclass(frozen=True, slots=True)
class Plan:
    """Shift instances that touch a range, and the slices of the range."""

    instances: Instances
    slices: Slices


def plan(rules: Rules, start: int, end: int) -> Plan:
    """Instances and slices for [start, end), two whole UTC hours.

    BadSetting for an unknown zone.
    """
    zones = _by_zone(rules.spans)
    zones = [s for s in zones if s.valid_from < end and s.valid_to > start]
    clocks = [_Clock(s, start, end) for s in zones]
    found = [_run(c, v, start, end) for c in clocks for v in rules.versions]
    instances, breaks = _joined(found)
    starts = _marks(rules, clocks, instances, breaks, (start, end))
    return Plan(instances, _slices(rules, clocks, instances, breaks, (starts, end)))


class _Clock:
    """The wall clock of one zone and the part of the range for which it holds."""

    def __init__(self, span: SettingsSpan, start: int, end: int) -> None:
        self.valid_from, self.valid_to = span.valid_from, span.valid_to
        self.walls = WallClock(zone(span.timezone), start - DAY, end + DAY)

    def date_changes(self, start: int, end: int) -> Micros:
        """Where the local date becomes another, while this clock is in force."""
        low, high = max(start, self.valid_from), min(end, self.valid_to)
        return self.walls.date_changes(low, high)


def _by_zone(spans: Sequence[SettingsSpan]) -> list[SettingsSpan]:
    """Spans joined where the zone goes on: other settings cut no shift in two."""
    joined: list[SettingsSpan] = []
    for span in sorted(spans, key=lambda s: s.valid_from):
        if joined and joined[-1].timezone == span.timezone:
            joined[-1] = replace(joined[-1], valid_to=span.valid_to)
        else:
            joined.append(span)
    return joined


def _run(
    clock: _Clock, version: ShiftVersion, start: int, end: int
) -> tuple[Instances, Micros]:
    """Instances of one version by one clock, and their breaks as (start, end) rows."""
    low = max(clock.valid_from, version.valid_from)
    high = min(clock.valid_to, version.valid_to)
    days = np.arange((start - LONGEST_INSTANCE) // DAY - 1, end // DAY + 3)
    # 1 January 1970 was a Thursday.
    days = days[np.isin((days + 3) % 7, version.weekdays)]

    def bounds(start_min: int, length_min: int) -> tuple[Micros, Micros]:
        walls = days * DAY + start_min * MINUTE
        starts = clock.walls.instants(walls)
        ends = clock.walls.instants(walls + length_min * MINUTE)
        return np.clip(starts, low, high), np.clip(ends, low, high)

    starts, ends = bounds(version.start_min, version.length_min)
    instances = Instances(
        np.full(len(days), version.shift_key, dtype=np.int64),
        np.full(len(days), version.version_key, dtype=np.int64),
        days,
        starts,
        ends,
    ).take((starts < ends) & (starts < end) & (ends > start))
    breaks = [
        np.stack(bounds(version.start_min + into, pause.length_min), axis=1)
        for pause in version.breaks
        for into in [(pause.start_min - version.start_min) % (24 * 60)]
    ]
    return instances, np.concatenate([_no_rows(2), *breaks])


def _no_rows(columns: int) -> Micros:
    return np.empty((0, columns), dtype=np.int64)


def _joined(found: Iterable[tuple[Instances, Micros]]) -> tuple[Instances, Micros]:
    """All instances in order of start, and all breaks that are not empty, likewise."""
    parts = list(found)
    columns = [
        np.concatenate([_no_rows(1)[:, 0], *(getattr(p, f.name) for p, _ in parts)])
        for f in fields(Instances)
    ]
    instances = Instances(*columns)
    breaks = np.concatenate([_no_rows(2), *(b for _, b in parts)])
    breaks = breaks[breaks[:, 0] < breaks[:, 1]]
    in_order = instances.take(np.argsort(instances.starts_at, kind="stable"))
    return in_order, breaks[np.argsort(breaks[:, 0], kind="stable")]


def _marks(
    rules: Rules,
    clocks: Sequence[_Clock],
    instances: Instances,
    breaks: Micros,
    bounds: tuple[int, int],
) -> Micros:
    """Every instant of the range at which a slice starts."""
    start, end = bounds
    marks = np.unique(
        np.concatenate(
            [
                np.arange(start, end, HOUR),
                instances.starts_at,
                instances.ends_at,
                breaks.ravel(),
                rules.validity(),
                *(c.date_changes(start, end) for c in clocks),
            ]
        )
    )
    kept: Micros = marks[(marks >= start) & (marks < end)]
    return kept


def _slices(
    rules: Rules,
    clocks: Sequence[_Clock],
    instances: Instances,
    breaks: Micros,
    bounds: tuple[Micros, int],
) -> Slices:
    starts, end = bounds
    at, inside = _containing(starts, instances.starts_at, instances.ends_at)
    days, shift_keys = _local_days(clocks, starts), _keys_outside(rules, starts)
    shift_ends = np.full(len(starts), NEVER, dtype=np.int64)
    days[inside] = instances.production_day[at[inside]]
    shift_keys[inside] = instances.shift_key[at[inside]]
    shift_ends[inside] = _whole_ends(instances)[at[inside]]
    _, on_break = _containing(starts, breaks[:, 0], breaks[:, 1])
    return Slices(
        hour=starts // HOUR * HOUR,
        starts_at=starts,
        ends_at=np.append(starts[1:], end),
        production_day=days,
        shift_key=shift_keys,
        in_break=on_break & ~_breaks_count(rules, starts),
        shift_ends_at=shift_ends,
    )


def _containing(
    times: Micros, lows: Micros, highs: Micros
) -> tuple[Micros, NDArray[np.bool_]]:
    """Per time the index of the range [low, high) before it, and if it is in it."""
    if not len(lows):
        return np.zeros(len(times), dtype=np.int64), np.zeros(len(times), dtype=bool)
    at = np.searchsorted(lows, times, side="right") - 1
    return at, (at >= 0) & (times < highs[at])


def _local_days(clocks: Sequence[_Clock], starts: Micros) -> Micros:
    """The local date of each start, by the clock in force at it."""
    days = np.zeros(len(starts), dtype=np.int64)
    for clock in clocks:
        held = (starts >= clock.valid_from) & (starts < clock.valid_to)
        days[held] = clock.walls.wall(starts[held]) // DAY
    return days


def _keys_outside(rules: Rules, starts: Micros) -> Micros:
    """The key of a slice outside shifts: whether any version was in force at all."""
    in_force = np.zeros(len(starts), dtype=bool)
    for version in rules.versions:
        in_force |= (starts >= version.valid_from) & (starts < version.valid_to)
    return np.where(in_force, OUTSIDE_SHIFTS, NO_SHIFT_IN_FORCE).astype(np.int64)


def _breaks_count(rules: Rules, starts: Micros) -> NDArray[np.bool_]:
    counted = np.zeros(len(starts), dtype=bool)
    for span in rules.spans:
        if span.count_breaks:
            counted |= (starts >= span.valid_from) & (starts < span.valid_to)
    return counted


def _whole_ends(instances: Instances) -> Micros:
    """Ends of instances, past the cut where a change of zone split one in two."""
    ends = instances.ends_at.copy()
    goes_on = (
        (instances.version_key[:-1] == instances.version_key[1:])
        & (instances.production_day[:-1] == instances.production_day[1:])
        & (instances.ends_at[:-1] == instances.starts_at[1:])
    )
    for i in np.flatnonzero(goes_on)[::-1]:
        ends[i] = ends[i + 1]
    return ends
