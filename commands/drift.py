"""`floorpulse drift`: what the models' signals say, and where they fire."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options import Json, Site, SiteArgument, option
from commands.output import note, print_fields, print_json, print_table
from commands.session import database

app = typer.Typer(
    no_args_is_help=True,
    help="Model health: verdicts and their thresholds.",
    rich_markup_mode=None,
)

SHOWN = (
    "site_id",
    "signal",
    "model_version",
    "camera_id",
    "span",
    "verdict",
    "current",
    "baseline",
    "threshold",
    "sample",
)


@app.command("check")
def check(
    site: Site = None,
    now: Annotated[
        str | None,
        option(
            "--now",
            "The instant to look back from (default the clock). UTC, or with --site "
            "the site's local time, unless an offset is given.",
            metavar="TIME",
        ),
    ] = None,
    every: Annotated[
        bool, option("--every", "Show every verdict, not only what drifts.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Judge every signal now, and bring the alerts up to date."""
    from sql.model_health.drift import recorded_check, verdicts
    from sql.plant.moments import read_time
    from sql.plant.sites import timezone_of

    with database() as conn:
        at = None if now is None else read_time(now, timezone_of(conn, site))
        checked = recorded_check(conn, site, at)
        rows = verdicts(conn, site)
    drifting = [row for row in rows if row["verdict"] == "drifting"]
    if as_json:
        print_json({"sites_checked": checked, "verdicts": rows})
        return
    print_table(rows if every else drifting, SHOWN, empty="Nothing drifts.")
    unknown = sum(row["verdict"] == "not enough data" for row in rows)
    note(
        f"{checked} sites checked: {len(drifting)} of {len(rows)} verdicts drifting, "
        f"{unknown} without enough data."
    )


@app.command("set")
def set_(
    site: SiteArgument,
    confidence_drop: Annotated[
        float | None,
        option("--confidence-drop", "Fraction by which the mean may fall (0.15)."),
    ] = None,
    confidence_low: Annotated[
        float | None,
        option("--confidence-low", "Mean confidence that is too low (0.75)."),
    ] = None,
    confidence_spread: Annotated[
        float | None,
        option("--confidence-spread", "Standard deviation that is too wide (0.20)."),
    ] = None,
    confidence_shape: Annotated[
        float | None,
        option("--confidence-shape", "Stability index of the histogram (0.25)."),
    ] = None,
    rolling_low: Annotated[
        float | None,
        option("--rolling-low", "Mean of the last 100 events that is too low (0.75)."),
    ] = None,
    rolling_hold_s: Annotated[
        int | None,
        option("--rolling-hold-s", "Seconds for which it must have been (600)."),
    ] = None,
    state_mix: Annotated[
        float | None, option("--state-mix", "Stability index of the states (0.25).")
    ] = None,
    rate_shift: Annotated[
        float | None,
        option("--rate-shift", "Robust standard deviations of units (5)."),
    ] = None,
    rate_share: Annotated[
        float | None,
        option("--rate-share", "Fraction by which units must differ, too (0.10)."),
    ] = None,
    silent_after_s: Annotated[
        int | None,
        option("--silent-after-s", "Seconds of silence during a shift (1800)."),
    ] = None,
    parked_share: Annotated[
        float | None,
        option("--parked-share", "Fraction parked in an hour (0.01)."),
    ] = None,
    retrain_after_h: Annotated[
        int | None,
        option(
            "--retrain-after-h", "Hours for which a confidence signal must hold (48)."
        ),
    ] = None,
    accuracy_low: Annotated[
        float | None,
        option("--accuracy-low", "Share of right verdicts that is too low (0.85)."),
    ] = None,
    accuracy_events: Annotated[
        int | None,
        option("--accuracy-events", "Verdicts that accuracy needs (50)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Set thresholds of a site, from the next check on; without options show them."""
    import getpass

    from sql.model_health.drift import Thresholds, set_thresholds

    change = Thresholds(
        confidence_drop=confidence_drop,
        confidence_low=confidence_low,
        confidence_spread=confidence_spread,
        confidence_shape=confidence_shape,
        rolling_low=rolling_low,
        rolling_hold_s=rolling_hold_s,
        state_mix=state_mix,
        rate_shift=rate_shift,
        rate_share=rate_share,
        silent_after_s=silent_after_s,
        parked_share=parked_share,
        retrain_after_h=retrain_after_h,
        accuracy_low=accuracy_low,
        accuracy_events=accuracy_events,
    )
    change.check()
    with database() as conn:
        shown = set_thresholds(conn, site, change, getpass.getuser())
    if as_json:
        print_json({"site_id": site} | shown)
        return
    # As they are set: fractions, and seconds as a number.
    print_fields({"site_id": site} | {k: f"{v:g}" for k, v in shown.items()})
