"""Does drift cry wolf, does it see, and what does a check cost: five tables.

`python -m benchmarks.drift [--dsn URI] [--seeds 20] [--days 90] [--every-min 60]`

Events of simulated plants go through the door, hours are summed up from them, and
ops.check_drift judges. With checks at whole hours the events of a day are put in at
once: a check at 10:00 reads no hour from 10:00 on. With shorter steps they come so.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks import drift_cost
from benchmarks.drift_detection import broken_lenses, detections
from benchmarks.drift_plants import (
    BEGIN,
    DAY,
    HOUR,
    UnchangingPlant,
    check,
    opened,
    parts,
    tell,
)
from benchmarks.drift_rolling import lowest_means
from benchmarks.load import DATABASE, fresh
from benchmarks.refresh import Line
from etl.door.admit import Door
from sql.connect import Connection, connect, resolve_dsn
from sql.model_health.drift import SIGNALS

NEAREST = Path(__file__).with_name("drift_nearest.sql")
BASELINE_DAYS = 40
WATCHED = (*SIGNALS, "silent_camera", "silent_site")


@dataclass
class Nearest:
    """How near verdicts came to firing: 1 is the threshold."""

    conn: Connection
    text: bytes
    by_signal: dict[str, float]

    def look(self) -> None:
        """Note the verdicts of the last check."""
        for signal, near in self.conn.execute(self.text).fetchall():
            self.by_signal[signal] = max(near, self.by_signal.get(signal, 0.0))


def run_day(
    conn: Connection,
    door: Door,
    plants: dict[int, UnchangingPlant],
    number: int,
    instants: Sequence[datetime],
) -> Iterator[None]:
    """A day of all plants (by site), checked at these instants; yields after each."""
    # At whole hours no check reads what is put in ahead of it.
    ahead = all(instant.minute == 0 for instant in instants)
    days = {key: plant.day(number) for key, plant in plants.items()}
    pieces = {
        key: iter([day]) if ahead else parts(day, instants) for key, day in days.items()
    }
    for instant in instants:
        told = [
            (key, frame)
            for key, piece in pieces.items()
            if (frame := next(piece, None)) is not None
        ]
        tell(conn, door, told)
        check(conn, instant)
        yield
    # Autovacuum is slower than days that take seconds.
    conn.execute("analyze")


def false_alarms(
    server: str, seeds: Sequence[int], days: range, every_min: int
) -> list[Line]:
    """Plants without any change: alerts by signal, on these days (from 0)."""
    steps = range(every_min, 24 * 60 + 1, every_min)
    said = 0
    with fresh(server) as dsn, connect(dsn) as conn, Door(dsn) as door:
        drawn = [UnchangingPlant(seed) for seed in seeds]
        plants = {plant.open(conn, days.stop): plant for plant in drawn}
        nearest = Nearest(conn, NEAREST.read_bytes(), {})
        for number in range(max(0, days.start - BASELINE_DAYS), days.start):
            tell(conn, door, [(key, p.day(number)) for key, p in plants.items()])
        conn.execute("analyze")
        for number in days:
            instants = [BEGIN + number * DAY + m * HOUR / 60 for m in steps]
            for _ in run_day(conn, door, plants, number, instants):
                nearest.look()
            said += verdicts(conn)
            print(f"day {number + 1}: {opened(conn)}", file=sys.stderr, flush=True)
        for row in conn.execute(
            "select site_id, signal, subject, opened_at, detail from analytics.alerts"
        ).fetchall():
            print(*row, file=sys.stderr)
        found = opened(conn)
    total = sum(found.values())
    what = (
        f"all signals: {len(plants)} plants x {len(days)} days,"
        f" {len(days) * len(steps) * len(plants)} checks (every {every_min} min),"
        f" {said} verdicts at the ends of days"
    )
    lines = alarm_lines(found, nearest.by_signal)
    return [*lines, Line(what, f"{total} alerts", "<= 1", total <= 1)]


def alarm_lines(found: dict[str, int], nearest: dict[str, float]) -> list[Line]:
    """A line for every signal: its alerts, and how near it came."""
    lines = []
    for name in (*WATCHED, *sorted(set(found) - set(WATCHED))):
        near = f"; nearest {nearest[name]:.2f}" if name in nearest else ""
        lines.append(Line(name, f"{found.get(name, 0)} alerts{near}", "-", True))
    return lines


def verdicts(conn: Connection) -> int:
    """Verdicts of the last check."""
    rows = conn.execute(
        "select count(*) from ops.drift_checks where verdict <> 'not enough data'"
    ).fetchall()
    return int(rows[0][0])


def cost(server: str) -> list[Line]:
    """What a check costs, and what it costs with ten times the raw events."""
    with fresh(server) as dsn, connect(dsn) as conn:
        took = drift_cost.measure(conn)
    with (
        fresh(server) as dsn,
        fresh(server, f"{DATABASE}_more") as more_dsn,
        connect(dsn) as few,
        connect(more_dsn) as many,
    ):
        pairs = drift_cost.compare(few, many)
    bar_ms, middle = drift_cost.BAR_MS, statistics.median
    what = f"{drift_cost.CAMERAS} cameras x {drift_cost.DAYS} days of hours"
    events = f"{drift_cost.EVENTS:,} raw events in these days"
    lines = [
        Line(
            name,
            f"median {middle(times):.0f} ms, best {min(times):.0f} ms,"
            f" worst {max(times):.0f} ms",
            f"median <= {bar_ms} ms",
            middle(times) <= bar_ms,
        )
        for name, times in (
            (f"a check of {what}, {took.verdicts} verdicts", took.checks),
            ("the first check ever, the first after each UTC midnight", took.first),
            ("a check that learns 32 cameras' weeks, too", took.learning),
        )
    ]
    in_turns = [
        Line(
            name, f"median {middle(times):.0f} ms, best {min(times):.0f} ms", "-", True
        )
        for name, times in (
            (f"with {events}", pairs.few),
            (f"with {10 * drift_cost.EVENTS:,}, in turns with these", pairs.many),
        )
    ]
    time_ratio = middle(pairs.many) / middle(pairs.few)
    pages_ratio = pairs.many_pages / pairs.few_pages
    pages = f"{pages_ratio:.3f} ({pairs.few_pages:,} and {pairs.many_pages:,} pages)"
    return [
        *lines,
        *in_turns,
        Line(
            "10 times the events: medians",
            f"{time_ratio:.2f}",
            "<= 1.2",
            time_ratio <= 1.2,
        ),
        Line("10 times the events: pages", pages, "<= 1.01", pages_ratio <= 1.01),
    ]


def show(title: str, lines: list[Line]) -> bool:
    """Print a table; whether every bar is met."""
    print(f"\n### {title}\n\n| what | measured | bar | |\n|---|---|---|---|")
    for line in lines:
        met = "" if line.bar == "-" else "met" if line.ok else "MISSED"
        print(f"| {line.what} | {line.measured} | {line.bar} | {met} |", flush=True)
    return all(line.ok for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument(
        "--first-day", type=int, default=1, help="days before it are not judged"
    )
    parser.add_argument(
        "--every-min", type=int, default=60, help="minutes between checks"
    )
    parser.add_argument("--only", choices=("cost", "detection", "rolling", "alarms"))
    parser.add_argument("--dsn", help="a server where databases may be created")
    asked = parser.parse_args(arguments)
    if 24 * 60 % asked.every_min:
        parser.error("--every-min: a day is a whole number of them")
    server = asked.dsn or resolve_dsn()
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    met = True
    if asked.only in (None, "cost"):
        met &= show("What a check costs", cost(server))
    if asked.only in (None, "detection"):
        title = "A drop from 0.88 to 0.82 (standard deviation 0.06), 1,000 events a day"
        met &= show(title, detections(server, seeds))
        title = (
            "A lens that breaks (0.88 to 0.6), 120 events an hour, checks every 15 min"
        )
        met &= show(title, broken_lenses(server, seeds))
    if asked.only in (None, "rolling"):
        lines = lowest_means(seeds, asked.days)
        met &= show("The last 100 events of plants that do not change", lines)
    if asked.only in (None, "alarms"):
        days = range(asked.first_day - 1, asked.days)
        lines = false_alarms(server, seeds, days, asked.every_min)
        met &= show("Alerts of plants that do not change", lines)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
