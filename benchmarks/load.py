"""Loading files: rows/s against psql's own COPY of the same file, on the same server.

`python -m benchmarks.load --rows 5000000 --workers 500 --days 10 [--dsn URI]`
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from commands.psql import find_psql
from sql.connect import connect, resolve_dsn
from sql.migrate import migrate

DATABASE = "floorpulse_benchmark"
MEMORY_BAR_MB = 500
STATES = ("working", "idle", "absent", "product_count")
# One load in a process of its own: its memory is that of `floorpulse load`.
_CHILD = """
import json, pathlib, re, sys
from etl.files.load import load_file
report = load_file(sys.argv[1], sys.argv[2])
# Not getrusage: its maximum is the parent's where that was more.
status = pathlib.Path("/proc/self/status").read_text()
peak_mb = int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) // 1024
said = {"stored": report.stored, "duplicates": report.duplicates, "peak_mb": peak_mb}
print(json.dumps(said))
"""
# The same by several processes; the memory is that of the largest of them.
_CREW = """
import json, resource, sys
from etl.files.crew import Crew
from etl.files.reading import Reading
(result,) = Crew(sys.argv[1], Reading(), 2).load([sys.argv[2]])
assert result.error is None, result.error
peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
report = result.report
said = {"stored": report.stored, "duplicates": report.duplicates, "peak_mb": peak_mb}
print(json.dumps(said))
"""
_BASELINE = """
create table public.baseline (
    time timestamptz not null, site_id text not null, worker_id text not null,
    workstation_id text not null, event_type text not null, confidence real not null,
    count integer,
    unique (site_id, worker_id, workstation_id, event_type, time))
"""


@dataclass(frozen=True)
class Measured:
    """One line of the table: seconds, and rows/s as a multiple of the baseline's."""

    what: str
    rows: int
    seconds: float
    ratio: float
    bar: float
    peak_mb: int | None = None

    @property
    def ok(self) -> bool:
        fits = self.peak_mb is None or self.peak_mb <= MEMORY_BAR_MB
        return self.ratio >= self.bar and fits


def events(rows: int, workers: int, days: int, seed: int = 7) -> pl.DataFrame:
    """Events of a plant in the order of their time, no two of one identity."""
    rng = np.random.default_rng(seed)
    start_ms = (int(time.time()) // 86_400 - days - 1) * 86_400_000
    worker = rng.integers(0, workers, rows)
    frame = pl.DataFrame(
        {
            "time": np.sort(rng.integers(0, days * 86_400_000, rows)) + start_ms,
            "worker": worker,
            "bench": (worker + rng.integers(0, 3, rows)) % workers,
            "type": rng.choice(4, rows, p=[0.4, 0.3, 0.1, 0.2]),
            "confidence": np.round(rng.normal(0.88, 0.05, rows).clip(0, 1), 3),
        }
    )
    identity = ["time", "worker", "bench", "type"]
    return frame.unique(identity, keep="first", maintain_order=True).select(
        time=pl.from_epoch("time", "ms").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
        site_id=pl.lit("plant-1"),
        worker_id=pl.format("worker-{}", pl.col("worker").cast(pl.String).str.zfill(4)),
        workstation_id=pl.format(
            "bench-{}", pl.col("bench").cast(pl.String).str.zfill(4)
        ),
        event_type=pl.col("type").replace_strict(range(4), STATES),
        confidence="confidence",
        count=pl.when(pl.col("type") == 3).then(1),
    )


def arrays_of(documents: Sequence[dict[str, object]], size: int) -> list[bytes]:
    """Events as JSON arrays of so many each."""
    starts = range(0, len(documents), size)
    return [orjson.dumps(documents[at : at + size]) for at in starts]


def count_of(dsn: str) -> int:
    """How many events are stored."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute("select count(*) from floor.events").fetchone()
    return int(row[0]) if row else 0


def require_stored(dsn: str, rows: int) -> None:
    """What was answered or acknowledged is there, each once."""
    found = count_of(dsn)
    assert found == rows, (found, rows)


@contextmanager
def fresh(server_dsn: str, database: str = DATABASE) -> Iterator[str]:
    """A migrated database of its own, dropped afterwards."""
    name = Identifier(database)
    with connect(server_dsn) as conn:
        conn.execute(SQL("drop database if exists {} with (force)").format(name))
        conn.execute(SQL("create database {}").format(name))
        dsn = make_conninfo(server_dsn, dbname=database)
        try:
            migrate(dsn)
            yield dsn
        finally:
            conn.execute(SQL("drop database {} with (force)").format(name))


def settle(server_dsn: str) -> None:
    """Write out what earlier steps left to be written, for the next to begin clean.

    CHECKPOINT is for the privileged; a database that goes makes one, too.
    """
    name = Identifier(f"{DATABASE}_settle")
    with connect(server_dsn) as conn:
        conn.execute(SQL("create database {}").format(name))
        conn.execute(SQL("drop database {}").format(name))


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def baseline_s(dsn: str, path: Path) -> float:
    """Seconds that psql's COPY takes into a plain table with the unique key on text."""
    psql = find_psql(local=True)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("drop table if exists public.baseline")
        conn.execute(_BASELINE)
    command = f"\\copy public.baseline from '{path}' csv header"
    arguments = [psql, "-X", "-q", dsn, "-v", "ON_ERROR_STOP=1", "-c", command]
    return timed(lambda: subprocess.run(arguments, check=True))


def load(dsn: str, path: Path, how: str = _CHILD) -> tuple[float, dict[str, int]]:
    """Seconds and counts of one load, the process's start included."""
    started = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "-c", how, dsn, str(path)],
        check=True,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    seconds = time.perf_counter() - started
    counts: dict[str, int] = json.loads(said.stdout)
    return seconds, counts


