"""Loading into chunks that are compressed already (TimescaleDB Community only).

`python -m benchmarks.load_columnstore --rows 200000 [--dsn URI]`

Half of the events are loaded and their chunks compressed; then all of them come, so
that every second row is a duplicate. Counts and table must be what they are without.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg

from benchmarks.load import events, fresh, load
from sql.connect import resolve_dsn

_SETTINGS = """
alter table floor.events set (timescaledb.compress,
    timescaledb.compress_segmentby = 'site_key, worker_key',
    timescaledb.compress_orderby = 'time, workstation_key, event_type')
"""
_COMPRESS = """
select count(compress_chunk(c)) from show_chunks('floor.events') c
"""
_SAME = """
select count(*), count(distinct (worker_key, time, workstation_key, event_type)),
    sum(extract(epoch from time)), sum(confidence::float8)
from floor.events
"""


def filled(dsn: str, half: Path, full: Path, *, compress: bool) -> tuple[float, object]:
    """Seconds of the second load, and what the table then holds."""
    load(dsn, half)
    with psycopg.connect(dsn, autocommit=True) as conn:
        if compress:
            conn.execute(_SETTINGS)
            conn.execute(_COMPRESS)
        seconds, said = load(dsn, full)
        held = conn.execute(_SAME).fetchone()
        again_s, again = load(dsn, full)
        assert again["stored"] == 0, again
        assert conn.execute(_SAME).fetchone() == held
    kind = "compressed" if compress else "rowstore"
    print(
        f"| {kind} | {seconds:.1f} | {again_s:.1f} | {said['stored']:,} |", flush=True
    )
    return seconds, (held, said["stored"], said["duplicates"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where compressed chunks give another result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=500)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--dsn", help="a server with TimescaleDB Community")
    options = parser.parse_args(arguments)
    server = options.dsn or resolve_dsn()
    with tempfile.TemporaryDirectory() as folder:
        full, half = Path(folder, "full.csv"), Path(folder, "half.csv")
        frame = events(options.rows, options.workers, options.days)
        frame.write_csv(full)
        frame.gather_every(2).write_csv(half)
        print(
            "| chunks | half new, s | all duplicates, s | stored |\n|---|---|---|---|"
        )
        results = []
        for compress in (False, True):
            with fresh(server) as dsn:
                results.append(filled(dsn, half, full, compress=compress))
    (plain_s, plain), (packed_s, packed) = results
    print(f"\ncompressed takes {packed_s / plain_s:.1f} times as long")
    return 0 if plain == packed else 1


if __name__ == "__main__":
    sys.exit(main())
