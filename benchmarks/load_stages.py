"""Where the time of a load goes: CPU seconds a stage, ours and the server's.

`python -m benchmarks.load_stages --rows 1000000 [--dsn URI]`

Everything runs one after another here, so that each stage can be told; a load overlaps
preparing with storing. CPU time says the same on a busy machine. The server must be on
this machine, for its CPU time is read from /proc.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.load import events, fresh
from etl.door import admit as door
from etl.door import keys as door_keys
from etl.door import parts as door_parts
from etl.door import store as door_store
from etl.door.admit import Door
from etl.files.contents import open_content
from etl.files.reading import Reading
from etl.readers.source import Source
from sql.connect import resolve_dsn

_TICKS = os.sysconf("SC_CLK_TCK")


def server_cpu_s(pid: int) -> float:
    """CPU seconds that a backend has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@dataclass
class Watch:
    """CPU seconds by stage: ours, and the backend's that commits."""

    pid: int
    spent: dict[str, list[float]] = field(
        default_factory=lambda: defaultdict(lambda: [0.0, 0.0])
    )
    _within: list[str] = field(default_factory=list)
    _last: tuple[float, float] = (0.0, 0.0)

    def _charge(self) -> None:
        now = time.process_time(), server_cpu_s(self.pid)
        if self._within:
            for at in (0, 1):
                self.spent[self._within[-1]][at] += now[at] - self._last[at]
        self._last = now

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What runs in it is charged to it, inner stages apart."""
        self._charge()
        self._within.append(name)
        try:
            yield
        finally:
            self._charge()
            self._within.pop()

    def around(self, owner: Any, name: str, stage: str) -> None:
        """Charge every call of a function to a stage."""
        inner: Callable[..., Any] = getattr(owner, name)

        def called(*arguments: Any, **options: Any) -> Any:
            with self.stage(stage):
                return inner(*arguments, **options)

        setattr(owner, name, called)


def measure(dsn: str, path: Path) -> tuple[dict[str, list[float]], int]:
    """CPU seconds by stage of one load, and its rows."""
    rows = 0
    with Source(str(path)) as source, Door(dsn) as the_door:
        watch = Watch(the_door.conn.info.backend_pid)
        watch.around(door_parts, "shape", "types and checks (shape)")
        watch.around(door_keys.KeyBook, "keyed", "keys")
        watch.around(door_keys.KeyBook, "ensure_chunks", "chunks")
        watch.around(door_parts, "_ordered", "order and repeats")
        watch.around(door_store.EventStore, "_probe", "probe")
        watch.around(door_store, "copy_rows", "COPY of events")
        watch.around(door, "dirty_ranges", "dirty ranges")
        watch.around(door, "copy_rows", "dirty ranges")
        pieces = open_content(source, Reading()).pieces()
        with watch.stage("other"):
            while True:
                with watch.stage("reading and parsing"):
                    piece = next(pieces, None)
                if piece is None:
                    break
                prepared = the_door.prepare(piece.batch)
                with watch.stage("commit, tally, notify"):
                    rows += the_door.commit(prepared, str(path)).stored
    return watch.spent, rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=500)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--dsn", help="a server on this machine")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        fresh(options.dsn or resolve_dsn()) as dsn,
    ):
        path = Path(folder, "events.csv")
        events(options.rows, options.workers, options.days).write_csv(path)
        spent, rows = measure(dsn, path)
    total = sum(ours + theirs for ours, theirs in spent.values())
    print("| stage | ours, s | server, s | of all |\n|---|---|---|---|")
    for stage, (ours, theirs) in spent.items():
        share = (ours + theirs) / total
        print(f"| {stage} | {ours:.2f} | {theirs:.2f} | {share:.0%} |")
    both = [sum(column) for column in zip(*spent.values(), strict=True)]
    print(f"| all, {rows:,} rows | {both[0]:.2f} | {both[1]:.2f} | 100% |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
