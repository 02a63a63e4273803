"""What the local server holds from its first start: owner, database, extension."""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg import sql as compose

from sql.embedded_state import ServerRecord
from sql.embedded_timescale import TimescaleBuild
from sql.errors import ServerError

Connection = psycopg.Connection[tuple[object, ...]]


def furnish(record: ServerRecord, build: TimescaleBuild | None) -> str | None:
    """Make what is missing; return the version of TimescaleDB in the database.

    The extension is created for a database without a schema only: one that was
    migrated plain stays plain, and can be served without TimescaleDB.
    """
    with _superuser_connection(record, "postgres") as connection:
        if not _holds(connection, "select from pg_roles where rolname = 'floorpulse'"):
            _create_owner(connection, record.password)
        databases = "select from pg_database where datname = 'floorpulse'"
        if not _holds(connection, databases):
            connection.execute("create database floorpulse owner floorpulse")
    with _superuser_connection(record, "floorpulse") as connection:
        installed = _extension_version(connection)
        schemas = "select from pg_namespace where nspname = 'floor'"
        if installed or not build or _holds(connection, schemas):
            return installed
    # As the owner, who can then update it without a superuser.
    with psycopg.connect(record.dsn(), autocommit=True) as owner:
        owner.execute("create extension timescaledb")
    return build.version


def _superuser_connection(record: ServerRecord, database: str) -> Connection:
    try:
        return psycopg.connect(record.superuser_dsn(database), autocommit=True)
    except psycopg.OperationalError as error:
        raise ServerError(
            f"The local server answers but refuses us ({str(error).splitlines()[-1]}): "
            "see its log in " + str(record.data / "log")
        ) from error


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
