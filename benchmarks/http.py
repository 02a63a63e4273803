"""Events over HTTP against `floorpulse load`, and single posts against a no-op.

`python -m benchmarks.http --rows 200000 --seconds 10 --file-rows 2000000 [--dsn URI]`
Clients and server share the machine's cores; each server is a process of its own. A
file of 13.5 million rows is 1 GB of CSV. `--only` is one of PARTS.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson

from benchmarks.load import arrays_of, events, fresh, load, require_stored
from sql.connect import resolve_dsn

PARTS = ("arrays", "singles", "new", "file", "parquet")
WORKERS, DAYS = 500, 10
ARRAY = 1_000
ARRAY_CLIENTS, SINGLE_CLIENTS = 4, 32
ARRAY_BAR, ARRAY_RATE_BAR = 0.25, 25_000
SINGLE_BAR, SINGLE_P99_BAR_MS = 0.4, 80
FILE_BAR, FILE_MEMORY_BAR_MB = 0.7, 250
EVENTS = "/api/v1/events"
FILE = "/api/v1/events/file"
_PIECE = 1 << 16
_AS_SERVE = {"POLARS_MAX_THREADS": "1"}
# The API, and beside it a route that reads a body and does nothing.
_SERVER = """
import gc, socket, sys
import uvicorn
from fastapi import Request
from starlette.responses import Response
from etl.http.app import create_app
from etl.http.protocol import WatchfulProtocol

app = create_app(sys.argv[1])

async def noop(request: Request) -> Response:
    await request.body()
    return Response(b"{}", media_type="application/json")

