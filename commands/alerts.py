"""`floorpulse alerts`: what is wrong, who is at it, and what may wait."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from commands import channels, values
from commands.listing import Listing
from commands.options import Json, Site, option
from commands.output import print_fields, print_json, print_table
from commands.session import database

app = typer.Typer(
    no_args_is_help=True,
    help="Alerts: list, acknowledge, snooze, resolve; and who is told of them.",
    rich_markup_mode=None,
)
app.add_typer(channels.app, name="channel", cls=Listing)
app.command("test-channel")(channels.try_channel)
app.command("outbox")(channels.outbox)
app.command("resend")(channels.resend)

Number = Annotated[
    int, typer.Argument(help="The alert's number.", min=1, max=2**63 - 1)
]
Note = Annotated[str | None, option("--note", "What to say about it.")]
By = Annotated[str | None, option("--by", "Who answers (default: your account).")]
SHOWN = (
    "alert_id",
    "site_id",
    "signal",
    "subject",
    "severity",
    "alert_state",
    "opened_at",
    "acknowledged_by",
    "note",
)


@app.command("list")
def list_(
    site: Site = None,
    state: Annotated[
        str | None,
        option(
            "--state",
            "open, acknowledged, snoozed, resolved or all; without it, all that are "
            "not resolved.",
        ),
    ] = None,
    limit: Annotated[int, option("--limit", "How many at most.", min=1)] = 100,
    as_json: Json = False,
) -> None:
    """Alerts, the unresolved ones first."""
    from sql.model_health.alerts import list_alerts

    with database() as conn:
        alerts = list_alerts(conn, site, state, limit)
    if as_json:
        print_json({"alerts": alerts})
    else:
        print_table(alerts, SHOWN, empty="No alert.")


@app.command("ack")
def ack(alert: Number, note: Note = None, by: By = None, as_json: Json = False) -> None:
    """Say that you are at it."""
    from sql.model_health.alerts import acknowledge

    with database() as conn:
        _show(acknowledge(conn, alert, by or values.account(), note), as_json)


@app.command("snooze")
def snooze(
    alert: Number,
    for_: Annotated[
        str, option("--for", "How long, such as 8h, 90m or 2d; 30 days at most.")
    ] = "8h",
    note: Note = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Let it be quiet for a while."""
    from datetime import UTC, datetime, timedelta

    from sql.model_health.alerts import snooze as quiet

    until = datetime.now(UTC) + timedelta(minutes=values.length(for_, "--for"))
    with database() as conn:
        _show(quiet(conn, alert, until, by or values.account(), note), as_json)


@app.command("resolve")
def resolve(
    alert: Number, note: Note = None, by: By = None, as_json: Json = False
) -> None:
    """Say that it is over; the next check that still finds it opens it again."""
    from sql.model_health.alerts import resolve as done

    with database() as conn:
        _show(done(conn, alert, by or values.account(), note), as_json)


def _show(alert: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(alert)
    else:
        print_fields({name: alert[name] for name in (*SHOWN, "snoozed_until")})
