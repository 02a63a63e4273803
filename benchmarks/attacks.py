"""Who means no good, and what the others notice: `python -m benchmarks.attacks`.

A client posts an event every few milliseconds; beside it one attack after another. The
table: what the attackers were answered, the client's slowest answers, and the memory
of the server.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import itertools
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress

import httpx
import orjson
import zstandard

from benchmarks.http import EVENTS, Served, server
from benchmarks.load import events, fresh
from sql.connect import resolve_dsn

STRANGER = {"X-Forwarded-For": "192.0.2.7"}
PAUSE_S = 0.005
Answers = collections.Counter[object]


class Client:
    """Posts events as ever, and remembers how long each answer took."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._documents = itertools.cycle(events(50_000, 500, 10).to_dicts())
        self.took: list[float] = []
        self.refused = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with httpx.Client(base_url=self._address, trust_env=False) as client:
            while not self._stopped.wait(PAUSE_S):
                began = time.perf_counter()
                answer = client.post(EVENTS, json=next(self._documents), timeout=60)
                self.took.append(time.perf_counter() - began)
                self.refused += answer.status_code != 200

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


def nothing(_: Served) -> Answers:
    """No attack: what the others are measured against."""
    time.sleep(5)
    return Answers()


def keys(served: Served) -> Answers:
    """10,000 wrong keys."""
    with httpx.Client(base_url=served.address, trust_env=False) as client:
        return Answers(
            client.get(
                "/api/v1/sites",
                headers=STRANGER | {"X-API-Key": f"fp_{n:012x}_{'x' * 43}"},
            ).status_code
            for n in range(10_000)
        )


def bombs(served: Served) -> Answers:
    """200 MB of blanks in a few kB, gzip and zstd, a hundred of each."""
    blanks = b" " * (200 << 20)
    packed = {"gzip": gzip.compress(blanks, 9), "zstd": zstandard.compress(blanks)}
    with httpx.Client(base_url=served.address, trust_env=False) as client:
        return Answers(
            client.post(
                EVENTS, content=bomb, headers={"Content-Encoding": name}
            ).status_code
            for name, bomb in packed.items()
            for _ in range(100)
        )


def nesting(served: Served) -> Answers:
    """Elements nested 100,000 deep."""
    body = b"[" * 100_000 + b"]" * 100_000
    with httpx.Client(base_url=served.address, trust_env=False) as client:
        return Answers(client.post(EVENTS, content=body).status_code for _ in range(50))


def large(served: Served) -> Answers:
    """2 GB that nobody announced, from this machine and from a stranger."""

    def blanks() -> Iterator[bytes]:
        yield b"["
        for _ in range(4096):
            yield b" " * (512 << 10)

    found = Answers()
    for headers in ({}, STRANGER):
        try:
            answer = httpx.post(
                served.address + EVENTS,
                content=blanks(),
                headers=headers,
                trust_env=False,
            )
            found[answer.status_code] += 1
        except httpx.TransportError:
            found["cut off"] += 1
    return found


def loris(served: Served) -> Answers:
    """500 heads and 500 bodies, a byte a second; until all are closed."""
    url = httpx.URL(served.address)
    head = f"POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\n"
    found = Answers()
    with ExitStack() as stack:
        lines: list[socket.socket] = []
        for sent in (head, f"{head}Content-Length: 500\r\n\r\n["):
            for _ in range(500):
                line = socket.create_connection((url.host, url.port or 80))
                lines.append(stack.enter_context(line))
                line.sendall(sent.encode())
                line.setblocking(False)
        began = time.monotonic()
        while lines and time.monotonic() - began < 60:
            time.sleep(1)
            lines = [line for line in lines if _dribbled(line, found)]
        found["still open"] = len(lines)
    return found


def _dribbled(line: socket.socket, found: Answers) -> bool:
    """Send one byte more; whether the line still stands."""
    with suppress(BlockingIOError):
        try:
            line.send(b"x")
            said = line.recv(1000)
        except OSError as error:
            if isinstance(error, BlockingIOError):
                raise
            said = b""
        found[said[9:12].decode() or "cut off"] += 1
        return False
    return True


ATTACKS: tuple[Callable[[Served], Answers], ...] = (
    nothing,
    keys,
    bombs,
    nesting,
    large,
    loris,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where the client was refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", help="a server where databases may be created")
    options = parser.parse_args(arguments)
    refused = 0
    print("| attack | answers | s | others: posts, p99, slowest | server |")
    print("|---|---|---|---|---|")
    with fresh(options.dsn or resolve_dsn()) as dsn, server(dsn) as served:
        known = [orjson.dumps(row) for row in events(2_000, 500, 10).to_dicts()]
        httpx.post(
            served.address + EVENTS,
            content=b"\n".join(known),
            trust_env=False,
            timeout=60,
        )
        for attack in ATTACKS:
            client = Client(served.address)
            began = time.perf_counter()
            answers = attack(served)
            seconds = time.perf_counter() - began
            client.stop()
            refused += client.refused
            took = sorted(client.took)
            p99_ms = took[int(len(took) * 0.99)] * 1000
            told = ", ".join(f"{n:,} x {said}" for said, n in answers.items())
            print(
                f"| {attack.__doc__} | {told} | {seconds:.0f} | {len(took):,}, "
                f"{p99_ms:.0f} ms, {took[-1] * 1000:.0f} ms | {served.peak_mb()} MB |",
                flush=True,
            )
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
