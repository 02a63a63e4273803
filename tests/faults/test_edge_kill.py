"""The edge agent killed at any point, on a full disk, with a clock that is wrong."""

from __future__ import annotations

import json
import random
import resource
import socket
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.edge import (
    DIES,
    Post,
    Reply,
    Stub,
    agent,
    end,
    first,
    give,
    line,
    lines,
    received,
    told,
    unused_address,
    well,
)
from tests.support.local_server import wait_until

KILLS = 8


class Camera:
    """Writes lines into a socket and keeps each until it is told that it is safe."""

    def __init__(self, path: Path, count: int) -> None:
        self._path = path
        self.left = [line(n, worker_id="camera") for n in range(count)]
        self.safe: list[bytes] = []
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join(60)
        assert not self.left

    def _run(self) -> None:
        while self.left:
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(5)
                    connection.connect(str(self._path))
                    self._write(connection)
            except OSError:
                time.sleep(0.01)

    def _write(self, connection: socket.socket) -> None:
        counted = 0
        while self.left:
            connection.sendall(b"\n".join(self.left[:20]) + b"\n")
            for said in connection.recv(4096).splitlines():
                durable = json.loads(said)["durable"]
                self.safe += self.left[: durable - counted]
                del self.left[: durable - counted]
                counted = durable
            if not counted:
                raise ConnectionError


def test_killed_at_any_point_nothing_is_lost_that_was_said_to_be_safe(
    tmp_path: Path,
) -> None:
    """A file that grows, a socket with acknowledgements, a server that fails too."""
    dice = random.Random(7)
    folder, spool, address = tmp_path / "in", tmp_path / "spool", tmp_path / "s"
    folder.mkdir()
    in_file = [line(n) for n in range(2_000)]
    camera = Camera(address, 1_500)

    def fails_at_times(_: Stub, __: Post) -> Reply:
        return dice.choice([Reply(503), DIES]) if dice.random() < 0.2 else Reply()

    sources = (folder, f"unix://{address}?acks=1")
    with Stub(fails_at_times).running() as stub:
        camera.start()
        for number in range(KILLS):
            with (folder / "a.ndjson").open("ab") as file:
                size = len(in_file) // KILLS
                rows = in_file[number * size : (number + 1) * size]
                file.write(b"\n".join(rows) + b"\n")
            with agent(spool, stub.url, *sources, "--max-events", 5_000) as process:
                time.sleep(dice.uniform(0.2, 0.9))
                process.kill()
        stub.behaviour = well
        with agent(spool, stub.url, *sources) as process:
            camera.join()
            wait_until(lambda: set(in_file) <= set(stub.taken))
            wait_until(lambda: set(camera.safe) <= set(stub.taken))
            wait_until(lambda: told(spool)["waiting"] == 0)
            assert end(process) == 0
    # Each once: what was sent again after a kill was known.
    assert len(stub.taken) == len(set(stub.taken)) == 3_500


def grow_no_more(process: subprocess.Popen[bytes], size: int) -> None:
    """What the agent's files would grow by finds no room."""
    hard = resource.RLIM_INFINITY
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, hard))


def test_a_disk_that_others_have_filled_keeps_no_event_out(tmp_path: Path) -> None:
    """The spool has its room: ten thousand usual events come in, and go out again."""
    spool = tmp_path / "spool"
    rows = lines(9_900)
    with agent(spool, unused_address(), "-") as process:
        wait_until(lambda: told(spool)["process"] == process.pid)
        give(process, line(9_999) + b"\n")
        wait_until(lambda: received(spool) == 1)
        grow_no_more(process, (spool / "spool.db").stat().st_size)
        give(process, rows)
        wait_until(lambda: received(spool) == 9_901)
        assert end(process) == 0
    with Stub(well).running() as stub, agent(spool, stub.url, "-") as process:
        wait_until(lambda: told(spool)["waiting"] == 0)
        assert len(stub.taken) == 9_901


def test_past_its_room_sources_wait_until_the_disk_has_some(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    large = [line(n, camera_id="x" * 40_000) for n in range(300)]
    server = Stub(well)
    with (
        server.running() as stub,
        agent(spool, stub.url, "-", stderr=subprocess.PIPE) as process,
    ):
        give(process, line(9_999) + b"\n")
        wait_until(lambda: stub.taken)
        # Nothing can be written now, not even the log that is there.
        grow_no_more(process, 0)
        writer = threading.Thread(
            target=give, args=(process, b"\n".join(large) + b"\n")
        )
        writer.start()
        assert process.stderr is not None
        said = b""
        while b"sources wait" not in said:
            said = process.stderr.readline()
        grow_no_more(process, resource.RLIM_INFINITY)
        writer.join(30)
        wait_until(lambda: len(stub.taken) == 301)
        assert end(process) == 0
        process.stderr.close()
    assert stub.taken[1:] == large


def test_no_room_for_a_spool_at_all_is_said(tmp_path: Path) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    with agent(
        tmp_path, "http://x", "-", stderr=subprocess.PIPE, preexec_fn=small
    ) as process:
        assert process.wait(30) == 1
        assert process.stderr is not None
        said = process.stderr.read().decode()
        process.stderr.close()
    assert "--max-events and --max-mb make it smaller" in said
    assert len(said.splitlines()) == 1


def test_a_wrong_clock_is_corrected_by_the_servers(tmp_path: Path) -> None:
    """And an event that is sent again is the same event."""
    ahead = timedelta(hours=2)
    server = Stub(first(DIES, DIES), ahead)
    with server.running() as stub, agent(tmp_path, stub.url, "-", "--stamp") as process:
        stamped = datetime.now(UTC)
        own = {"time": stamped.isoformat(), "worker_id": "W1"}
        right = {"time": (stamped + ahead).isoformat(), "worker_id": "W2"}
        naive = {"time": "2026-11-01T06:00:00", "worker_id": "W3"}
        sent: list[dict[str, Any]] = [own, right, naive, {"worker_id": "W4"}]
        give(process, b"".join(json.dumps(row).encode() + b"\n" for row in sent))
        wait_until(lambda: received(tmp_path) == 4)
        wait_until(lambda: told(tmp_path)["waiting"] == 0)
        assert told(tmp_path)["clock_error_s"] == pytest.approx(-7_200, abs=60)
    taken = {row["worker_id"]: row["time"] for row in map(json.loads, stub.taken)}
    for worker in ("W1", "W4"):
        moved = datetime.fromisoformat(taken[worker]) - stamped
        assert moved.total_seconds() == pytest.approx(7_200, abs=60)
    assert (taken["W2"], taken["W3"]) == (right["time"], naive["time"])
    again = [post.events for post in stub.posts]
    assert again == [again[0]] * 3
