"""One refresh: dirty ranges into activity, touched hours into aggregates, a new now.

The steps are SQL (sql/routines/refresh.sql); this module calls them one transaction
at a time under the site's refresh lock, so that a crash anywhere leaves the rest to be
done.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import class_row

from sql.connect import connect
from sql.errors import UnknownSite
from sql.plant.calendar_store import ensure_calendar
from sql.queries import load

_Connection = psycopg.Connection[tuple[object, ...]]

#: How many events one cutting transaction takes: bounds its memory and its length.
EVENTS_PER_STEP = 500_000

#: A backlog of this many events is cut by two sessions side by side.
EVENTS_FOR_TWO = 1_000_000

_CANCELLED = "cancelled; what is committed stays, the rest is for the next refresh"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RefreshReport:
    """What one site's refresh did. `now` is the instant its metrics count up to."""

    site_id: str
    now: datetime
    ranges: int
    rows: int
    seconds: float


@dataclass(frozen=True)
class _Stretch:
    from_time: datetime
    to_time: datetime


def refresh_all(dsn: str) -> list[RefreshReport]:
    """Refresh every site, one after another."""
    with connect(dsn) as conn:
        rows = conn.execute(load("refresh")["sites"]).fetchall()
    return [refresh_site(dsn, str(site_id)) for (site_id,) in rows]


