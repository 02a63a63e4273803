"""Small posts of plain events: gathered in the event loop, a statement a group.

Everything else, and everything that fails on a database that answers, goes the way of
the frames.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from psycopg import AsyncConnection

from etl.door.few import Known, Plain, known_sites, ordered, parameters, plain, unmet
from etl.door.keys import STRICT_KINDS, KeyBook, arrival_of
from etl.http.answers import Answer
from etl.http.posts import GONE, Post, Received, fail, gone, tell
from etl.shape.codes import LONGEST_IDENTIFIER
from sql import queries
from sql.connect import session_conninfo

log = logging.getLogger(__name__)

# Of a post, and of a group: what the event loop may be busy with at once.
FEW = 32
LARGEST_GROUP = 256
# While one group becomes durable the next is on its way.
LANES = 2
# More than any statement may take.
SILENCE_S = 15.0


class FewWay:
    """Takes posts with `offer`; run it with `running`.

    book: what is known at the time, None where nothing is; hand_over takes what does
    not go this way; lost is told when the database is gone.
    """

    def __init__(
        self,
        dsn: str,
        book: Callable[[], KeyBook | None],
        hand_over: Callable[[Post], None],
        lost: Callable[[BaseException], None],
        received: Received,
    ) -> None:
        self._conninfo = session_conninfo(dsn)
        self._book, self._hand_over, self._lost = book, hand_over, lost
        self._received = received
        self._queries = queries.load("door")
        self._posts: deque[Post] = deque()
        self._came = asyncio.Event()
        self._closing = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Store what is offered; at the end, what was taken is still answered."""
        lanes = [asyncio.create_task(self._lane(), name="few") for _ in range(LANES)]
        try:
            yield
        finally:
            self._closing = True
            self._came.set()
            await asyncio.gather(*lanes)

    def offer(self, post: Post) -> bool:
        """Take a post, unless it is surely none for this way."""
        events = post.events
        if events.size > FEW or events.broken or self._book() is None:
            return False
        self._posts.append(post)
        self._came.set()
        return True

    async def _lane(self) -> None:
        conn: AsyncConnection[Any] | None = None
        while posts := await self._taken():
            try:
                conn = conn or await self._connected()
            except psycopg.OperationalError as error:
                self._failed(posts, error)
                continue
            failure = await self._admitted(conn, posts)
            if failure is not None:
                self._failed(posts, failure)
                await _close(conn)
                conn = None
        if conn is not None:
            await _close(conn)

    async def _admitted(
        self, conn: AsyncConnection[Any], posts: Sequence[Post]
    ) -> BaseException | None:
        """What went wrong. A server that says nothing any more is not waited for."""
        admitting = asyncio.create_task(self._admit(conn, posts))
        done, _ = await asyncio.wait([admitting], timeout=SILENCE_S)
        if not done:
            await conn.close()
            admitting.cancel()
            await asyncio.wait([admitting])
            return psycopg.OperationalError("the server does not answer")
        return admitting.exception()

    def _failed(self, posts: Sequence[Post], error: BaseException) -> None:
        if isinstance(error, GONE):
            fail(posts, gone())
            self._lost(error)
            return
        log.error("a group failed", exc_info=error, extra={"action": "post"})
        for post in posts:
            if not post.given_up:
                self._hand_over(post)

    async def _taken(self) -> list[Post]:
        """The posts of the next group; none when all is done."""
        while not self._posts and not self._closing:
            self._came.clear()
            await self._came.wait()
        posts: list[Post] = []
        size = 0
        while self._posts and size < LARGEST_GROUP:
            post = self._posts.popleft()
            if not post.given_up:
                size += post.events.size
                posts.append(post)
        return posts

    async def _connected(self) -> AsyncConnection[Any]:
        conn = await AsyncConnection.connect(self._conninfo, autocommit=True)
        await conn.execute(self._queries["be_durable"])
        return conn

    async def _admit(self, conn: AsyncConnection[Any], posts: Sequence[Post]) -> None:
        """Answer what could be stored; hand over the rest."""
        of_sites: dict[str, list[Post]] = {}
        for post in posts:
            of_sites.setdefault(_site_of(post) or "", []).append(post)
        known = await self._known(conn, sorted(of_sites))
        for site_id in sorted(of_sites):
            site = known.get(site_id)
            rest = of_sites[site_id]
            if site is not None:
                rest = await self._admit_site(conn, site, rest)
            for post in rest:
                self._hand_over(post)

    async def _known(
        self, conn: AsyncConnection[Any], site_ids: list[str]
    ) -> dict[str, Known]:
        book = self._book()
        if book is None:
            return {}
        values = {"site_ids": site_ids}
        cursor = await conn.execute(self._queries["arrival"], values)
        return known_sites(arrival_of(await cursor.fetchall(), site_ids), book)

    async def _admit_site(
        self, conn: AsyncConnection[Any], site: Known, posts: Sequence[Post]
    ) -> list[Post]:
        """Store the plain posts of a site; returns those that are to be handed over."""
        fitting, rest, events = _parted(site, posts)
        try:
            if rest and await self._met(conn, site, rest):
                fitting, rest, events = _parted(site, posts)
            rows = ordered(events)
            if rows is None:
                return list(posts)
            if not rows:
                return rest
            await conn.execute(self._queries["admit_few"], parameters(site, rows))
        except GONE:
            raise
        except psycopg.Error as error:
            # Stored already, most of the time; or a chunk went. Nothing was written.
            log.debug("handed over: %s", error, extra={"action": "post"})
            return list(posts)
        self._received.groups += 1
        self._received.small_groups += 1
        for post in fitting:
            tell(post, Answer(stored=post.events.size))
        return rest

    async def _met(
        self, conn: AsyncConnection[Any], site: Known, posts: Sequence[Post]
    ) -> bool:
        """Look up, or register on sight, ids that posts lack to be plain."""
        missing = unmet((post.events.documents for post in posts), site)
        for kind, ids in missing.items():
            is_closed = site.strict and kind in STRICT_KINDS
            for action in ("known",) if is_closed else ("known", "register"):
                lacking = [i for i in ids if i not in site.keys_of(kind)]
                if lacking:
                    values = {"site_key": site.site_key, "ids": lacking}
                    found = await conn.execute(
                        self._queries[f"{action}_{kind}"], values
                    )
                    site.book.learn(kind, site.site_key, dict(await found.fetchall()))
        return bool(missing)


def _parted(
    site: Known, posts: Sequence[Post]
) -> tuple[list[Post], list[Post], list[Plain]]:
    """Posts that are plain, posts that are not, and the events of the former."""
    fitting: list[Post] = []
    rest: list[Post] = []
    events: list[Plain] = []
    for post in posts:
        rows = [plain(document, site) for document in post.events.documents]
        whole = [row for row in rows if row is not None]
        if len(whole) == len(rows):
            fitting.append(post)
            events += whole
        else:
            rest.append(post)
    return fitting, rest, events


def _site_of(post: Post) -> str | None:
    """The one site of a post; None where there is none, or several."""
    named = [document.get("site_id") for document in post.events.documents]
    site = named[0] if named else None
    # What is no printable text cannot even be asked for.
    if (
        type(site) is not str
        or not site.isprintable()
        or len(site) > LONGEST_IDENTIFIER
    ):
        return None
    return site if all(other == site for other in named) else None


async def _close(conn: AsyncConnection[Any]) -> None:
    with suppress(psycopg.Error):
        await conn.close()
