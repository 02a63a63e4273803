"""Real servers for the tests, one per engine, shared by the workers of pytest-xdist.

The first worker that needs an engine starts its server in the run's throw-away folder
and migrates a template database; a test gets a copy of that. Who needs a plant with a
past gets a copy of further templates: the demo plant, told once, and refreshed once.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from tempfile import mkdtemp
from urllib.parse import quote, urlencode

import psycopg
from psutil import virtual_memory
from psycopg import conninfo, sql

from sql.embedded import EmbeddedServer
from sql.migrate import migrate
from tests.support.demo import load_demo, refresh_demo

# What the run was told, for its workers, from whom the product's own settings are kept.
TIMESCALEDB_OF_RUN = "FLOORPULSE_TEST_TIMESCALEDB"
EMPTY = "floorpulse"
MIGRATED = "floorpulse_template"
DEMO = "floorpulse_demo"
REFRESHED = "floorpulse_demo_refreshed"
SETTINGS = {"max_connections": "60", "shared_buffers": "64MB", "max_wal_size": "512MB"}
# A copy of a template is hundreds of small files: 13 ms in memory, 160 to 500 on disk.
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - in a folder of the run's own
ENOUGH = 8 << 30
# Background workers keep a connection open; CREATE DATABASE .. TEMPLATE wants none.
TIMESCALEDB_SETTINGS = {
    "timescaledb.max_background_workers": "0",
    "timescaledb.telemetry_level": "off",
}


@dataclass(frozen=True)
class Engine:
    """What a server can do: plain, TimescaleDB Community, TimescaleDB Apache."""

    name: str
    timescaledb: Path | None = None
    license: str = "timescale"

    def server(self, folder: Path) -> EmbeddedServer:
        """Its server below this folder, fast and not durable."""
        return EmbeddedServer(
            folder / self.name,
            timescaledb=self.timescaledb or "none",
            license=self.license,
            extra_settings=SETTINGS
            | (TIMESCALEDB_SETTINGS if self.timescaledb else {}),
            durable=False,
        )


def timescaledb_folder() -> Path:
    """Where a TimescaleDB build would lie."""
    return Path(
        os.environ.get(TIMESCALEDB_OF_RUN)
        or os.environ.get("FLOORPULSE_TIMESCALEDB")
        or Path.home() / ".local/share/floorpulse/timescaledb"
    )


def engines_found() -> dict[str, Engine]:
    """Every engine that this machine has."""
    found = {"plain": Engine("plain")}
    folder = timescaledb_folder()
    if (folder / "extension").is_dir() and (folder / "lib").is_dir():
        found["community"] = Engine("community", folder)
        found["apache"] = Engine("apache", folder, license="apache")
    return found


def folder_of_run() -> Path:
    """Throw-away, in memory where there is enough of it."""
    free = disk_usage(IN_MEMORY).free if IN_MEMORY.is_dir() else 0
    is_roomy = min(free, virtual_memory().available) >= ENOUGH
    prefix = "floorpulse-tests-"
    return Path(mkdtemp(prefix=prefix, dir=IN_MEMORY if is_roomy else None))


@contextmanager
def held(path: Path) -> Iterator[None]:
    """One process at a time."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Databases:
    """Databases of one engine's server."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self._folder = folder
        with held(folder / f"{engine.name}.lock"):
            self._own = engine.server(folder).start()
            self._once(MIGRATED, EMPTY, migrate)

    def create(self, template: str = MIGRATED) -> str:
        """A database of a test's own: a copy of one of the templates."""
        if template in (DEMO, REFRESHED):
            with held(self._folder / f"{self.engine.name}.lock"):
                self._once(DEMO, MIGRATED, load_demo)
                if template == REFRESHED:
                    self._once(REFRESHED, DEMO, refresh_demo)
        name = f"t_{uuid.uuid4().hex[:12]}"
        self._copy(template, name)
        return self._dsn(name)

    def _once(self, template: str, base: str, fill: Callable[[str], object]) -> None:
        """Make a template, unless one of the workers has; the lock is the caller's."""
        marker = self._folder / f"{self.engine.name}.{template}"
        if not marker.exists():
            self._copy(base, template)
            fill(self._dsn(template))
            marker.touch()

    def drop(self, dsn: str) -> None:
        """Also where something is still connected."""
        name = str(conninfo.conninfo_to_dict(dsn)["dbname"])
        self._run("drop database {} with (force)", name)

    def _copy(self, template: str, name: str) -> None:
        self._run("create database {} template {} strategy file_copy", name, template)

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._dsn("template1"), autocommit=True) as conn:
            conn.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _dsn(self, name: str) -> str:
        return with_database(self._own, name)


def with_database(dsn: str, name: str) -> str:
    """The same server's URI for another database."""
    parts = conninfo.conninfo_to_dict(dsn) | {"dbname": name}
    return f"postgresql://?{urlencode(parts, quote_via=quote)}"
