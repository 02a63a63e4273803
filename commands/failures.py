"""The one place where a failure becomes a sentence and an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup

from commands.output import complain

if TYPE_CHECKING:
    from typing import Any

    import psycopg

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130
# What PostgreSQL raises where our own functions refuse what they were asked.
REFUSALS = ("22", "P0", "02")


class Commands(TyperGroup):
    """The commands, with an end for every error that says what to do next."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; no failure that we know of leaves a traceback."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.BadParameter, typer.Abort, BrokenPipeError):
            # Wrong use, and a reader that has gone (`... | head`): typer's to end.
            raise
        except KeyboardInterrupt as stop:
            complain("interrupted; what was committed stays, run it again to go on")
            raise typer.Exit(INTERRUPTED) from stop
        except _known() as error:
            sentence, code = _told(error)
            complain(sentence)
            raise typer.Exit(code) from error


def _known() -> tuple[type[Exception], ...]:
    """Looked up when something failed: a command that works loads no driver for it."""
    import psycopg

    from sql.errors import FloorpulseError

    return FloorpulseError, psycopg.Error, OSError


def _told(error: Exception) -> tuple[str, int]:
    import psycopg

    from sql.errors import BadSetting, FloorpulseError

    if isinstance(error, FloorpulseError):
        wrong_use = isinstance(error, BadSetting)
        return error.message, WRONG_USE if wrong_use else FAILED
    if isinstance(error, psycopg.Error):
        return _database(error), FAILED
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}", FAILED
    return str(error), FAILED


def _database(error: psycopg.Error) -> str:
    """What the database refused, and its hint, in one line."""
    import psycopg

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
    said = error.diag.message_primary or str(error).strip()
    if (error.sqlstate or "").startswith(REFUSALS):
        return ". ".join(part for part in (said, error.diag.message_hint) if part)
    return f"the database refused: {said} (SQLSTATE {error.sqlstate})"
