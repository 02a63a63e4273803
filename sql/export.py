"""Rows of an `analytics` view as a stream, for files of any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from psycopg import sql as compose

from sql.connect import Connection
from sql.errors import BadSetting
from sql.queries import load

# What a view is cut by, the first that it has.
TIME_COLUMNS = ("hour", "time", "production_date")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows of a view: of a site, from a bound (included) to one (excluded)."""

    view: str
    site: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    since_date: date | None = None
    until_date: date | None = None


def columns_of(conn: Connection, view: str) -> dict[str, str]:
    """Columns and types of a view; BadSetting where there is none of that name."""
    rows = conn.execute(load("export")["columns"], {"view": view}).fetchall()
    if not rows:
        views = [name for (name,) in conn.execute(load("export")["views"])]
        raise BadSetting(
            f"There is no view analytics.{view}; there are {', '.join(views)}"
        )
    return {str(name): str(kind) for name, kind in rows}


def time_column(columns: dict[str, str]) -> str | None:
    """The column that bounds of time apply to; None where a view has none."""
    return next((name for name in TIME_COLUMNS if name in columns), None)


def query_of(conn: Connection, wanted: Wanted) -> compose.Composed:
    """The query for a view's rows, in order of time; BadSetting for bounds it lacks."""
    columns = columns_of(conn, wanted.view)
    by = time_column(columns)
    if by == "production_date":
        bounds = [(">=", wanted.since_date), ("<", wanted.until_date)]
    else:
        bounds = [(">=", wanted.since), ("<", wanted.until)]
    asked = [(sign, bound) for sign, bound in bounds if bound is not None]
    if asked and by is None:
        raise BadSetting(
            f"analytics.{wanted.view} has no column of time: leave out --from and --to"
        )
    conditions = [
        compose.SQL("{} " + sign + " {}").format(compose.Identifier(by), bound)
        for sign, bound in asked
        if by is not None
    ]
    if wanted.site is not None:
        if "site_id" not in columns:
            raise BadSetting(f"analytics.{wanted.view} has no sites: leave out --site")
        conditions.append(compose.SQL("site_id = {}").format(wanted.site))
    query = compose.SQL("select * from analytics.{}").format(
        compose.Identifier(wanted.view)
    )
    if conditions:
        query += compose.SQL(" where ") + compose.SQL(" and ").join(conditions)
    keys = [by] if by else []
    keys += [c for c in ("site_id", "worker_id", "workstation_id") if c in columns]
    if keys:
        order = compose.SQL(", ").join(compose.Identifier(key) for key in keys)
        query += compose.SQL(" order by ") + order
    return query


def csv_blocks(conn: Connection, query: compose.Composed) -> Iterator[bytes]:
    """The rows as CSV with a header, in blocks; NULL is empty."""
    copy_out = compose.SQL("copy ({}) to stdout (format csv, header)").format(query)
    with conn.cursor() as cursor, cursor.copy(copy_out) as copy:
        for block in copy:
            yield bytes(block)


def json_rows(conn: Connection, query: compose.Composed) -> Iterator[str]:
    """Each row as a JSON object's text, streamed."""
    as_json = compose.SQL("select row_to_json(q)::text from ({}) q").format(query)
    with conn.cursor() as cursor:
        for (text,) in cursor.stream(as_json):
            yield str(text)
