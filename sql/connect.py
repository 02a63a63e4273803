"""Connections to the database, and what can go wrong on the way in one sentence."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sql import queries
from sql.errors import (
    DsnError,
    FloorpulseError,
    MissingPrivilege,
    NoDatabase,
    ServerTooOld,
)

OLDEST_SERVER = 160000

Connection = psycopg.Connection[tuple[Any, ...]]

# What libpq and the server say (they say it in words only), and what to do about it.
# More telling words stand before others that may come with them.
REFUSED = (
    ("password authentication failed", "the user name or the password is wrong"),
    ("no password supplied", "it wants a password: put it into the DSN, or ~/.pgpass"),
    ('database ".*" does not exist', "no such database: create it, or name another"),
    ('role ".*" does not exist', "no such user: create it, or name another"),
    (
        "no pg_hba.conf entry",
        "its pg_hba.conf does not let us in from here: add a line",
    ),
    ("not support SSL", "it knows no SSL: start it with SSL, or drop sslmode"),
    ("certificate", "its certificate was not accepted: check sslmode and sslrootcert"),
    ("Permission denied", "its socket is closed to this account: run as another one"),
)
# What may pass without anybody mending the DSN: NoDatabase.
ABSENT = (
    ("connection slots|too many", "all connections are taken: end some, or allow more"),
    ("starting up|recovery", "it is starting or recovering: wait, then try again"),
    ("shutting down", "it is shutting down: start it again"),
    ("(resolve|translate) host|Name or service", "no such host: check the host name"),
    ("timeout", "it does not answer: check host, port and firewall"),
    ("No route|unreachable", "it cannot be reached: check host and network"),
    ("Connection refused", "nobody listens there: start the server, or check the port"),
    ("No such file", "nobody listens there: start the server, or check the socket"),
    (
        "closed the connection|terminating connection|reset by peer",
        "it hung up: start it again, or see its log",
    ),
)


@dataclass(frozen=True)
class ServerFacts:
    """What a server is and what its database and role may do.

    `timescaledb` is the version of the extension in this database, `available` the
    one the server could install; `license` is 'timescale' or 'apache', None without
    TimescaleDB loaded.
    """

    version_num: int
    version: str
    database: str
    user: str
    superuser: bool
    may_create_roles: bool
    may_create_schemas: bool
    timescaledb: str | None
    available: str | None
    license: str | None

    @property
    def community(self) -> bool:
        """Whether the database has TimescaleDB under the Community licence."""
        return self.timescaledb is not None and self.license == "timescale"


def resolve_dsn() -> str:
    """Return FLOORPULSE_DSN, or the DSN of the local server, started on demand."""
    dsn = os.environ.get("FLOORPULSE_DSN", "").strip()
    if dsn:
        return dsn
    # Not at the top: with a DSN, nothing of the local server need work here.
    from sql import embedded  # noqa: PLC0415

    return embedded.start()


def session_conninfo(dsn: str) -> str:
    """Return the DSN with what every session of ours has: UTC, UTF-8, our name.

    What the DSN says itself about the name and the time-out stays. For pools and
    asynchronous connections; `connect` does it by itself. Raises DsnError.
    """
    parts = _parts(dsn)
    options = f"{parts.get('options') or ''} -c timezone=UTC".strip()
    own = {"application_name": "floorpulse", "connect_timeout": "10", **parts}
    return make_conninfo("", **own | {"options": options, "client_encoding": "UTF8"})


def connect(dsn: str | None = None, *, autocommit: bool = True) -> Connection:
    """Connect to a database (None: as `resolve_dsn` says), session in UTC.

    Raises NoDatabase (it is not there, or not yet), another DsnError or
    MissingPrivilege when it cannot be reached, and ServerTooOld; never
    OperationalError.
    """
    dsn = dsn or resolve_dsn()
    info = session_conninfo(dsn)
    try:
        connection = psycopg.connect(info, autocommit=autocommit)
    except psycopg.OperationalError as error:
        raise connection_error(error, dsn) from error
    try:
        check_version(connection)
    except ServerTooOld:
        connection.close()
        raise
    return connection


def check_version(connection: psycopg.Connection[Any]) -> None:
    """Raise ServerTooOld for a server before PostgreSQL 16."""
    number = connection.info.server_version
    if number < OLDEST_SERVER:
        raise ServerTooOld(
            f"The server is PostgreSQL {number // 10000}, floorpulse needs 16 or "
            "newer: upgrade it, or name another server in FLOORPULSE_DSN"
        )


def connection_error(error: psycopg.OperationalError, dsn: str) -> FloorpulseError:
    """Turn a failure to connect into one sentence that says what to do.

    Never repeats the password.
    """
    said = str(error)
    if "permission denied for database" in said:
        return MissingPrivilege(
            f"Cannot connect to {place_of(dsn)}: this user may not connect to this "
            "database: grant it CONNECT, or name another one in FLOORPULSE_DSN"
        )
    for kind, table in ((DsnError, REFUSED), (NoDatabase, ABSENT)):
        for words, advice in table:
            if re.search(words, said):
                return kind(_no_way(dsn, advice))
    reason = said.strip().splitlines()[-1]
    return DsnError(_no_way(dsn, reason.removeprefix("connection failed: ")))


def _no_way(dsn: str, advice: str) -> str:
    return f"Cannot connect to {place_of(dsn)}: {advice} (FLOORPULSE_DSN)"


def place_of(dsn: str) -> str:
    """Return where a DSN leads, without its password: user@host:port/database."""
    parts = _parts(dsn)
    host = parts.get("host") or parts.get("hostaddr") or "the local socket"
    port = f":{parts['port']}" if parts.get("port") else ""
    user = f"{parts['user']}@" if parts.get("user") else ""
    return f"{user}{host}{port}/{parts.get('dbname') or parts.get('user') or ''}"


def _parts(dsn: str) -> dict[str, Any]:
    try:
        return dict(conninfo_to_dict(dsn))
    except psycopg.ProgrammingError as error:
        # Its text may repeat the whole DSN, password included.
        raise DsnError(
            "FLOORPULSE_DSN is not a URI that libpq understands: write it as "
            "postgresql://user:password@host:5432/database, special characters in "
            "user and password percent-encoded"
        ) from error


def server_facts(connection: psycopg.Connection[Any]) -> ServerFacts:
    """Ask a server what it is and what this role may do in this database."""
    row = connection.execute(queries.load("server")["facts"]).fetchone()
    if row is None:
        raise DsnError("The server gave no answer about itself: is it PostgreSQL?")
    return ServerFacts(*row)
