"""What the local server holds from its first start: owner, database, extension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql as compose
from psycopg.conninfo import make_conninfo

from sql.errors import ServerError
from sql.local_server.state import ServerRecord

Connection = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True)
class Furnished:
    """The version of TimescaleDB in the database, and whether the server loads it."""

    timescaledb: str | None
    loaded: bool


def furnish(record: ServerRecord) -> Furnished:
    """Make what is missing and tell what there is. Raises ServerError.

    The extension is created for a database without a schema only: one that was
    migrated plain stays plain, and can be served without TimescaleDB.
    """
    try:
        return _furnish(record)
    except psycopg.Error as error:
        raise ServerError(
            f"The local server answers but fails ({str(error).splitlines()[-1]}): see "
            f"its log in {record.data / 'log'} and run this again"
        ) from error


def _furnish(record: ServerRecord) -> Furnished:
    with _connection(record.superuser_dsn()) as connection:
        if not _holds(connection, "select from pg_roles where rolname = 'floorpulse'"):
            _create_owner(connection, record.password)
        databases = "select from pg_database where datname = 'floorpulse'"
        if not _holds(connection, databases):
            connection.execute("create database floorpulse owner floorpulse")
        libraries = connection.execute("show shared_preload_libraries").fetchone()
        loaded = "timescaledb" in str(libraries)
    # As the owner, who can then update the extension without a superuser.
    with _connection(record.dsn()) as connection:
        schemas = "select from pg_namespace where nspname = 'floor'"
        version = _extension_version(connection)
        if loaded and version is None and not _holds(connection, schemas):
            connection.execute("create extension timescaledb")
            version = _extension_version(connection)
    return Furnished(version, loaded)


def _connection(dsn: str) -> Connection:
    # What the caller set for other servers (PGSSLMODE, PGOPTIONS ..) is not for this.
    ours = {"hostaddr": "127.0.0.1", "sslmode": "disable", "options": ""}
    return psycopg.connect(make_conninfo(dsn, **ours), autocommit=True)


def _holds(connection: Connection, query: LiteralString) -> bool:
    return connection.execute(query).fetchone() is not None


def _create_owner(connection: Connection, password: str) -> None:
    """Create the owner: no superuser, but able to make roles and databases."""
    verifier = connection.pgconn.encrypt_password(
        password.encode(), b"floorpulse", b"scram-sha-256"
    )
    create = "create role floorpulse login createrole createdb password {}"
    with connection.transaction():
        connection.execute(compose.SQL(create).format(verifier.decode()))
        connection.execute("grant pg_monitor, pg_signal_backend to floorpulse")


def _extension_version(
    connection: Connection,
) -> str | None:
    query = "select extversion from pg_extension where extname = 'timescaledb'"
    row = connection.execute(query).fetchone()
    return None if row is None else str(row[0])
