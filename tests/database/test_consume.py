"""Brokers that are really there: every message ends in the tables, once."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
from collections.abc import Iterator

import psycopg
import pytest

from etl.brokers.choose import label, opening
from etl.brokers.consume import Consumed, Consumer, Settings
from etl.brokers.url import parse_url
from sql.errors import BrokerError, BrokerGone
from tests.support.brokers import BROKERS, Broker, consuming, nats_broker
from tests.support.consuming import (
    connecting,
    consume,
    lag,
    payloads,
    subscribe,
    total,
    until,
)
from tests.support.database import one
from tests.support.http import event
from tests.support.late import Late, late
from tests.support.local_server import open_folder, plain_server, wait_until

pytestmark = [
    pytest.mark.plain,
    pytest.mark.xdist_group("brokers"),
]


@pytest.fixture(scope="module", params=list(BROKERS))
def shared(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """One broker of a kind for all tests; each begins with an empty queue."""
    if request.param == "rabbitmq":
        yield request.getfixturevalue("rabbitmq")
        return
    with BROKERS[request.param]() as broker:
        yield broker


def test_whatever_a_message_holds_ends_in_the_tables(
    shared: Broker, dsn: str, conn: psycopg.Connection
) -> None:
    subscribe(shared)
    good = payloads(8)
    deep = b"[" * 40 + b"]" * 40
    sent = [
        good[0],
        b"[" + b",".join(good[1:4]) + b"]",
        b"\n".join(good[4:6]) + b"\nnonsense\n",
        b"no json at all",
        b"\xff\xfe\x00",
        b'[1, {"time": "yesterday"}, %b]' % good[6],
        deep,
        b'{"half":',
        b"",
        b"[]",
        good[0],
        good[7],
    ]
    shared.publish(sent)
    (done,) = consume(dsn, shared, lambda c: c.messages >= len(sent))
    assert (done.messages, done.stored, done.duplicates) == (len(sent), 8, 1)
    assert done.parked == 7
    assert done.parked_codes == {"malformed": 7}
    kept = {bytes(raw) for (raw,) in conn.execute("select raw from ingest.rejects")}
    assert kept == {
        b"nonsense",
        b"no json at all",
        b"\xff\xfe\x00",
        b"1",
        b'{"time":"yesterday"}',
        deep,
        b'{"half":',
    }
    sources = one(conn, "select array_agg(distinct source) from ingest.rejects")
    assert [source.split(":")[0] for source in sources] == [
        "amqp" if shared.kind == "rabbitmq" else shared.kind
    ]
    if shared.kind == "kafka":
        # The mock cluster takes 20 s to let the same group in again.
        return
    # Nothing comes again, not even what was parked.
    shared.publish([good[0]])
    (again,) = consume(dsn, shared, lambda c: c.messages >= 1)
    assert (again.messages, again.duplicates) == (1, 1)
    if shared.kind != "mqtt":
        wait_until(lambda: lag(shared) == 0)


def test_processes_of_a_group_share_a_stream(
    shared: Broker, dsn: str, conn: psycopg.Connection
) -> None:
    names, group = ("first", "second"), "shared" if shared.kind == "mqtt" else None
    if shared.kind == "kafka":
        pytest.skip("the mock cluster takes 20 s to let a second member in")
    for name in names:
        subscribe(shared, name, group)
    shared.publish(payloads(1000))

    def enough(done: Consumed) -> bool:
        return done.stored + done.duplicates >= 1000

    parts = consume(dsn, shared, enough, names, group)
    assert one(conn, "select count(*) from floor.events") == 1000
    # Kafka gives a partition to one process, and a rebalance may repeat some.
    if shared.kind == "mqtt":
        assert total(parts).messages == 1000


def test_a_message_that_fails_takes_no_other_along(
    dsn: str, conn: psycopg.Connection
) -> None:
    """A server that refuses one worker's events stands for a fault of ours."""
    conn.execute(
        """create function public.refuse() returns trigger language plpgsql as $$
        begin raise exception 'refused' using errcode = 'data_exception'; end $$"""
    )
    conn.execute(
        "create trigger refuse before insert on floor.events for each row "
        "when (new.confidence = 0.5) execute function public.refuse()"
    )
    bad = json.dumps(event(confidence=0.5)).encode()
    with nats_broker() as broker:
        broker.publish([*payloads(30, "good"), bad, *payloads(30, "fine")])
        (done,) = consume(dsn, broker, lambda c: c.messages >= 61)
        wait_until(lambda: lag(broker) == 0)
    assert (done.stored, done.parked, done.failed) == (60, 1, 1)
    assert conn.execute("select code, raw, message from ingest.rejects").fetchall() == [
        ("failed", bad, "could not be stored: refused")
    ]


@pytest.mark.parametrize("kind", ["nats", "mqtt"])
def test_the_database_goes_and_comes_back(kind: str, engine: object) -> None:
    del engine
    from sql.migrate import migrate

    with open_folder() as home, BROKERS[kind]() as broker:
        server = plain_server(home)
        dsn = server.start()
        try:
            migrate(dsn)
            subscribe(broker)
            broker.publish(payloads(200))

            async def run() -> Consumed:
                settings = Settings(most=50, wait_s=0.01)
                consumer = Consumer(dsn, connecting(broker), "here", settings)
                task = asyncio.create_task(consumer.run())
                await until(lambda: consumer.consumed.messages >= 200)
                await asyncio.to_thread(server.stop)
                await asyncio.to_thread(broker.publish, payloads(300))
                await until(lambda: consumer.consumed.interruptions >= 2)
                assert consumer.consumed.messages == 200
                assert await asyncio.to_thread(server.start) == dsn
                await until(lambda: consumer.consumed.stored >= 300)
                assert consumer.consumed.error is None
                consumer.stop()
                await task
                return consumer.consumed

            asyncio.run(run())
            with psycopg.connect(dsn) as conn:
                assert one(conn, "select count(*) from floor.events") == 300
        finally:
            server.stop()


