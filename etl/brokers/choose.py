"""Which adapter a broker's URL needs; each client is imported only where it is used."""

# ruff: noqa: PLC0415
from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from functools import partial

from etl.brokers.batch import batch_of_messages
from etl.brokers.consume import MOST_MESSAGES, Opening, Reading
from etl.brokers.stream import Reader, Stream
from etl.brokers.url import Address
from sql.errors import BadSetting

GROUP = "floorpulse"
# The larger the batch, the less it costs; measured for these two.
_BOUNDED, _MOST_BOUNDED = ("nats", "mqtt"), 10_000


def opening(
    address: Address,
    group: str | None,
    name: str | None,
    most: int,
    read: Reading | None = None,
) -> Opening:
    """How to connect: group is shared by processes, name is this one's own.

    An MQTT name stands for a session with its subscription, so the topic is part of it.
    read: what `reading` gave; it may have something to say to senders.
    """
    own = name or socket.gethostname()
    if address.kind == "nats":
        from etl.brokers.nats import Pull, open_nats

        return partial(open_nats, address, group or GROUP, own, most, Pull())

    async def opened() -> Stream:
        match address.kind:
            case "mqtt":
                from etl.brokers.mqtt import open_mqtt

                named = name or _session(address)
                stream = await open_mqtt(address, group, named, most)
                _let_speak(read, stream.publish, address)
                return stream
            case "redis":
                from etl.brokers.redis import open_redis

                return await open_redis(address, group or GROUP, own)
            case "rabbitmq":
                from etl.brokers.rabbitmq import open_rabbitmq

                return await open_rabbitmq(address, own, most)
            case _:
                from etl.brokers.kafka import open_kafka

                return await open_kafka(address, group or GROUP, own)

    return opened


def most_of(address: Address) -> int:
    """Messages in one transaction, where nobody says how many."""
    return _MOST_BOUNDED if address.kind in _BOUNDED else MOST_MESSAGES


def reading(address: Address, group: str | None) -> Reading:
    """What messages hold: JSON, or with mqtt://...?format=sparkplug Sparkplug B."""
    said = address.options.get("format", "json")
    if said not in ("json", "sparkplug"):
        raise BadSetting(
            f"The format {said!r} is not known here, only json and sparkplug"
        )
    if address.options.get("rebirth", "yes") not in ("yes", "no"):
        raise BadSetting("rebirth is yes or no")
    if said == "json":
        if "rebirth" in address.options:
            raise BadSetting("Only nodes of ?format=sparkplug can be born again")
        return batch_of_messages
    if group is not None:
        raise BadSetting(
            "Sparkplug cannot be shared by a group: a birth that names aliases would "
            "come to one process, and data to another"
        )
    from etl.brokers.sparkplug import Sparkplug

    return Sparkplug()


def _let_speak(
    read: Reading | None, publish: Callable[[str, bytes], None], address: Address
) -> None:
    if isinstance(read, Reader) and address.options.get("rebirth", "yes") == "yes":
        read.publish = publish


def _session(address: Address) -> str:
    topic = hashlib.sha256(address.path.encode()).hexdigest()[:8]
    return f"floorpulse-{socket.gethostname()}-{topic}"


def label(address: Address) -> str:
    """What is read, without where and as whom: the source of what is parked whole."""
    read = address.options.get("queue") or address.options.get("stream")
    return f"{address.kind}:{read or address.path}"
