"""The database restarts under load, the server is killed: no answered event is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from sql.migrate import migrate
from tests.support.http import V1, event, served_by_a_process, serving
from tests.support.local_server import open_folder, plain_server, wait_until

EVENTS = f"{V1}/events"
START = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)
CLIENTS = 8


class Clients:
    """Clients that post events of their own, and remember what was answered."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answered: set[tuple[str, str]] = set()
        self.refused = 0
        self.unknown: list[dict[str, Any]] = []
        self.stopped = threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._running = [self._pool.submit(self._post, n) for n in range(CLIENTS)]

    def stop(self) -> None:
        self.stopped.set()
        for running in self._running:
            running.result()
        self._pool.shutdown()

    def _post(self, number: int) -> None:
        with httpx.Client(base_url=self.address, trust_env=False, timeout=60) as client:
            second = 0
            while not self.stopped.is_set():
                second += 1
                at = (START + timedelta(seconds=second)).isoformat()
                self._send(client, event(time=at, worker_id=f"W{number}"))

    def _send(self, client: httpx.Client, sent: dict[str, Any]) -> None:
        try:
            answer = client.post(EVENTS, json=sent)
        except httpx.TransportError:
            self.unknown.append(sent)
            time.sleep(0.05)
            return
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) > 0
            self.refused += 1
            self.unknown.append(sent)
            time.sleep(0.05)
            return
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert said["stored"] + said["duplicates"] == 1, said
        self.answered.add((sent["worker_id"], sent["time"]))


def stored(dsn: str) -> set[tuple[str, str]]:
    with psycopg.connect(dsn, autocommit=True, options="-c timezone=UTC") as conn:
        rows = conn.execute(
            "select w.worker_id, e.time from floor.events e "
            "join floor.workers w using (site_key, worker_key)"
        ).fetchall()
    return {(worker, time.isoformat()) for worker, time in rows}


def test_the_database_restarts_under_load() -> None:
    with open_folder() as home:
        server = plain_server(home)
        dsn = server.start()
        try:
            migrate(dsn)
            with serving(dsn) as api:
                clients = Clients(str(api.base_url))
                wait_until(lambda: len(clients.answered) > 50, 60)
                server.stop()
                wait_until(lambda: clients.refused > 5, 60)
                assert server.start() == dsn
                before = len(clients.answered)
                wait_until(lambda: len(clients.answered) > before + 50, 60)
                clients.stop()
                assert api.get(f"{V1}/ready").status_code == 200
                found = stored(dsn)
                assert clients.answered <= found
                sent = {(e["worker_id"], e["time"]) for e in clients.unknown}
                assert found - clients.answered <= sent
                for again in clients.unknown:
                    assert api.post(EVENTS, json=again).status_code == 200
                assert stored(dsn) == clients.answered | sent
        finally:
            server.stop()


@pytest.fixture
def killed(dsn: str) -> Iterator[Clients]:
    """Clients of a server that is killed in the middle of their posts."""
    with served_by_a_process(dsn) as (address, process):
        clients = Clients(address)
        wait_until(lambda: len(clients.answered) > 100, 60)
        process.kill()
        process.wait()
        clients.stop()
        yield clients


def test_every_answered_event_is_stored_when_the_server_is_killed(
    dsn: str, killed: Clients
) -> None:
    found = stored(dsn)
    assert len(killed.answered) > 100
    assert killed.answered <= found
    with serving(dsn) as api:
        for again in killed.unknown[: 2 * CLIENTS]:
            assert api.post(EVENTS, json=again).status_code == 200


@pytest.mark.plain
def test_a_database_that_is_locked_is_answered_503_and_comes_back(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.http.gather.PATIENCE_S", 1.0)
    monkeypatch.setattr("etl.http.gather._STATEMENT_S", "3s")
    with serving(dsn) as api, psycopg.connect(dsn) as conn:
        assert api.post(EVENTS, json=event()).json()["stored"] == 1
        conn.execute("lock table floor.dirty in access exclusive mode")
        answer = api.post(EVENTS, json=event(worker_id="W2"))
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        # The event loop is not blocked meanwhile.
        assert api.get(f"{V1}/health").elapsed.total_seconds() < 1
        conn.rollback()
        wait_until(lambda: api.post(EVENTS, json=event()).status_code == 200, 60)


@pytest.mark.plain
def test_one_post_that_fails_takes_no_other_along(
    dsn: str, conn: psycopg.Connection
) -> None:
    """A server that refuses one worker's events stands for a fault of ours."""
    conn.execute(
        """create function public.refuse() returns trigger language plpgsql as $$
        begin raise exception 'refused' using errcode = 'data_exception'; end $$"""
    )
    with serving(dsn) as api:
        for worker in ("good", "bad"):
            api.post(EVENTS, json=event(worker_id=worker))
        row = conn.execute(
            "select worker_key from floor.workers where worker_id = 'bad'"
        ).fetchone()
        assert row is not None
        conn.execute(
            "create trigger refuse before insert on floor.events for each row "
            f"when (new.worker_key = {row[0]}) execute function public.refuse()"
        )

        def post(second: int) -> tuple[str, int]:
            worker = "bad" if second % 4 == 0 else "good"
            at = (START + timedelta(seconds=second)).isoformat()
            base = api.base_url
            with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
                answer = client.post(EVENTS, json=event(worker_id=worker, time=at))
            return worker, answer.status_code

        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(post, range(1, 33)))
    assert found == {("bad", 500), ("good", 200)}
