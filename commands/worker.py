"""`floorpulse worker`: who works, by what name or pseudonym."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options import Json, Site, SiteArgument, option
from commands.output import note, print_json, print_table
from commands.session import database

app = typer.Typer(
    no_args_is_help=True, help="Workers and their names.", rich_markup_mode=None
)


@app.command("set")
def set_(
    site: SiteArgument,
    worker: Annotated[str, typer.Argument(help="The worker's id.")],
    name: Annotated[str | None, option("--name", "A name for people.")] = None,
    pseudonym: Annotated[
        str | None, option("--pseudonym", "A name that tells nobody who it is.")
    ] = None,
) -> None:
    """Name a worker, who is registered if need be."""
    from sql.plant.registry import set_worker

    with database() as conn:
        set_worker(conn, site, worker, name=name, pseudonym=pseudonym)
    note(f"Worker {worker} of site {site} is set.")


@app.command("list")
def list_(site: Site = None, as_json: Json = False) -> None:
    """Workers, those that events made known included."""
    from sql.plant.registry import list_workers

    with database() as conn:
        workers = list_workers(conn, site)
    if as_json:
        print_json({"workers": workers})
    else:
        print_table(workers, empty="No workers yet: events make them known.")
