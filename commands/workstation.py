"""`floorpulse workstation`: where work is done."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options import Json, Site, SiteArgument, option
from commands.output import note, print_json, print_table
from commands.session import database

app = typer.Typer(
    no_args_is_help=True, help="Workstations and their names.", rich_markup_mode=None
)


@app.command("set")
def set_(
    site: SiteArgument,
    workstation: Annotated[str, typer.Argument(help="The workstation's id.")],
    name: Annotated[str | None, option("--name", "A name for people.")] = None,
) -> None:
    """Name a workstation, which is registered if need be."""
    from sql.plant.registry import set_workstation

    with database() as conn:
        set_workstation(conn, site, workstation, name=name)
    note(f"Workstation {workstation} of site {site} is set.")


@app.command("list")
def list_(site: Site = None, as_json: Json = False) -> None:
    """Workstations, those that events made known included."""
    from sql.plant.registry import list_workstations

    with database() as conn:
        workstations = list_workstations(conn, site)
    if as_json:
        print_json({"workstations": workstations})
    else:
        print_table(workstations, empty="No workstations yet: events make them known.")
