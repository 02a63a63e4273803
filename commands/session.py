"""The database a command works on: found, started and migrated where it is ours."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from commands.output import note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sql.connect import Connection


def is_local() -> bool:
    """Whether the local server is meant: no DSN is given."""
    return not os.environ.get("FLOORPULSE_DSN", "").strip()


def ready_dsn() -> str:
    """The DSN of a database whose schema is this version's.

    The local database is started and migrated on the way; the schema of a server that
    a DSN names is somebody's own decision: NotMigrated says what to run.
    """
    import psycopg

    from sql.connect import resolve_dsn
    from sql.errors import NotMigrated
    from sql.migrate import migrate, status

    dsn = resolve_dsn()
    try:
        state = status(dsn)
    except psycopg.errors.InsufficientPrivilege:
        # A role that may only read or ingest: what it may not, it will be told.
        return dsn
    if state.current:
        return dsn
    if is_local():
        note(
            "Preparing the local database ..." if not state.applied else "Migrating ..."
        )
        migrate(dsn)
        return dsn
    if not state.applied:
        raise NotMigrated
    raise NotMigrated(
        "The schema of this database is older than this version of floorpulse: run "
        "`floorpulse db migrate`"
    )


@contextmanager
def database() -> Iterator[Connection]:
    """A connection to the ready database, closed at the end."""
    from sql.connect import connect

    with connect(ready_dsn()) as conn:
        yield conn
