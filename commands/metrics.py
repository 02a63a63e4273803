"""`floorpulse metrics`: every metric of a window, as SQL gives it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.options import Json, Site, option
from commands.output import print_json, print_table, shown
from commands.session import database

if TYPE_CHECKING:
    from sql.connect import Connection

app = typer.Typer(
    no_args_is_help=True,
    help="Metrics of a window: the last 24 hours unless told otherwise.",
    rich_markup_mode=None,
)

HOUR = timedelta(hours=1)
WINDOW = timedelta(hours=24)
From = Annotated[
    str | None,
    option(
        "--from",
        "Begin of the window, on a UTC hour: a time or a date, local unless an offset "
        "is given. Default: 24 hours before its end.",
        metavar="TIME",
    ),
]
To = Annotated[
    str | None,
    option(
        "--to",
        "End of the window. Default: the UTC hour after the site's last refresh.",
        metavar="TIME",
    ),
]
Shift = Annotated[str | None, option("--shift", "One shift; all without it.")]
ByDate = Annotated[
    bool,
    option(
        "--by-date",
        "Take --from and --to as production dates, both included: whole local days "
        "and night shifts.",
    ),
]


@app.command("factory")
def factory(
    site: Site = None,
    from_: From = None,
    to: To = None,
    shift: Shift = None,
    by_date: ByDate = False,
    as_json: Json = False,
) -> None:
    """One row for the site, or for all sites together."""
    _show(
        "factory",
        site=site,
        from_=from_,
        to=to,
        shift=shift,
        by_date=by_date,
        as_json=as_json,
    )


@app.command("workers")
def workers(
    site: Site = None,
    from_: From = None,
    to: To = None,
    shift: Shift = None,
    by_date: ByDate = False,
    as_json: Json = False,
) -> None:
    """A row per worker that is registered."""
    _show(
        "worker",
        site=site,
        from_=from_,
        to=to,
        shift=shift,
        by_date=by_date,
        as_json=as_json,
    )


@app.command("workstations")
def workstations(
    site: Site = None,
    from_: From = None,
    to: To = None,
    shift: Shift = None,
    by_date: ByDate = False,
    as_json: Json = False,
) -> None:
    """A row per workstation that is registered."""
    _show(
        "workstation",
        site=site,
        from_=from_,
        to=to,
        shift=shift,
        by_date=by_date,
        as_json=as_json,
    )


def _show(
    level: str,
    *,
    site: str | None,
    from_: str | None,
    to: str | None,
    shift: str | None,
    by_date: bool,
    as_json: bool,
) -> None:
    from sql.plant.sites import rows_of
    from sql.queries import load

    with database() as conn:
        if site is None and level != "factory":
            site = _only_site(conn)
        window = (
            _dates(conn, site, from_, to) if by_date else _times(conn, site, from_, to)
        )
        query = f"{level}_metrics_by_date" if by_date else f"{level}_metrics"
        values = {"site": site, "from": window[0], "to": window[1], "shift": shift}
        rows = rows_of(conn, load("cli")[query], values)
    if as_json:
        print_json(values | {"rows": rows})
        return
    bounds = " to ".join(shown("", bound) for bound in window)
    title = f"{site or 'all sites'}, {shift or 'all shifts'}, {bounds}"
    print_table(rows, title=title, empty=f"No {level} yet.")


def _only_site(conn: Connection) -> str:
    """The site that is meant when there is but one."""
    from sql.errors import UnknownSite
    from sql.queries import load

    sites = [row[0] for row in conn.execute(load("cli")["site_ids"])]
    if not sites:
        raise UnknownSite("There is no site yet: `floorpulse load` or `site set` it")
    if len(sites) > 1:
        raise typer.BadParameter(f"say --site, one of {', '.join(sites)}")
    return str(sites[0])


def _times(
    conn: Connection, site: str | None, from_: str | None, to: str | None
) -> tuple[datetime, datetime]:
    from sql.plant.moments import read_time
    from sql.plant.sites import timezone_of

    zone = timezone_of(conn, site)
    end = read_time(to, zone) if to else _next_hour(_last_now(conn, site))
    return read_time(from_, zone) if from_ else end - WINDOW, end


def _dates(
    conn: Connection, site: str | None, from_: str | None, to: str | None
) -> tuple[date, date]:
    from sql.plant.sites import timezone_of
    from sql.plant.zones import zone

    today = _last_now(conn, site).astimezone(zone(timezone_of(conn, site))).date()
    end = _date(to, "--to") if to else today
    return _date(from_, "--from") if from_ else end, end


def _date(text: str, flag: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no date: write it as 2026-03-01", param_hint=flag
        ) from error


def _last_now(conn: Connection, site: str | None) -> datetime:
    from sql.queries import load

    row: Any = conn.execute(load("cli")["last_now"], {"site": site}).fetchone()
    return row[0] or datetime.now(UTC)


def _next_hour(at: datetime) -> datetime:
    """The UTC hour that ends at or after an instant."""
    return at + (datetime(1970, 1, 1, tzinfo=UTC) - at) % HOUR
