"""The one place where a failure becomes a sentence and an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from commands.listing import Listing
from commands.output import complain

if TYPE_CHECKING:
    from typing import Any

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130


class Commands(Listing):
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
    from sql.refusals import refusal

    if isinstance(error, FloorpulseError):
        wrong_use = isinstance(error, BadSetting)
        return error.message, WRONG_USE if wrong_use else FAILED
    if isinstance(error, psycopg.Error):
        wrong_use = isinstance(
            error,
            psycopg.errors.InvalidParameterValue | psycopg.errors.NullValueNotAllowed,
        )
        return refusal(error), WRONG_USE if wrong_use else FAILED
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}", FAILED
    return str(error), FAILED
