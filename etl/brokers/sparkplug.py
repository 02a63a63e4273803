"""Sparkplug B: payloads of MQTT as events; the mapping is docs/brokers.md's.

Only what an event needs of the payload's protobuf is declared here; what a payload
holds beside it is skipped by its wire format.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from etl.batch import Batch
from etl.brokers.batch import batch_of_messages
from etl.brokers.births import BIRTHS, DATA, NUMBERED, Births
from etl.brokers.stream import Message
from etl.elements import as_json
from etl.shape.rules import FIELDS

log = logging.getLogger(__name__)

NAMESPACE = "spBv1.0"
# What makes an event; a group of metrics without it says nothing about a worker.
_STATE = "event_type"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELD = descriptor_pb2.FieldDescriptorProto
_BOOLEAN = 11
_UINT64, _UINT32, _STRING = _FIELD.TYPE_UINT64, _FIELD.TYPE_UINT32, _FIELD.TYPE_STRING
# Name, number and type, as the specification (version 3, section 6.4) has them.
_METRIC = (
    ("name", 1, _STRING),
    ("alias", 2, _UINT64),
    ("timestamp", 3, _UINT64),
    ("datatype", 4, _UINT32),
    ("is_null", 7, _FIELD.TYPE_BOOL),
    ("int_value", 10, _UINT32),
    ("long_value", 11, _UINT64),
    ("float_value", 12, _FIELD.TYPE_FLOAT),
    ("double_value", 13, _FIELD.TYPE_DOUBLE),
    ("boolean_value", 14, _FIELD.TYPE_BOOL),
    ("string_value", 15, _STRING),
)
_VALUES = tuple(name for name, _, _ in _METRIC if name.endswith("_value"))


def _payload_class() -> Any:
    """The class of payloads, made of its description."""
    file = descriptor_pb2.FileDescriptorProto(
        name="floorpulse/sparkplug.proto", package="floorpulse", syntax="proto2"
    )
    metric = file.message_type.add(name="Metric")
    for name, number, kind in _METRIC:
        metric.field.add(name=name, number=number, type=kind, label=1)
    payload = file.message_type.add(name="Payload")
    payload.field.add(name="timestamp", number=1, type=_UINT64, label=1)
    payload.field.add(
        name="metrics",
        number=2,
        type=_FIELD.TYPE_MESSAGE,
        type_name=".floorpulse.Metric",
        label=_FIELD.LABEL_REPEATED,
    )
    payload.field.add(name="seq", number=3, type=_UINT64, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("floorpulse.Payload")
    return message_factory.GetMessageClass(found)


PAYLOAD = _payload_class()


class Sparkplug:
    """Reads messages; remembers the aliases that births name, by node and device.

    publish (topic, payload): how nodes are asked to be born again; None: they are not.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], dict[int, str]] = {}
        self._births = Births()
        self.publish: Callable[[str, bytes], None] | None = None

    def __call__(self, messages: Sequence[Message], site: str | None) -> Batch:
        """Messages as a batch: see Settings.read."""
        return batch_of_messages([self._as_json(each) for each in messages], site)

    def _as_json(self, message: Message) -> Message:
        """The same with events as JSON; what cannot be decoded stays as it came."""
        topic = message.source.removeprefix("mqtt:").split("/")
        if len(topic) < 4 or topic[0] != NAMESPACE:
            return message
        if topic[2] not in NUMBERED:
            # Deaths of nodes, commands and host states hold no events.
            return Message(b"", message.source, message.token)
        try:
            payload = PAYLOAD.FromString(message.payload)
        except DecodeError:
            return message
        _, qos = message.token
        if self._births.missed(topic, payload, may_repeat=qos > 0):
            self._ask(topic)
        is_told = topic[2] in (*BIRTHS, *DATA)
        events = list(self._events(topic, payload)) if is_told else []
        data = as_json(events) if events else b""
        return Message(data, message.source, message.token)

    def _ask(self, topic: Sequence[str]) -> None:
        """Have the node of a topic publish its births again."""
        if self.publish is None:
            return
        _, group, _, node, *_ = topic
        log.info("asked %s/%s to be born again", group, node, extra={"action": "asked"})
        self.publish(f"{NAMESPACE}/{group}/NCMD/{node}", _rebirth())

    def _events(self, topic: list[str], payload: Any) -> Iterator[dict[str, Any]]:
        """An event a group of metrics: those whose names begin alike (`W1/...`)."""
        _, group, kind, *place = topic
        groups: dict[str, dict[str, Any]] = {}
        for metric in payload.metrics:
            name = self._name(metric, (group, *place), is_birth=kind in BIRTHS)
            before, _, field = name.rpartition("/")
            if metric.is_null or not (field in FIELDS or field.startswith("alias ")):
                continue
            said = groups.setdefault(before, {})
            said[field] = _value(metric)
            if field == _STATE:
                said["time"] = _time(metric.timestamp or payload.timestamp)
        for before, said in groups.items():
            own: dict[str, Any] = {"site_id": group, "workstation_id": place[-1]}
            if before:
                own["worker_id"] = before.rpartition("/")[2]
            if "time" not in said and payload.timestamp:
                own["time"] = _time(payload.timestamp)
            yield own | said

    def _name(self, metric: Any, place: tuple[str, ...], *, is_birth: bool) -> str:
        """A metric's name: its own, or the one that the birth gave its alias."""
        names = self._names.setdefault(place, {})
        if metric.name:
            if is_birth and metric.HasField("alias"):
                names[metric.alias] = metric.name
            return str(metric.name)
        return names.get(metric.alias, f"alias {metric.alias}")


def _rebirth() -> bytes:
    """The command to be born again, as the specification has it."""
    now = time.time_ns() // 1_000_000
    metric = {
        "name": "Node Control/Rebirth",
        "timestamp": now,
        "datatype": _BOOLEAN,
        "boolean_value": True,
    }
    command: bytes = PAYLOAD(timestamp=now, metrics=[metric]).SerializeToString()
    return command


def _value(metric: Any) -> Any:
    for name in _VALUES:
        if metric.HasField(name):
            value = getattr(metric, name)
            # A 32-bit 0.9 is 0.8999999761581421 as a double: as it was meant instead.
            return float(f"{value:.7g}") if name == "float_value" else value
    return None


def _time(milliseconds: int) -> str:
    try:
        return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat()
    except OverflowError:
        return str(milliseconds)
