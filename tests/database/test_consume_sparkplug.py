"""Sparkplug B through a real Mosquitto: born, alive, dead, and born again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from etl.brokers.sparkplug import PAYLOAD, Sparkplug
from tests.support.brokers import MOSQUITTO, Broker, mqtt_broker
from tests.support.consuming import consume, subscribe
from tests.support.database import one
from tests.support.local_server import wait_until
from tests.support.mqtt import mqtt_publish

pytestmark = [
    pytest.mark.plain,
    pytest.mark.xdist_group("brokers"),
]
AT_MS = 1_793_520_000_000
STATE, CONFIDENCE = 1, 2


def born(second: int, state: str) -> bytes:
    """A device's birth: metrics, and the numbers that stand for them from now on."""
    return payload(
        second,
        {"name": "W1/event_type", "alias": STATE, "string_value": state},
        {"name": "W1/confidence", "alias": CONFIDENCE, "double_value": 0.9},
    )


def data(second: int, state: str) -> bytes:
    """Numbers only."""
    return payload(
        second,
        {"alias": STATE, "string_value": state},
        {"alias": CONFIDENCE, "double_value": 0.9},
    )


def payload(second: int, *metrics: dict[str, Any], seq: int | None = None) -> bytes:
    numbered = {} if seq is None else {"seq": seq}
    made: bytes = PAYLOAD(
        timestamp=AT_MS + 1000 * second, metrics=metrics, **numbered
    ).SerializeToString()
    return made


def test_a_device_is_born_dies_and_is_born_again(
    dsn: str, conn: psycopg.Connection
) -> None:
    with mqtt_broker() as plain:
        url = plain.url.replace("floor/#", "spBv1.0/plant/#")
        broker = Broker("mqtt", url, plain.publish)
        port = int(url.split(":")[2].split("/")[0])

        def say(kind: str, body: bytes, device: str = "/S1") -> None:
            mqtt_publish(port, [body], f"spBv1.0/plant/{kind}/edge{device}")

        def read(messages: int, how: Sparkplug) -> tuple[int, int]:
            (done,) = consume(dsn, broker, lambda c: c.messages >= messages, read=how)
            return done.stored, done.parked

        subscribe(broker)
        first = Sparkplug()
        say("NBIRTH", payload(0, {"name": "bdSeq", "long_value": 0}), "")
        say("DBIRTH", born(1, "working"))
        say("DDATA", data(2, "idle"))
        say("DDEATH", payload(3))
        say("NDEATH", payload(3, {"name": "bdSeq", "long_value": 0}), "")
        assert read(5, first) == (2, 0)
        # Born again as it was: known, and the numbers hold.
        say("DBIRTH", born(1, "working"))
        say("DDATA", data(4, "working"))
        assert read(2, first) == (1, 0)
        # A consumer that was started again has seen no birth until the next one.
        second = Sparkplug()
        say("DDATA", data(5, "idle"))
        assert read(1, second) == (0, 1)
        say("DBIRTH", born(6, "idle"))
        say("DDATA", data(7, "absent"))
        assert read(2, second) == (2, 0)
    rows = conn.execute(
        "select extract(epoch from time)::bigint - %s, event_type from floor.events "
        "order by time",
        (AT_MS // 1000,),
    ).fetchall()
    assert rows == [(1, 0), (2, 1), (4, 0), (6, 1), (7, 2)]
    parked = one(conn, "select convert_from(raw, 'utf8') from ingest.rejects")
    assert '"alias 1":"idle"' in parked


# Whoever comes as `reader` may not publish; Mosquitto drops what it does, silently.
RIGHTS = """topic readwrite #
user reader
topic read #
"""


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are asked whenever there is need."""
    monkeypatch.setattr("etl.brokers.births.AGAIN_S", (0.0, 0.0))


@pytest.mark.parametrize(
    ("account", "options", "asked"),
    [("", "", 2), ("", "&rebirth=no", 0), ("reader@", "", 0)],
)
@pytest.mark.usefixtures("often")
def test_a_node_whose_birth_was_missed_is_asked_for_it(
    account: str,
    options: str,
    asked: int,
    dsn: str,
    tmp_path: Path,
) -> None:
    """Data of an unknown node; then a number that is left out."""
    (tmp_path / "rights").write_text(RIGHTS)
    with mqtt_broker(MOSQUITTO + f"acl_file {tmp_path / 'rights'}\n") as plain:
        port = int(plain.url.split(":")[2].split("/")[0])
        place = f"mqtt://{account}127.0.0.1:{port}/spBv1.0/plant/#"
        broker = Broker("mqtt", f"{place}?format=sparkplug{options}", plain.publish)

        def say(kind: str, body: bytes, device: str = "/S1") -> None:
            mqtt_publish(port, [body], f"spBv1.0/plant/{kind}/edge{device}")

        def read(messages: int, how: Sparkplug) -> None:
            consume(dsn, broker, lambda c: c.messages >= messages, read=how)

        with commanded(port) as commands:
            subscribe(broker)
            how = Sparkplug()
            say("DDATA", data(1, "idle"))
            read(1, how)
            say("NBIRTH", payload(2, seq=0), "")
            say("DBIRTH", born(3, "working"))
            say("NDATA", payload(4, seq=3), "")
            say("DDATA", data(5, "idle"))
            # What a consumer says to a node comes back to it, and is no event.
            read(4, how)
            if asked:
                wait_until(lambda: len(commands) >= asked)
        assert len(commands) == asked
        for topic, command in commands:
            (metric,) = PAYLOAD.FromString(command).metrics
            assert topic == "spBv1.0/plant/NCMD/edge"
            assert (metric.name, metric.boolean_value) == ("Node Control/Rebirth", True)
    with psycopg.connect(dsn) as conn:
        assert one(conn, "select count(*) from floor.events") == 2
        assert one(conn, "select count(*) from ingest.rejects") == 1


@contextmanager
def commanded(port: int) -> Iterator[list[tuple[str, bytes]]]:
    """What nodes are told, as one that listens hears it."""
    heard: list[tuple[str, bytes]] = []
    listens = threading.Event()
    node = mqtt.Client(CallbackAPIVersion.VERSION2)
    node.on_message = lambda _c, _d, m: heard.append((m.topic, bytes(m.payload)))
    node.on_subscribe = lambda *_: listens.set()
    node.connect("127.0.0.1", port)
    node.subscribe("spBv1.0/+/NCMD/#")
    node.loop_start()
    assert listens.wait(10)
    try:
        yield heard
    finally:
        node.disconnect()
        node.loop_stop()
