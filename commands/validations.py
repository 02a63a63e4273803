"""`floorpulse validations`: what people say of events, and how right models are."""

from __future__ import annotations

import csv
import getpass
import io
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import Json, Site, SiteArgument, option
from commands.output import note, print_json, print_table
from commands.session import database

if TYPE_CHECKING:
    from etl.validations.load import ValidationReport

app = typer.Typer(
    no_args_is_help=True,
    help="Verdicts of people on events, and how right models are by them.",
    rich_markup_mode=None,
)

ROWS_PARKED = 3
SHOWN = (
    "site_id",
    "time",
    "worker_id",
    "workstation_id",
    "event_type",
    "model_version",
    "verdict",
    "right_label",
    "validated_by",
    "validated_at",
    "note",
)
Limit = Annotated[int, option("--limit", "How many at most.", min=1)]


@app.command("load")
def load(
    file: Annotated[str, typer.Argument(help="CSV, plain, .gz or .zst; - is stdin.")],
    site: Annotated[
        str | None, option("--site", "The site of lines that name none.")
    ] = None,
    by: Annotated[
        str | None,
        option("--by", "Who says it, where a line does not (default: your account)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Load a file of verdicts; twice is harmless, empty verdicts are left out.

    Exit code 3: done, but lines were parked.
    """
    from etl.validations.load import load_validations

    with database() as conn:
        report = load_validations(conn, file, by or getpass.getuser(), site)
    _report(report, as_json)


@app.command("sample")
def sample(
    site: SiteArgument,
    model: Annotated[
        str | None, option("--model", "Only events of this model version.")
    ] = None,
    days: Annotated[int, option("--days", "How far back.", min=1, max=3650)] = 7,
    count: Annotated[
        int, option("--count", "How many events.", min=1, max=100_000)
    ] = 200,
    seed: Annotated[int, option("--seed", "What draws them.")] = 1,
    output: Annotated[
        str, option("--output", "File to write; - is stdout.", metavar="FILE")
    ] = "-",
) -> None:
    """Write events drawn at random as CSV: fill in the verdicts, then load it."""
    from etl.validations.load import sampled

    with database() as conn:
        rows = sampled(conn, site, model, days=days, count=count, seed=seed)
    if not rows:
        note("No event to look at.")
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    if output == "-":
        sys.stdout.write(text.getvalue())
        return
    with open(output, "w", encoding="utf-8") as file:
        file.write(text.getvalue())
    note(f"{len(rows)} events written to {output}.")


@app.command("list")
def list_(
    site: Site = None,
    model: Annotated[
        str | None, option("--model", "Only of events of this model version.")
    ] = None,
    verdict: Annotated[
        str | None, option("--verdict", "Only those that say right, or wrong.")
    ] = None,
    history: Annotated[bool, option("--history", "Superseded ones, too.")] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Verdicts, the newest first."""
    from sql.plant.sites import require_site, rows_of
    from sql.queries import load as queries

    if verdict not in (None, "right", "wrong"):
        raise typer.BadParameter("--verdict is right or wrong")
    asked = {
        "site": site,
        "model": model,
        "verdict": verdict,
        "history": history,
        "limit": limit,
    }
    with database() as conn:
        require_site(conn, site)
        rows = rows_of(conn, queries("validations")["list"], asked)
    if as_json:
        print_json({"validations": rows})
    else:
        columns = (*SHOWN, "stands") if history else SHOWN
        print_table(rows, columns, empty="No verdict.")


@app.command("accuracy")
def accuracy(site: Site = None, as_json: Json = False) -> None:
    """How right each model version is, with its 95 % Wilson interval."""
    from sql.plant.sites import require_site, rows_of
    from sql.queries import load as queries

    with database() as conn:
        require_site(conn, site)
        rows = rows_of(conn, queries("validations")["accuracy"], {"site": site})
    if as_json:
        print_json({"models": rows})
    else:
        print_table(rows, empty="No verdict on any event.")


@app.command("parked")
def parked(
    site: Site = None,
    code: Annotated[str | None, option("--code", "Only those parked as this.")] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Lines that could not be taken, and why."""
    from sql.plant.sites import rows_of
    from sql.queries import load as queries

    asked = {"site": site, "code": code, "limit": limit}
    with database() as conn:
        rows = rows_of(conn, queries("validations")["parked"], asked)
    shown = [
        {name: row[name] for name in ("parked_key", "code", "message", "source")}
        | {"line": row["line"], "seen": row["seen"]}
        | {"raw": bytes(row["raw"]).decode("utf-8", "replace")}
        for row in rows
    ]
    if as_json:
        print_json({"parked": shown})
    else:
        print_table(shown, empty="Nothing is parked.")


@app.command("retry")
def retry(
    site: Site = None,
    code: Annotated[str | None, option("--code", "Only those parked as this.")] = None,
    as_json: Json = False,
) -> None:
    """Try parked lines again: the events they speak of may have come.

    Exit code 3: some stay parked.
    """
    from etl.validations.load import retry as try_again

    with database() as conn:
        report = try_again(conn, getpass.getuser(), site, code)
    _report(report, as_json)


def _report(report: ValidationReport, as_json: bool) -> None:
    counts = {
        "read": report.read,
        "stored": report.stored,
        "duplicates": report.duplicates,
        "unanswered": report.unanswered,
    }
    if as_json:
        print_json(counts | {"parked": report.parked, "told": report.told})
    else:
        print_table([counts | {"parked": sum(report.parked.values())}])
        if report.told:
            print_table(report.told, title="parked, the first of them")
            note("`floorpulse validations parked` shows them all.")
    if report.parked:
        raise typer.Exit(ROWS_PARKED)
