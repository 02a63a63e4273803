"""`floorpulse db`: the local server, and the schema of any server."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from commands.options import Json, option
from commands.output import note, print_fields, print_json
from commands.session import is_local

app = typer.Typer(
    no_args_is_help=True,
    help="The local server, and the schema of any server.",
    rich_markup_mode=None,
)

ROLES = {
    "analyst": "floorpulse_analyst",
    "dashboard": "floorpulse_dashboard",
    "ingest": "floorpulse_ingest",
}


@app.command("start")
def start() -> None:
    """Start the local server, and bring its schema up to date."""
    from sql import embedded
    from sql.migrate import migrate

    migrate(embedded.start())
    state = embedded.status()
    note(f"The local server runs on port {state.port}; its home is {state.home}.")


@app.command("stop")
def stop() -> None:
    """Stop the local server; nothing is left running."""
    from sql import embedded

    note("Stopped." if embedded.stop() else "The local server was not running.")


@app.command("dsn")
def dsn() -> None:
    """Print a URI that psql takes as it is; starts the local server if need be."""
    from sql.connect import resolve_dsn

    print(resolve_dsn())


@app.command("migrate")
def migrate_(as_json: Json = False) -> None:
    """Bring the schema of the database to this version."""
    from sql.connect import resolve_dsn
    from sql.migrate import migrate

    report = migrate(resolve_dsn())
    if as_json:
        print_json(
            {
                "migrations": report.migrations,
                "reapplied": report.reapplied,
                "notices": report.notices,
            }
        )
        return
    for notice in report.notices:
        note(notice)
    for name in [*report.migrations, *report.reapplied]:
        print(name)
    if not report.migrations and not report.reapplied:
        note("The schema is this version's already.")


@app.command("status")
def status(as_json: Json = False) -> None:
    """What the server is, how its schema stands, and what it could do more."""
    from commands.db_status import describe

    told = describe()
    if as_json:
        print_json(told)
    else:
        print_fields(told)


@app.command(
    "psql",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def psql(
    context: typer.Context,
    as_role: Annotated[
        str | None,
        option("--as", "A role with less rights: analyst, dashboard or ingest."),
    ] = None,
) -> None:
    """Open psql on the database; arguments after -- are psql's own."""
    if as_role is not None and as_role not in ROLES:
        raise typer.BadParameter(f"--as is one of {', '.join(ROLES)}")
    from commands.psql import find_psql, role_options
    from commands.session import ready_dsn

    uri = ready_dsn()
    settings = dict(os.environ)
    if as_role is not None:
        settings["PGOPTIONS"] = role_options(uri, ROLES[as_role])
    program = find_psql(local=is_local())
    os.execve(program, [program, "-d", uri, *context.args], settings)  # noqa: S606
