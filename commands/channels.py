"""`floorpulse alerts channel`, `test-channel`, `outbox`, `resend`: who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import values
from commands.options import Json, option
from commands.output import note, print_fields, print_json, print_table
from commands.session import database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.model_health.channels import ChannelTerms

app = typer.Typer(
    no_args_is_help=True,
    help="Channels that are told of alerts: added, changed, removed, listed.",
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="The channel's name.")]
UrlEnv = Annotated[
    str | None,
    option("--url-env", "Environment variable of the scheduler that holds the URL."),
]
UrlFile = Annotated[
    str | None, option("--url-file", "File that holds the URL and nothing else.")
]
Sites = Annotated[
    list[str] | None,
    option("--site", "A site it tells of; several times; all without it."),
]
Severity = Annotated[
    str | None,
    option("--severity", "The least it tells: warning, critical, or none: digests."),
]
On = Annotated[
    str | None,
    option(
        "--on",
        "What happens to an alert and is told: opened, reopened, acknowledged, "
        "snoozed, woken, resolved, commas between.",
    ),
]
DigestWhen = Annotated[
    str | None,
    option("--digest", "At the end of a shift: never, news (if any), always."),
]
QuietHours = Annotated[
    list[str] | None,
    option(
        "--quiet",
        "Quiet hours of the site's clock: 22:00-06:00, or 'sat-sun 00:00-24:00'; "
        "several times.",
    ),
]
Pierce = Annotated[
    str | None, option("--pierce", "What is told in them too: critical or none.")
]
Unchecked = Annotated[
    bool,
    option("--unchecked", "Do not look at the URL: only the scheduler can see it."),
]
SHOWN = (
    "name",
    "url",
    "sites",
    "severity",
    "digest",
    "quiet",
    "channel_state",
    "waiting",
    "given_up",
    "last_delivered_at",
    "last_error",
)
MESSAGES = (
    "message_id",
    "channel",
    "site_id",
    "alert_id",
    "transition",
    "message_state",
    "queued_at",
    "attempts",
    "settled_at",
    "message_error",
)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Channels, and how they do."""
    from sql.model_health.channels import list_channels

    with database() as conn:
        channels = [_public(channel) for channel in list_channels(conn)]
    if as_json:
        print_json({"channels": channels})
        return
    empty = "No channel: `floorpulse alerts channel add` makes one."
    print_table([_readable(channel) for channel in channels], SHOWN, empty=empty)


@app.command("add")
def add(
    name: Name,
    url_env: UrlEnv = None,
    url_file: UrlFile = None,
    site: Sites = None,
    severity: Severity = None,
    on: On = None,
    digest: DigestWhen = None,
    quiet: QuietHours = None,
    pierce: Pierce = None,
    unchecked: Unchecked = False,
    as_json: Json = False,
) -> None:
    """Tell somebody of alerts, from the next one on."""
    from sql.model_health.channels import add_channel, channel_of

    terms = _terms(url_env, url_file, site, severity, on, digest, quiet, pierce)
    terms.check()
    if not unchecked:
        _check_url(terms.url_env, terms.url_file)
    with database() as conn:
        add_channel(conn, name, terms, values.account())
        _show(channel_of(conn, name), as_json)
    note(f"`floorpulse alerts test-channel {name}` sends a test.")


@app.command("change")
def change(
    name: Name,
    url_env: UrlEnv = None,
    url_file: UrlFile = None,
    site: Sites = None,
    all_sites: Annotated[bool, option("--all-sites", "Tell of every site.")] = False,
    severity: Severity = None,
    on: On = None,
    digest: DigestWhen = None,
    quiet: QuietHours = None,
    no_quiet: Annotated[bool, option("--no-quiet", "No quiet hours.")] = False,
    pierce: Pierce = None,
    enabled: Annotated[
        str | None, option("--enabled", "false: tell nothing for now; true: again.")
    ] = None,
    unchecked: Unchecked = False,
    as_json: Json = False,
) -> None:
    """Change a channel; what is not said stays. It is tried again at once."""
    from dataclasses import replace

    from sql.model_health.channels import change_channel, channel_of

    if (site and all_sites) or (quiet and no_quiet):
        raise typer.BadParameter("it is one or the other", param_hint="--all, --no")
    terms = _terms(url_env, url_file, site, severity, on, digest, quiet, pierce)
    if enabled is not None:
        terms = replace(terms, enabled=values.truth(enabled, "--enabled"))
    if all_sites:
        terms = replace(terms, sites=())
    if no_quiet:
        terms = replace(terms, quiet=())
    terms.check()
    if not unchecked and (url_env is not None or url_file is not None):
        _check_url(url_env, url_file)
    with database() as conn:
        change_channel(conn, name, terms, values.account())
        _show(channel_of(conn, name), as_json)