def measure(server_dsn: str, rows: int, workers: int, days: int) -> list[Measured]:
    """Every line of the table, on one server."""
    with tempfile.TemporaryDirectory() as folder:
        full, half = Path(folder, "full.csv"), Path(folder, "half.csv")
        frame = events(rows, workers, days)
        frame.write_csv(full)
        frame.gather_every(2).write_csv(half)
        rows = frame.height
        del frame
        with fresh(server_dsn) as dsn:
            base = baseline_s(dsn, full)
            found = [Measured("psql copy, text keys", rows, base, 1.0, 1.0)]
        with fresh(server_dsn) as dsn:
            for what, bar in (("load, all new", 1.3), ("load, all duplicates", 1.0)):
                seconds, said = load(dsn, full)
                ratio = base / seconds
                found.append(Measured(what, rows, seconds, ratio, bar, said["peak_mb"]))
        with fresh(server_dsn) as dsn:
            seconds, said = load(dsn, full, _CREW)
            assert said["stored"] == rows, said
            what, one_job = "load --jobs 2, all new", found[1]
            bar = 1.5 * one_job.ratio
            ratio = base / seconds
            found.append(Measured(what, rows, seconds, ratio, bar, said["peak_mb"]))
        with fresh(server_dsn) as dsn:
            load(dsn, half)
            seconds, said = load(dsn, full)
            assert said["duplicates"] == (rows + 1) // 2, said
            what = "load, every second row a duplicate"
            ratio = base / seconds
            found.append(Measured(what, rows, seconds, ratio, 1.0, said["peak_mb"]))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--workers", type=int, default=500)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--dsn", help="a server where databases may be created")
    options = parser.parse_args(arguments)
    found = measure(
        options.dsn or resolve_dsn(), options.rows, options.workers, options.days
    )
    print("| what | seconds | rows/s | ratio | bar | memory |")
    print("|---|---|---|---|---|---|")
    for line in found:
        memory = f"{line.peak_mb} MB" if line.peak_mb else ""
        print(
            f"| {line.what} | {line.seconds:.1f} | {line.rows / line.seconds:,.0f} "
            f"| {line.ratio:.2f} | {line.bar:.2g} | {memory} |"
        )
    return 0 if all(line.ok for line in found) else 1


if __name__ == "__main__":
    sys.exit(main())
