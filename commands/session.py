"""The database a command works on: found, started and migrated where it is ours."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from commands.output import note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sql.connect import Connection

# Between two attempts to reach a database that is absent, and between two sentences.
PAUSE_S = (0.25, 5.0)
SAY_EVERY_S = 60.0


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


def awaited_dsn() -> str:
    """`ready_dsn` for a process that runs for long: waits where no database answers.

    What waiting does not mend (a wrong password, no schema) is raised as ever.
    """
    import psycopg

    from sql.errors import NoDatabase

    pause_s, said, say_at_s = PAUSE_S[0], "", 0.0
    while True:
        try:
            dsn = ready_dsn()
        except (NoDatabase, psycopg.OperationalError) as error:
            reason = str(error).strip().split("\n")[0]
            if reason != said or time.monotonic() > say_at_s:
                note(f"{reason}. Waiting for it; Ctrl-C ends this.")
                said, say_at_s = reason, time.monotonic() + SAY_EVERY_S
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_S[1])
        else:
            if said:
                note("The database is there.")
            return dsn


@contextmanager
def database() -> Iterator[Connection]:
    """A connection to the ready database, closed at the end."""
    from sql.connect import connect

    with connect(ready_dsn()) as conn:
        yield conn
