"""Who is told: a real SMTP server and a real HTTP receiver, on loopback."""

from __future__ import annotations

import email
import email.policy
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from tests.support.ports import free_port


class Receiver:
    """Takes POSTs and keeps what came; answers `status`, after `wait_s`."""

    def __init__(self) -> None:
        self.status, self.wait_s = 200, 0.0
        self.got: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.port = 0

    def url(self, path: str = "/hook", query: str = "") -> str:
        return f"json://127.0.0.1:{self.port}{path}{query}"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.got]


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.status == 200:
                receiver.got.append(json.loads(body))
            receiver.paths.append(self.path)
            time.sleep(receiver.wait_s)
            self.send_response(receiver.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            del format, args

        def handle(self) -> None:
            # A sender that waited no longer.
            with suppress(BrokenPipeError, ConnectionResetError):
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = int(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class Mailbox:
    """What an SMTP server took: envelopes and messages."""

    def __init__(self) -> None:
        self.port = free_port()
        self.recipients: list[list[str]] = []
        self.messages: list[email.message.EmailMessage] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        del server, session
        self.recipients.append(envelope.rcpt_tos)
        policy = email.policy.default
        self.messages.append(email.message_from_bytes(envelope.content, policy=policy))
        return "250 OK"

    def url(self) -> str:
        return (
            f"mailto://127.0.0.1:{self.port}?mode=insecure&format=text"
            "&from=floor@example.org&to=manager@example.org"
        )


@contextmanager
def smtp_server() -> Iterator[Mailbox]:
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
