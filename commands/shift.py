"""`floorpulse shift`: the shifts of a site, with their breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from commands import values
from commands.options import Json, Site, SiteArgument, ValidFrom, option
from commands.output import print_json, print_table
from commands.session import database
from commands.site import say_restating

if TYPE_CHECKING:
    from sql.connect import Connection
    from sql.plant.moments import Since
    from sql.plant.sites import Changed

app = typer.Typer(
    no_args_is_help=True, help="The shifts of a site.", rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(help="The shift's name.")]
DAYS_HELP = "Weekdays on which it starts: mon-fri, or mon,tue."
START_HELP = "Local time of day at which it starts: 06:00."
LENGTH_HELP = "How long it lasts on the wall clock: 8h, 480m or 7h30m."
BREAK_HELP = "A break inside it: 12:00+30m. May be given several times."
Breaks = Annotated[
    list[str] | None, option("--break", BREAK_HELP, metavar="START+LENGTH")
]


@app.command("add")
def add(
    site: SiteArgument,
    name: Name,
    days: Annotated[str, option("--days", DAYS_HELP)],
    start: Annotated[str, option("--start", START_HELP)],
    length: Annotated[str, option("--length", LENGTH_HELP)],
    breaks: Breaks = None,
    valid_from: ValidFrom = None,
    as_json: Json = False,
) -> None:
    """Add a shift, or other weekdays of one there is. Overlaps are refused."""
    from sql.plant.shifts import Pattern, add_shift

    pattern = Pattern(
        values.weekdays(days),
        values.minute_of_day(start),
        values.length(length),
        tuple(values.pause(text) for text in breaks or ()),
    )
    with database() as conn:
        since = _since(conn, site, valid_from)
        done = add_shift(conn, site, name, pattern, since)
        _report(conn, site, done, as_json)


@app.command("change")
def change(
    site: SiteArgument,
    name: Name,
    days: Annotated[str | None, option("--days", DAYS_HELP)] = None,
    start: Annotated[str | None, option("--start", START_HELP)] = None,
    length: Annotated[str | None, option("--length", LENGTH_HELP)] = None,
    breaks: Breaks = None,
    no_breaks: Annotated[bool, option("--no-breaks", "Drop its breaks.")] = False,
    valid_from: ValidFrom = None,
    as_json: Json = False,
) -> None:
    """Change how a shift runs from an instant on; what is not given stays.

    With --days one pattern takes the place of all that the shift has.
    """
    if breaks and no_breaks:
        raise typer.BadParameter("--break and --no-breaks exclude each other")
    if not (days or start or length or breaks or no_breaks):
        raise typer.BadParameter("say what to change: --days, --start, --length ...")
    from sql.plant.shifts import ShiftChange, change_shift

    paused = tuple(values.pause(text) for text in breaks or ())
    asked = ShiftChange(
        values.weekdays(days) if days else None,
        values.minute_of_day(start) if start else None,
        values.length(length) if length else None,
        paused if breaks or no_breaks else None,
    )
    with database() as conn:
        since = _since(conn, site, valid_from)
        done = change_shift(conn, site, name, asked, since)
        _report(conn, site, done, as_json)


@app.command("end")
def end(
    site: SiteArgument,
    name: Name,
    valid_from: ValidFrom = None,
    as_json: Json = False,
) -> None:
    """Let a shift run no longer, from an instant on."""
    from sql.plant.shifts import end_shift

    with database() as conn:
        done = end_shift(conn, site, name, _since(conn, site, valid_from))
        _report(conn, site, done, as_json)


@app.command("list")
def list_(site: Site = None, as_json: Json = False) -> None:
    """Shifts, with the days and hours they hold for."""
    with database() as conn:
        _print_shifts(conn, site, as_json)


def _since(conn: Connection, site: str, valid_from: str | None) -> Since | None:
    if valid_from is None:
        return None
    from sql.plant.moments import read_since
    from sql.plant.sites import timezone_of

    return read_since(valid_from, timezone_of(conn, site))


def _report(conn: Connection, site: str, done: Changed, as_json: bool) -> None:
    _print_shifts(conn, site, as_json)
    say_restating(done.restatement_key)


def _print_shifts(conn: Connection, site: str | None, as_json: bool) -> None:
    from sql.plant.shifts import list_shifts

    shifts = list_shifts(conn, site)
    if as_json:
        print_json({"shifts": shifts})
        return
    rows = [
        shift
        | {
            "days": values.days_text(shift["weekdays"]),
            "length": f"{shift['length_min'] // 60}h{shift['length_min'] % 60:02d}m",
            "valid_from": shift["valid_from"] or "beginning",
        }
        for shift in shifts
    ]
    columns = "site_id name days start length breaks valid_from valid_to in_force"
    empty = "No shifts: the site is scheduled around the clock."
    print_table(rows, columns.split(), empty=empty)
