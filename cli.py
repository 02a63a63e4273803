"""`floorpulse`: the only place that knows every room. Commands live in commands/."""

from __future__ import annotations

import io
import sys

import typer

from commands import (
    alerts,
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
    worker,
    workstation,
)
from commands.failures import Commands

app = typer.Typer(
    cls=Commands,
    help="What a plant runs when AI cameras watch its floor. The database is that of "
    "FLOORPULSE_DSN, or a local one, started on demand.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("up")(up.up)
app.add_typer(db.app, name="db")
app.command("load")(load.load)
app.command("consume")(consume.consume)
app.command("refresh")(refresh.refresh)
app.add_typer(site.app, name="site")
app.add_typer(shift.app, name="shift")
app.add_typer(worker.app, name="worker")
app.add_typer(workstation.app, name="workstation")
app.add_typer(metrics.app, name="metrics")
app.add_typer(rejects.app, name="rejects")
app.add_typer(key.app, name="key")
app.command("export")(export.export)
app.add_typer(drift.app, name="drift")
app.add_typer(alerts.app, name="alerts")
app.add_typer(model.app, name="model")
app.add_typer(retraining.app, name="retraining")
app.add_typer(validations.app, name="validations")
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
