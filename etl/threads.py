"""Work in a thread, whose failure is a result like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

A = TypeVar("A")
T = TypeVar("T")


async def done(pool: Executor, work: Callable[[A], T], argument: A) -> T | Exception:
    """What a thread gives back, or what it raised; what ends a program is raised."""
    task = asyncio.get_running_loop().run_in_executor(pool, work, argument)
    await asyncio.wait([task])
    error = task.exception()
    if error is None:
        return task.result()
    if not isinstance(error, Exception):
        raise error
    return error
