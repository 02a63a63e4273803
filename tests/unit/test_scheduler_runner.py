"""What runs jobs, where the database is gone."""

from __future__ import annotations

from threading import Thread
from typing import Any, cast

import psycopg

from scheduler.jobs import REFRESH
from scheduler.leader import Leader
from scheduler.runner import Runner
from tests.support.local_server import wait_until

DSN = "postgresql://nobody@127.0.0.1:1/none"


class Lost:
    """A session whose server has died: it cannot be asked to cancel anything."""

    closed = False

    def __init__(self) -> None:
        self.asked = 0

    def cancel_safe(self, *, timeout: float) -> None:
        self.asked += 1
        raise psycopg.OperationalError(f"cancellation failed within {timeout} s")


def test_a_job_whose_server_is_gone_does_not_keep_it_from_stopping() -> None:
    runner = Runner(Leader(DSN), DSN, lambda *_: None)
    state, lost = runner._state(REFRESH), Lost()
    state.conn = cast(Any, lost)
    state.turn.acquire()
    stopping = Thread(target=runner.stop)
    stopping.start()
    wait_until(lambda: lost.asked)
    state.turn.release()
    stopping.join(10)
    assert not stopping.is_alive()
    assert runner.stopped.is_set()
