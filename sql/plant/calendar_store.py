"""Keeps a site's calendar in the database: slices and shift instances, made ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from sql.plant.calendar import (
    LONGEST_INSTANCE,
    Break,
    Instances,
    Rules,
    SettingsSpan,
    ShiftVersion,
    Slices,
    plan,
)
from sql.plant.moments import MINUS_INFINITY
from sql.plant.wall_clock import ALWAYS, DAY, HOUR, NEVER, Micros, micros, moment
from sql.queries import load

Connection = psycopg.Connection[Any]

DAYS_AHEAD = 35
# About 90,000 slices: one transaction's worth where decades are asked for.
STEP = 3653 * DAY


def ensure_calendar(
    conn: Connection, site_key: int, from_time: datetime, to_time: datetime
) -> bool:
    """Extend the site's slices to hold [from_time, to_time]; False where they do.

    Costs one query when nothing is missing. Otherwise the range grows back to the start
    of the year before, ahead to 35 days past the clock, and stays in one piece. With an
    autocommit connection each step commits; safe beside others that do the same.
    """
    asked = micros(from_time), micros(to_time)
    covered = _coverage(conn, site_key)
    if covered and covered[0] <= asked[0] and asked[1] < covered[1]:
        return False
    wanted = _wanted(*asked)
    while _extend(conn, site_key, *wanted):
        pass
    return True


def rebuild_calendar(
    conn: Connection, site_key: int, from_time: datetime | None
) -> None:
    """Make the calendar again from `from_time` on (None: all of it), where it stands.

    For after a change of settings or shifts; the caller's transaction holds both. What
    lies before the oldest hour that may still change stays as it is.
    """
    with conn.transaction():
        lock_site(conn, site_key)
        covered = _coverage(conn, site_key)
        if covered is None:
            return
        start, end = covered
        if from_time is not None:
            # An instance that the change cuts short began before it.
            since = (micros(from_time) - LONGEST_INSTANCE) // HOUR * HOUR
            start = max(start, since)
        if start >= end:
            return
        first, begins = covered[0], ALWAYS
        kept = _kept_from(conn, site_key)
        if kept is not None and kept > start:
            start = first = begins = kept
        _clear(conn, site_key, start, whole=start == covered[0], cut=start == begins)
        rules = read_rules(conn, site_key)
        for low in range(start, end, STEP):
            bounds, standing = (low, min(low + STEP, end)), (first, low)
            _write(conn, site_key, rules, bounds, standing, begins=begins)


def _clear(
    conn: Connection, site_key: int, start: int, *, whole: bool, cut: bool
) -> None:
    """Remove what stands from `start` on, or all; cut: also what reaches over it."""
    queries, since = load("calendar"), {"site_key": site_key, "since": moment(start)}
    gone = since | {"since": MINUS_INFINITY} if whole else since
    conn.execute(queries["clear_slices"], gone)
    conn.execute(queries["clear_instances"], gone)
    if cut:
        conn.execute(queries["end_instances"], since)


def _kept_from(conn: Connection, site_key: int) -> int | None:
    row = conn.execute(load("calendar")["kept_from"], {"site_key": site_key}).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def lock_site(conn: Connection, site_key: int) -> None:
    """Wait to be the only writer to the site's settings, until the transaction ends."""
    conn.execute(load("calendar")["lock_site"], {"site_key": site_key})


def _coverage(conn: Connection, site_key: int) -> tuple[int, int] | None:
    row = conn.execute(load("calendar")["coverage"], {"site_key": site_key}).fetchone()
    return (int(row[0]), int(row[1])) if row else None


