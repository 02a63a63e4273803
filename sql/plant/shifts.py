"""Shifts: a name, weekdays, a local start, a length, breaks; versioned as settings are.

Times of day are minutes after local midnight, weekdays numbers from Monday, 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from sql.errors import BadSetting, OverlappingShift, UnknownShift
from sql.plant.calendar import Break, ShiftVersion
from sql.plant.calendar_store import Connection, lock_site, read_rules
from sql.plant.moments import Since
from sql.plant.sites import (
    Changed,
    apply_from,
    check_identifier,
    require_site,
    resolve_since,
    rows_of,
    site_key_of,
)
from sql.plant.wall_clock import ALWAYS, micros
from sql.queries import load

DAY_MIN = 24 * 60
DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a shift runs on the weekdays on which it starts."""

    weekdays: tuple[int, ...]
    start_min: int
    length_min: int
    breaks: tuple[Break, ...] = ()

    def check(self) -> None:
        """Raise BadSetting unless the breaks lie inside the shift and apart."""
        if not self.weekdays or not set(self.weekdays) <= set(range(7)):
            raise BadSetting("A shift starts on at least one weekday, mon to sun")
        if not 0 <= self.start_min < DAY_MIN:
            raise BadSetting("A shift starts between 00:00 and 23:59")
        if not 1 <= self.length_min <= DAY_MIN:
            raise BadSetting("A shift is between one minute and 24 hours long")
        free_from = 0
        into = [((b.start_min - self.start_min) % DAY_MIN, b) for b in self.breaks]
        for start, pause in sorted(into, key=lambda pair: pair[0]):
            if pause.length_min < 1 or start + pause.length_min > self.length_min:
                raise BadSetting(
                    f"The break {said(pause)} does not lie inside the shift "
                    f"{clock(self.start_min)}-{clock(self.start_min + self.length_min)}"
                )
            if start < free_from:
                raise BadSetting(f"The break {said(pause)} overlaps the one before it")
            free_from = start + pause.length_min


@dataclass(frozen=True, slots=True)
class ShiftChange:
    """What to change of a shift; None leaves a field as it is."""

    weekdays: tuple[int, ...] | None = None
    start_min: int | None = None
    length_min: int | None = None
    breaks: tuple[Break, ...] | None = None


def clock(minute: int) -> str:
    """A minute of the day as people read it: 390 is 06:30."""
    return f"{minute // 60 % 24:02d}:{minute % 60:02d}"


def said(pause: Break) -> str:
    """A break as the command line takes it."""
    return f"{clock(pause.start_min)}+{pause.length_min}m"


def add_shift(
    conn: Connection,
    site_id: str,
    name: str,
    pattern: Pattern,
    since: Since | None = None,
) -> Changed:
    """Add a shift, or other weekdays of one that exists, in one transaction.

    `since` as in sites.set_site. Raises BadSetting, UnknownSite, OverlappingShift.
    """
    check_identifier("shift", name)
    pattern.check()
    with conn.transaction():
        site_key = site_key_of(conn, site_id)
        lock_site(conn, site_key)
        valid_from = resolve_since(conn, site_key, since)
        shift_key = _key(conn, site_key, name) or _new_key(conn, site_key, name)
        shift = _Shift(site_id, site_key, name, shift_key)
        _add_versions(conn, shift, [pattern], valid_from, replaces=False)
        key = apply_from(conn, site_key, valid_from, f"shift {name} added")
        return Changed(True, key)


def change_shift(
    conn: Connection,
    site_id: str,
    name: str,
    change: ShiftChange,
    since: Since | None = None,
) -> Changed:
    """State anew how a shift runs from `since` on, in one transaction.

    Without weekdays the change goes to every pattern of the name; with weekdays one
    pattern takes the place of all, and what the change leaves open must have been the
    same in all of them. Raises BadSetting, UnknownSite, UnknownShift, OverlappingShift.
    """
    with conn.transaction():
        shift = _locked(conn, site_id, name)
        valid_from = resolve_since(conn, shift.site_key, since)
        held = _held(conn, shift, valid_from)
        patterns = _changed(held, change, name)
        for pattern in patterns:
            pattern.check()
        _add_versions(conn, shift, patterns, valid_from, replaces=True)
        key = apply_from(conn, shift.site_key, valid_from, f"shift {name} changed")
        return Changed(True, key)


def end_shift(
    conn: Connection, site_id: str, name: str, since: Since | None = None
) -> Changed:
    """Let a shift hold no longer from `since` on, in one transaction.

    Raises UnknownSite, UnknownShift.
    """
    with conn.transaction():
        shift = _locked(conn, site_id, name)
        valid_from = resolve_since(conn, shift.site_key, since)
        _held(conn, shift, valid_from)
        _add_versions(conn, shift, [], valid_from, replaces=True)
        key = apply_from(conn, shift.site_key, valid_from, f"shift {name} ended")
        return Changed(True, key)


