"""`floorpulse refresh`: what events changed, into activity and aggregates, at once."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options import Json, Site, option
from commands.output import print_json, print_table
from commands.session import database, ready_dsn

SHOWN = ("site_id", "now", "ranges", "rows", "seconds")


def refresh(
    site: Site = None,
    now: Annotated[
        str | None,
        option(
            "--now",
            "With --site only: the instant at which running states are clipped and up "
            "to which metrics count. Local time unless an offset is given.",
            metavar="TIME",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Refresh what changed; returns when metrics show it."""
    if now is not None and site is None:
        raise typer.BadParameter("--now needs --site: each site has its own now")
    from scheduler.refresh import refresh_all, refresh_site
    from sql.plant.moments import read_time
    from sql.plant.sites import timezone_of

    dsn = ready_dsn()
    if site is None:
        reports = refresh_all(dsn)
    else:
        at = None
        if now is not None:
            with database() as conn:
                at = read_time(now, timezone_of(conn, site))
        reports = [refresh_site(dsn, site, at)]
    rows = [{name: getattr(r, name) for name in SHOWN} for r in reports]
    if as_json:
        print_json({"sites": rows})
    else:
        print_table(rows, empty="No site yet: nothing to refresh.")
