"""`floorpulse rejects`: parked events, to be seen, mended and sent again."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from commands.options import Json, Site, option
from commands.output import note, print_json, print_table
from commands.session import database, ready_dsn

app = typer.Typer(
    no_args_is_help=True,
    help="Parked events: see them, mend them, send them again.",
    rich_markup_mode=None,
)

ROWS_PARKED = 3
SHOWN_BYTES = 60
STATES = ("parked", "retried", "dismissed", "all")
Code = Annotated[
    str | None, option("--code", "Only those parked as this, such as bad_time.")
]
Source = Annotated[
    str | None, option("--source", "Only those of this file or other source.")
]


@app.command("list")
def list_(
    site: Site = None,
    code: Code = None,
    source: Source = None,
    state: Annotated[
        str, option("--state", "parked, retried, dismissed or all.")
    ] = "parked",
    limit: Annotated[int, option("--limit", "How many at most.", min=1)] = 50,
    as_json: Json = False,
) -> None:
    """Parked events, the newest first, and how many there are of each kind."""
    if state not in STATES:
        raise typer.BadParameter(f"--state is one of {', '.join(STATES)}")
    from etl.retry import Filter
    from sql.plant.sites import rows_of
    from sql.queries import load

    values = Filter(site, code, source).values()
    values |= {"state": None if state == "all" else state, "limit": limit}
    with database() as conn:
        codes = rows_of(conn, load("rejects")["codes"], values)
        rows = rows_of(conn, load("rejects")["list"], values)
    rows = [row | {"raw": row["raw"].decode("utf-8", "replace")} for row in rows]
    if as_json:
        print_json({"codes": codes, "rejects": rows})
        return
    print_table(codes, empty="Nothing is parked.")
    columns = ("reject_id", "code", "message", "source", "line", "seen", "raw")
    short = [row | {"raw": row["raw"][:SHOWN_BYTES]} for row in rows]
    if rows:
        print_table(short, columns)


@app.command("export")
def export(
    site: Site = None,
    code: Code = None,
    source: Source = None,
    output: Annotated[
        str, option("--output", "File to write; - is stdout.", metavar="FILE")
    ] = "-",
) -> None:
    """Write parked lines as they came, header included, to mend and load again.

    A mended file is loaded as any other; the lines parked before stay in the books.
    """
    import getpass

    from etl.retry import Filter, taken_out

    with database() as conn:
        which = Filter(site, code, source)
        content, rows = taken_out(conn, which, getpass.getuser())
    if not rows:
        note("Nothing is parked.")
        return
    if output == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    with open(output, "wb") as file:
        file.write(content)
    note(f"{rows} lines written to {output}.")


@app.command("retry")
def retry(
    site: Site = None,
    code: Code = None,
    source: Source = None,
    ids: Annotated[
        list[int] | None, option("--id", "Only this one; several times.", min=0)
    ] = None,
    replace: Annotated[
        list[str] | None,
        option(
            "--replace",
            "Read NEW where a field holds OLD (nothing before = is an absent value), "
            "such as worker_id:cam-7=W7; several times.",
            metavar="FIELD:OLD=NEW",
        ),
    ] = None,
    shift: Annotated[
        str | None,
        option("--shift", "Add this to every time: 1h, -7h30m or 90s.", metavar="TIME"),
    ] = None,
    scale: Annotated[
        list[str] | None,
        option(
            "--scale",
            "Multiply a number, such as confidence=0.01 for percent; several times.",
            metavar="FIELD=FACTOR",
        ),
    ] = None,
    dry_run: Annotated[
        bool, option("--dry-run", "Only say what would become of them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send parked events through the door again: what was wrong is mended, or mend it.

    Exit code 3: some broke a rule again and stay parked, as they came.
    """
    import getpass

    from commands.mending import mend_of
    from etl.retry import Filter, Orders
    from etl.retry import retry as send_again

    orders = Orders(getpass.getuser(), mend_of(replace, shift, scale), dry_run)
    report = send_again(ready_dsn(), Filter(site, code, source, ids), orders)
    told = {
        "read": report.read,
        "stored": report.stored,
        "duplicates": report.duplicates,
        "conflicts": report.conflicts,
    }
    if as_json:
        print_json(told | {"parked": report.parked})
    elif not report.read:
        note("Nothing that stands parked is so: `floorpulse rejects list` shows it.")
    else:
        print_table([told | {"parked": sum(report.parked.values())}])
    if report.parked or report.conflicts:
        raise typer.Exit(ROWS_PARKED)
