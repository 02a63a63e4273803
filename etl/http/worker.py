"""A thread of its own for what blocks, and what to say while no database answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg

from etl.http.errors import unavailable
from sql.errors import DsnError

T = TypeVar("T")


class Worker:
    """One thread, so that what is asked of it comes one by one."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)

    async def outcome(self, work: Callable[[], T]) -> T:
        """What the work returns or raises; ApiError 503 without a database."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work)
        except (psycopg.OperationalError, DsnError) as error:
            raise unavailable("The database does not answer.") from error
