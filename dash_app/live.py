"""The live channel: one LISTEN connection a process, fanned out to every browser.

A browser that cannot keep up is let go; it comes back and loads the page anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
from starlette.websockets import WebSocket, WebSocketDisconnect

from sql.connect import session_conninfo

log = logging.getLogger(__name__)

CHANNELS = {"floorpulse_refresh": "refresh", "floorpulse_events": "events"}
QUEUE_LENGTH = 64
BEAT_S = 20.0
ASK_AGAIN_S = 30.0
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 5.0
EVENTS_EVERY_S = 1.0
FOREIGN_ORIGIN = 4403
TOO_SLOW = 1013

Message = dict[str, Any]


class Live:
    """Listens while the process runs; `on_refresh` hears of every refresh first."""

    def __init__(self, dsn: str, on_refresh: Callable[[], None]) -> None:
        self._conninfo = session_conninfo(dsn)
        self._on_refresh = on_refresh
        self._queues: set[asyncio.Queue[Message | None]] = set()
        self._up = False
        self._told: dict[str, float] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold the LISTEN connection, connecting again whenever it is lost."""
        task = asyncio.create_task(self._listen_for_ever())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for queue in self._queues:
                _end(queue)

    def join(self) -> asyncio.Queue[Message | None]:
        """A queue of one's own for what is heard; None in it: too slow, come again."""
        queue: asyncio.Queue[Message | None] = asyncio.Queue(QUEUE_LENGTH)
        self._queues.add(queue)
        return queue

    async def serve(self, socket: WebSocket) -> None:
        """One browser, until it leaves or falls behind."""
        if not _same_origin(socket):
            await socket.close(FOREIGN_ORIGIN)
            return
        await socket.accept()
        queue = self.join()
        sender = asyncio.create_task(self._send(socket, queue))
        leaver = asyncio.create_task(_wait_until_gone(socket))
        try:
            await asyncio.wait({sender, leaver}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._queues.discard(queue)
            for task in (sender, leaver):
                task.cancel()
            await asyncio.gather(sender, leaver, return_exceptions=True)

    async def _send(
        self, socket: WebSocket, queue: asyncio.Queue[Message | None]
    ) -> None:
        await socket.send_text(_text({"kind": "hello", "up": self._up}))
        while True:
            try:
                message = await asyncio.wait_for(queue.get(), BEAT_S)
            except TimeoutError:
                message = {"kind": "beat"}
            if message is None:
                await socket.close(TOO_SLOW)
                return
            await socket.send_text(_text(message))

    def _publish(self, message: Message) -> None:
        for queue in tuple(self._queues):
            try:
                queue.put_nowait(message)
            except asyncio.QueueFull:
                self._queues.discard(queue)
                _end(queue)

    async def _listen_for_ever(self) -> None:
        delay = FIRST_DELAY_S
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True
                )
                async with connection:
                    for channel in CHANNELS:
                        await connection.execute(f"listen {channel}".encode())
                    delay = FIRST_DELAY_S
                    self._say_whether_up(True)
                    await self._listen(connection)
            except psycopg.Error as error:
                log.warning("listening failed: %s", error, extra={"action": "listen"})
            self._say_whether_up(False)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY_S)

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Returns never; raises psycopg.Error when the connection is lost."""
        while True:
            async for notify in connection.notifies(timeout=ASK_AGAIN_S):
                self.hear(CHANNELS[notify.channel], notify.payload)
            await connection.execute("select 1")

    def hear(self, kind: str, payload: str) -> None:
        """Pass on what the database notified; what is no message is let fall."""
        try:
            said = json.loads(payload)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            log.warning("not understood: %.100s", payload, extra={"action": "listen"})
            return
        site = str(said.get("site"))
        if kind == "refresh":
            self._on_refresh()
        elif time.monotonic() - self._told.get(site, 0.0) < EVENTS_EVERY_S:
            return
        else:
            self._told[site] = time.monotonic()
        self._publish({"kind": kind, "site": site})

    def _say_whether_up(self, up: bool) -> None:
        if up != self._up:
            self._up = up
            self._publish({"kind": "database", "up": up})


async def _wait_until_gone(socket: WebSocket) -> None:
    """Browsers have nothing to say; whatever they send is let fall."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, KeyError):
        return


def _end(queue: asyncio.Queue[Message | None]) -> None:
    """Make room for the word that ends a queue: what waits in it comes anew anyway."""
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)


def _same_origin(socket: WebSocket) -> bool:
    """A page of another host may not listen; a program without origin may."""
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")


def _text(message: Message) -> str:
    return json.dumps(message, separators=(",", ":"))
