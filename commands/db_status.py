"""What `db status` tells: the server, the schema, and what the server could do more."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from commands.session import is_local

if TYPE_CHECKING:
    from sql.connect import Connection, ServerFacts


def describe() -> dict[str, Any]:
    """Everything about server and schema; a stopped local server stays stopped."""
    from sql.connect import resolve_dsn

    told: dict[str, Any] = {}
    if is_local():
        from sql import embedded

        local = embedded.status()
        told = {name: _plain(value) for name, value in asdict(local).items()}
        if local.state != "running":
            return told
    return told | describe_database(resolve_dsn())


def describe_database(dsn: str) -> dict[str, Any]:
    """The same of a database that can be reached."""
    from sql.connect import connect, server_facts
    from sql.migrate import status
    from sql.queries import load

    state = status(dsn)
    with connect(dsn) as conn:
        facts = server_facts(conn)
        size = conn.execute(load("cli")["size"]).fetchone()
        more = could_do_more(conn, facts) if state.applied else []
    return {
        "server": f"PostgreSQL {facts.version}",
        "database": facts.database,
        "user": facts.user,
        "size_bytes": size[0] if size else None,
        "timescaledb": facts.timescaledb,
        "license": facts.license,
        "timescaledb_available": facts.available,
        "hypertables": state.hypertables,
        "continuous_aggregates": state.continuous_aggregates,
        "schema": _schema(state.current, bool(state.applied)),
        "migrations_pending": state.pending,
        "could_do_more": more,
    }


def _plain(value: object) -> object:
    return value if isinstance(value, int | None) else str(value)


def _schema(current: bool, applied: bool) -> str:
    if current:
        return "current"
    return "older: run `floorpulse db migrate`" if applied else "not there yet"


def could_do_more(conn: Connection, facts: ServerFacts) -> list[str]:
    """What the server offers and this installation, fixed when it was made, leaves."""
    from sql.queries import load

    row = conn.execute(load("cli")["engine"]).fetchone()
    if row is None:
        return []
    hypertables, continuous = bool(row[0]), bool(row[1])
    move = (
        "it is fixed at the first migrate: load the data into a new database to use it"
    )
    more = []
    if not hypertables and facts.timescaledb:
        more.append(
            f"TimescaleDB {facts.timescaledb} is installed and not used; {move}"
        )
    elif not hypertables and facts.available:
        more.append(f"TimescaleDB {facts.available} is available and not used; {move}")
    elif hypertables and not continuous and facts.license == "timescale":
        more.append(
            "The server has TimescaleDB's Community licence now, and aggregates are "
            f"still plain tables; {move}"
        )
    elif hypertables and facts.license == "apache":
        more.append(
            "TimescaleDB runs under the Apache licence: the Community build would keep "
            "continuous aggregates and compress old data"
        )
    return more
