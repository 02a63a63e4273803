"""`floorpulse key`: who may send and read over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options import Json, option
from commands.output import note, print_fields, print_json, print_table
from commands.session import database

app = typer.Typer(
    no_args_is_help=True,
    help="Keys of the HTTP API: made, listed, revoked.",
    rich_markup_mode=None,
)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What the key is called.")],
    allow: Annotated[
        list[str] | None,
        option(
            "--allow",
            "What it may: ingest (the default), files, read, rejects, validate or "
            "retrain; several times.",
        ),
    ] = None,
    site: Annotated[
        list[str] | None,
        option("--site", "A site it is for; several times; all without it."),
    ] = None,
    event_type: Annotated[
        list[str] | None,
        option("--event-type", "An event type it may send; several times."),
    ] = None,
    camera: Annotated[
        list[str] | None,
        option(
            "--camera",
            "A camera it may send for, or a pattern such as 'hall-3-*'; several times.",
        ),
    ] = None,
    camera_group: Annotated[
        str | None, option("--camera-group", "What you call these cameras.")
    ] = None,
    events_per_s: Annotated[
        float, option("--events-per-s", "The rate it may send for long.")
    ] = 5_000.0,
    expires: Annotated[
        str | None,
        option("--expires", "When it ends: a time, or a date (UTC).", metavar="TIME"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it, this once."""
    import getpass

    from sql.keys import KeyTerms, create_key
    from sql.plant.moments import read_time

    terms = KeyTerms(
        allows=allow or ("ingest",),
        sites=site or None,
        event_types=event_type or None,
        cameras=camera or None,
        camera_group=camera_group,
        events_per_s=events_per_s,
        expires_at=read_time(expires, "UTC") if expires else None,
    )
    with database() as conn:
        key = create_key(conn, name, terms, getpass.getuser())
    if as_json:
        print_json({"name": name, "key": key})
        return
    print_fields({"name": name, "key": key})
    note("Keep it now: it is not stored and cannot be shown again.")


@app.command("list")
def list_(
    revoked: Annotated[
        bool, option("--revoked", "Those that were revoked, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Keys and what they may; never the keys themselves."""
    from sql.keys import list_keys

    with database() as conn:
        keys = list_keys(conn, revoked=revoked)
    if as_json:
        print_json({"keys": keys})
        return
    hidden = {"revoked_at", "revoked_by"}
    shown = [name for name in keys[0] if name not in hidden] if keys else []
    print_table(keys, shown, empty="No keys: `floorpulse key create` makes one.")


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="Its name or id.")],
) -> None:
    """End a key: a quarter of a second later, nobody gets in with it any more."""
    import getpass

    from sql.keys import revoke_key

    with database() as conn:
        name = revoke_key(conn, key, getpass.getuser())
    note(f"Key {name} is revoked.")
