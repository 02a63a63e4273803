"""Real servers for the tests, one per engine, shared by the workers of pytest-xdist.

The first worker that needs an engine starts its server in the run's throw-away folder
and migrates a template database; a test gets a copy of that.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import conninfo, sql

from sql.embedded import EmbeddedServer
from sql.migrate import migrate

TEMPLATE = "floorpulse_template"
# fsync off: a test's server need not survive a power cut.
QUICK = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "2GB",
}
# Its background workers keep a connection open; CREATE DATABASE .. TEMPLATE wants none.
QUICK_TIMESCALEDB = {
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
        return EmbeddedServer(
            home=folder / self.name,
            timescaledb=self.timescaledb,
            license=self.license,
            extra_settings=QUICK | (QUICK_TIMESCALEDB if self.timescaledb else {}),
        )


def timescaledb_folder() -> Path:
    """Where a TimescaleDB build would lie."""
    return Path(
        os.environ.get("FLOORPULSE_TIMESCALEDB")
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
        with held(folder / f"{engine.name}.lock"):
            self.admin = engine.server(folder).start()
            marker = folder / f"{engine.name}.migrated"
            if not marker.exists():
                self._run("create database {}", TEMPLATE)
                migrate(self._dsn(TEMPLATE))
                marker.touch()

    def create(self, *, migrated: bool) -> str:
        """A database of a test's own: a copy of the template, or empty."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        if migrated:
            self._run(
                "create database {} template {} strategy file_copy", name, TEMPLATE
            )
        else:
            self._run("create database {}", name)
        return self._dsn(name)

    def drop(self, dsn: str) -> None:
        """Also where something is still connected."""
        name = str(conninfo.conninfo_to_dict(dsn)["dbname"])
        self._run("drop database {} with (force)", name)

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.admin, autocommit=True) as conn:
            conn.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _dsn(self, name: str) -> str:
        return with_database(self.admin, name)


def with_database(dsn: str, name: str) -> str:
    """The same server's URI for another database."""
    parts = conninfo.conninfo_to_dict(dsn)
    return to_uri(parts | {"dbname": name})


def to_uri(parts: dict[str, str | int | None]) -> str:
    """A libpq URI: every part as a parameter, so that no escaping rule is missed."""
    from urllib.parse import quote, urlencode

    dbname = quote(str(parts.pop("dbname")), safe="")
    return f"postgresql:///{dbname}?{urlencode(parts, quote_via=quote)}"
