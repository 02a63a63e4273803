"""Lists of commands that are read to their end, whatever the width of the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperGroup

if TYPE_CHECKING:
    from typing import Any

WHOLE = 1000


class Listing(TyperGroup):
    """A group that folds what its commands say of themselves, and cuts none of it."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Names, and beside them the first sentence of each."""
        named = [
            (name, self.get_command(ctx, name)) for name in self.list_commands(ctx)
        ]
        rows = [
            (name, command.get_short_help_str(WHOLE))
            for name, command in named
            if command is not None and not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)
