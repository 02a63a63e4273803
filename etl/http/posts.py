"""A post on its way to the door, and how it is answered when it gets no further."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from etl.http.answers import Answer
from etl.http.errors import ApiError, unavailable
from etl.http.events import Events
from sql.errors import FloorpulseError

# A standby, and a database that is not migrated yet, are no fault of posts.
GONE = (
    FloorpulseError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
)


@dataclass(eq=False, slots=True)
class Post:
    """Events, and the answer that somebody waits for."""

    events: Events
    answer: asyncio.Future[Answer]

    @property
    def given_up(self) -> bool:
        """Nobody waits for it any more."""
        return self.answer.done()


@dataclass
class Received:
    """What was answered since this process began."""

    posts: int = 0
    groups: int = 0
    small_groups: int = 0
    refused: int = 0
    stored: int = 0
    duplicates: int = 0
    parked: int = 0
    seconds: float = 0.0


def tell(post: Post, answer: Answer) -> None:
    """Answer a post; what was given up stays so."""
    if not post.given_up:
        post.answer.set_result(answer)


def fail(posts: Sequence[Post], error: ApiError) -> None:
    """Refuse posts."""
    for post in posts:
        if not post.given_up:
            post.answer.set_exception(error)


def gone() -> ApiError:
    """What posts are told that did not reach the database."""
    return unavailable("The database does not answer; send it again.")
