"""`floorpulse edge`: the edge agent, which has a command line of its own.

A device runs it without floorpulse, so its options are its own and stand there once.
"""

from __future__ import annotations

import typer

SETTINGS = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    # The agent's own help is the one to show.
    "help_option_names": [],
}


def edge(context: typer.Context) -> None:
    """Events from beside a camera to the server, through a durable spool."""
    from commands import lifeline
    from etl.edge.command import main

    lifeline.watch()
    raise typer.Exit(main(context.args, "floorpulse edge"))
