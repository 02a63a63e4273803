"""Brings a database to this version's schema: migrations once, the rest as it is.

Migrations run in order, each in a transaction with its line in the ledger (name and
sha256: a released file that changed is refused). Routines, engine files, views and
roles are applied again whenever their text changes. One installer at a time.
"""

import hashlib
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg

from sql.connect import connect
from sql.errors import ForeignDatabase, MigrationError, MissingPrivilege
from sql.queries import load

_Connection = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True)
class SqlFile:
    """One .sql file of the product: `name` is its path below sql/."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class MigrationStatus:
    """What a database holds against what this version brings."""

    applied: list[str]
    pending: list[str]
    stale: list[str]
    hypertables: bool | None
    continuous_aggregates: bool | None

    @property
    def current(self) -> bool:
        return not self.pending and not self.stale


@dataclass
class MigrationReport:
    """What one `migrate` did: files applied, in order, and what to tell of it."""

    migrations: list[str] = field(default_factory=list)
    reapplied: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def migrate(dsn: str, *, until: str | None = None) -> MigrationReport:
    """Bring the database behind `dsn` up to date; does nothing where it is.

    `until` stops after the migration of that name (the tests' way to older schemas).
    Raises ForeignDatabase, MigrationError, MissingPrivilege or what connect raises.
    """
    queries = load("migrate")
    with connect(dsn) as conn:
        conn.execute(queries["lock"])
        try:
            return _migrate(conn, until)
        except psycopg.errors.InsufficientPrivilege as error:
            raise MissingPrivilege(
                "The role of this DSN may not install floorpulse "
                f"({_first_line(error)}). Make it the owner of the database, or let a "
                "superuser run 'floorpulse db migrate' once."
            ) from error


def status(dsn: str) -> MigrationStatus:
    """Compare the ledger of a database with this version's files; changes nothing."""
    queries = load("migrate")
    with connect(dsn) as conn:
        if not _exists(conn, "floor.migrations"):
            _refuse_foreign(conn)
            names = [file.name for file in _folder("migrations")]
            return MigrationStatus([], names, [], None, None)
        applied = _ledger(conn, "migrations")
        hashes = _ledger(conn, "applied_files")
        row = None
        if _exists(conn, "floor.installation"):
            row = conn.execute(queries["installation"]).fetchone()
    switches = (bool(row[0]), bool(row[1])) if row else (None, None)
    stale = []
    if row:
        stale = [
            file.name
            for file in _reapplied_files(bool(row[0]), bool(row[1]))
            if hashes.get(file.name) != file.sha256
        ]
    pending = [file.name for file in _folder("migrations") if file.name not in applied]
    return MigrationStatus(list(applied), pending, stale, *switches)


def _migrate(conn: _Connection, until: str | None) -> MigrationReport:
    report = MigrationReport()
    if not _exists(conn, "floor.migrations"):
        _refuse_foreign(conn)
        conn.execute(load("migrate")["create_ledgers"])
    applied = _ledger(conn, "migrations")
    migrations = _folder("migrations")
    _refuse_unknown(applied, migrations)
    for migration in migrations:
        if migration.name not in applied:
            _apply_migration(conn, migration)
            report.migrations.append(migration.name)
        elif applied[migration.name] != migration.sha256:
            raise MigrationError(
                f"{migration.name} was applied to this database with another text. A "
                "released migration never changes: restore the file of the release, "
                "and put the change into a new one."
            )
        if migration is migrations[0]:
            _fix_engine(conn, report)
        if migration.name == until:
            return report
    _reapply(conn, report)
    return report


def _apply_migration(conn: _Connection, migration: SqlFile) -> None:
    with conn.transaction():
        _run(conn, migration)
        conn.execute(
            load("migrate")["record_migration"], (migration.name, migration.sha256)
        )


def _fix_engine(conn: _Connection, report: MigrationReport) -> None:
    """Write which engine this server is; the row stands from the first migrate on."""
    queries = load("migrate")
    if conn.execute(queries["installation"]).fetchone():
        return
    hypertables = _timescaledb(conn, report)
    license_ = conn.execute(queries["timescaledb_license"]).fetchone()
    continuous = hypertables and license_ is not None and license_[0] == "timescale"
    conn.execute(queries["record_installation"], (hypertables, continuous))


def _timescaledb(conn: _Connection, report: MigrationReport) -> bool:
    """Whether TimescaleDB is in this database, after creating it where possible."""
    queries = load("migrate")
    if conn.execute(queries["timescaledb_installed"]).fetchone():
        return True
    if not conn.execute(queries["timescaledb_loaded"]).fetchone():
        return False
    try:
        conn.execute("create extension if not exists timescaledb schema public")
    except (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.FeatureNotSupported,
        psycopg.errors.UndefinedFile,
    ) as error:
        report.notices.append(
            "TimescaleDB is loaded on this server but could not be created in this "
            f"database ({_first_line(error)}); installed as plain PostgreSQL."
        )
        return False
    # The library loads at the next connection's first command in this database; this
    # one has it now. Its licence may still read as unset before the first use.
    conn.execute(queries["wake_timescaledb"])
    return True


def _reapply(conn: _Connection, report: MigrationReport) -> None:
    queries = load("migrate")
    row = conn.execute(queries["installation"]).fetchone()
    if row is None:
        raise MigrationError("floor.installation is empty; restore it from a backup.")
    wanted = _reapplied_files(bool(row[0]), bool(row[1]))
    standing = _ledger(conn, "applied_files")
    if all(standing.get(file.name) == file.sha256 for file in wanted):
        return
    with conn.transaction():
        _apply_all(conn, wanted)
        conn.execute("delete from floor.applied_files")
        with conn.cursor() as cursor:
            cursor.executemany(
                queries["record_file"], [(file.name, file.sha256) for file in wanted]
            )
    report.reapplied = [
        file.name for file in wanted if standing.get(file.name) != file.sha256
    ]


def _apply_all(conn: _Connection, wanted: list[SqlFile]) -> None:
    """Apply in place; where columns or signatures changed, make them all anew."""
    try:
        with conn.transaction():
            for file in wanted:
                _run(conn, file)
    except (
        psycopg.errors.InvalidTableDefinition,
        psycopg.errors.InvalidFunctionDefinition,
    ):
        with conn.transaction():
            _clear(conn)
            for file in wanted:
                _run(conn, file)


def _clear(conn: _Connection) -> None:
    """Drop the views of analytics and our routines; tables and facts stay."""
    queries = load("migrate")
    try:
        for name in ("drop_views", "drop_routines"):
            for (statement,) in conn.execute(queries[name]).fetchall():
                conn.execute(str(statement).encode())
    except psycopg.errors.DependentObjectsStillExist as error:
        raise MigrationError(
            "A view of schema analytics changes its columns, and objects of yours "
            f"stand on it ({error.diag.message_detail}). Drop those, run 'floorpulse "
            "db migrate' again and make them anew."
        ) from error


def _run(conn: _Connection, file: SqlFile) -> None:
    try:
        conn.execute(file.text.encode())
    except psycopg.errors.InsufficientPrivilege:
        raise
    except psycopg.DatabaseError as error:
        if isinstance(
            error,
            psycopg.errors.InvalidTableDefinition
            | psycopg.errors.InvalidFunctionDefinition
            | psycopg.OperationalError,
        ):
            raise
        raise MigrationError(f"sql/{file.name}: {error}") from error


def _reapplied_files(hypertables: bool, continuous: bool) -> list[SqlFile]:
    facts = "hypertables.sql" if hypertables else "partitions.sql"
    aggregates = "continuous_aggregates.sql" if continuous else "rollups.sql"
    engines = {file.name: file for file in _folder("engines")}
    return [
        *_folder("routines"),
        engines[f"engines/{facts}"],
        engines[f"engines/{aggregates}"],
        *_folder("views"),
        SqlFile("roles.sql", files("sql").joinpath("roles.sql").read_text("utf-8")),
    ]


def _folder(name: str) -> list[SqlFile]:
    folder: Traversable = files("sql").joinpath(name)
    return sorted(
        (
            SqlFile(f"{name}/{entry.name}", entry.read_text("utf-8"))
            for entry in folder.iterdir()
            if entry.name.endswith(".sql")
        ),
        key=lambda file: file.name,
    )


def _ledger(conn: _Connection, table: str) -> dict[str, str]:
    rows = conn.execute(load("migrate")[f"read_{table}"]).fetchall()
    return {str(name): str(sha256) for name, sha256 in rows}


def _exists(conn: _Connection, relation: str) -> bool:
    row = conn.execute("select to_regclass(%s) is not null", (relation,)).fetchone()
    return bool(row and row[0])


def _refuse_foreign(conn: _Connection) -> None:
    rows = conn.execute(load("migrate")["foreign_schemas"]).fetchall()
    if rows:
        names = ", ".join(str(name) for (name,) in rows)
        raise ForeignDatabase(
            f"This database already has a schema that is not floorpulse's ({names}). "
            "Give floorpulse a database of its own: create one and name it in the DSN."
        )


def _refuse_unknown(applied: dict[str, str], migrations: list[SqlFile]) -> None:
    unknown = sorted(set(applied) - {file.name for file in migrations})
    if unknown:
        raise MigrationError(
            f"This database was migrated by a newer floorpulse ({', '.join(unknown)}). "
            "Install that version, or restore a backup of the older schema."
        )


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().splitlines()[0]
