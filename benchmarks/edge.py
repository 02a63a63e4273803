"""The edge agent: into its spool, out of it, and how much memory it takes.

`python -m benchmarks.edge [--dsn URI] [--folder PATH]`
Agent, server and database are processes that share the machine's cores; the agent is
the one file that a device gets. --folder is where the spool is: every commit is synced
there.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from benchmarks.http import server
from benchmarks.load import fresh
from etl.edge.pack import pack
from etl.edge.status import status
from sql.connect import resolve_dsn

EVENTS = 10_000
INTO_BAR_PER_S, DRAIN_BAR_S, MEMORY_BAR_MB = 2_000, 10.0, 60.0
# A camera writes as much at once.
_WRITTEN = 10
_NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Measured:
    """One line of the table."""

    what: str
    value: float
    unit: str
    bar: str
    ok: bool


@contextmanager
def agent(
    file: Path, spool: Path, *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The agent as a device runs it: nothing but the standard library."""
    options = ("--spool", str(spool), "--max-events", str(EVENTS))
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(file), "run", *arguments, *options],
        env={"PATH": os.environ["PATH"]},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def resident_mb(process: subprocess.Popen[bytes], name: str = "VmRSS") -> float:
    """What the process has in memory now; VmHWM: at most so far."""
    rows = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(row for row in rows if row.startswith(name)).split()[1]) / 1e3


def events() -> list[bytes]:
    """Lines of a camera that sees seven workers."""
    start = datetime.now(UTC) - timedelta(hours=2)
    kinds = ("working", "idle", "working", "product_count")
    return [
        json.dumps(
            {
                "time": (start + timedelta(milliseconds=500 * n)).isoformat(),
                "site_id": "plant",
                "worker_id": f"W{n % 7}",
                "workstation_id": f"S{n % 7}",
                "event_type": kinds[n % 4],
                "confidence": 0.91,
                "camera_id": "hall-3-cam-2",
                "model_version": "detector-4.2.1",
            }
            | ({"count": 1} if n % 4 == 3 else {})
        ).encode()
        for n in range(EVENTS)
    ]


def into_s(path: Path, rows: Sequence[bytes]) -> float:
    """Seconds until a socket has said that all lines are safe, a few at a time."""
    with socket.socket(socket.AF_UNIX) as camera:
        camera.connect(str(path))
        started = time.perf_counter()
        for at in range(0, len(rows), _WRITTEN):
            camera.sendall(b"\n".join(rows[at : at + _WRITTEN]) + b"\n")
        said = b""
        while b'{"durable": %d}\n' % len(rows) not in said:
            said += camera.recv(4096)
    return time.perf_counter() - started


def singly_s(path: Path, rows: Sequence[bytes]) -> float:
    """Seconds for lines of which each is written once the one before is safe."""
    with socket.socket(socket.AF_UNIX) as camera:
        camera.connect(str(path))
        started = time.perf_counter()
        for row in rows:
            camera.sendall(row + b"\n")
            camera.recv(4096)
    return time.perf_counter() - started


def stored(dsn: str) -> int:
    """Events in the database."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute("select count(*) from floor.events").fetchone()
    assert row is not None
    return int(row[0])


def drained_s(spool: Path) -> float:
    """Seconds until nothing waits."""
    started = time.perf_counter()
    while status(spool)["waiting"]:
        time.sleep(0.02)
    return time.perf_counter() - started


def measure(dsn: str, folder: Path) -> list[Measured]:
    """Every line of the table."""
    file, spool, address = folder / "edge.pyz", folder / "spool", folder / "socket"
    pack(file)
    rows, source = events(), f"unix://{address}?acks=1"
    with agent(file, spool, source, "--server", _NOBODY) as process:
        while not address.exists():
            time.sleep(0.05)
        time.sleep(2)
        idle_mb = resident_mb(process)
        single_s = singly_s(address, rows[:20])
        filled_s = into_s(address, rows[20:])
        full_mb = resident_mb(process, "VmHWM")
    told = status(spool)
    assert (told["waiting"], told["counters"]["received"]) == (EVENTS, EVENTS)
    with (
        server(dsn) as api,
        agent(file, spool, source, "--server", api.address) as process,
    ):
        emptied_s = drained_s(spool)
        peak_mb = max(full_mb, resident_mb(process, "VmHWM"))
    assert stored(dsn) == EVENTS
    per_s = (EVENTS - 20) / filled_s
    return [
        _line("into the spool", per_s, "events/s", INTO_BAR_PER_S, at_least=True),
        Measured("one safe before the next", single_s / 20 * 1e3, "ms each", "", True),
        _line(f"a backlog of {EVENTS:,} drained", emptied_s, "s", DRAIN_BAR_S),
        _line("idle, resident", idle_mb, "MB", MEMORY_BAR_MB),
        Measured("at most, resident", peak_mb, "MB", "", True),
    ]


def _line(
    what: str, value: float, unit: str, bar: float, *, at_least: bool = False
) -> Measured:
    ok = value >= bar if at_least else value <= bar
    return Measured(what, value, unit, f"{'>=' if at_least else '<='} {bar:,.0f}", ok)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", help="a server where databases may be created")
    parser.add_argument(
        "--folder", help="where the spool is (default: a temporary one)"
    )
    options = parser.parse_args(arguments)
    with (
        fresh(options.dsn or resolve_dsn()) as dsn,
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
    ):
        found = measure(dsn, Path(folder))
    print("| what | measured | bar | |")
    print("|---|---|---|---|")
    for line in found:
        verdict = ("met" if line.ok else "**missed**") if line.bar else ""
        print(
            f"| {line.what} | {line.value:,.1f} {line.unit} | {line.bar} | {verdict} |"
        )
    return 0 if all(line.ok for line in found) else 1


if __name__ == "__main__":
    sys.exit(main())
