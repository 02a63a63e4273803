"""Sparkplug B payloads become events, without a broker."""

from __future__ import annotations

from typing import Any

from etl.brokers.sparkplug import PAYLOAD, Sparkplug
from etl.brokers.stream import Message

AT = 1_793_520_000_000


def sent(kind: str, metrics: list[dict[str, Any]], device: str = "/S1") -> Message:
    payload = PAYLOAD(timestamp=AT, metrics=metrics)
    topic = f"mqtt:spBv1.0/plant/{kind}/edge{device}"
    return Message(payload.SerializeToString(), topic, (1, 0))


def state(prefix: str = "", **more: Any) -> list[dict[str, Any]]:
    return [
        {"name": f"{prefix}event_type", "string_value": "working", **more},
        {"name": f"{prefix}confidence", "float_value": 0.9},
    ]


def texts(*messages: Message) -> list[dict[str, Any]]:
    batch = Sparkplug()(messages, None)
    assert batch.broken.is_empty()
    return [
        {k: v for k, v in row.items() if v is not None and k != "row"}
        for row in batch.texts.to_dicts()
    ]


EVENT = {
    "time": "2026-11-01T08:00:00+00:00",
    "site_id": "plant",
    "worker_id": "W1",
    "workstation_id": "S1",
    "event_type": "working",
    "confidence": "0.9",
}


def test_a_device_with_one_worker() -> None:
    worker: dict[str, Any] = {"name": "worker_id", "string_value": "W1"}
    other = {"name": "temperature", "double_value": 21.5}
    assert texts(sent("DDATA", [worker, *state(), other])) == [EVENT]


def test_several_workers_by_the_beginning_of_the_name() -> None:
    metrics = [*state("line/W1/"), *state("line/W2/", timestamp=AT + 250)]
    assert texts(sent("DDATA", metrics)) == [
        EVENT,
        EVENT | {"worker_id": "W2", "time": "2026-11-01T08:00:00.250000+00:00"},
    ]


def test_aliases_are_those_of_the_birth() -> None:
    born: list[dict[str, Any]] = [
        {"name": "W1/event_type", "alias": 1, "string_value": "idle"},
        {"name": "W1/confidence", "alias": 2, "double_value": 0.5},
    ]
    later: list[dict[str, Any]] = [
        {"alias": 1, "string_value": "working"},
        {"alias": 2, "float_value": 0.9},
    ]
    first, second = texts(sent("DBIRTH", born), sent("DDATA", later))
    assert (first["event_type"], first["confidence"]) == ("idle", "0.5")
    assert second == EVENT


def test_an_alias_that_no_birth_named_is_parked_and_told() -> None:
    batch = Sparkplug()([sent("DDATA", [{"alias": 7, "int_value": 1}])], None)
    assert batch.texts["event_type"].to_list() == [None]
    (raw,) = batch.origin(batch.texts["row"])["raw"]
    assert b'"alias 7":1' in raw


def test_a_node_itself_counts_and_what_is_no_event_is_nothing() -> None:
    counted: list[dict[str, Any]] = [
        {"name": "W1/event_type", "string_value": "product_count"},
        {"name": "W1/confidence", "double_value": 0.9},
        {"name": "W1/count", "long_value": 3},
    ]
    (found,) = texts(
        sent("NDATA", counted, device=""),
        sent("NDEATH", [], device=""),
        sent("NCMD", state(), device=""),
        sent("DDATA", [{"name": "temperature", "double_value": 21.5}]),
    )
    assert (found["workstation_id"], found["count"]) == ("edge", "3")


def test_what_is_no_payload_is_broken() -> None:
    bad = Message(b"\xff\xff", "mqtt:spBv1.0/plant/DDATA/edge/S1", (1, 0))
    batch = Sparkplug()([bad], None)
    assert batch.origin(batch.broken["row"])["raw"].to_list() == [b"\xff\xff"]
