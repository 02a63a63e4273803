"""`floorpulse export`: any `analytics` view as a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from commands.options import Site, option
from commands.session import database

if TYPE_CHECKING:
    from sql.connect import Connection
    from sql.export import Wanted

FORMATS = ("csv", "json", "parquet")


def export(
    view: Annotated[str, typer.Argument(help="A view of schema analytics.")],
    from_: Annotated[
        str | None,
        option(
            "--from",
            "First time or date, included; local unless an offset is given.",
            metavar="TIME",
        ),
    ] = None,
    to: Annotated[
        str | None,
        option("--to", "Time or date up to which, excluded.", metavar="TIME"),
    ] = None,
    site: Site = None,
    format_: Annotated[str, option("--format", "csv, json or parquet.")] = "csv",
    output: Annotated[
        str, option("--output", "File to write; - is stdout.", metavar="FILE")
    ] = "-",
) -> None:
    """Export a view of any size: hours by UTC, days by production date."""
    if format_ not in FORMATS:
        raise typer.BadParameter(f"--format is one of {', '.join(FORMATS)}")
    from sql.export import columns_of, csv_blocks, json_rows, query_of

    with database() as conn:
        query = query_of(conn, _wanted(conn, view, site, from_, to))
        with _file(output) as file:
            if format_ == "csv":
                for block in csv_blocks(conn, query):
                    file.write(block)
            elif format_ == "json":
                _write_json(json_rows(conn, query), file)
            else:
                from sql.export_parquet import write_parquet

                write_parquet(conn, query, columns_of(conn, view), file)


def _write_json(rows: Iterator[str], file: BinaryIO) -> None:
    """One array, an object a line."""
    before = b"["
    for row in rows:
        file.write(before + row.encode())
        before = b",\n"
    file.write(b"[]\n" if before == b"[" else b"]\n")


def _wanted(
    conn: Connection, view: str, site: str | None, from_: str | None, to: str | None
) -> Wanted:
    from sql.export import Wanted
    from sql.plant.moments import read_time
    from sql.plant.sites import timezone_of
    from sql.plant.zones import zone

    timezone = timezone_of(conn, site)
    since, until = (read_time(t, timezone) if t else None for t in (from_, to))
    dates = [t.astimezone(zone(timezone)).date() if t else None for t in (since, until)]
    return Wanted(view, site, since, until, *dates)


@contextmanager
def _file(output: str) -> Iterator[BinaryIO]:
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with open(output, "wb") as file:
        yield file
