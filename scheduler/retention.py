"""Retention: what a site keeps no longer goes, in short steps; its numbers stay.

The steps are SQL (sql/routines/retention.sql). Each commits how far it came, so that a
run that is cut off is continued by the next one.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import psycopg

from scheduler.by_site import by_site
from scheduler.job import Work
from sql.connect import Connection
from sql.errors import RetentionError
from sql.queries import load

#: How many rows one transaction deletes.
ROWS_PER_STEP = 50_000

#: How often a lock is asked for before the rest is left to the next run.
TRIES = 10
AGAIN_AFTER_S = 0.5


@dataclass
class Forgotten:
    """What a run did: sites it deleted of, how much of what, and who waits for what."""

    sites: set[str] = field(default_factory=set)
    gone: Counter[str] = field(default_factory=Counter)
    waiting: dict[str, str] = field(default_factory=dict)

    def detail(self) -> dict[str, object]:
        """The same for ops.job_runs; rows of whole chunks are not counted."""
        return {
            "sites": sorted(self.sites),
            "events": self.gone["events"],
            "pieces": self.gone["pieces"],
            "chunks": self.gone["chunk"],
            "waiting": self.waiting,
        }


def forget(work: Work, now: datetime | None = None) -> Forgotten:
    """Delete what sites keep no longer at `now` (default: the database's clock).

    First every site's mark is moved: a chunk goes whole when nobody keeps rows in it.
    A site that fails does not keep the others from theirs; RetentionError at the end.
    """
    queries, done = load("retention"), Forgotten()
    work.conn.execute(queries["be_brief"])
    keys = {s: key for key, s in work.conn.execute(queries["sites"]).fetchall()}

    def move_mark(site_id: str) -> int:
        moved = {"site_key": keys[site_id], "now": now}
        _, waits_for = work.conn.execute(queries["keep_from"], moved).fetchall()[0]
        if waits_for is not None:
            done.waiting[site_id] = waits_for
        return 1

    def forget_site(site_id: str) -> int:
        _forget_site(work, keys[site_id], site_id, done)
        return 1

    failed = by_site(work, keys, move_mark).failed
    outcome = by_site(work, [s for s in keys if s not in failed], forget_site)
    outcome.failed |= failed
    if outcome.failed:
        raise RetentionError(
            f"old events of {len(outcome.failed)} sites are still there: {outcome.said}"
        )
    return done


def _forget_site(work: Work, site_key: int, site_id: str, done: Forgotten) -> None:
    """Step by step until nothing is left."""
    tries = 0
    while not work.stop.is_set():
        what, gone, statement = _step(work.conn, site_key)
        if what is None:
            return
        if what == "busy":
            tries += 1
            if tries == TRIES:
                done.waiting[site_id] = "a lock"
                return
            work.stop.wait(AGAIN_AFTER_S)
            continue
        tries = 0
        done.sites.add(site_id)
        done.gone[what] += gone
        if statement is not None:
            # Where somebody reads, the room stays taken: nothing else depends on it.
            with suppress(psycopg.errors.LockNotAvailable):
                work.conn.execute(statement.encode())


def _step(conn: Connection, site_key: int) -> tuple[str | None, int, str | None]:
    """What a step deleted, how much of it, and a statement to run on its own."""
    step = {"site_key": site_key, "rows": ROWS_PER_STEP}
    try:
        what, gone, statement = conn.execute(
            load("retention")["step"], step
        ).fetchall()[0]
    except psycopg.errors.LockNotAvailable:
        return "busy", 0, None
    return what, gone, statement