def _wanted(asked_from: int, asked_to: int) -> tuple[int, int]:
    """What to cover when this much was asked for."""
    first = moment(asked_from)
    start = datetime(max(first.year - 1, 2), 1, 1, tzinfo=UTC)
    ahead = max(moment(asked_to), datetime.now(UTC)) + timedelta(days=DAYS_AHEAD)
    return micros(start), -(-micros(ahead) // HOUR) * HOUR


def _extend(conn: Connection, site_key: int, start: int, end: int) -> bool:
    """One step towards [start, end), in a transaction; False where nothing is left."""
    with conn.transaction():
        lock_site(conn, site_key)
        covered = _coverage(conn, site_key)
        step = _next_step(covered, start, end)
        if step is None:
            return False
        low, high = covered or (step[0], step[0])
        _write(conn, site_key, read_rules(conn, site_key), step, (low, high))
        reached = {
            "site_key": site_key,
            "covered_from": moment(min(low, step[0])),
            "covered_to": moment(max(high, step[1])),
        }
        conn.execute(load("calendar")["set_coverage"], reached)
        return True


def _next_step(
    covered: tuple[int, int] | None, start: int, end: int
) -> tuple[int, int] | None:
    """The next piece to make: joined to what stands, ahead before back."""
    if covered is None:
        return max(start, end - STEP), end
    low, high = covered
    if high < end:
        return high, min(high + STEP, end)
    if start < low:
        return max(start, low - STEP), low
    return None


def read_rules(conn: Connection, site_key: int) -> Rules:
    """The settings and the shift versions that the site's calendar rests on."""
    queries, site = load("calendar"), {"site_key": site_key}
    spans = [
        SettingsSpan(zone, counted, *_validity(since, until))
        for zone, counted, since, until in conn.execute(queries["spans"], site)
    ]
    versions = [
        ShiftVersion(
            version_key,
            shift_key,
            tuple(weekdays),
            start_min,
            length_min,
            tuple(map(Break, break_starts, break_lengths)),
            *_validity(since, until),
        )
        for (
            version_key,
            shift_key,
            weekdays,
            start_min,
            length_min,
            break_starts,
            break_lengths,
            since,
            until,
        ) in conn.execute(queries["versions"], site)
    ]
    return Rules(spans, versions)


def _validity(since: int | None, until: int | None) -> tuple[int, int]:
    return (
        ALWAYS if since is None else since,
        NEVER if until is None else until,
    )


def _write(
    conn: Connection,
    site_key: int,
    rules: Rules,
    bounds: tuple[int, int],
    standing: tuple[int, int],
    *,
    begins: int = ALWAYS,
) -> None:
    """COPY slices of the range, and its instances but those that stand already.

    Instances that start before `begins` are cut there.
    """
    queries, made = load("calendar"), plan(rules, *bounds)
    instances = made.instances
    instances = replace(instances, starts_at=np.maximum(instances.starts_at, begins))
    if standing[0] < standing[1]:
        stands = instances.starts_at < standing[1]
        stands &= instances.ends_at > standing[0]
        instances = instances.take(~stands)
    with conn.cursor() as cursor:
        for query, rows in (
            ("copy_slices", _slice_lines(site_key, made.slices)),
            ("copy_instances", _instance_lines(site_key, instances)),
        ):
            with cursor.copy(queries[query]) as copy:
                copy.write("".join(rows))


def _slice_lines(site_key: int, slices: Slices) -> Iterator[str]:
    columns = (
        _instants(slices.hour),
        _instants(slices.starts_at),
        _instants(slices.ends_at),
        _dates(slices.production_day),
        slices.shift_key.tolist(),
        np.where(slices.in_break, "t", "f").tolist(),
        _instants(slices.shift_ends_at),
    )
    return _lines(site_key, columns)


def _instance_lines(site_key: int, instances: Instances) -> Iterator[str]:
    columns = (
        instances.shift_key.tolist(),
        instances.version_key.tolist(),
        _dates(instances.production_day),
        _instants(instances.starts_at),
        _instants(instances.ends_at),
    )
    return _lines(site_key, columns)


def _lines(site_key: int, columns: Sequence[Sequence[object]]) -> Iterator[str]:
    for row in zip(*columns, strict=True):
        yield "\t".join([str(site_key), *map(str, row)]) + "\n"


def _instants(times: Micros) -> list[str]:
    """Times as COPY reads them; NEVER becomes null."""
    never = times >= NEVER
    finite = np.where(never, 0, times).astype("datetime64[us]")
    text = np.datetime_as_string(finite, timezone="UTC")
    nullable: list[str] = np.where(never, "\\N", text).tolist()
    return nullable


def _dates(days: Micros) -> list[str]:
    text: list[str] = np.datetime_as_string(days.astype("datetime64[D]")).tolist()
    return text
