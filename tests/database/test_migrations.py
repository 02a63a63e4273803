"""Migrations: stepwise as fresh, frozen once applied, one at a time, safe to kill."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

import psycopg
import pytest

from sql.errors import ForeignDatabase, MigrationError
from sql.local_server.account import find_binaries
from sql.migrate import migrate, status

MIGRATIONS = sorted(
    f"migrations/{entry.name}"
    for entry in files("sql").joinpath("migrations").iterdir()
    if entry.name.endswith(".sql")
)
# Migrates, and is killed once this many files have run, before they are committed.
KILLED_WITHIN = """
import os, signal, sys
import sql.migrate as m
run, left = m._run, int(sys.argv[2])
def counted(conn, file):
    global left
    run(conn, file)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
m._run = counted
m.migrate(sys.argv[1])
"""


def schema_of(dsn: str) -> list[str]:
    """The schema as pg_dump prints it, without what differs by run."""
    dump = subprocess.run(
        [
            str(find_binaries() / "pg_dump"),
            "--schema-only",
            "--exclude-schema=_timescaledb_*",
            f"--dbname={dsn}",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    noise = ("\\restrict", "\\unrestrict", "--")
    # TimescaleDB numbers what is inside a continuous aggregate, also after a rollback
    number = r"(_hypertable_|_view_|cagg_watermark\()\d+"
    text = re.sub(number, r"\1N", dump.stdout)
    return [line for line in text.splitlines() if not line.startswith(noise)]


def test_stepwise_ends_where_a_fresh_install_ends(dsn: str, fresh_dsn: str) -> None:
    for name in MIGRATIONS:
        assert migrate(fresh_dsn, until=name).migrations == [name]
    assert not status(fresh_dsn).current
    migrate(fresh_dsn)
    assert status(fresh_dsn).current
    assert schema_of(fresh_dsn) == schema_of(dsn)


def test_a_second_migrate_does_nothing(dsn: str) -> None:
    before = schema_of(dsn)
    report = migrate(dsn)
    assert (report.migrations, report.reapplied) == ([], [])
    assert schema_of(dsn) == before


def test_a_changed_released_file_is_refused(dsn: str) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute(
            "update floor.migrations set sha256 = 'another' where name = %s",
            (MIGRATIONS[-1],),
        )
    with pytest.raises(MigrationError, match=MIGRATIONS[-1]):
        migrate(dsn)


def test_a_newer_database_is_refused(dsn: str) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute(
            "insert into floor.migrations values ('migrations/9999_x.sql', 'x')"
        )
    with pytest.raises(MigrationError, match="9999_x"):
        migrate(dsn)


def test_a_changed_routine_is_applied_again(dsn: str) -> None:
    before = schema_of(dsn)
    with psycopg.connect(dsn) as conn:
        conn.execute("drop function floor.take_dirty")
        conn.execute(
            "update floor.applied_files set sha256 = 'older' "
            "where name = 'routines/refresh.sql'"
        )
    assert migrate(dsn).reapplied == ["routines/refresh.sql"]
    assert schema_of(dsn) == before


def test_a_database_of_another_program_is_left_alone(fresh_dsn: str) -> None:
    with psycopg.connect(fresh_dsn) as conn:
        conn.execute("create schema analytics")
    before = schema_of(fresh_dsn)
    with pytest.raises(ForeignDatabase, match="analytics"):
        migrate(fresh_dsn)
    assert schema_of(fresh_dsn) == before


def test_two_installers_at_once(dsn: str, fresh_dsn: str) -> None:
    with ThreadPoolExecutor() as pool:
        reports = list(pool.map(migrate, [fresh_dsn] * 3))
    applied = [name for report in reports for name in report.migrations]
    assert sorted(applied) == MIGRATIONS
    assert schema_of(fresh_dsn) == schema_of(dsn)


@pytest.mark.parametrize("files_run", [2, len(MIGRATIONS) + 5])
def test_killed_in_the_middle_and_run_again(
    dsn: str, fresh_dsn: str, files_run: int
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WITHIN, fresh_dsn, str(files_run)], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    migrate(fresh_dsn)
    assert status(fresh_dsn).current
    assert schema_of(fresh_dsn) == schema_of(dsn)
