"""HTTP/1.1 for strangers: heads bounded in time and size, refused bodies not awaited.

uvicorn's own protocol waits for a head as long as it takes, keeps all that comes of it,
and reads the rest of a body that was refused. Requests that come in one piece cost
nothing of this.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# A connection that has not sent a whole head by then is closed.
HEAD_S = 10.0
LARGEST_HEAD = 64 << 10
# Read of a body after its answer, as long as a head may take: most programs send all of
# it before they read, and would only see that the connection is gone.
LARGEST_REST = 24 << 20
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class WatchfulProtocol(HttpToolsProtocol):
    """What `uvicorn.Config(http=...)` takes."""

    _deadline: asyncio.TimerHandle | None = None
    _in_head = False
    _head_size = _rest_size = 0

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget_head()

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_size += len(data)
        super().data_received(data)
        if not self._in_head:
            return
        if self._head_size > LARGEST_HEAD and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif self._deadline is None:
            self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_size, self._rest_size = True, 0, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._deadline is not None:
            self._forget_head()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.cycle.response_complete:
            self._rest_size += len(body)
            if self._rest_size > LARGEST_REST:
                self.transport.close()
            elif self._deadline is None:
                self._await_head()

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_S, self._give_up)

    def _forget_head(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()