app.add_api_route("/noop", noop, methods=["POST"])
bound = socket.socket(fileno=int(sys.argv[2]))
gc.freeze()  # as `floorpulse serve` does
config = uvicorn.Config(
    app, http=WatchfulProtocol, log_level="warning", access_log=False
)
uvicorn.Server(config).run(sockets=[bound])
"""


@dataclass(frozen=True)
class Measured:
    """One line of the table; ratio is against what `of` names, in the same run."""

    what: str
    per_s: float
    ratio: float
    bar: float
    of: str
    ok: bool
    more: str = ""


@dataclass(frozen=True)
class Served:
    """The API in a process of its own."""

    address: str
    pid: int

    def peak_mb(self) -> int:
        """The most memory it ever had."""
        found = re.search(
            r"VmHWM:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text()
        )
        assert found is not None
        return int(found[1]) // 1024


@contextmanager
def server(dsn: str) -> Iterator[Served]:
    """The API, for as long as it is measured."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{bound.getsockname()[1]}"
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, dsn, str(bound.fileno())],
        pass_fds=[bound.fileno()],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])} | _AS_SERVE,
    )
    bound.close()
    try:
        _wait(f"{address}/api/v1/ready", process)
        yield Served(address, process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the server ended with {process.returncode}")


def post_all(address: str, bodies: Sequence[bytes]) -> None:
    """One client: posts one body after another, each must be stored."""
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        for body in bodies:
            answer = client.post(EVENTS, content=body)
            assert answer.status_code == 200, answer.text


def arrays(address: str, bodies: Sequence[bytes]) -> float:
    """Seconds that four clients take for all bodies."""
    shares = [bodies[n::ARRAY_CLIENTS] for n in range(ARRAY_CLIENTS)]
    with ProcessPoolExecutor(ARRAY_CLIENTS) as pool:
        list(pool.map(post_all, [address] * ARRAY_CLIENTS, [[]] * ARRAY_CLIENTS))
        started = time.perf_counter()
        list(pool.map(post_all, [address] * ARRAY_CLIENTS, shares))
        return time.perf_counter() - started


async def _exchange(
    host: str, port: int, path: str, bodies: Iterator[bytes], until: float
) -> list[float]:
    """One client on a connection of its own: how long each answer took, in seconds."""
    reader, writer = await asyncio.open_connection(host, port)
    took: list[float] = []
    while time.perf_counter() < until:
        body = next(bodies)
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
        started = time.perf_counter()
        writer.write(head.encode() + b"\r\n\r\n" + body)
        said = await reader.readuntil(b"\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 200"), said
        length = int(said.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        took.append(time.perf_counter() - started)
    writer.close()
    return took


def singles(
    address: str, path: str, bodies: Iterator[bytes], seconds: float
) -> list[float]:
    """How long each answer took, with 32 clients for so many seconds."""

    async def run() -> list[list[float]]:
        url = httpx.URL(address)
        until = time.perf_counter() + seconds
        clients = (
            _exchange(url.host, url.port or 80, path, bodies, until)
            for _ in range(SINGLE_CLIENTS)
        )
        return await asyncio.gather(*clients)

    return sorted(itertools.chain.from_iterable(asyncio.run(run())))


def posted_arrays(server_dsn: str, rows: int) -> Measured:
    """Arrays from four clients against `load` of the same rows."""
    frame = events(rows, WORKERS, DAYS)
    bodies = arrays_of(frame.to_dicts(), ARRAY)
    with tempfile.TemporaryDirectory() as folder, fresh(server_dsn) as dsn:
        path = Path(folder, "events.csv")
        frame.write_csv(path)
        loaded_s, said = load(dsn, path)
        assert said["stored"] == frame.height
    with fresh(server_dsn) as dsn, server(dsn) as served:
        posted_s = arrays(served.address, bodies)
        require_stored(dsn, frame.height)
    per_s, ratio = frame.height / posted_s, loaded_s / posted_s
    return Measured(
        f"POST of {ARRAY:,}-event arrays, {ARRAY_CLIENTS} clients, events/s",
        per_s,
        ratio,
        ARRAY_BAR,
        f"load ({frame.height / loaded_s:,.0f} rows/s)",
        ratio >= ARRAY_BAR and per_s >= ARRAY_RATE_BAR,
        f"bar {ARRAY_RATE_BAR:,} events/s",
    )


def put_file(server_dsn: str, rows: int, kind: str) -> Measured:
    """A streamed PUT of CSV or Parquet against `load` of the same file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"events.{kind}")
        frame = events(rows, WORKERS, DAYS)
        getattr(frame, f"write_{kind}")(path)
        rows = frame.height
        del frame
        with fresh(server_dsn) as dsn:
            loaded_s, _ = load(dsn, path)
        with fresh(server_dsn) as dsn, server(dsn) as served:
            took_s = _put(served.address, path)
            peak_mb = served.peak_mb()
            require_stored(dsn, rows)
        size_mb = path.stat().st_size / 1e6
    ratio = loaded_s / took_s
    return Measured(
        f"streamed PUT of {size_mb:,.0f} MB of {kind}, rows/s",
        rows / took_s,
        ratio,
        FILE_BAR,
        f"load ({rows / loaded_s:,.0f} rows/s)",
        ratio >= FILE_BAR and peak_mb <= FILE_MEMORY_BAR_MB,
        f"memory {peak_mb} MB, bar {FILE_MEMORY_BAR_MB} MB",
    )


def _put(address: str, path: Path) -> float:
    """Seconds from the first byte to the answer."""
    started = time.perf_counter()
    with path.open("rb") as file:
        pieces = iter(lambda: file.read(_PIECE), b"")
        answer = httpx.put(
            f"{address}{FILE}", content=pieces, timeout=600, trust_env=False
        )
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - started


def posted_singles(
    server_dsn: str, rows: int, seconds: float, *, known: bool
) -> Measured:
    """One event a post from 32 clients; known: the server has met the workers."""
    documents = events(rows, WORKERS, DAYS).to_dicts()
    met = documents[::20] if known else []
    with fresh(server_dsn) as dsn, server(dsn) as served:
        address, one = served.address, orjson.dumps(documents[0])
        post_all(address, arrays_of(met, ARRAY))
        singles(address, "/noop", itertools.repeat(one), 1)
        nothing = singles(address, "/noop", itertools.repeat(one), seconds)
        new = (row for at, row in enumerate(documents) if at % 20 or not known)
        encoded = map(orjson.dumps, new)
        took = singles(address, EVENTS, encoded, seconds)
        require_stored(dsn, len(took) + len(met))
    p99_ms = took[int(len(took) * 0.99)] * 1000
    ratio = len(took) / len(nothing)
    return Measured(
        f"single-event POST, {SINGLE_CLIENTS} clients, "
        f"{'workers known' if known else 'new workers'}, requests/s",
        len(took) / seconds,
        ratio,
        SINGLE_BAR,
        f"no-op POST ({len(nothing) / seconds:,.0f} requests/s)",
        ratio >= SINGLE_BAR and p99_ms <= SINGLE_P99_BAR_MS,
        f"p99 {p99_ms:.0f} ms, bar {SINGLE_P99_BAR_MS} ms",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--file-rows", type=int, default=2_000_000)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--dsn", help="a server where databases may be created")
    options = parser.parse_args(arguments)
    dsn = options.dsn or resolve_dsn()
    parts: dict[str, Callable[[], Measured]] = {
        "arrays": lambda: posted_arrays(dsn, options.rows),
        "singles": lambda: posted_singles(
            dsn, options.rows, options.seconds, known=True
        ),
        "new": lambda: posted_singles(dsn, options.rows, options.seconds, known=False),
        "file": lambda: put_file(dsn, options.file_rows, "csv"),
        "parquet": lambda: put_file(dsn, options.file_rows, "parquet"),
    }
    wanted = [options.only] if options.only else [*parts]
    print("| what | per second | ratio | bar | of | |")
    print("|---|---|---|---|---|---|")
    missed = False
    for name in wanted:
        line = parts[name]()
        missed |= not line.ok
        print(
            f"| {line.what} | {line.per_s:,.0f} | {line.ratio:.2f} | {line.bar} "
            f"| {line.of} | {line.more} |",
            flush=True,
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
