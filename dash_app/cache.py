"""Equal loads run once: whoever asks meanwhile, or soon after, gets the same answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Cache:
    """Answers by key, kept for a while; a failure is told to all, then forgotten."""

    def __init__(self, largest: int = 128) -> None:
        self._largest = largest
        self._answers: dict[Hashable, tuple[float, asyncio.Task[Any]]] = {}

    async def get(
        self, key: Hashable, keep_s: float, load: Callable[[], Awaitable[T]]
    ) -> T:
        """The answer for `key`, loaded if there is none younger than `keep_s`."""
        found = self._answers.get(key)
        if found is None or (found[1].done() and found[0] < time.monotonic()):
            task: asyncio.Task[T] = asyncio.ensure_future(self._run(key, keep_s, load))
            self._answers[key] = (time.monotonic() + keep_s, task)
            self._make_room()
        else:
            task = found[1]
        # Shielded: a browser that goes away must not take the answer from the others.
        return await asyncio.shield(task)

    def forget(self) -> None:
        """Drop every answer; loads under way still end for those who wait."""
        self._answers.clear()

    async def _run(
        self, key: Hashable, keep_s: float, load: Callable[[], Awaitable[T]]
    ) -> T:
        try:
            answer = await load()
        except BaseException:
            self._answers.pop(key, None)
            raise
        mine = self._answers.get(key)
        if mine is not None and mine[1] is asyncio.current_task():
            self._answers[key] = (time.monotonic() + keep_s, mine[1])
        return answer

    def _make_room(self) -> None:
        while len(self._answers) > self._largest:
            del self._answers[next(iter(self._answers))]
