"""Equal loads run once."""

import asyncio

import pytest

from dash_app.cache import Cache


class Source:
    """Counts how often it is asked; answers when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.gate = asyncio.Event()
        self.broken = False

    async def load(self) -> int:
        self.asked += 1
        mine = self.asked
        await self.gate.wait()
        if self.broken:
            raise ValueError("broken")
        return mine


def test_who_asks_meanwhile_gets_the_same_answer() -> None:
    async def run() -> None:
        cache, source = Cache(), Source()
        asking = [asyncio.ensure_future(cache.get("k", 60, source.load)) for _ in "abc"]
        await asyncio.sleep(0)
        source.gate.set()
        assert await asyncio.gather(*asking) == [1, 1, 1]
        assert await cache.get("k", 60, source.load) == 1
        assert await cache.get("other", 60, source.load) == 2

    asyncio.run(run())


def test_an_answer_grows_old_and_can_be_forgotten() -> None:
    async def run() -> None:
        cache, source = Cache(), Source()
        source.gate.set()
        assert await cache.get("k", 0, source.load) == 1
        assert await cache.get("k", 60, source.load) == 2
        cache.forget()
        assert await cache.get("k", 60, source.load) == 3

    asyncio.run(run())


def test_what_was_asked_before_a_refresh_is_not_kept_after_it() -> None:
    async def run() -> None:
        cache, source = Cache(), Source()
        old = asyncio.ensure_future(cache.get("k", 60, source.load))
        await asyncio.sleep(0)
        cache.forget()
        new = asyncio.ensure_future(cache.get("k", 60, source.load))
        await asyncio.sleep(0)
        source.gate.set()
        assert (await old, await new) == (1, 2)
        assert await cache.get("k", 60, source.load) == 2

    asyncio.run(run())


def test_a_failure_is_told_and_forgotten() -> None:
    async def run() -> None:
        cache, source = Cache(), Source()
        source.gate.set()
        source.broken = True
        with pytest.raises(ValueError, match="broken"):
            await cache.get("k", 60, source.load)
        source.broken = False
        assert await cache.get("k", 60, source.load) == 2

    asyncio.run(run())


def test_a_reader_who_leaves_does_not_take_the_answer_away() -> None:
    async def run() -> None:
        cache, source = Cache(), Source()
        leaves = asyncio.ensure_future(cache.get("k", 60, source.load))
        stays = asyncio.ensure_future(cache.get("k", 60, source.load))
        await asyncio.sleep(0)
        leaves.cancel()
        source.gate.set()
        assert await stays == 1

    asyncio.run(run())


def test_it_keeps_no_more_than_it_may() -> None:
    async def run() -> None:
        cache, source = Cache(largest=2), Source()
        source.gate.set()
        for key in ("a", "b", "c"):
            await cache.get(key, 60, source.load)
        assert await cache.get("c", 60, source.load) == 3
        assert await cache.get("a", 60, source.load) == 4

    asyncio.run(run())
