"""What the database refused, as one line that says what to do next."""

from __future__ import annotations

import psycopg

# What PostgreSQL raises where our own functions refuse what they were asked.
OUR_OWN = ("22", "P0", "02")


def refusal(error: psycopg.Error) -> str:
    """The error with its hint, in one line."""
    if isinstance(error, psycopg.OperationalError) and not error.sqlstate:
        first = str(error).strip().splitlines()[0]
        return f"the connection to the database was lost ({first}); run it again"
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return (
            f"the database role may not do this ({error.diag.message_primary}); "
            "connect as the owner of the database"
        )
    if isinstance(
        error, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName
    ):
        return (
            f"the schema is not this version's ({error.diag.message_primary}); run "
            "`floorpulse db migrate`"
        )
    if isinstance(error, psycopg.errors.DiskFull):
        return (
            f"the disk of the database is full ({error.diag.message_primary}); free "
            "some space and run it again"
        )
    said = error.diag.message_primary or str(error).strip()
    if (error.sqlstate or "").startswith(OUR_OWN):
        return ". ".join(part for part in (said, error.diag.message_hint) if part)
    return f"the database refused: {said} (SQLSTATE {error.sqlstate})"
