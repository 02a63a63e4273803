"""A minute of `make chaos`: every process killed once while a known set is sent."""

from __future__ import annotations

from tests.chaos.run import Plan, story
from tests.support.local_server import open_folder
from tests.support.servers import Engine

# `make chaos` tells longer ones.
SECONDS = 12.0
EVENTS = 1_800


def test_whatever_dies_the_known_set_is_there_and_every_number_right() -> None:
    plan = Plan(
        seed=20_261_120,
        events=EVENTS,
        seconds=SECONDS,
        kill_every_s=SECONDS,
        longest_down_s=1.0,
        whole=False,
        ack_wait_s=3.0,
    )
    with open_folder() as folder:
        server = Engine("plain").server(folder / "server")
        try:
            outcome = story(plan, server, folder)
        finally:
            server.remove()
    assert outcome.wrong == []
    assert outcome.tracebacks == []
    assert set(outcome.kills.values()) == {1}
