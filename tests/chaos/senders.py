"""Programs that send their share, whatever dies: until somebody answers for it.

What counts as an answer differs by the way: an HTTP 200, PubAck of a broker, a count of
an edge agent, a file that is written. Without one, the same is sent again.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import random
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any, Protocol

import nats
import nats.errors
from nats.aio.client import Client

from tests.chaos.known import Sending
from tests.support.mqtt import Publisher

AGAIN_S = 0.2
LOOK_S = 0.05
ANSWER_S = 20.0
# A Mosquitto that is killed forgets what it acknowledged since its last save, a second
# ago (docs/brokers.md): a publisher that must lose nothing sends so much once more.
FORGOTTEN_S = 3.0


class NotTaken(Exception):  # noqa: N818
    """Nobody has answered for what was sent."""


class Way(Protocol):
    """One way in."""

    most: int

    def send(self, payloads: Sequence[bytes]) -> None:
        """Returns once somebody answers for all of it; NotTaken if nobody does."""

    def finish(self) -> None:
        """Nothing more is sent; NotTaken as long as some of it may be lost."""


class Sender(Thread):
    """Sends what is due, in order, each batch until it is taken."""

    def __init__(
        self, name: str, way: Way, sendings: Sequence[Sending], began: float
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._way, self._began = way, began
        self._waiting = deque(sendings)
        self._chance = random.Random(len(sendings))
        self.stop = Event()
        self.sent = self.repeated = 0
        self.error: BaseException | None = None

    @property
    def left(self) -> int:
        """How many wait to be sent."""
        return len(self._waiting)

    def run(self) -> None:
        """Until all is taken, or nobody wants it any more."""
        try:
            while self._waiting and not self.stop.is_set():
                batch = self._due()
                if batch:
                    self._insist(partial(self._way.send, batch))
                    self.sent += len(batch)
                else:
                    self.stop.wait(LOOK_S)
            self._insist(self._way.finish)
        except BaseException as error:
            self.error = error
            raise

    def _due(self) -> list[bytes]:
        now_s = time.monotonic() - self._began
        most = self._chance.choice([1, self._way.most])
        batch: list[bytes] = []
        while self._waiting and self._waiting[0].due_s <= now_s and len(batch) < most:
            batch.append(self._waiting.popleft().payload)
        return batch

    def _insist(self, send: Callable[[], None]) -> None:
        while not self.stop.is_set():
            try:
                send()
            except NotTaken:
                self.repeated += 1
                self.stop.wait(AGAIN_S)
            else:
                return


class ByHttp:
    """POST of one event or of an array, over a connection that is kept."""

    most = 100

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def send(self, payloads: Sequence[bytes]) -> None:
        """See Way."""
        body = payloads[0] if len(payloads) == 1 else b"[%b]" % b",".join(payloads)
        answer = self._ask("POST", "/api/v1/events", body)
        told = answer["stored"] + answer["duplicates"] + len(answer["parked"])
        assert told == len(payloads), answer

    def finish(self) -> None:
        """See Way."""
        if self._connection is not None:
            self._connection.close()

    def _ask(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=ANSWER_S
            )
        try:
            self._connection.request(method, path, body)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise NotTaken(str(error)) from error
        if answer.status == 503:
            raise NotTaken(text.decode())
        assert answer.status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found


class ByFile(ByHttp):
    """PUT of a file; one that was cut off is sent again as it is."""

    most = 2000

    def send(self, payloads: Sequence[bytes]) -> None:
        """See Way."""
        body = gzip.compress(b"\n".join(payloads), mtime=0)
        answer = self._ask("PUT", "/api/v1/events/file", body)
        assert answer["read"] == len(payloads), answer


class ByFolder:
    """Lines at the end of files that an agent follows: safe once they are written."""

    most = 50
    lines_per_file = 500

    def __init__(self, folder: Path) -> None:
        self._folder, self._lines = folder, 0

    def send(self, payloads: Sequence[bytes]) -> None:
        """See Way."""
        name = f"{self._lines // self.lines_per_file:06}.ndjson"
        with (self._folder / name).open("ab") as file:
            file.write(b"".join(payload + b"\n" for payload in payloads))
        self._lines += len(payloads)

    def finish(self) -> None:
        """See Way."""


class ByTcp:
    """Lines to an agent's socket; it tells how many of a connection's are safe."""

    most = 50

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._told, self._sent = b"", 0

    def send(self, payloads: Sequence[bytes]) -> None:
        """See Way."""
        try:
            if self._socket is None:
                self._connect()
            assert self._socket is not None
            self._socket.sendall(b"".join(p + b"\n" for p in payloads))
            self._sent += len(payloads)
            self._until_durable(self._socket)
        except OSError as error:
            if self._socket is not None:
                self._socket.close()
            self._socket = None
            raise NotTaken(str(error)) from error

    def finish(self) -> None:
        """See Way."""
        if self._socket is not None:
            self._socket.close()

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), ANSWER_S)
        self._told, self._sent = b"", 0

    def _until_durable(self, connection: socket.socket) -> None:
        durable = 0
        while durable < self._sent:
            data = connection.recv(4096)
            if not data:
                raise ConnectionError("the agent has left")
            *whole, self._told = (self._told + data).split(b"\n")
            if whole:
                durable = json.loads(whole[-1])["durable"]


class ByNats:
    """JetStream: each message is acknowledged by the server."""

    most = 100

    def __init__(self, port: int) -> None:
        self._place = f"nats://127.0.0.1:{port}"
        self._loop = asyncio.new_event_loop()
        self._client: Client | None = None

    def send(self, payloads: Sequence[bytes]) -> None:
        """See Way."""
        self._loop.run_until_complete(self._send(payloads))

    def finish(self) -> None:
        """See Way."""
        self._loop.run_until_complete(self._let_go())
        self._loop.close()

    async def _send(self, payloads: Sequence[bytes]) -> None:
        try:
            if self._client is None or not self._client.is_connected:
                self._client = await nats.connect(
                    self._place, allow_reconnect=False, connect_timeout=2, error_cb=_ok
                )
            stream = self._client.jetstream(timeout=5)
            acks = [stream.publish("floor.line", payload) for payload in payloads]
            answers = await asyncio.gather(*acks, return_exceptions=True)
        except (nats.errors.Error, OSError) as error:
            raise NotTaken(str(error)) from error
        for answer in answers:
            if isinstance(answer, BaseException):
                await self._let_go()
                raise NotTaken(str(answer)) from answer

    async def _let_go(self) -> None:
        if self._client is not None:
            await self._client.close()
        self._client = None


async def _ok(_: Exception) -> None:
    """Told by what fails."""


class ByMqtt:
    """QoS 1, and once more what a broker that was killed may have forgotten."""

    most = 100

    def __init__(self, port: int) -> None:
        self._port = port
        self._publisher: Publisher | None = None
        self._recent: deque[tuple[float, bytes]] = deque()
        self._doubtful: list[bytes] = []

    def send(self, payloads: Sequence[bytes]) -> None:
        """See Way."""
        try:
            if self._publisher is None:
                self._publisher = Publisher(self._port, "floor/line")
                self._publisher.publish(self._doubtful)
                self._remember(self._doubtful)
                self._doubtful = []
            self._publisher.publish(payloads)
        except OSError as error:
            self._lost()
            raise NotTaken(str(error)) from error
        self._remember(payloads)

    def finish(self) -> None:
        """See Way. Past its next save the broker forgets nothing."""
        self.send([])
        time.sleep(FORGOTTEN_S)
        try:
            assert self._publisher is not None
            self._publisher.ping()
        except OSError as error:
            self._lost()
            raise NotTaken(str(error)) from error
        self._publisher.close()

    def _remember(self, payloads: Sequence[bytes]) -> None:
        now = time.monotonic()
        self._recent.extend((now, payload) for payload in payloads)
        while self._recent and self._recent[0][0] < now - FORGOTTEN_S:
            self._recent.popleft()

    def _lost(self) -> None:
        if self._publisher is not None:
            self._publisher.close()
        self._publisher = None
        self._doubtful += [payload for _, payload in self._recent]
        self._recent.clear()
