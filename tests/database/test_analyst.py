"""docs/analysts.md as an analyst meets it, and the role that stays in its room."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "analysts.md"
QUERIES = re.findall(
    r"^### (.+?)\n+```sql\n(.+?)```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
)


@pytest.fixture
def analyst(
    refreshed_dsn: str,
) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """The role floorpulse_analyst on the demo plant."""
    with psycopg.connect(refreshed_dsn, autocommit=True) as conn:
        conn.execute("set role floorpulse_analyst")
        yield conn


def test_the_page_holds_ten_queries() -> None:
    assert len(QUERIES) == 10


def test_every_query_runs_and_answers(
    analyst: psycopg.Connection[tuple[object, ...]],
) -> None:
    for title, query in QUERIES:
        rows = analyst.execute(query.encode()).fetchall()
        assert rows, f"no row from: {title}"


def test_every_view_answers_the_role(
    analyst: psycopg.Connection[tuple[object, ...]],
) -> None:
    views = analyst.execute(
        "select c.oid::regclass::text from pg_class c where c.relkind = 'v'"
        " and c.relnamespace = 'analytics'::regnamespace"
    ).fetchall()
    assert len(views) > 10
    for (view,) in views:
        analyst.execute(f"select * from {view} limit 1".encode())  # noqa: S608


@pytest.mark.parametrize(
    "forbidden",
    [
        "select * from floor.events",
        "select * from ingest.rejects",
        "select * from ops.job_runs",
        "delete from floor.workers",
        "select floor.move_now(1, now())",
        "create table analytics.mine (x int)",
    ],
)
def test_the_role_reads_analytics_and_nothing_else(
    common_dsn: str, forbidden: str
) -> None:
    with psycopg.connect(common_dsn, autocommit=True) as conn:
        conn.execute("set role floorpulse_analyst")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(forbidden.encode())


def test_a_login_of_the_role_is_read_only_and_limited(common_dsn: str) -> None:
    with psycopg.connect(common_dsn, autocommit=True) as conn:
        rows = conn.execute(
            "select unnest(rolconfig) from pg_roles"
            " where rolname = 'floorpulse_analyst'"
        ).fetchall()
    settings = {str(row[0]) for row in rows}
    assert "default_transaction_read_only=on" in settings
    assert any(setting.startswith("statement_timeout=") for setting in settings)


def test_every_object_of_analytics_has_a_comment(common_dsn: str) -> None:
    with psycopg.connect(common_dsn, autocommit=True) as conn:
        silent = conn.execute(
            "select c.relname from pg_class c where c.relkind = 'v'"
            " and c.relnamespace = 'analytics'::regnamespace"
            " and obj_description(c.oid, 'pg_class') is null"
            " union all select p.proname from pg_proc p"
            " where p.pronamespace = 'analytics'::regnamespace"
            " and obj_description(p.oid, 'pg_proc') is null"
        ).fetchall()
    assert silent == []


def test_every_column_of_analytics_has_a_comment(common_dsn: str) -> None:
    with psycopg.connect(common_dsn, autocommit=True) as conn:
        silent = conn.execute(
            "select c.relname || '.' || a.attname from pg_class c"
            " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0"
            " where c.relkind = 'v' and c.relnamespace = 'analytics'::regnamespace"
            " and col_description(c.oid, a.attnum) is null order by 1"
        ).fetchall()
    assert silent == []


def test_every_routine_sets_its_search_path_or_must_be_inlined(common_dsn: str) -> None:
    inlined = {"hour_of", "microseconds", "seconds", "ratio", "per_hour"}
    with psycopg.connect(common_dsn, autocommit=True) as conn:
        rows = conn.execute(
            "select p.proname from pg_proc p where p.pronamespace in ("
            " 'floor'::regnamespace, 'ingest'::regnamespace, 'analytics'::regnamespace)"
            " and not coalesce(array_to_string(p.proconfig, ',') like '%search_path%',"
            " false)"
        ).fetchall()
    inlined |= {"micros", "minute_of_day", "bin_of", "sample_deviation"}
    assert {str(row[0]) for row in rows} <= inlined
