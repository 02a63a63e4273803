"""`floorpulse camera`: which cameras there are, and which are expected to send."""

from __future__ import annotations

from typing import Annotated

import typer

from commands import values
from commands.options import Json, Site, SiteArgument, option
from commands.output import note, print_json, print_table
from commands.session import database

app = typer.Typer(
    no_args_is_help=True,
    help="Cameras, and when each is expected to send.",
    rich_markup_mode=None,
)

RECORD = ("may_miss_s", "may_stop_s")


@app.command("list")
def list_(site: Site = None, as_json: Json = False) -> None:
    """Cameras: last seen, expected by whom, what silence each may keep."""
    from sql.plant.registry import list_cameras

    with database() as conn:
        cameras = list_cameras(conn, site)
    if as_json:
        print_json({"cameras": cameras})
        return
    rows = [
        {name: value for name, value in camera.items() if name not in RECORD}
        | {name.removesuffix("_s"): _hours(camera[name]) for name in RECORD}
        for camera in cameras
    ]
    print_table(rows, empty="No cameras yet: events make them known.")


@app.command("expect")
def expect(
    site: SiteArgument,
    camera: Annotated[
        str, typer.Argument(help="The camera's id; * in it stands for anything.")
    ],
    expected: Annotated[
        str,
        typer.Argument(
            help="always: silence in a shift is an alert; learned: as its record "
            "says; never: no alert (a spare, a removed one).",
            metavar="always|learned|never",
        ),
    ],
    by: Annotated[str | None, option("--by", "Who says so (default: you).")] = None,
    as_json: Json = False,
) -> None:
    """Say when a camera is to send, from the next check on."""
    from sql.plant.registry import expect_cameras

    with database() as conn:
        who = by or values.account()
        told = expect_cameras(conn, site, camera, expected, who)
    if as_json:
        print_json({"cameras": told, "expected": expected})
        return
    note(f"Expected {expected}: {', '.join(told)} of site {site}.")


def _hours(seconds: float | None) -> str | None:
    """A while on a clock without days: 26:30 h."""
    if seconds is None:
        return None
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02d} h"
