"""Who means no good: slow, endless, deep and many; cheaply refused, others unharmed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.support.http import V1, event, serving
from tests.support.local_server import wait_until

pytestmark = pytest.mark.plain
EVENTS = f"{V1}/events"
HEAD = f"POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\n"
FORWARDED = {"X-Forwarded-For": "192.0.2.7"}


@pytest.fixture(scope="module")
def api(common_dsn: str) -> Iterator[httpx.Client]:
    with serving(common_dsn) as client:
        yield client


def connected(api: httpx.Client, sent: str) -> socket.socket:
    line = socket.create_connection((api.base_url.host, api.base_url.port or 0))
    line.settimeout(30)
    line.sendall(sent.encode())
    return line


def received(line: socket.socket) -> bytes:
    """All that comes until the server closes."""
    found = b""
    try:
        while piece := line.recv(65_536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def test_heads_that_never_end_are_cut_off(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.http.protocol.HEAD_S", 0.5)
    asked = f"GET {V1}/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as stack:
        # Nothing at all, half a head, and half of a second one.
        slow = [
            stack.enter_context(connected(api, sent))
            for sent in ("", HEAD, asked + HEAD)
            for _ in range(20)
        ]
        assert api.post(EVENTS, json=event()).status_code == 200
        answers = {received(line)[:12] for line in slow}
    assert answers == {b"", b"HTTP/1.1 200"}


def test_heads_that_grow_for_ever_are_cut_off(api: httpx.Client) -> None:
    with connected(api, HEAD) as line:
        try:
            for _ in range(1000):
                line.sendall(b"X-More: " + b"x" * 8000 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return
        assert received(line) == b""
        pytest.fail("8 MB of head were read")


def test_a_body_that_comes_too_slowly(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.http.body.LONGEST_WAIT_S", 0.3)
    with connected(api, f"{HEAD}Content-Length: 500\r\n\r\n[") as line:
        assert received(line).startswith(b"HTTP/1.1 408")


def test_a_body_without_end(api: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(4096):
            yield b"[" + b" " * (512 << 10)

    try:
        answer = api.post(EVENTS, content=endless())
    except httpx.TransportError:
        return
    assert answer.status_code == 413


def test_a_strangers_body_is_not_read(api: httpx.Client) -> None:
    with connected(
        api, f"{HEAD}X-Forwarded-For: 192.0.2.7\r\nContent-Length: {2 << 30}\r\n\r\n"
    ) as line:
        assert line.recv(12) == b"HTTP/1.1 401"
        sent = 0
        try:
            while sent < 64 << 20:
                line.sendall(b" " * (1 << 20))
                sent += 1 << 20
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 32 << 20


def test_many_keys_are_tried(api: httpx.Client) -> None:
    statuses = {
        api.get(
            f"{V1}/sites", headers={"X-API-Key": f"fp_{n:012x}_{'x' * 43}"} | FORWARDED
        ).status_code
        for n in range(300)
    }
    assert statuses == {401, 429}
    assert api.get(f"{V1}/sites").status_code == 200


def test_nesting_among_events(api: httpx.Client) -> None:
    """Also where other elements hide it: as many braces as elements."""
    deep = json.loads("[" * 40 + "]" * 40)
    nested = json.loads('{"x":' * 20 + "1" + "}" * 20)
    for body in ([1] * 50 + [nested], [event(note=deep)], [event(note=nested)]):
        answer = api.post(EVENTS, json=body)
        assert (answer.status_code, answer.json()["error"]) == (400, "too_deep")
    answer = api.post(EVENTS, json=[event(note="[{[{[{" * 20)])
    assert answer.status_code == 200


def test_slow_strangers_keep_nobody_out(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bodies that are being read hold no more than their share."""
    monkeypatch.setattr("etl.http.body.LONGEST_WAIT_S", 2.0)
    with ExitStack() as stack:
        for _ in range(50):
            sent = f"{HEAD}Content-Length: 16000000\r\n\r\n[{' ' * 1000}"
            stack.enter_context(connected(api, sent))
        assert api.post(EVENTS, json=event()).status_code == 200
    wait_until(lambda: api.get(f"{V1}/health").status_code == 200)
