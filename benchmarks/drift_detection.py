"""How soon drift is seen: a drop of 0.06 of a busy camera, and a lens that breaks."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from benchmarks.drift_plants import (
    BEGIN,
    DAY,
    HOUR,
    check,
    opened,
    parts,
    set_up,
    states_of_a_day,
    tell,
)
from benchmarks.load import fresh
from benchmarks.refresh import Line
from etl.door.admit import Door
from etl.simulation.options import TWO_SHIFTS
from sql.connect import Connection, connect
from sql.plant.calendar_store import ensure_calendar

DROP_DAY, LENS_DAY = 40, 14
QUARTER = timedelta(minutes=15)
LENS_PER_HOUR, LENS_BAR_MIN = 120, 60
LENS_SIGNALS = ("confidence_drop", "confidence_low", "rolling_low")


def detections(server: str, seeds: Sequence[int]) -> list[Line]:
    """Hours from a drop to the first alert of a confidence signal, by signal."""
    begin = BEGIN + DROP_DAY * DAY + 6 * HOUR
    with fresh(server) as dsn, connect(dsn) as conn, Door(dsn) as door:
        for seed in seeds:
            tell_of_a_drop(conn, door, seed)
        conn.execute("analyze")
        check(conn, begin)
        early = sum(opened(conn).values())
        for hour in range(1, 25):
            check(conn, begin + hour * HOUR)
        rows = conn.execute(
            "select signal, site_key, extract(epoch from min(opened_at) - %s)::float8"
            " / 3600 from ops.alerts where signal like 'confidence%%' group by 1, 2",
            (begin,),
        ).fetchall()
    many = len(seeds)
    lines = [Line("alerts before the drop", str(early), "0", early == 0)]
    for name in sorted({signal for signal, *_ in rows}):
        hours = [float(hour) for signal, _, hour in rows if signal == name]
        took = f"median {statistics.median(hours):.0f} h, at most {max(hours):.0f} h"
        text = f"{len(hours)} of {many}, {took}"
        lines.append(Line(f"{name} within 24 h", text, "-", True))
    seen = len({site for _, site, _ in rows})
    bar = f"{many} of {many}"
    lines.append(
        Line("any of them within 24 h", f"{seen} of {many}", bar, seen == many)
    )
    return lines


def tell_of_a_drop(conn: Connection, door: Door, seed: int) -> None:
    """A camera with 1,000 events a day whose confidence drops on DROP_DAY."""
    site = f"p{seed:02d}"
    site_key = set_up(conn, site, TWO_SHIFTS)
    ensure_calendar(conn, site_key, BEGIN, BEGIN + (DROP_DAY + 3) * DAY)
    days = [
        states_of_a_day(site, seed, number, mean=0.82 if number >= DROP_DAY else 0.88)
        for number in range(DROP_DAY + 2)
    ]
    for batch in (pl.concat(days[:-3]), *days[-3:]):
        tell(conn, door, [(site_key, batch)])


def broken_lenses(server: str, seeds: Sequence[int]) -> list[Line]:
    """Minutes from 0.88 to 0.6 to the alerts; every plant breaks at another minute.

    A check every 15 minutes, as the scheduler's.
    """
    begin = BEGIN + LENS_DAY * DAY + 10 * HOUR
    breaks = {
        f"p{seed:02d}": begin + i * HOUR / len(seeds) for i, seed in enumerate(seeds)
    }
    with fresh(server) as dsn, connect(dsn) as conn, Door(dsn) as door:
        todays = {}
        for seed, site in zip(seeds, breaks, strict=True):
            key, todays_events = tell_of_a_lens(conn, door, site, seed, breaks[site])
            todays[key] = todays_events
        conn.execute("analyze")
        instants = [begin + n * QUARTER for n in range(-8, 11)]
        pieces = {key: parts(frame, instants) for key, frame in todays.items()}
        for instant in instants:
            tell(conn, door, [(key, next(piece)) for key, piece in pieces.items()])
            check(conn, instant)
        rows = conn.execute(
            "select site_id, signal, min(opened_at) from analytics.alerts group by 1, 2"
        ).fetchall()
    return lens_lines(breaks, rows)


def tell_of_a_lens(
    conn: Connection, door: Door, site: str, seed: int, breaks_at: datetime
) -> tuple[int, pl.DataFrame]:
    """Fourteen days of a camera that is well; the site's key, and the day it breaks."""
    site_key = set_up(conn, site, TWO_SHIFTS)
    ensure_calendar(conn, site_key, BEGIN, BEGIN + (LENS_DAY + 2) * DAY)
    days = [
        states_of_a_day(site, seed, number, events=16 * LENS_PER_HOUR)
        for number in range(LENS_DAY + 1)
    ]
    tell(conn, door, [(site_key, pl.concat(days[:-1]))])
    broken = pl.col("time") >= breaks_at
    fallen = pl.col("confidence") - pl.when(broken).then(0.28).otherwise(0)
    return site_key, days[-1].with_columns(confidence=fallen.clip(0, 1))


def lens_lines(
    breaks: dict[str, datetime], rows: Sequence[tuple[str, str, datetime]]
) -> list[Line]:
    """A line for every signal: how long after the break its alert opened."""
    bar = f"{len(breaks)} of {len(breaks)} within {LENS_BAR_MIN} min"
    early = sum(opened_at < breaks[site] for site, _, opened_at in rows)
    lines = [Line("alerts before the break", str(early), "0", early == 0)]
    for name in LENS_SIGNALS:
        took = [
            (at - breaks[site]).total_seconds() / 60
            for site, s, at in rows
            if s == name
        ]
        ok = len(took) == len(breaks) and max(took) <= LENS_BAR_MIN
        said = "none"
        if took:
            middle = statistics.median(took)
            said = f"{len(took)}: median {middle:.0f} min, at most {max(took):.0f} min"
        lines.append(Line(name, said, bar, ok))
    return lines
