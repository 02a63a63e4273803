"""`floorpulse model`: which versions there are, and two of them side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options import Json, Site, SiteArgument, option
from commands.output import note, print_json, print_table
from commands.session import database

app = typer.Typer(
    no_args_is_help=True,
    help="Model versions: when they were seen, and two side by side.",
    rich_markup_mode=None,
)


@app.command("list")
def list_(site: Site = None, as_json: Json = False) -> None:
    """Versions: first and last seen, share of the latest events, accuracy."""
    from sql.model_health.versions import list_models

    with database() as conn:
        rows = list_models(conn, site)
    if as_json:
        print_json({"models": rows})
    else:
        print_table(rows, empty="No events yet, or none that were refreshed.")


@app.command("compare")
def compare(
    site: SiteArgument,
    a: Annotated[str, typer.Argument(help="A version; '' for events that name none.")],
    b: Annotated[str, typer.Argument(help="The version to compare with it.")],
    from_: Annotated[
        str | None,
        option(
            "--from",
            "Begin, on a UTC hour; local time unless an offset is given. Default: "
            "7 days before the end.",
            metavar="TIME",
        ),
    ] = None,
    to: Annotated[
        str | None,
        option(
            "--to",
            "End. Default: the hour after the last event of either.",
            metavar="TIME",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Two versions: each measure, b less a with its 95 % interval, sample sizes."""
    from sql.model_health.versions import compare as side_by_side
    from sql.plant.moments import read_time
    from sql.plant.sites import timezone_of

    with database() as conn:
        zone = timezone_of(conn, site)
        since, until = (read_time(t, zone) if t else None for t in (from_, to))
        told = side_by_side(conn, site, (a or None, b or None), since, until)
    if as_json:
        print_json({"site": site, "version_a": a, "version_b": b} | told)
        return
    print_table([_rounded(row) for row in told["rows"]])
    note(
        f"{a or '(no version)'} and {b or '(no version)'}, {told['from'].isoformat()} "
        f"to {told['to'].isoformat()}. differs: the interval does not hold 0."
    )


def _rounded(row: dict[str, object]) -> dict[str, object]:
    """Shares and means differ by less than two digits show."""
    return {
        name: f"{value:.4f}" if isinstance(value, float) else value
        for name, value in row.items()
    }
