"""The books of loads: which file is whose, how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.errors import LockNotAvailable

from etl.door.admit import Counts
from etl.files.contents import Content
from sql import queries
from sql.connect import Connection


@dataclass(frozen=True)
class Entry:
    """A row of ingest.loads that is ours: where it stands.

    site_done: of the block whose digest is block_digest, sites up to it are committed.
    """

    load_id: int
    bytes_done: int = 0
    lines_done: int = 0
    site_done: str | None = None
    block_digest: bytes | None = None

    @property
    def resumed(self) -> bool:
        return bool(self.bytes_done or self.site_done)


class Books:
    """What ingest.loads says, over the connection that commits."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._queries = queries.load("loads")

    def enter(
        self,
        content: Content,
        source: str,
        site: str | None,
        options: str,
        *,
        grows: bool = False,
    ) -> Entry:
        """Continue an unfinished load of this content, or begin a new one.

        grows: one that is done may have more to come.
        """
        found = self._claimed(content, options, grows)
        if found is None:
            return self._started(content, source, site, options)
        load_id, bytes_done, lines_done, block_end = found
        site_done, digest = self._row("continue", {"load_id": load_id})
        content.skip(bytes_done, lines_done, block_end)
        return Entry(load_id, bytes_done, lines_done, site_done, digest)

    def finish(self, load_id: int) -> Counts:
        """It is done; the counts of all its runs."""
        self._conn.execute(self._queries["finish"], {"load_id": load_id})
        return self.counts(load_id)

    def fail(self, load_id: int, error: str) -> Counts:
        """Say what ended it, where the database still answers."""
        with suppress(psycopg.Error):
            failed = {"load_id": load_id, "error": error}
            self._conn.execute(self._queries["fail"], failed)
            return self.counts(load_id)
        return Counts()

    def followed(self, head_digest: bytes) -> set[tuple[int, bytes]]:
        """How far the latest load of a followed file is: length and digest."""
        found = self._conn.execute(
            self._queries["followed"], {"head_digest": head_digest}
        )
        return set(found.fetchall())

    def counts(self, load_id: int) -> Counts:
        return Counts(*self._row("counts", {"load_id": load_id}))

    def _started(
        self, content: Content, source: str, site: str | None, options: str
    ) -> Entry:
        parameters = {
            "source": source,
            "site_id": site,
            "options": options,
            "head_digest": content.head_digest(),
        }
        # Claimed before anybody can see it.
        with self._conn.transaction():
            (load_id,) = self._row("start", parameters)
            self._conn.execute(self._queries["claim"], {"load_id": load_id})
        return Entry(load_id)

    def _claimed(
        self, content: Content, options: str, grows: bool
    ) -> tuple[int, int, int, int] | None:
        """An unfinished load of this very content that no living process works on."""
        head = content.head_digest()
        parameters = {"head_digest": head, "options": options, "grows": grows}
        rows = self._conn.execute(self._queries["candidates"], parameters).fetchall()
        if not rows:
            return None
        # What is committed, and the block of which some sites are.
        prefixes = {row: {(row[1], row[3]), (row[4], row[5])} for row in rows}
        proven = content.proven(set().union(*prefixes.values()))
        for row in rows:
            load_id, bytes_done, lines_done, _, block_end, _ = row
            if prefixes[row] <= proven and self._claim(load_id, row[1:], grows):
                return load_id, bytes_done, lines_done, block_end
        return None

    def _claim(self, load_id: int, proven: tuple[Any, ...], grows: bool) -> bool:
        """Whether an unfinished load is ours now, and still where it was proven."""
        key = {"load_id": load_id}
        try:
            with self._conn.transaction():
                # A killed run's backend may need a moment to notice.
                self._conn.execute("set local lock_timeout = '3s'")
                self._conn.execute(self._queries["claim"], key)
        except LockNotAvailable:
            return False
        asked = key | {"grows": grows}
        if self._conn.execute(self._queries["standing"], asked).fetchone() == proven:
            return True
        self._conn.execute(self._queries["release"], key)
        return False

    def _row(self, query: str, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
        row = self._conn.execute(self._queries[query], parameters).fetchone()
        if row is None:
            raise LookupError(f"{query}: no row for {parameters}")
        return row
