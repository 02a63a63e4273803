"""The edge agent as a process of its own, and servers that behave as badly as asked."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from etl.edge.status import status
from tests.support.local_server import ROOT, wait_until
from tests.support.ports import free_port

START = datetime(2026, 11, 1, 6, tzinfo=UTC)
QUICK = ("--gather-s", "0.02", "--retry-s", "0.05", "--look-s", "0.05")


def line(number: int, **more: Any) -> bytes:
    """The NDJSON line of an event of its own."""
    event = {
        "time": (START + timedelta(seconds=number)).isoformat(),
        "site_id": "plant",
        "worker_id": "W1",
        "workstation_id": "S1",
        "event_type": "working",
        "confidence": 0.9,
    }
    return json.dumps(event | more).encode()


def lines(count: int, start: int = 0) -> bytes:
    """So many of them."""
    return b"".join(line(n) + b"\n" for n in range(start, start + count))


@dataclass
class Post:
    """What came in one request: lines of events."""

    events: list[bytes]
    key: str | None


@dataclass(frozen=True)
class Reply:
    """What a server that misbehaves says; `die`: it takes all and says nothing."""

    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    die: bool = False


OK, DIES = Reply(), Reply(die=True)
Behaviour = Callable[["Stub", Post], Reply]


class Stub:
    """A server that behaves as told, and keeps what it has taken."""

    def __init__(self, behaviour: Behaviour, ahead: timedelta = timedelta()) -> None:
        self.behaviour, self.ahead = behaviour, ahead
        self.posts: list[Post] = []
        self.taken: list[bytes] = []
        self._taking = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[Stub]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def reply(self, post: Post) -> Reply:
        """As the real one answers, unless the behaviour wants something else."""
        self.posts.append(post)
        reply = self.behaviour(self, post)
        if reply.status != 200 or reply.body is not None:
            return reply
        with self._taking:  # a killed agent's last post and the next one's first
            # a broker sends again what it was not told of, perhaps into one post
            once = dict.fromkeys(post.events)
            new = [event for event in once if event not in self.taken]
            self.taken += new
        body = {
            "stored": len(new),
            "duplicates": len(post.events) - len(new),
            "conflicts": 0,
            "parked": [],
        }
        return Reply(200, json.dumps(body).encode(), reply.headers, reply.die)


def well(_: Stub, __: Post) -> Reply:
    """Takes everything."""
    return OK


def first(*replies: Reply) -> Behaviour:
    """These replies to the first posts, then well."""
    left = list(replies)
    return lambda _, __: left.pop(0) if left else OK


def refuses(status: int, *bad: bytes, message: str = "bad") -> Behaviour:
    """Refuses every post that holds one of these lines, as the server does."""
    body = json.dumps({"error": "bad", "message": message}).encode()

    def behave(_: Stub, post: Post) -> Reply:
        return Reply(status, body) if set(bad) & set(post.events) else OK

    return behave


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Agents are killed in the middle of their posts."""


def _handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer

        def do_GET(self) -> None:
            self._answer(Reply(200, b'{"status":"ok"}'))

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            body = self.rfile.read(size)
            if len(body) < size:  # the agent was killed
                self.close_connection = True
                return
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            events = [] if body == b"[]" else body.split(b"\n")
            self._answer(stub.reply(Post(events, self.headers.get("Authorization"))))

        def _answer(self, reply: Reply) -> None:
            if reply.die:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            body = reply.body or b"{}"
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            del timestamp
            return format_datetime(datetime.now(UTC) + stub.ahead, usegmt=True)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    return Handler


def edge(*arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command of the agent, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "etl.edge", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env=os.environ | settings,
    )


@contextmanager
def agent(
    spool: Path, server: str, *arguments: object, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """An agent that reads sources; killed at the end where it has not ended."""
    command = ("run", *arguments, "--server", server, "--spool", spool, *QUICK)
    process = subprocess.Popen(
        [sys.executable, "-m", "etl.edge", *map(str, command)],
        stdin=options.pop("stdin", subprocess.PIPE),
        stderr=options.pop("stderr", None),
        cwd=ROOT,
        env=os.environ | options.pop("env", {}),
        **options,
    )
    try:
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        process.kill()
        process.wait()


def give(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Write to an agent's stdin."""
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    """Ask an agent to end, and how it did."""
    process.send_signal(number)
    return process.wait(30)


def told(spool: Path) -> dict[str, Any]:
    """What `status` tells, once there is a spool."""
    wait_until((spool / "spool.db").exists)
    return status(spool)


def received(spool: Path) -> int:
    """Lines that are safe."""
    return int(told(spool)["counters"]["received"])


def unused_address() -> str:
    """Where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


def distinct(events: Sequence[bytes]) -> set[bytes]:
    """Each of them, which must be there once."""
    assert len(set(events)) == len(events)
    return set(events)