def test_what_was_taken_and_not_acknowledged_comes_again(
    shared: Broker, dsn: str, conn: psycopg.Connection
) -> None:
    if shared.kind == "kafka":
        pytest.skip("the mock cluster takes 20 s to notice that a member left")
    subscribe(shared, "taker")
    shared.publish(payloads(20))

    async def abandon() -> int:
        stream = await connecting(shared, "taker")()
        taken = []
        for _ in range(40):
            taken += await stream.take(500, 0.02)
            if len(taken) >= 20:
                break
        await stream.close(taken)
        return len(taken)

    assert asyncio.run(abandon()) == 20
    consume(dsn, shared, lambda c: c.stored >= 20, ["taker"])
    assert one(conn, "select count(*) from floor.events") == 20


@pytest.mark.parametrize("kind", ["nats", "mqtt"])
def test_killed_and_with_a_broker_that_restarts(
    kind: str, dsn: str, conn: psycopg.Connection
) -> None:
    """kill -9 of the consumer; then the broker goes and comes back."""
    count = "select count(*) from floor.events"
    with BROKERS[kind]() as broker:
        subscribe(broker)
        broker.publish(payloads(3000))
        options = ["--name", "one", "--batch", "100"]
        with consuming(dsn, broker.url, *options):
            wait_until(lambda: one(conn, count) > 0, 60)
        with consuming(dsn, broker.url, *options) as process:
            if kind == "nats":
                # What the killed had is theirs for a minute: somebody sends it again.
                broker.publish(payloads(3000))
            wait_until(lambda: one(conn, count) == 3000, 60)
            broker.stop()
            broker.start()
            broker.publish(payloads(10, "after"))
            wait_until(lambda: one(conn, count) == 3010, 60)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    row = conn.execute(
        "select ok, (detail ->> 'stored')::int > 0, detail ->> 'source' "
        "from ops.job_runs where job = 'consume' and finished_at is not null"
    ).fetchall()
    assert row == [(True, True, label(parse_url(broker.url)))]


def test_what_a_killed_process_had_its_group_takes_over(
    shared: Broker, dsn: str, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 of one process of a group; `python -m tests.chaos.group`: more."""
    if shared.kind not in ("redis", "rabbitmq"):
        pytest.skip("NATS and MQTT are killed below; the mock cluster takes 20 s")
    monkeypatch.setattr("etl.brokers.redis.CLAIM_AFTER_S", 0.1)
    monkeypatch.setattr("etl.brokers.redis._CLAIM_EVERY_S", 0.1)
    sent = [*payloads(3000), b"poison"]
    shared.publish(sent)
    count = "select count(*) from floor.events"
    with consuming(dsn, shared.url, "--name", "killed", "--batch", "50"):
        wait_until(lambda: one(conn, count) > 0, 60)
    parked = "select count(*) from ingest.rejects"

    def enough(_: Consumed) -> bool:
        return bool(one(conn, count) >= 3000 and one(conn, parked))

    consume(dsn, shared, enough, ["first", "second"])
    wait_until(lambda: lag(shared) == 0)
    assert one(conn, count) == 3000
    assert one(conn, "select sum(stored)::int from ingest.tallies") == 3000
    assert one(conn, "select array_agg(raw) from ingest.rejects") == [b"poison"]


def test_a_broker_that_comes_later_is_waited_for(
    shared: Broker, dsn: str, conn: psycopg.Connection
) -> None:
    """Its server is started later, or what leads to it: RabbitMQ takes too long."""
    group = "late" if shared.kind == "kafka" else None
    subscribe(shared, "late")
    shared.publish(payloads(5, "late"))
    stored = """select count(*) from floor.events join floor.workers using (worker_key)
        where worker_id = 'late'"""

    async def run(late: Late) -> None:
        making = opening(parse_url(late.url), group, "late", 500)
        consumer = Consumer(dsn, making, "here", Settings(wait_s=0.01))
        task = asyncio.create_task(consumer.run())
        await until(lambda: consumer.consumed.interruptions >= 2 or task.done())
        assert "does not answer" in (consumer.consumed.error or ""), task
        led = await late.appear()
        await until(lambda: one(conn, stored) == 5 or task.done())
        consumer.stop()
        await task
        assert consumer.consumed.error is None
        if led is not None:
            led.close()

    with late(shared) as coming:
        asyncio.run(run(coming))
    assert one(conn, stored) == 5


# What no waiting mends, by broker: part of the URL, and what stands there instead;
# TLS that is not spoken: test_consume_tls.py.
HOPELESS = {
    "nats": [("EVENTS", "NOTHING")],
    "mqtt": [("floor/#", "floor/#/x")],
    "redis": [("/0?", "/99?"), ("//", "//nobody:wrong@")],
    "kafka": [],
    "rabbitmq": [("%2F", "none"), (":guest@", ":wrong@")],
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_no_waiting_mends_ends_at_once(shared: Broker, dsn: str) -> None:
    if not HOPELESS[shared.kind]:
        pytest.skip("the mock cluster refuses nothing")
    for part, instead in HOPELESS[shared.kind]:
        url = shared.url.replace(part, instead)
        with pytest.raises(BrokerError) as refused:
            consume(dsn, Broker(shared.kind, url, shared.publish), lambda _: False)
        assert not isinstance(refused.value, BrokerGone), (url, refused.value)
    gc.collect()
