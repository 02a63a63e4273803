"""A million old events deleted, whole chunks or row by row, beside a door in use.

`python -m benchmarks.retention --rows 1000000 --days 20 [--shared] [--dsn URI]`
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event, Thread

import polars as pl

from benchmarks.load import events, fresh, load, timed
from benchmarks.refresh import SITE, one_minute
from etl.batch import batch_of
from etl.door.admit import Door
from scheduler import retention
from scheduler.job import Work
from scheduler.refresh import refresh_site
from sql.connect import Connection, connect, resolve_dsn

KEPT_DAYS = 5
SIZES = """
    select t.name, (
        select coalesce(sum(pg_total_relation_size(i.inhrelid)), 0)::bigint / 1000000
        from pg_inherits i where i.inhparent = t.name::regclass)
    from unnest(array['floor.events', 'floor.activity']) as t (name)
"""
SUMS = """
    select count(*), round(sum(working_s)), round(sum(idle_s)), sum(units), sum(events)
    from analytics.worker_hourly where hour < %s
"""


def fill(dsn: str, asked: argparse.Namespace, folder: Path) -> None:
    """A plant of this many events, counted; shared: another one in every chunk."""
    frame = events(asked.rows, asked.workers, asked.days)
    if asked.shared:
        other = frame.gather_every(1000).with_columns(site_id=pl.lit("other"))
        frame = pl.concat([frame, other])
    path = folder / "events.csv"
    frame.write_csv(path)
    load(dsn, path)
    with connect(dsn) as conn:
        for (site,) in conn.execute("select site_id from floor.sites").fetchall():
            refresh_site(dsn, str(site))
        roll_up = "select sum(floor.roll_up_models(site_key)) from floor.sites"
        while conn.execute(roll_up).fetchone() != (0,):
            pass
        conn.execute(
            "update floor.sites set retention_days = %s,"
            " retention_set_at = '2000-01-01' where site_id = %s",
            (KEPT_DAYS, SITE),
        )
        conn.execute("analyze")


def beside(dsn: str, workers: int, ended: Event, slowest: dict[str, float]) -> None:
    """Store a minute of every worker and refresh, over and over: the slowest."""
    with Door(dsn) as door:
        while not ended.is_set():
            batch = batch_of(one_minute(datetime.now(UTC), workers))
            for what, work in (
                ("door", partial(door.admit, batch, "benchmark")),
                ("refresh", partial(refresh_site, dsn, SITE)),
            ):
                slowest[what] = max(slowest.get(what, 0), timed(work))


def run(dsn: str, conn: Connection) -> tuple[float, float, retention.Forgotten]:
    """Seconds of the whole run and of its longest step."""
    longest, step = 0.0, retention._step

    def watched(conn: Connection, site_key: int) -> tuple[str | None, int, str | None]:
        nonlocal longest
        started = time.perf_counter()
        done = step(conn, site_key)
        longest = max(longest, time.perf_counter() - started)
        return done

    retention._step = watched
    started = time.perf_counter()
    done = retention.forget(Work(dsn, conn, None, Event()))
    return time.perf_counter() - started, longest, done


def measure(dsn: str, asked: argparse.Namespace) -> bool:
    """Print what it took; whether the numbers stayed."""
    until = (datetime.now(UTC) - timedelta(days=KEPT_DAYS + 2)).replace(
        minute=0, second=0, microsecond=0
    )
    with tempfile.TemporaryDirectory() as folder, connect(dsn) as conn:
        fill(dsn, asked, Path(folder))
        sums, sizes = conn.execute(SUMS, (until,)).fetchall(), conn.execute(SIZES)
        print("MB before:", dict(sizes.fetchall()), flush=True)
        ended, slowest = Event(), dict[str, float]()
        other = Thread(target=beside, args=(dsn, asked.workers, ended, slowest))
        other.start()
        time.sleep(5)
        quiet = dict(slowest)
        slowest.clear()
        seconds, longest, done = run(dsn, conn)
        ended.set()
        other.join()
        print("done:", done.detail(), flush=True)
        print(f"run {seconds:.1f} s, longest step {longest:.2f} s")
        print("slowest before, s:", quiet, "during, s:", slowest)
        print("MB after:", dict(conn.execute(SIZES).fetchall()))
        same = conn.execute(SUMS, (until,)).fetchall() == sums
        print("numbers stay:", same)
        return same


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where a number did not stay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("--dsn")
    asked = parser.parse_args(arguments)
    with fresh(asked.dsn or resolve_dsn(), "floorpulse_retention") as dsn:
        return 0 if measure(dsn, asked) else 1


if __name__ == "__main__":
    sys.exit(main())
