"""Messages and URLs, without a broker."""

from __future__ import annotations

import pytest

from etl.brokers.absent import unanswered
from etl.brokers.batch import batch_of_messages
from etl.brokers.choose import label
from etl.brokers.rows import LONGEST_PARKED
from etl.brokers.stream import Message
from etl.brokers.url import parse_url
from etl.readers.open import LONGEST_LINE
from sql.errors import BadSetting, BrokerGone


def rows(*payloads: bytes, site: str | None = None) -> dict[int, tuple[str, bytes]]:
    """Row to what it is (its worker, or why it is broken) and its raw bytes."""
    messages = [Message(p, f"x:{n}", n) for n, p in enumerate(payloads)]
    batch = batch_of_messages(messages, site)
    said = dict(batch.broken.iter_rows())
    for row, worker in batch.texts.select("row", "worker_id").iter_rows():
        said[row] = worker
    origin = batch.origin(batch.texts["row"].append(batch.broken["row"]).sort())
    raws = dict(origin.select("row", "raw").iter_rows())
    return {row: (said[row], raws[row]) for row in sorted(said)}


def test_causes_in_a_ring_come_to_an_end() -> None:
    """As aiormq ties them: an endless loop there kept a consumer from ever reading."""
    one, other = OSError("gone"), ConnectionError("away")
    one.__cause__, other.__context__ = other, one
    address = parse_url("amqps://localhost/?queue=events")
    assert isinstance(unanswered(address, one), BrokerGone)


def test_rows_are_numbered_over_all_messages() -> None:
    assert rows(b'{"worker_id":"a"}', b"", b'[{"worker_id":"b"},2]', b"null") == {
        0: ("a", b'{"worker_id":"a"}'),
        1: ("b", b'{"worker_id":"b"}'),
        2: ("the element is no JSON object", b"2"),
        3: (
            "the message is no JSON: neither an event, nor an array of them, nor "
            "NDJSON",
            b"null",
        ),
    }


def test_a_site_is_named_where_none_is() -> None:
    found = rows(b'{"worker_id":"a"}', b'{"site_id":"own"}\n{"site_id":""}', site="s")
    assert [raw for _, raw in found.values()] == [
        b'{"worker_id":"a","site_id":"s"}',
        b'{"site_id":"own"}',
        b'{"site_id":"s"}',
    ]


def test_a_message_too_large_to_keep_keeps_its_beginning() -> None:
    ((_, raw),) = rows(b"x" * (LONGEST_PARKED + 1)).values()
    assert len(raw) == LONGEST_PARKED
    event = b'{"worker_id":"a","x":"' + b"x" * LONGEST_LINE + b'"}'
    ((said, raw),) = rows(event).values()
    assert "longer than 64 kB" in said
    assert len(raw) == LONGEST_LINE


def test_nesting_without_end_breaks_its_own_message_only() -> None:
    deep = b'{"worker_id":"a","x":' + b"[" * 600 + b"]" * 600 + b"}"
    first, second = rows(deep, b'{"worker_id":"b"}').values()
    assert "nested deeper" in first[0]
    assert first[1] == deep
    assert second[0] == "b"


@pytest.mark.parametrize(
    ("url", "read", "place"),
    [
        ("nats://me:secret@a,b:4223/EVENTS/floor.>", "nats:EVENTS/floor.>", "a,b:4223"),
        ("mqtt://broker/plant/+/#", "mqtt:plant/+/#", "broker"),
        ("mqtts://[::1]:8884/a%20b", "mqtt:a b", "::1:8884"),
        ("amqp://u:p%40@host/%2F?queue=q", "rabbitmq:q", "host"),
        ("redis://host:6380/1?stream=s", "redis:s", "host:6380"),
        ("kafka://a:1,b:2/topic?security.protocol=SSL", "kafka:topic", "a:1,b:2"),
    ],
)
def test_urls(url: str, read: str, place: str) -> None:
    address = parse_url(url)
    assert label(address) == read
    assert address.place == f"{address.scheme}://{place}"
    assert "secret" not in address.place


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://host/x", "no broker"),
        ("nats://host", "nothing to read"),
        ("nats:///x", "no host"),
        ("mqtt://host:port/x", "no port"),
        ("file", "no broker"),
        ("redis://host/0?topic=x", "knows no option 'topic'"),
        ("redis://host/0", r"needs \?stream="),
        ("redis://host/zero?stream=x", "is a number"),
        ("kafka://host/t?acks=1", "knows no option 'acks'"),
        ("nats://host/S?ca=file", "knows no option 'ca'"),
    ],
)
def test_urls_that_cannot_be(url: str, said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        parse_url(url)


def test_options_with_a_dot_are_those_of_kafkas_client() -> None:
    assert parse_url("kafka://h/t?a.b=c").given() == {"a.b": "c"}
