"""Where events come from, and the sources that are a stream: stdin, sockets, a line."""

from __future__ import annotations

import logging
import os
import select
import selectors
import socket
import stat
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from etl.edge.clock import now
from etl.edge.errors import WrongUse
from etl.edge.lines import Chunk, Splitter
from etl.edge.stop import Stop

log = logging.getLogger(__name__)

Deliver = Callable[[Chunk], None]
READ_BYTES = 64 << 10
_MOST_CONNECTIONS = 64


class Source(Protocol):
    """Something that gives lines."""

    name: str
    # Whether what is not read stays where it is: then it may wait there.
    keeps: bool

    def run(self, deliver: Deliver, stop: Stop) -> None:
        """Deliver until it is time to stop, or nothing more can come."""

    def close(self) -> None:
        """All that was delivered is stored, or never will be."""


class Stdin:
    """Lines of this process's standard input, until its end."""

    name = "stdin"

    def __init__(self) -> None:
        self.keeps = stat.S_ISREG(os.fstat(0).st_mode)

    def run(self, deliver: Deliver, stop: Stop) -> None:
        """See Source."""
        _read_on(0, deliver, stop)

    def close(self) -> None:
        """Nothing to let go."""


class SerialLine:
    """A device that speaks in lines: opened raw, and again when it comes back."""

    keeps = False

    def __init__(self, path: str, baud: int, look_s: float) -> None:
        self.name = f"serial:{path}"
        self._path, self._speed, self._look_s = path, _speed(baud), look_s

    def run(self, deliver: Deliver, stop: Stop) -> None:
        """See Source."""
        said = False
        while not stop.is_set():
            try:
                device = self._opened()
            except (OSError, termios.error) as error:
                if not said:
                    log.warning("%s: %s; trying again", self.name, error)
                said = True
            else:
                log.info("%s: open", self.name)
                said = False
                try:
                    _read_on(device, deliver, stop)
                finally:
                    os.close(device)
                if not stop.is_set():
                    log.warning("%s: gone; waiting for it", self.name)
            stop.wait(self._look_s)

    def close(self) -> None:
        """Nothing to let go."""

    def _opened(self) -> int:
        device = os.open(self._path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            if os.isatty(device):
                tty.setraw(device)
                settings = termios.tcgetattr(device)
                settings[4] = settings[5] = self._speed
                settings[2] |= termios.CLOCAL | termios.CREAD
                termios.tcsetattr(device, termios.TCSANOW, settings)
        except termios.error:
            os.close(device)
            raise
        return device


def _read_on(number: int, deliver: Deliver, stop: Stop) -> None:
    """Deliver lines of a descriptor until its end."""
    splitter = Splitter()
    while True:
        ready, _, _ = select.select([number, stop.fileno()], [], [])
        if stop.fileno() in ready:
            return
        try:
            data = os.read(number, READ_BYTES)
        except BlockingIOError:
            continue
        except OSError:
            # A device that was pulled out.
            data = b""
        lines = splitter.feed(data) if data else splitter.end()
        if lines:
            deliver(Chunk(lines, now()))
        if not data:
            return


def _speed(baud: int) -> int:
    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        raise WrongUse(f"a serial line of {baud} baud is not known here")
    return int(speed)


class _Peer:
    """One connection: its lines, and how many of them are safe."""

    def __init__(self, connection: socket.socket, *, acks: bool) -> None:
        self.connection, self.acks = connection, acks
        self.splitter = Splitter()
        self._durable = 0

    def chunk(self, lines: list[bytes], *, last: bool) -> Chunk:
        """Lines that are answered for once they are stored."""

        def durable() -> None:
            self._durable += len(lines)
            # The count is of all so far: one that is not sent is told by the next.
            with suppress(OSError):
                self.connection.send(b'{"durable": %d}\n' % self._durable)
            if last:
                self.connection.close()

        return Chunk(lines, now(), durable=durable if self.acks else None)


class Listener:
    """A socket that cameras connect to and write lines into."""

    keeps = False

    def __init__(
        self, name: str, bound: socket.socket, *, acks: bool, path: str | None = None
    ) -> None:
        self.name = name
        self._bound, self._acks, self._path = bound, acks, path
        self._selector = selectors.DefaultSelector()

    def run(self, deliver: Deliver, stop: Stop) -> None:
        """See Source."""
        self._bound.setblocking(False)
        self._selector.register(self._bound, selectors.EVENT_READ)
        self._selector.register(stop, selectors.EVENT_READ)
        while not stop.is_set():
            for key, _ in self._selector.select():
                if isinstance(key.data, _Peer):
                    self._read(key.data, deliver)
                elif key.fileobj is self._bound:
                    self._accept()

    def close(self) -> None:
        """Connections end, now that what they were told is all they will be told."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, _Peer):
                key.data.connection.close()
        self._selector.close()
        self._bound.close()
        if self._path is not None:
            with suppress(OSError):
                os.unlink(self._path)

    def _accept(self) -> None:
        with suppress(OSError):
            connection, _ = self._bound.accept()
            if len(self._selector.get_map()) > _MOST_CONNECTIONS + 1:
                log.warning(
                    "%s: more than %d connections", self.name, _MOST_CONNECTIONS
                )
                connection.close()
                return
            connection.setblocking(False)
            peer = _Peer(connection, acks=self._acks)
            self._selector.register(connection, selectors.EVENT_READ, peer)

    def _read(self, peer: _Peer, deliver: Deliver) -> None:
        try:
            data = peer.connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        lines = peer.splitter.feed(data) if data else peer.splitter.end()
        if not data:
            self._selector.unregister(peer.connection)
        if lines or (peer.acks and not data):
            deliver(peer.chunk(lines, last=not data))
        if not data and not peer.acks:
            peer.connection.close()
