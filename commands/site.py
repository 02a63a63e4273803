"""`floorpulse site`: sites and their settings."""

from __future__ import annotations

from typing import Annotated

import typer

from commands import values
from commands.options import Json, SiteArgument, ValidFrom, option
from commands.output import note, print_fields, print_json, print_table
from commands.session import database

app = typer.Typer(
    no_args_is_help=True, help="Sites and their settings.", rich_markup_mode=None
)

SETTINGS = (
    "site_id",
    "name",
    "timezone",
    "min_confidence",
    "max_state_s",
    "gap_state",
    "count_breaks",
    "registration",
    "retention_days",
    "kept_from",
)


@app.command("set")
def set_(
    site: SiteArgument,
    name: Annotated[str | None, option("--name", "A name for people.")] = None,
    timezone: Annotated[
        str | None, option("--timezone", "IANA time zone, such as Europe/Berlin.")
    ] = None,
    min_confidence: Annotated[
        float | None,
        option("--min-confidence", "Events below it count in no metric (0.7)."),
    ] = None,
    max_state_s: Annotated[
        int | None,
        option("--max-state-s", "Silence cap: seconds a state may hold (600)."),
    ] = None,
    gap_state: Annotated[
        str | None,
        option("--gap-state", "What silence after a hold is: none or idle (none)."),
    ] = None,
    registration: Annotated[
        str | None,
        option("--registration", "open: unknown ids register; strict: they park."),
    ] = None,
    retention_days: Annotated[
        int | None,
        option(
            "--retention-days",
            "Days for which events are kept, then deleted; 0: for good.",
        ),
    ] = None,
    count_breaks: Annotated[
        str | None,
        option("--count-breaks", "Whether breaks count.", metavar="true/false"),
    ] = None,
    valid_from: ValidFrom = None,
    as_json: Json = False,
) -> None:
    """Register a site, or change its settings. A change of the past restates."""
    counted = None
    if count_breaks is not None:
        counted = values.truth(count_breaks, "--count-breaks")
    from sql.plant.moments import read_since
    from sql.plant.sites import SiteChange, set_site, show_site, timezone_of

    change = SiteChange(
        timezone=timezone,
        min_confidence=min_confidence,
        max_state_s=max_state_s,
        gap_state=gap_state,
        count_breaks=counted,
        name=name,
        registration=registration,
        retention_days=retention_days,
    )
    change.check()
    with database() as conn:
        since = None
        if valid_from is not None:
            since = read_since(valid_from, timezone or timezone_of(conn, site))
        done = set_site(conn, site, change, since)
        shown = show_site(conn, site)
    if as_json:
        print_json(shown | {"restating_started": done.restatement_key is not None})
        return
    print_fields({field: shown[field] for field in SETTINGS})
    say_restating(done.restatement_key)
    if retention_days:
        note(
            f"Events older than {retention_days} days are deleted, from tomorrow on; "
            "what was counted of them stays."
        )


def say_restating(restatement_key: int | None) -> None:
    """Tell that the past is being counted again, and by whom."""
    if restatement_key is not None:
        note(
            "Past events are counted again: by the scheduler in the background, or "
            "now by `floorpulse refresh`."
        )


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every site with the settings in force."""
    from sql.plant.sites import list_sites

    with database() as conn:
        sites = list_sites(conn)
    if as_json:
        print_json({"sites": sites})
        return
    columns = (*SETTINGS, "workers", "workstations", "shifts")
    print_table(sites, columns, empty="No site yet: `floorpulse site set NAME`.")


@app.command("show")
def show(site: SiteArgument, as_json: Json = False) -> None:
    """One site: settings in force, its shifts, and what was said when."""
    from sql.plant.shifts import list_shifts
    from sql.plant.sites import show_site

    with database() as conn:
        shown = show_site(conn, site) | {"shifts": list_shifts(conn, site)}
    if as_json:
        print_json(shown)
        return
    print_fields({k: v for k, v in shown.items() if not isinstance(v, list)})
    for part in ("statements", "shifts", "restating"):
        if shown[part]:
            print_table(shown[part], title=part)
