"""`floorpulse retraining`: who asks for a model to be trained anew, and what became."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Any

import typer

from commands.options import Json, Site, SiteArgument, option
from commands.output import note as remark
from commands.output import print_fields, print_json, print_table
from commands.session import database

app = typer.Typer(
    no_args_is_help=True,
    help="Training models anew: requests, exports, what became of them.",
    rich_markup_mode=None,
)

Number = Annotated[int, typer.Argument(help="The request's number.")]
Note = Annotated[str | None, option("--note", "What to say about it.")]
By = Annotated[str | None, option("--by", "Who does it (default: your account).")]


@app.command("list")
def list_(
    site: Site = None,
    state: Annotated[
        str | None,
        option("--state", "A state, or all; without it, what has not ended."),
    ] = None,
    limit: Annotated[int, option("--limit", "How many at most.", min=1)] = 50,
    as_json: Json = False,
) -> None:
    """Requests, the open ones first."""
    from sql.model_health.retraining import list_requests

    with database() as conn:
        rows = list_requests(conn, site, state, limit)
    if as_json:
        print_json({"requests": rows})
    else:
        print_table(rows, empty="No request.")


@app.command("show")
def show(number: Number, as_json: Json = False) -> None:
    """A request: its evidence, its steps, and who was told."""
    from sql.model_health.retraining import show as found

    with database() as conn:
        told = found(conn, number)
    _show(told, as_json)


@app.command("request")
def request(
    site: SiteArgument,
    model: Annotated[
        str | None,
        option("--model", "The version; without it, events that name none."),
    ] = None,
    note: Note = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Ask for a model to be trained anew."""
    from sql.model_health.retraining import request as ask

    with database() as conn:
        _show(ask(conn, site, model, by or getpass.getuser(), note), as_json)


@app.command("check")
def check(site: Site = None, as_json: Json = False) -> None:
    """Raise requests now, as the scheduler does: by signals that held, and accuracy."""
    from sql.model_health.retraining import raise_requests

    with database() as conn:
        raised = raise_requests(conn, site)
    if as_json:
        print_json({"raised": raised})
    else:
        remark(f"{raised} requests raised; `floorpulse retraining list` shows them.")


@app.command("approve")
def approve(
    number: Number, note: Note = None, by: By = None, as_json: Json = False
) -> None:
    """It is to be done."""
    _answer(number, "approved", note, by, as_json)


@app.command("reject")
def reject(
    number: Number, note: Note = None, by: By = None, as_json: Json = False
) -> None:
    """It is not to be done: what it was raised for raises no other one."""
    _answer(number, "rejected", note, by, as_json)


@app.command("mark")
def mark(
    number: Number,
    state: Annotated[str, typer.Argument(help="trained or deployed.")],
    model: Annotated[
        str | None, option("--model", "The version that came of it.")
    ] = None,
    note: Note = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Say that the model was trained, or that it is in use."""
    if state not in ("trained", "deployed"):
        raise typer.BadParameter(f"{state!r} is neither trained nor deployed")
    detail = {"model_version": model} if model else {}
    _answer(number, state, note, by, as_json, detail)


@app.command("export")
def export(
    number: Number,
    output: Annotated[
        str,
        option("--output", "Folder in which a new folder is made.", metavar="FOLDER"),
    ] = ".",
    days: Annotated[int, option("--days", "How far back.")] = 30,
    to: Annotated[
        str | None,
        option("--to", "End of the window (default: now). UTC.", metavar="TIME"),
    ] = None,
    share: Annotated[
        float, option("--share", "Share of the events that are neither.")
    ] = 0.2,
    seed: Annotated[
        int | None, option("--seed", "What draws them (default: the number).")
    ] = None,
    low_confidence: Annotated[
        float | None,
        option("--low-confidence", "Below it, all (default: the site's gate)."),
    ] = None,
    like: Annotated[
        str | None,
        option("--like", "A manifest: the same selection again.", metavar="FILE"),
    ] = None,
    note: Note = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Write what a trainer needs, and tell the pipeline and MLflow of it."""
    from sql.model_health.training_set import Wish
    from sql.model_health.training_set import export as written
    from sql.plant.moments import read_time

    wish = Wish(
        parent=Path(output),
        days=days,
        until=read_time(to, "UTC") if to else None,
        seed=seed,
        share=share,
        low_confidence=low_confidence,
        like=Path(like) if like else None,
    )
    with database() as conn:
        done = written(conn, number, wish, by or getpass.getuser(), note)
        failed = _tell(conn, number)
    told = {"folder": str(done.folder), "manifest_sha256": done.sha256}
    if as_json:
        print_json(told | {"counts": done.manifest["counts"], "not_told": failed})
    else:
        print_fields(told | done.manifest["counts"])


@app.command("send")
def send(
    number: Annotated[
        int | None,
        typer.Argument(help="Only of this request, and at once."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell the pipeline and MLflow of exports now, as the scheduler does.

    Of one request also what was given up.
    """
    from scheduler.pipeline import TRACKING, URL, deliver, targets
    from sql.model_health.retraining import retry_calls

    to = targets()
    if not to.names:
        remark(f"Nobody to tell: neither {URL} nor {TRACKING} is set.")
    with database() as conn:
        if number is not None:
            retry_calls(conn, number)
        told = deliver(conn, to, request=number)
    if as_json:
        print_json({"delivered": told.delivered, "failed": told.failed})
    else:
        remark(f"{told.delivered} told.")
        for said in told.failed:
            remark(f"Not told: {said}")
    if told.failed:
        raise typer.Exit(1)


def _tell(conn: Any, number: int) -> list[str]:
    """Who could not be told: the scheduler tries again, the export stands."""
    from scheduler.pipeline import deliver, targets
    from sql.errors import BadSetting

    try:
        failed = deliver(conn, targets(), request=number).failed
    except BadSetting as error:
        failed = [error.message]
    for said in failed:
        remark(f"Not told yet: {said}")
    return failed


def _answer(
    number: int,
    state: str,
    note: str | None,
    by: str | None,
    as_json: bool,
    detail: dict[str, str] | None = None,
) -> None:
    from sql.model_health.retraining import move

    with database() as conn:
        who = by or getpass.getuser()
        _show(move(conn, number, state, who, note, detail=detail), as_json)


def _show(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    steps, calls = told.pop("steps"), told.pop("calls")
    evidence = told.pop("evidence")
    print_fields(told)
    accuracy = evidence.get("accuracy") or {}
    alerts = [
        {k: a[k] for k in ("alert_id", "signal", "subject", "since", "held")}
        for a in evidence.get("alerts") or []
    ]
    tables = {
        "accuracy": [accuracy] if accuracy.get("validated") else [],
        "alerts": alerts,
        "steps": steps,
        "told": calls,
    }
    for title, rows in tables.items():
        if rows:
            print_table(rows, title=title)
