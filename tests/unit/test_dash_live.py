"""The fan-out: everybody hears, nobody waits for a slow one."""

import asyncio

from dash_app.live import QUEUE_LENGTH, Live, Message

DSN = "postgresql://nobody@127.0.0.1:1/nothing"


def live_with(
    queues: int,
) -> tuple[Live, list[asyncio.Queue[Message | None]], list[int]]:
    refreshes: list[int] = []
    live = Live(DSN, lambda: refreshes.append(1))
    joined = [live.join() for _ in range(queues)]
    return live, joined, refreshes


def test_a_refresh_is_heard_by_the_cache_and_by_everybody() -> None:
    live, queues, refreshes = live_with(2)
    live.hear("refresh", '{"site": "p", "now": "2026-11-20T10:00:00Z"}')
    assert refreshes == [1]
    for queue in queues:
        assert queue.get_nowait() == {"kind": "refresh", "site": "p"}


def test_bursts_of_events_are_one_word_a_second_and_site() -> None:
    live, (queue,), refreshes = live_with(1)
    for site in ("p", "p", "q", "p"):
        live.hear("events", f'{{"site": "{site}"}}')
    heard = [queue.get_nowait() for _ in range(queue.qsize())]
    assert heard == [
        {"kind": "events", "site": "p"},
        {"kind": "events", "site": "q"},
    ]
    assert refreshes == []


def test_what_is_no_message_is_let_fall() -> None:
    live, (queue,), _ = live_with(1)
    for payload in ("", "{", "[]", '"site"', "null"):
        live.hear("refresh", payload)
    assert queue.empty()


def test_a_slow_browser_is_let_go_and_the_others_are_not() -> None:
    live, (slow, quick), _ = live_with(2)
    for _ in range(QUEUE_LENGTH + 1):
        live.hear("refresh", '{"site": "p"}')
        assert quick.get_nowait() is not None
    assert slow.get_nowait() is None
    live.hear("refresh", '{"site": "p"}')
    assert slow.empty()
    assert not quick.empty()