def refresh_site(
    dsn: str,
    site_id: str,
    now: datetime | None = None,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> RefreshReport:
    """Refresh one site up to `now` (default: the database's clock).

    Waits for a refresh of the same site that is under way. `on_progress` is told the
    rows written so far, after each step. Raises UnknownSite.
    """
    with connect(dsn) as conn:
        return refresh_with(conn, site_id, now, on_progress=on_progress)


def refresh_with(
    conn: _Connection,
    site_id: str,
    now: datetime | None = None,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> RefreshReport:
    """`refresh_site` on a connection in autocommit that the caller keeps."""
    queries = load("refresh")
    started = time.monotonic()
    row = conn.execute(queries["site_key"], (site_id,)).fetchone()
    if row is None:
        raise UnknownSite(
            f"There is no site {site_id!r}. 'floorpulse site list' shows the sites; a "
            "site is registered by its first event or by 'floorpulse site set'."
        )
    site_key = int(str(row[0]))
    with _refresh_lock(conn, site_key):
        at = now or _clock(conn)
        run = conn.execute(queries["run_started"], (site_id,)).fetchone()
        try:
            ranges, rows = _refresh(conn, site_key, at, on_progress)
        except psycopg.Error as error:
            _record_failure(conn, run, error)
            raise
        detail = json.dumps({"now": at.isoformat(), "ranges": ranges, "rows": rows})
        conn.execute(queries["run_finished"], (detail, run[0] if run else None))
        conn.execute(
            queries["notify"], (json.dumps({"site": site_id, "now": at.isoformat()}),)
        )
    return RefreshReport(site_id, at, ranges, rows, time.monotonic() - started)


def materialize_closed_hours(dsn: str) -> int:
    """Materialize what has closed since the last time; returns the number of calls."""
    with connect(dsn) as conn:
        return materialize_with(conn)


def materialize_with(conn: _Connection) -> int:
    """`materialize_closed_hours` on an autocommit connection that the caller keeps."""
    with _aggregates_lock(conn):
        return _run_steps(conn, load("refresh")["materialization_steps"], {})


def _refresh(
    conn: _Connection,
    site_key: int,
    now: datetime,
    on_progress: Callable[[int], None] | None,
) -> tuple[int, int]:
    """Cut until nothing is left, then aggregate until nothing is left."""
    queries = load("refresh")
    _make_room(conn, site_key, now)
    ranges, rows = _cut_backlog(conn, site_key, now, on_progress)
    while True:
        step = conn.execute(
            queries["step"], (site_key, now, EVENTS_PER_STEP)
        ).fetchone()
        taken, written, cut_left, aggregated = _step(step)
        ranges += taken
        rows += written
        if on_progress:
            on_progress(rows)
        if not cut_left:
            break
    if not aggregated:
        _aggregate(conn, site_key, now)
        conn.execute(queries["move_now"], (site_key, now))
    return ranges, rows


def _cut_backlog(
    conn: _Connection,
    site_key: int,
    now: datetime,
    on_progress: Callable[[int], None] | None,
) -> tuple[int, int]:
    """Cut a large backlog on two connections, each its share of the workers.

    What is small, restated or left over is for the steps that follow.
    """
    queries = load("refresh")
    asked = (site_key, now, EVENTS_FOR_TWO)
    if conn.execute(queries["begin_backlog"], asked).fetchone() != (True,):
        return 0, 0
    total = _Total(on_progress)

    def cut(share: int, session: _Connection) -> None:
        arguments = (site_key, now, EVENTS_PER_STEP // 2, share, 2)
        while True:
            row = session.execute(queries["cut_share"], arguments).fetchone()
            if row is None or row[0] == 0:
                return
            total.add(int(str(row[0])), int(str(row[1])))

    other_dsn = make_conninfo(conn.info.dsn, password=conn.info.password)
    with connect(other_dsn) as other, ThreadPoolExecutor(1) as pool:
        beside = pool.submit(cut, 1, other)
        try:
            cut(0, conn)
        except BaseException:
            with suppress(psycopg.Error):  # a server that is gone cancels nothing
                other.cancel_safe()
            raise
        beside.result()
    return total.ranges, total.rows


class _Total:
    """What two sessions have cut so far, told as it grows."""

    def __init__(self, on_progress: Callable[[int], None] | None) -> None:
        self.ranges = self.rows = 0
        self._on_progress = on_progress
        self._lock = Lock()

    def add(self, ranges: int, rows: int) -> None:
        with self._lock:
            self.ranges += ranges
            self.rows += rows
            if self._on_progress:
                self._on_progress(self.rows)


def _aggregate(conn: _Connection, site_key: int, now: datetime) -> None:
    parameters = {"site_key": site_key, "now": now}
    statement = load("refresh")["aggregation_steps"]
    with _aggregates_lock(conn):
        while _run_steps(conn, statement, parameters):
            pass


@contextmanager
def _aggregates_lock(conn: _Connection) -> Iterator[None]:
    """Aggregates are shared by the sites: one at a time refreshes them."""
    conn.execute(load("refresh")["lock_aggregates"])
    try:
        yield
    finally:
        if not conn.closed:
            conn.execute(load("refresh")["unlock_aggregates"])


def _run_steps(conn: _Connection, statement: str, parameters: dict[str, object]) -> int:
    """Run, at the top level, the statements that an engine asks for."""
    steps = conn.execute(statement, parameters).fetchall()
    for (step,) in steps:
        conn.execute(str(step).encode())
    return len(steps)


def _make_room(conn: _Connection, site_key: int, now: datetime) -> None:
    """Calendar slices and chunks that the cut needs, in transactions of their own."""
    queries = load("refresh")
    with conn.cursor(row_factory=class_row(_Stretch)) as cursor:
        cursor.execute(queries["dirty_reach"], {"site_key": site_key, "now": now})
        stretches = cursor.fetchall()
    for stretch in stretches:
        ensure_calendar(conn, site_key, stretch.from_time, stretch.to_time)
        conn.execute(queries["ensure_chunks"], (stretch.from_time, stretch.to_time))


def _step(row: tuple[object, ...] | None) -> tuple[int, int, bool, bool]:
    if row is None:
        raise RuntimeError("floor.refresh_step returned no row")
    taken, written, cut_left, aggregated = row
    return int(str(taken)), int(str(written)), bool(cut_left), bool(aggregated)


def _clock(conn: _Connection) -> datetime:
    row = conn.execute("select now()").fetchone()
    if row is None or not isinstance(row[0], datetime):
        raise RuntimeError("the database did not tell its time")
    return row[0]


def _record_failure(
    conn: _Connection, run: tuple[object, ...] | None, error: psycopg.Error
) -> None:
    if isinstance(error, psycopg.errors.QueryCanceled):
        # Somebody's will, such as Ctrl-C, and no page of SQL is needed to tell it.
        level, said = logging.WARNING, _CANCELLED
    else:
        level, said = logging.ERROR, str(error)
    _log.log(level, "refresh failed", extra={"action": "refresh_failed", "error": said})
    if not conn.closed:
        conn.execute(load("refresh")["run_failed"], (said, run[0] if run else None))


@contextmanager
def _refresh_lock(conn: _Connection, site_key: int) -> Iterator[None]:
    queries = load("refresh")
    conn.execute(queries["lock"], (site_key,))
    try:
        yield
    finally:
        if not conn.closed:
            conn.execute(queries["unlock"], (site_key,))
