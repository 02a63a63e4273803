"""Group commit: many small posts in one transaction, each answered after it.

The door blocks, so it works in threads of its own: while one group is committed, the
next is prepared and the one after it gathers. A post waits for others GATHER_S at the
most; while the door is busy it waits for that anyway.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from etl.door.admit import Door
from etl.door.keys import KeyBook
from etl.door.parts import Prepared
from etl.http.access import SOURCE
from etl.http.answers import Answer, answers
from etl.http.errors import ApiError, unavailable
from etl.http.events import Events, batch_of_posts
from etl.http.few import FewWay
from etl.http.posts import GONE, Post, Received, fail, gone, tell
from etl.threads import done

log = logging.getLogger(__name__)

GATHER_S = 0.005
LARGEST_GROUP = 20_000
# What waits for the door, at the most.
LONGEST_QUEUE = 100_000
# A post is given up after that; what has begun is still committed.
PATIENCE_S = 15.0
# After a failure, posts are refused at once for so long.
PAUSE_S = 0.5
_CONNECT_S = "3"
_STATEMENT_S = "10s"
# A host that went without a word is noticed while posts still wait.
_ALIVE = {
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "12000",
}


@dataclass(frozen=True)
class _Group:
    posts: list[Post]
    door: Door
    prepared: Prepared
    starts: Sequence[int]


class Gatherer:
    """Posts on their way to the door, in one process; run it with `running`."""

    def __init__(self, dsn: str) -> None:
        own = {"connect_timeout": _CONNECT_S, **_ALIVE, **conninfo_to_dict(dsn)}
        options = f"{own.get('options') or ''} -c statement_timeout={_STATEMENT_S}"
        self._dsn = make_conninfo("", **own | {"options": options.strip()})
        self.received = Received()
        self._posts: deque[Post] = deque()
        self._waiting = 0
        self._came = asyncio.Event()
        self._door: Door | None = None
        self._down_until = 0.0
        self._refusing = self._closing = self._broken = False
        self._few = FewWay(
            self._dsn, self._book, self._enqueue, self._lost, self.received
        )

    @property
    def waiting(self) -> int:
        """Events that wait for the door."""
        return self._waiting

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take posts; at the end, what was taken is still committed and answered."""
        with ThreadPoolExecutor(1, "prepare") as first, ThreadPoolExecutor(1) as second:
            self._prepare_in, self._commit_in = first, second
            task = asyncio.create_task(self._run(), name="gather posts")
            try:
                # It ends first: what it hands over must still be taken.
                async with self._few.running():
                    try:
                        yield
                    finally:
                        self._refusing = True
            finally:
                self._closing = True
                self._came.set()
                await task
                self._drop_door()

    async def admit(self, events: Events) -> Answer:
        """Store a post's events; returns when they are durable. ApiError 503 if not."""
        if self._refusing or time.monotonic() < self._down_until:
            raise self._refused("The database does not answer; send it again.")
        if self._waiting + events.size > LONGEST_QUEUE:
            raise self._refused("More comes in than can be stored; send it again.")
        started = time.perf_counter()
        post = Post(events, asyncio.get_running_loop().create_future())
        self._waiting += events.size
        try:
            async with asyncio.timeout(PATIENCE_S):
                if not self._few.offer(post):
                    self._enqueue(post)
                answer = await post.answer
        except TimeoutError as error:
            raise self._refused("The database is slow now; send it again.") from error
        finally:
            self._waiting -= events.size
        self._count(answer, time.perf_counter() - started)
        return answer

    def _enqueue(self, post: Post) -> None:
        self._posts.append(post)
        self._came.set()

    def _refused(self, message: str) -> ApiError:
        self.received.refused += 1
        return unavailable(message)

    def _count(self, answer: Answer, seconds: float) -> None:
        received = self.received
        received.posts += 1
        received.stored += answer.stored
        received.duplicates += answer.duplicates
        received.parked += len(answer.parked)
        received.seconds += seconds

    async def _run(self) -> None:
        """Gather, prepare, commit; the next group is prepared during a commit."""
        committing: asyncio.Task[None] | None = None
        while posts := await self._gathered():
            group = await self._prepared(posts)
            if committing is not None:
                await committing
            # Both threads rest here: only now may their connections be closed.
            if self._broken:
                self._drop_door()
                fail(posts, gone())
            elif group is not None:
                committing = asyncio.create_task(self._committed(group))
        if committing is not None:
            await committing

    async def _gathered(self) -> list[Post]:
        """The posts of the next group; none when all is done."""
        while True:
            while not self._posts and not self._closing:
                self._came.clear()
                await self._came.wait()
            if not self._closing:
                await asyncio.sleep(GATHER_S)
            posts = self._taken()
            if posts or (self._closing and not self._posts):
                return posts

    def _taken(self) -> list[Post]:
        posts: list[Post] = []
        size = 0
        while self._posts:
            size += self._posts[0].events.size
            if posts and size > LARGEST_GROUP:
                break
            post = self._posts.popleft()
            if not post.given_up:
                posts.append(post)
        return posts

    async def _prepared(self, posts: list[Post]) -> _Group | None:
        found = await done(self._prepare_in, self._prepare, posts)
        if isinstance(found, BaseException):
            await self._failed(posts, found)
            return None
        return found

    def _prepare(self, posts: list[Post]) -> _Group:
        if self._door is None:
            self._door = Door(self._dsn)
        batch, starts = batch_of_posts([post.events for post in posts])
        return _Group(posts, self._door, self._door.prepare(batch), starts)

    async def _committed(self, group: _Group) -> None:
        found = await done(self._commit_in, _commit, group)
        if isinstance(found, BaseException):
            await self._failed(group.posts, found)
            return
        self.received.groups += 1
        for post, answer in zip(group.posts, found, strict=True):
            tell(post, answer)

    async def _failed(self, posts: Sequence[Post], error: BaseException) -> None:
        """Refuse posts for now where the database is gone; else find the one to blame.

        What fails alone, on a database that answers, would fail for ever: it must not
        take others along.
        """
        if isinstance(error, GONE):
            self._lost(error)
            self._broken = True
            fail(posts, gone())
            return
        if len(posts) == 1:
            _blame(posts, error)
            return
        # The other thread may have the book in use: a door of its own, for all of them.
        door = await done(self._commit_in, Door, self._dsn)
        if isinstance(door, BaseException):
            fail(posts, gone())
            return
        with door:
            for post in posts:
                await self._admit_alone(door, post)

    def _lost(self, error: BaseException) -> None:
        """Posts are refused at once for a while."""
        log.warning("not stored: %s", error, extra={"action": "post"})
        self._down_until = time.monotonic() + PAUSE_S

    def _book(self) -> KeyBook | None:
        return None if self._door is None else self._door.book

    async def _admit_alone(self, door: Door, post: Post) -> None:
        found = await done(self._commit_in, partial(_whole, door), post)
        if isinstance(found, BaseException):
            await self._failed([post], found)
        else:
            tell(post, found)

    def _drop_door(self) -> None:
        if self._door is not None:
            with suppress(psycopg.Error):
                self._door.close()
        self._door, self._broken = None, False


def _commit(group: _Group) -> list[Answer]:
    return answers(group.door.commit(group.prepared, SOURCE), group.starts)


def _whole(door: Door, post: Post) -> Answer:
    """Both steps for one post."""
    batch, starts = batch_of_posts([post.events])
    return answers(door.admit(batch, SOURCE), starts)[0]


def _blame(posts: Sequence[Post], error: BaseException) -> None:
    log.error("a post failed", exc_info=error, extra={"action": "post"})
    said = "These events could not be stored; nothing of them was."
    fail(posts, ApiError(500, "failed", said))
