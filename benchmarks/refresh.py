"""From events to numbers: cutting, live refreshes, and reading, in ratios of one run.

`python -m benchmarks.refresh --rows 5000000 --workers 500 --days 10 [--dsn URI]`
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl

from benchmarks.load import baseline_s, events, fresh, load, settle, timed
from etl.batch import batch_of
from etl.door.admit import Door
from scheduler.refresh import refresh_with
from sql.connect import Connection, connect, resolve_dsn

SITE = "plant-1"
QUERIES = Path(__file__).with_name("refresh.sql")
LIVE_MINUTES = 15
READS = 40


@dataclass(frozen=True)
class Line:
    """One line of the table: what, measured, bar, and whether it is met."""

    what: str
    measured: str
    bar: str
    ok: bool


def queries() -> dict[str, str]:
    """The blocks of refresh.sql by name."""
    blocks = QUERIES.read_text("utf-8").split("-- name: ")[1:]
    named = (block.split(" --\n", 1) for block in blocks)
    return {name: text.split("\n", 1)[1].strip().rstrip(";") for name, text in named}


def cut_s(conn: Connection, now: datetime) -> tuple[float, float]:
    """Seconds of the first refresh after a load: cutting, and the rest (aggregates)."""
    last_step = started = time.perf_counter()

    def note(rows: int) -> None:
        nonlocal last_step
        del rows
        last_step = time.perf_counter()

    refresh_with(conn, SITE, now, on_progress=note)
    return last_step - started, time.perf_counter() - last_step


def live_ms(dsn: str, conn: Connection, now: datetime, workers: int) -> list[float]:
    """Milliseconds of refreshes, each after one new minute of every worker."""
    taken = []
    with Door(dsn) as door:
        for minute in range(1, LIVE_MINUTES + 1):
            at = now + timedelta(minutes=minute)
            door.admit(batch_of(one_minute(at, workers)), "benchmark")
            taken.append(1000 * timed(partial(refresh_with, conn, SITE, at)))
    return taken


def one_minute(until: datetime, workers: int) -> pl.DataFrame:
    """A state of every worker within the minute before `until`, as a file has it."""
    worker = pl.int_range(workers, eager=True).cast(pl.String).str.zfill(4)
    times = [
        (until - timedelta(milliseconds=50 * (i % 1000) + 100)).isoformat()
        for i in range(workers)
    ]
    return pl.DataFrame(
        {
            "time": times,
            "site_id": [SITE] * workers,
            "worker_id": "worker-" + worker,
            "workstation_id": "bench-" + worker,
            "event_type": ["working", "idle"] * (workers // 2)
            + ["working"] * (workers % 2),
            "confidence": ["0.9"] * workers,
        }
    )


def grow(conn: Connection, times: int, days: int) -> None:
    """Put copies of the whole history before it: events, pieces and aggregates."""
    named = queries()
    first, last, rows = conn.execute(named["span"]).fetchall()[0]
    for copy in range(1, times):
        shift = timedelta(days=(days + 1) * copy)
        part = {"shift": shift, "first": first, "last": last}
        conn.execute(named["make_room"], (first - shift, last - shift, rows))
        for name in ("copy_events", "copy_activity"):
            conn.execute(named[name], part)
        if conn.execute(named["has_rollups"]).fetchone():
            for what in ("hourly", "site", "daily", "presence", "days"):
                conn.execute(named[f"copy_{what}"], part)
    for (statement,) in conn.execute(named["materialize"]).fetchall():
        conn.execute(str(statement).encode())
    conn.execute("analyze")


def read_ms(
    conn: Connection, query: str, window: dict[str, object], times: int = READS
) -> list[float]:
    """Milliseconds of one query, answer fetched, so many times after a first."""
    conn.execute(query, window).fetchall()
    return [
        1000 * timed(lambda: conn.execute(query, window).fetchall())
        for _ in range(times)
    ]


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def read_lines(conn: Connection, now: datetime) -> Iterator[Line]:
    """Seven days from the aggregates against the same from events with lead()."""
    named = queries()
    to_time = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    window = {"site": SITE, "from": to_time - timedelta(days=7), "to": to_time}
    for what in ("leaderboard", "trend"):
        fast = read_ms(conn, named[what], window)
        slow = read_ms(conn, named[f"{what}_raw"], window, times=3)
        ratio = statistics.median(slow) / statistics.median(fast)
        yield Line(
            f"7-day {what} from the aggregates, against lead() over events",
            f"{ratio:.0f} times faster, p95 {p95(fast):.0f} ms",
            ">= 10 times, p95 <= 50 ms",
            ratio >= 10 and p95(fast) <= 50,
        )


def measure(
    server_dsn: str, rows: int, workers: int, days: int, history: int
) -> Iterator[Line]:
    """Every line of the table, on one server."""
    with tempfile.TemporaryDirectory() as folder, fresh(server_dsn) as dsn:
        path = Path(folder, "full.csv")
        events(rows, workers, days).write_csv(path)
        base = baseline_s(dsn, path)
        load(dsn, path)
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        now = today - timedelta(days=1)  # where the file's events end
        with connect(dsn) as conn:
            conn.execute("drop table public.baseline")
            settle(server_dsn)
            yield from cut_lines(conn, base, now)
            conn.execute("analyze")
            before = statistics.median(live_ms(dsn, conn, now, workers))
            yield live_line(conn, before, workers)
            yield from read_lines(conn, now)
            if history > 1:
                grow(conn, history, days)
                # The same minutes of another hour: an hour's pieces grow as it passes.
                later = now + timedelta(hours=1)
                grown = statistics.median(live_ms(dsn, conn, later, workers))
                yield grown_line(before, grown, history)


def cut_lines(conn: Connection, base: float, now: datetime) -> Iterator[Line]:
    """All events into pieces, and those into aggregates."""
    cut, rest = cut_s(conn, now)
    yield Line(
        "cutting all events, calendar included, against psql's COPY",
        f"{base / cut:.2f} times its rows/s ({cut:.1f} s; COPY {base:.1f} s)",
        ">= 2",
        base / cut >= 2,
    )
    yield Line("aggregating all of it", f"{rest:.1f} s", "-", True)


def live_line(conn: Connection, live: float, workers: int) -> Line:
    """A live refresh against the bar of its engine."""
    plain = conn.execute(queries()["has_rollups"]).fetchone() is not None
    bar = 100 if plain else 200
    return Line(
        f"refresh after one new minute of {workers} workers, median",
        f"{live:.0f} ms",
        f"<= {bar} ms",
        live <= bar,
    )


def grown_line(before: float, grown: float, history: int) -> Line:
    """The same refresh when there is more history."""
    return Line(
        f"the same refresh with {history} times the history",
        f"{grown:.0f} ms, {grown / before:.2f} of that",
        "<= 1.2",
        grown / before <= 1.2,
    )


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--workers", type=int, default=500)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--history", type=int, default=10, help="times the history")
    parser.add_argument("--dsn", help="a server where databases may be created")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a bar is missed."""
    asked = options(arguments)
    missed = 0
    print("| what | measured | bar | |\n|---|---|---|---|", flush=True)
    for line in measure(
        asked.dsn or resolve_dsn(), asked.rows, asked.workers, asked.days, asked.history
    ):
        verdict = "met" if line.ok else "MISSED"
        print(f"| {line.what} | {line.measured} | {line.bar} | {verdict} |", flush=True)
        missed |= not line.ok
    return missed


if __name__ == "__main__":
    sys.exit(main())
