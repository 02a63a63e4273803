"""Rows of the spool, inside a transaction: what is taken out, dropped and counted."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from etl.edge.lines import NO_EVENT, PRODUCT_COUNT, STATE
from etl.edge.size import OVERHEAD, Size

REFUSED = -1
# The names of counters, in the order in which things are dropped.
DROPPED = {
    REFUSED: "dropped_refused",
    NO_EVENT: "dropped_lines",
    STATE: "dropped_states",
    PRODUCT_COUNT: "dropped_counts",
}
_SIZE = f"length(body) + {OVERHEAD}"
# What may be dropped, the first to go first, and how.
_REFUSED_FIRST = (
    f"select id, {REFUSED}, {_SIZE} from refused where id > ? order by id",  # noqa: S608
    "delete from refused where id = ?",
)
_RANK_FIRST = (
    f"select id, rank, {_SIZE} from events where id > ? order by rank, id",  # noqa: S608
    "delete from events where id = ?",
)


@dataclass(frozen=True)
class Held:
    """What a spool holds: what waits, and what the server refused."""

    waiting: Size
    refused: Size


def held(db: sqlite3.Connection) -> Held:
    """Counted."""
    waiting, refused = (
        Size(*db.execute(f"select count(*), total({_SIZE}) from {table}").fetchone())  # noqa: S608
        for table in ("events", "refused")
    )
    return Held(waiting, refused)


def fit(
    db: sqlite3.Connection, now: Held, limit: Size, after: int
) -> tuple[Held, Counter[str]]:
    """Drop what is worth least, the oldest first, until the rest fits.

    First what was refused, then lines that are no events, then states, and product
    counts last; never what is on its way (events up to `after`).
    """
    total = now.waiting + now.refused
    aside, lost = _dropped(db, _REFUSED_FIRST, 0, total, limit)
    events, lost_too = _dropped(db, _RANK_FIRST, after, total - aside, limit)
    return Held(now.waiting - events, now.refused - aside), lost + lost_too


def _dropped(
    db: sqlite3.Connection,
    victims: tuple[str, str],
    after: int,
    total: Size,
    limit: Size,
) -> tuple[Size, Counter[str]]:
    """Delete what the queries name until the total fits: how much, and of what rank."""
    gone, lost = Size(), Counter[str]()
    if not total.exceeds(limit):
        return gone, lost
    choose, delete = victims
    chosen = []
    for row_id, rank, size in db.execute(choose, (after,)):
        if not (total - gone).exceeds(limit):
            break
        gone += Size(1, size)
        lost[DROPPED[rank]] += 1
        chosen.append((row_id,))
    db.executemany(delete, chosen)
    return gone, lost


def take_out(db: sqlite3.Connection, upto: int) -> Size:
    """Delete events up to an id; what they were."""
    query = f"select count(*), total({_SIZE}) from events where id <= ?"  # noqa: S608
    taken = Size(*db.execute(query, (upto,)).fetchone())
    db.execute("delete from events where id <= ?", (upto,))
    return taken


def count(db: sqlite3.Connection, counts: Mapping[str, int]) -> None:
    """Add to counters."""
    added = [(value, name) for name, value in counts.items() if value]
    new = [(name,) for _, name in added]
    db.executemany("insert or ignore into counters values (?, 0)", new)
    db.executemany("update counters set value = value + ? where name = ?", added)


def note(db: sqlite3.Connection, name: str, value: str, *, once: bool = False) -> None:
    """Something for `status` to tell. once: what stands there stays."""
    replace = "insert or replace into notes values (?, ?)"
    keep = "insert or ignore into notes values (?, ?)"
    db.execute(keep if once else replace, (name, value))
