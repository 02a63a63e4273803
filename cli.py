"""`floorpulse`: the only place that knows every room. Commands live in commands/."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from commands import (
    alerts,
    camera,
    consume,
    db,
    doctor,
    drift,
    edge,
    export,
    key,
    load,
    metrics,
    model,
    processes,
    refresh,
    rejects,
    retraining,
    shift,
    site,
    up,
    validations,
    version,
    worker,
    workstation,
)
from commands.failures import Commands
from commands.listing import Listing

app = typer.Typer(
    cls=Commands,
    help="What a plant runs when AI cameras watch its floor. The database is that of "
    "FLOORPULSE_DSN, or a local one, started on demand.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def floorpulse(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            help="Tell which version this is.",
            callback=version.tell,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Options of the program itself; the app's own help is shown."""


app.command("up")(up.up)
app.add_typer(db.app, name="db", cls=Listing)
app.command("load")(load.load)
app.command("consume")(consume.consume)
app.command("refresh")(refresh.refresh)
app.add_typer(site.app, name="site", cls=Listing)
app.add_typer(shift.app, name="shift", cls=Listing)
app.add_typer(worker.app, name="worker", cls=Listing)
app.add_typer(workstation.app, name="workstation", cls=Listing)
app.add_typer(camera.app, name="camera", cls=Listing)
app.add_typer(metrics.app, name="metrics", cls=Listing)
app.add_typer(rejects.app, name="rejects", cls=Listing)
app.add_typer(key.app, name="key", cls=Listing)
app.command("export")(export.export)
app.add_typer(drift.app, name="drift", cls=Listing)
app.add_typer(alerts.app, name="alerts", cls=Listing)
app.add_typer(model.app, name="model", cls=Listing)
app.add_typer(retraining.app, name="retraining", cls=Listing)
app.add_typer(validations.app, name="validations", cls=Listing)
app.command("doctor")(doctor.doctor)
app.command("serve")(processes.serve)
app.command("schedule")(processes.schedule)
app.command("simulate")(processes.simulate)
app.command("edge", context_settings=edge.SETTINGS)(edge.edge)


def main() -> None:
    """Entry point of the `floorpulse` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal's encoding lacks is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="floorpulse")


if __name__ == "__main__":
    main()
