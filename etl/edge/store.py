"""The spool's file: one process's, durable at every commit, mended where it is damaged.

Room is taken when the file is made, so that a disk that others have filled neither
keeps events from coming in nor what was sent from being taken out.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from etl.edge.errors import EdgeError

log = logging.getLogger(__name__)

NAME = "spool.db"
VERSION = 1
_LOCK, _BALLAST = "lock", "ballast"
_TABLES = ("clocks", "events", "refused", "files", "counters", "notes")
_PIECE = 1 << 20
# The write-ahead log: when it is emptied, and how large one commit may make it.
_CHECKPOINT_PAGES = 250
_LOG_PIECES = 3
_BALLAST_PIECES = _LOG_PIECES + 1
_LEAST_RESERVE = 4 << 20


class Damaged(EdgeError):  # noqa: N818 - what it is
    """The spool's file is damaged; start again: what can be read of it is kept."""


class Store:
    """A spool folder's database, for this process alone, for as long as it is open."""

    def __init__(self, folder: Path, reserve: int) -> None:
        self._folder, self._path = folder, folder / NAME
        self._reserve = max(reserve, _LEAST_RESERVE)
        self._mutex = threading.RLock()
        self._lock = _locked(folder)
        try:
            self._db = self._open()
        except (EdgeError, sqlite3.Error, OSError):
            self._lock.close()
            raise
        self._keep_ballast()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it, on disk when this returns, or nothing."""
        with self._mutex:
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except sqlite3.DatabaseError as error:
                _raise_damaged(error)
                raise
            finally:
                if self._db.in_transaction:
                    self._db.execute("rollback")

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._mutex:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.DatabaseError as error:
                _raise_damaged(error)
                raise

    def close(self) -> None:
        """Let another agent have the folder."""
        with self._mutex:
            self._db.close()
            # The log is gone: its room is kept for the next start.
            self._keep_ballast()
            self._lock.close()

    def _open(self) -> sqlite3.Connection:
        ballast = self._folder / _BALLAST
        while True:
            spare = ballast.exists()
            try:
                if not self._path.exists():
                    _make(self._path, self._reserve)
                return _connected(self._path, with_room=spare)
            except Damaged:
                return self._renewed()
            except (sqlite3.OperationalError, OSError) as error:
                if not spare:
                    raise _no_room(self._folder, self._reserve, error) from error
                # No room for the log: that is what the ballast is kept for.
                ballast.unlink()

    def _renewed(self) -> sqlite3.Connection:
        """A new file with what can be read of the damaged one, which is kept aside."""
        aside = self._path.with_name(f"damaged-{time.time_ns()}.db")
        for end in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                Path(f"{self._path}{end}").rename(f"{aside}{end}")
        _make(self._path, self._reserve)
        db = _connected(self._path, with_room=False)
        kept = _salvage(aside, db)
        log.error("the spool was damaged: %d events saved, %s kept", kept, aside)
        return db

    def _keep_ballast(self) -> None:
        path = self._folder / _BALLAST
        if path.exists():
            return
        try:
            with path.open("wb") as file:
                file.write(bytes(_BALLAST_PIECES * _PIECE))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)


def read_only(folder: Path) -> sqlite3.Connection:
    """The spool of a folder to look at, also while its agent runs."""
    path = folder / NAME
    if not path.exists():
        raise EdgeError(f"There is no spool in {folder}; --spool names another folder.")
    # Without a log nobody has it open: then no file is needed beside it to read it.
    closed = "" if Path(f"{path}-wal").exists() else "&immutable=1"
    address = f"file:{quote(str(path))}?mode=ro{closed}"
    return sqlite3.connect(address, uri=True, timeout=5)


def owner(folder: Path) -> int | None:
    """The process whose spool this is now."""
    try:
        with (folder / _LOCK).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                said = file.read().strip()
                return int(said) if said.isdigit() else 0
    except FileNotFoundError:
        pass
    return None


def _locked(folder: Path) -> IO[bytes]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = (folder / _LOCK).open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise EdgeError(
            f"The spool {folder} is in use by another agent (process {owner(folder)}); "
            "give this one a folder of its own with --spool."
        ) from error
    file.truncate(0)
    file.write(b"%d\n" % os.getpid())
    file.flush()
    return file


def _make(path: Path, reserve: int) -> None:
    """A new database that already has the size it may come to need."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    script = resources.files("etl.edge").joinpath("spool.sql").read_text("utf-8")
    with closing(sqlite3.connect(draft, isolation_level=None)) as db:
        db.execute("pragma synchronous = off")
        db.execute("pragma journal_mode = off")
        db.executescript(script)
        _stretch(db, -(-reserve // _PIECE))
        db.execute("pragma journal_mode = wal")
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _connected(path: Path, *, with_room: bool) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db)
        _stretch_log(db, with_room=with_room)
    except sqlite3.DatabaseError as error:
        db.close()
        _raise_damaged(error)
        raise
    except EdgeError:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("pragma journal_mode = wal")
    # An event is safe when its commit returns: the log is synced every time.
    db.execute("pragma synchronous = full")
    db.execute(f"pragma wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    (version,) = db.execute("pragma user_version").fetchone()
    if version > VERSION:
        raise EdgeError("A newer version of the agent made this spool; use that one.")
    if version != VERSION or db.execute("pragma quick_check").fetchone() != ("ok",):
        raise Damaged


def _stretch_log(db: sqlite3.Connection, *, with_room: bool) -> None:
    """Give the log the size it may come to need; with_room: it must be possible."""
    try:
        db.execute("begin immediate")
        _stretch(db, _LOG_PIECES)
        db.execute("commit")
        db.execute("pragma wal_checkpoint(restart)")
    except sqlite3.OperationalError as error:
        if db.in_transaction:
            db.execute("rollback")
        if with_room:
            raise
        log.warning("there is hardly any room left for the spool: %s", error)


def _stretch(db: sqlite3.Connection, pieces: int) -> None:
    """Write so many MB and give them back: file and log keep the room."""
    db.execute("create table room (b blob)")
    for _ in range(pieces):
        db.execute("insert into room values (zeroblob(?))", (_PIECE,))
    db.execute("drop table room")


def _salvage(aside: Path, db: sqlite3.Connection) -> int:
    """Copy all rows that can still be read; how many events they were."""
    with closing(sqlite3.connect(aside)) as damaged:
        for table in _TABLES:
            for way in ("asc", "desc"):
                for row in _readable(damaged, table, way):
                    marks = ", ".join("?" * len(row))
                    # Names of our own tables; what is there already came before.
                    statement = f"insert or ignore into {table} values ({marks})"  # noqa: S608
                    db.execute(statement, row)
    (kept,) = db.execute("select count(*) from events").fetchone()
    return int(kept)


def _readable(
    damaged: sqlite3.Connection, table: str, way: str
) -> Iterator[tuple[Any, ...]]:
    with suppress(sqlite3.DatabaseError):
        yield from damaged.execute(f"select * from {table} order by 1 {way}")  # noqa: S608


def _raise_damaged(error: sqlite3.DatabaseError) -> None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        raise Damaged(Damaged.__doc__) from error


def _no_room(folder: Path, reserve: int, error: Exception) -> EdgeError:
    takes_mb = (reserve >> 20) + _LOG_PIECES + _BALLAST_PIECES
    return EdgeError(
        f"The spool {folder} cannot be opened ({error}). It takes {takes_mb} MB; "
        "--max-events and --max-mb make it smaller, --spool puts it elsewhere."
    )
