"""Sparkplug B through a real Mosquitto: born, alive, dead, and born again."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from etl.brokers.sparkplug import PAYLOAD, Sparkplug
from tests.database.test_consume import consume, one, subscribe
from tests.support.brokers import Broker, mqtt_broker
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


def payload(second: int, *metrics: dict[str, Any]) -> bytes:
    made: bytes = PAYLOAD(
        timestamp=AT_MS + 1000 * second, metrics=metrics
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
            (done,) = consume(
                dsn, broker, lambda c: c.messages >= messages, read=how.read
            )
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
