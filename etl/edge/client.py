"""The server as the agent meets it: one connection, no answer but its own."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from etl.edge.clock import ServerClock, server_clock, since_boot_us
from etl.edge.errors import WrongUse
from etl.edge.lines import parsed

TIMEOUT_S = 30.0
_EVENTS, _HEALTH = "/api/v1/events", "/api/v1/health"
_LONGEST_ANSWER = 4 << 20
_PACKED_FROM = 1_000
_KEY = re.compile(r"[!-~]+")
_COUNTS = ("stored", "duplicates", "conflicts")


@dataclass(frozen=True)
class Answer:
    """What came back. status 0: nothing did, and why stands in `said`."""

    status: int
    said: str
    body: dict[str, Any] = field(default_factory=dict)
    retry_after_s: float = 0.0
    clock: ServerClock | None = None


@dataclass(frozen=True)
class Taken:
    """What became of events that are durable at the server."""

    counts: dict[str, int]
    parked: list[dict[str, Any]]


class Client:
    """Sends events to one server; not for several threads, but for `abort`."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        site: str | None = None,
        ca_file: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise _bad_url(url) from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _bad_url(url)
        self.url = url
        self._base = parts.path.rstrip("/")
        self._query = f"?{urlencode({'site': site})}" if site else ""
        self._headers = {"User-Agent": "floorpulse-edge", "Accept": "application/json"}
        if key is not None and not _KEY.fullmatch(key):
            raise WrongUse("the ingestion key is no word of letters and digits")
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        if parts.scheme == "https":
            try:
                context = ssl.create_default_context(cafile=ca_file)
            except OSError as error:
                raise WrongUse(f"--ca-file {ca_file}: {error}") from error
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, port, timeout=timeout_s, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(
                parts.hostname, port, timeout=timeout_s
            )

    def post(self, lines: Sequence[bytes]) -> Answer:
        """Send events, a line each."""
        if any(isinstance(parsed(line), dict) for line in lines):
            body, kind = b"\n".join(lines), "application/x-ndjson"
        else:
            # No JSON at all would be a wrong post; so it is parked like other lines.
            texts = [line.decode("utf-8", "backslashreplace") for line in lines]
            body, kind = json.dumps(texts).encode(), "application/json"
        headers = {"Content-Type": kind}
        if len(body) > _PACKED_FROM:
            body = gzip.compress(body, 6)
            headers["Content-Encoding"] = "gzip"
        return self._ask("POST", _EVENTS + self._query, body, headers)

    def takes_events(self) -> bool:
        """Whether the server takes a post of this key at all: one of no events."""
        headers = {"Content-Type": "application/json"}
        answer = self._ask("POST", _EVENTS + self._query, b"[]", headers)
        return taken(answer, 0) is not None

    def health(self) -> Answer:
        """Whether a floorpulse server is there, and what time it has."""
        answer = self._ask("GET", _HEALTH, None, {"Cache-Control": "no-cache"})
        if answer.status == 200 and answer.body.get("status") != "ok":
            said = f"{self.url} is answered by something that is no floorpulse server"
            return Answer(0, said)
        return answer

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def abort(self) -> None:
        """End a request of another thread."""
        socket = self._connection.sock
        if socket is not None:
            with suppress(OSError):
                socket.shutdown(2)

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Answer:
        """One request; once more where a kept connection had been closed meanwhile."""
        kept = self._connection.sock is not None
        answer = self._once(method, path, body, headers)
        if kept and not answer.status:
            answer = self._once(method, path, body, headers)
        return answer

    def _once(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Answer:
        sent_us = since_boot_us()
        try:
            url = self._base + path
            self._connection.request(method, url, body, self._headers | headers)
            response = self._connection.getresponse()
            text = response.read(_LONGEST_ANSWER)
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            self._connection.close()
            return Answer(0, f"no answer: {error or type(error).__name__}")
        if response.will_close or not response.isclosed():
            self._connection.close()
        return _read(response, text, sent_us)


def taken(answer: Answer, events: int) -> Taken | None:
    """What became of the events; None where this is no answer for so many."""
    body, parked = answer.body, answer.body.get("parked")
    counts = {name: body.get(name) for name in _COUNTS}
    if answer.status != 200 or not isinstance(parked, list):
        return None
    whole = {name: n for name, n in counts.items() if type(n) is int}
    if len(whole) < len(counts):
        return None
    if whole["stored"] + whole["duplicates"] + len(parked) != events:
        return None
    return Taken({**whole, "parked": len(parked)}, parked)


def _read(response: http.client.HTTPResponse, text: bytes, sent_us: int) -> Answer:
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    message = f"{body.get('message') or response.reason}"
    location = response.headers.get("location")
    if location and 300 <= response.status < 400:
        message = f"it has moved to {location}: give that as --server"
    # A proxy's copy of an answer has the time of its making.
    date = None if "age" in response.headers else response.headers.get("date")
    clock = _clock(date, sent_us)
    wait_s = _seconds(response.headers.get("retry-after"))
    # Not every text that JSON can hold can be stored.
    said = message.encode("utf-8", "backslashreplace").decode()
    return Answer(response.status, said, body, wait_s, clock)


def _clock(date: str | None, sent_us: int) -> ServerClock | None:
    received_us = since_boot_us()
    try:
        moment = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    return server_clock(int(moment.timestamp()) * 1_000_000, sent_us, received_us)


def _seconds(text: str | None) -> float:
    return min(float(text), 3600.0) if text and text.strip().isdigit() else 0.0


def _bad_url(url: str) -> WrongUse:
    return WrongUse(f"--server {url!r} is no address such as http://plant-server:8050")