def list_shifts(conn: Connection, site_id: str | None = None) -> list[dict[str, Any]]:
    """Shifts held to be true, of one site or of all; UnknownSite.

    weekdays are numbers from Monday, start and breaks as the command line takes them.
    """
    require_site(conn, site_id)
    rows = rows_of(conn, load("shifts")["shifts"], {"site_id": site_id})
    return [
        {
            "site_id": row["site_id"],
            "name": row["name"],
            "weekdays": row["weekdays"],
            "start": clock(row["start_min"]),
            "length_min": row["length_min"],
            "breaks": [said(Break(*pause)) for pause in row["breaks"]],
            "valid_from": row["valid_from"],
            "valid_to": row["valid_to"],
            "in_force": row["in_force"],
        }
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class _Shift:
    site_id: str
    site_key: int
    name: str
    shift_key: int


def _locked(conn: Connection, site_id: str, name: str) -> _Shift:
    site_key = site_key_of(conn, site_id)
    lock_site(conn, site_key)
    shift_key = _key(conn, site_key, name)
    if shift_key is None:
        raise UnknownShift(
            f"Site {site_id} has no shift {name!r}; `floorpulse shift list` shows "
            "those there are"
        )
    return _Shift(site_id, site_key, name, shift_key)


def _key(conn: Connection, site_key: int, name: str) -> int | None:
    values = {"site_key": site_key, "name": name}
    row = conn.execute(load("shifts")["shift_key"], values).fetchone()
    return int(row[0]) if row else None


def _new_key(conn: Connection, site_key: int, name: str) -> int:
    values = {"site_key": site_key, "name": name}
    row = conn.execute(load("shifts")["name_shift"], values).fetchone()
    assert row is not None  # noqa: S101  (INSERT .. RETURNING of one row)
    return int(row[0])


def _held(conn: Connection, shift: _Shift, valid_from: Since) -> list[Pattern]:
    """The patterns in force at an instant, or else the next to be; never none."""
    at = ALWAYS if isinstance(valid_from, str) else micros(valid_from)
    versions = [
        v
        for v in read_rules(conn, shift.site_key).versions
        if v.shift_key == shift.shift_key and v.valid_to > at
    ]
    if not versions:
        raise UnknownShift(
            f"Shift {shift.name!r} of site {shift.site_id} has ended by then; "
            "`floorpulse shift add` lets it run again"
        )
    begins = max(at, min(v.valid_from for v in versions))
    return [_pattern(v) for v in versions if v.valid_from <= begins < v.valid_to]


def _pattern(version: ShiftVersion) -> Pattern:
    return Pattern(
        version.weekdays, version.start_min, version.length_min, version.breaks
    )


def _changed(held: Sequence[Pattern], change: ShiftChange, name: str) -> list[Pattern]:
    if change.weekdays is None:
        return [_with(pattern, change, pattern.weekdays) for pattern in held]
    merged = {_with(pattern, change, change.weekdays) for pattern in held}
    if len(merged) > 1:
        raise BadSetting(
            f"Shift {name!r} has different hours on different weekdays: say --start, "
            "--length and --break (or --no-breaks) together with --days"
        )
    return list(merged)


def _with(pattern: Pattern, change: ShiftChange, weekdays: tuple[int, ...]) -> Pattern:
    return Pattern(
        weekdays,
        pattern.start_min if change.start_min is None else change.start_min,
        pattern.length_min if change.length_min is None else change.length_min,
        pattern.breaks if change.breaks is None else change.breaks,
    )


def _add_versions(
    conn: Connection,
    shift: _Shift,
    patterns: Sequence[Pattern],
    valid_from: Since,
    *,
    replaces: bool,
) -> None:
    """Write versions, in place of those that hold where `replaces`."""
    queries = load("shifts")
    row = conn.execute(load("sites")["clock"]).fetchone()
    common = {
        "site_key": shift.site_key,
        "shift_key": shift.shift_key,
        "valid_from": valid_from,
        "recorded_at": row[0] if row else None,
        "replaces": replaces,
    }
    if replaces:
        conn.execute(queries["end_versions"], common)
    for pattern in patterns:
        values = common | {
            "weekdays": sorted(pattern.weekdays),
            "start_min": pattern.start_min,
            "length_min": pattern.length_min,
            "break_starts": [b.start_min for b in pattern.breaks],
            "break_lengths": [b.length_min for b in pattern.breaks],
        }
        try:
            with conn.transaction():
                conn.execute(queries["add_version"], values)
        except psycopg.errors.ExclusionViolation as error:
            raise _overlap(conn, shift, pattern, values) from error


def _overlap(
    conn: Connection, shift: _Shift, pattern: Pattern, values: dict[str, Any]
) -> OverlappingShift:
    """Name both shifts, and where in the week they meet."""
    mine = f"{clock(pattern.start_min)}-{clock(pattern.start_min + pattern.length_min)}"
    row = conn.execute(load("shifts")["overlapped"], values).fetchone()
    if row is None:
        return OverlappingShift(
            f"Shift {shift.name!r} ({mine}) of site {shift.site_id} overlaps itself"
        )
    other, low, high = row
    where = f"{DAY_NAMES[low // DAY_MIN]} {clock(low)}-{clock(high)}"
    advice = (
        "`floorpulse shift change` changes it"
        if other == shift.name
        else "change the start or the length of one"
    )
    return OverlappingShift(
        f"Shift {shift.name!r} ({mine}) of site {shift.site_id} overlaps shift "
        f"{other!r} on {where}; {advice}"
    )