@app.command("remove")
def remove(name: Name) -> None:
    """End a channel; what it was still to be told is dropped."""
    from sql.model_health.channels import remove_channel

    with database() as conn:
        dropped = remove_channel(conn, name, values.account())
    note(f"Channel {name} is removed; {dropped} messages were dropped.")


def try_channel(name: Name, as_json: Json = False) -> None:
    """Send a test message now, from here; exit code 1 if it does not arrive."""
    from threading import Event

    from scheduler.messages import trial_message
    from scheduler.notify import base_url
    from scheduler.post import Place, post
    from sql.errors import NotDelivered
    from sql.model_health.channels import channel_of

    with database() as conn:
        channel = channel_of(conn, name)
    place = Place(channel["url_env"], channel["url_file"])
    outcome = post(place, trial_message(name, base_url()), Event())
    if outcome.error is not None:
        raise NotDelivered(f"Channel {name}: {outcome.error}")
    if as_json:
        print_json({"channel": name, "delivered": True})
    else:
        note(f"Channel {name} took a test message.")


def outbox(
    channel: Annotated[
        str | None, option("--channel", "The channel; all of them without it.")
    ] = None,
    state: Annotated[
        str | None,
        option("--state", "waiting, delivered, failed (given up) or dropped."),
    ] = None,
    limit: Annotated[int, option("--limit", "How many at most.", min=1)] = 100,
    as_json: Json = False,
) -> None:
    """What channels were told, and what waits or was given up, and why."""
    from sql.model_health.channels import list_outbox

    with database() as conn:
        messages = list_outbox(conn, channel, state, limit)
    if as_json:
        print_json({"messages": messages})
    else:
        print_table(messages, MESSAGES, empty="No message.")


def resend(
    channel: Annotated[
        str | None, option("--channel", "The channel; all of them without it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Have what was given up, or waits for its next try, sent at once."""
    from sql.model_health.channels import send_again

    with database() as conn:
        count = send_again(conn, channel)
    if as_json:
        print_json({"messages": count})
    else:
        note(f"{count} messages are sent again with the scheduler's next pass.")


def _terms(
    url_env: str | None,
    url_file: str | None,
    site: list[str] | None,
    severity: str | None,
    on: str | None,
    digest: str | None,
    quiet: list[str] | None,
    pierce: str | None,
) -> ChannelTerms:
    from sql.model_health.channels import ChannelTerms

    return ChannelTerms(
        url_env=url_env,
        url_file=url_file,
        sites=site or None,
        severity=severity,
        transitions=on.replace(" ", "").split(",") if on is not None else None,
        digest=digest,
        pierce=pierce,
        quiet=[values.quiet_hours(text) for text in quiet] if quiet else None,
    )


def _check_url(url_env: str | None, url_file: str | None) -> None:
    """Refuse a URL that Apprise does not know, or that is not there."""
    from scheduler.post import Place, check
    from sql.errors import BadSetting

    if url_env is None and url_file is None:
        return
    error = check(Place(url_env, url_file))
    if error is not None:
        raise BadSetting(
            f"{error[:1].upper()}{error[1:]}. See docs/notifications.md for URLs; "
            "--unchecked leaves the look to the scheduler"
        )


def _public(channel: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in channel.items() if name != "channel_key"}


def _show(channel: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(_public(channel))
        return
    readable = _readable(channel)
    more = ("transitions", "pierce")
    print_fields({name: readable[name] for name in (*SHOWN[:7], *more)})


def _readable(channel: dict[str, Any]) -> dict[str, Any]:
    file = channel["url_file"]
    url = f"${channel['url_env']}" if file is None else file
    sites = channel["sites"] or "all"
    return channel | {"url": url, "sites": sites, "quiet": _hours(channel["quiet"])}


def _hours(quiet: Sequence[dict[str, Any]]) -> list[str]:
    said = []
    for hours in quiet:
        days = values.days_text(hours["weekdays"])
        start = values.minute_of_day(hours["start"])
        end = start + hours["length_min"]
        last = "24:00" if end == 24 * 60 else f"{end // 60 % 24:02d}:{end % 60:02d}"
        said.append(f"{days} {hours['start']}-{last}")
    return said
