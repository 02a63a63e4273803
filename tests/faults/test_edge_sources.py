"""Where the edge agent reads: files that grow and are replaced, sockets, a line."""

from __future__ import annotations

import os
import pty
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.edge import (
    Stub,
    agent,
    edge,
    end,
    give,
    line,
    lines,
    received,
    told,
    unused_address,
    well,
)
from tests.support.local_server import wait_until
from tests.support.ports import free_port


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub(well).running() as stub:
        yield stub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    return path


def listens(address: str | tuple[str, int]) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as caller:
        return caller.connect_ex(address) == 0


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_files_grow_move_and_are_replaced(
    tmp_path: Path, folder: Path, stub: Stub
) -> None:
    log, spool = folder / "camera.ndjson", tmp_path / "spool"

    def came(*numbers: int) -> None:
        expected = {line(n) for n in numbers}
        wait_until(lambda: set(stub.taken) == expected)
        assert len(stub.taken) == len(expected)
        wait_until(lambda: told(spool)["waiting"] == 0)

    append(log, lines(3))
    append(folder / "notes.txt", lines(3, 900))
    with agent(spool, stub.url, folder):
        came(*range(3))
        # Half a line is no line yet.
        append(log, line(3) + b"\n" + line(4)[:20])
        came(*range(4))
        append(log, line(4)[20:] + b"\n")
        came(*range(5))
        # Rotated: its last lines are read under its new name, the new file from 0.
        append(log, lines(1, 5))
        log.rename(folder / "camera.ndjson.1")
        append(folder / "camera.ndjson.1", lines(1, 6))
        append(log, lines(2, 7))
        came(*range(9))
        # Replaced by another file of the same name.
        (folder / "new").write_bytes(lines(2, 9))
        (folder / "new").replace(log)
        came(*range(11))
        # Emptied and written anew, in place.
        with log.open("wb") as file:
            file.write(lines(1, 11))
        came(*range(12))
        (folder / "camera.ndjson.1").unlink()
    # What was read is not read again, also by another process.
    append(log, lines(1, 12))
    with agent(spool, stub.url, folder):
        came(*range(13))
    assert told(spool)["counters"]["duplicates"] == 0


def test_a_name_that_is_no_text(tmp_path: Path, folder: Path, stub: Stub) -> None:
    odd = os.fsencode(folder) + b"/\xff\xfe.ndjson"
    with open(odd, "wb") as file:
        file.write(lines(3))
    for _ in range(2):
        with agent(tmp_path / "spool", stub.url, folder):
            wait_until(lambda: len(stub.taken) == 3)
            wait_until(lambda: told(tmp_path / "spool")["waiting"] == 0)
    assert received(tmp_path / "spool") == 3


def test_a_last_line_without_its_end_is_taken_when_it_is_whole(
    tmp_path: Path, folder: Path, stub: Stub
) -> None:
    (folder / "whole.jsonl").write_bytes(lines(2) + line(2))
    (folder / "half.jsonl").write_bytes(lines(2, 10) + line(12)[:30])
    with agent(tmp_path / "spool", stub.url, folder):
        wait_until(lambda: len(stub.taken) == 5)
        append(folder / "whole.jsonl", b"\n" + lines(1, 3))
        wait_until(lambda: len(stub.taken) == 6)
    expected = {line(n) for n in (0, 1, 2, 3, 10, 11)}
    assert set(stub.taken) == expected


def test_files_wait_while_the_server_is_away_and_none_is_dropped(
    tmp_path: Path, folder: Path, stub: Stub
) -> None:
    """Ten times what the spool may hold."""
    spool = tmp_path / "spool"
    (folder / "backlog.ndjson").write_bytes(lines(2_000))
    with agent(spool, unused_address(), folder, "--max-events", 200):
        wait_until(lambda: told(spool)["waiting"] > 0)
        wait_until(lambda: told(spool)["trouble"])
        assert told(spool)["waiting"] <= 100
    with agent(spool, stub.url, folder, "--max-events", 200):
        wait_until(lambda: len(stub.taken) == 2_000)
    assert stub.taken == lines(2_000).splitlines()


@pytest.mark.parametrize("option", [(), ("--wait",)])
def test_a_pipe_waits_only_where_that_is_asked(
    tmp_path: Path, stub: Stub, option: tuple[str, ...]
) -> None:
    with agent(tmp_path, unused_address(), "-", "--max-events", 100) as process:
        give(process, lines(100))
        wait_until(lambda: received(tmp_path) == 100)
    more = ("-", "--max-events", 100, *option)
    with agent(tmp_path, stub.url, *more, "--gather-s", 1) as process:
        give(process, lines(400, 100))
        wait_until(lambda: received(tmp_path) == 500)
        wait_until(lambda: told(tmp_path)["waiting"] == 0)
    dropped = told(tmp_path)["counters"]["dropped_states"]
    assert dropped + len(stub.taken) == 500
    assert (dropped == 0) == bool(option)


def test_a_file_as_stdin_waits(tmp_path: Path, stub: Stub) -> None:
    path = tmp_path / "events"
    path.write_bytes(lines(1_500))
    with (
        path.open("rb") as file,
        agent(
            tmp_path / "s", stub.url, "-", "--max-events", 600, stdin=file
        ) as process,
    ):
        assert process.wait(30) == 0
    assert stub.taken == lines(1_500).splitlines()


def test_a_socket_tells_how_many_lines_are_safe(tmp_path: Path, stub: Stub) -> None:
    path, spool = tmp_path / "s", tmp_path / "spool"
    with agent(spool, stub.url, f"unix://{path}?acks=1") as process:
        wait_until(lambda: listens(str(path)))
        with socket.socket(socket.AF_UNIX) as camera:
            camera.connect(str(path))
            camera.sendall(lines(10) + line(10)[:9])
            assert camera.recv(100) == b'{"durable": 10}\n'
            assert received(spool) == 10
            camera.sendall(line(10)[9:])
            camera.shutdown(socket.SHUT_WR)
            assert camera.recv(100) == b'{"durable": 11}\n'
            assert camera.recv(100) == b""
        wait_until(lambda: len(stub.taken) == 11)
        assert end(process) == 0
    assert not path.exists()


def test_many_connections_and_one_that_was_cut(tmp_path: Path, stub: Stub) -> None:
    port = free_port()
    with agent(tmp_path, stub.url, f"tcp://127.0.0.1:{port}"):
        wait_until(lambda: listens(("127.0.0.1", port)))
        cameras = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        for number, camera in enumerate(cameras):
            camera.sendall(line(number) + b"\n" + b'{"half')
        for camera in cameras:
            camera.close()
        wait_until(lambda: len(stub.taken) == 40 or len(stub.taken) == 21)
    assert {line(n) for n in range(20)} < set(stub.taken)


def test_a_serial_line_that_comes_and_goes(tmp_path: Path, stub: Stub) -> None:
    link = tmp_path / "ttyUSB0"
    with agent(tmp_path / "spool", stub.url, f"serial://{link}?baud=9600"):
        for number in range(2):
            ours, theirs = pty.openpty()
            link.unlink(missing_ok=True)
            link.symlink_to(os.ttyname(theirs))
            sent = line(number)
            wait_until(lambda: _raw(theirs))  # noqa: B023
            os.write(ours, sent + b"\r\n")
            wait_until(lambda: sent in stub.taken)  # noqa: B023
            os.close(theirs)
            os.close(ours)
    assert stub.taken == [line(0), line(1)]


def _raw(terminal: int) -> bool:
    import termios

    return not termios.tcgetattr(terminal)[3] & termios.ICANON


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--server", "plant-server"), "no address"),
        (("--retry-s", "0"), "is no number of seconds from 0.01"),
        (("--max-events", "0"), "is no whole number above 0"),
        (("--key-file", "/nowhere", "--server", "http://x"), "/nowhere"),
        ((), "--server is missing"),
    ],
)
def test_an_option_that_cannot_be(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    done = edge("run", "-", "--spool", tmp_path, *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere", "is no folder"),
        ("tcp://127.0.0.1", "is no tcp://host:port"),
        ("ftp://x/y", "is no source that is known"),
        ("mqtt://localhost", "is no mqtt://host/topic"),
        ("serial:///dev/null?baud=17", "17 baud"),
    ],
)
def test_a_source_that_cannot_be(tmp_path: Path, source: str, said: str) -> None:
    done = edge("run", source, "--server", "http://x", "--spool", tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")


@pytest.mark.skipif(MOSQUITTO is None, reason="MOSQUITTO NOT FOUND")
def test_a_broker_is_told_when_messages_are_safe(tmp_path: Path, stub: Stub) -> None:
    """Killed again and again while messages come: each arrives, none twice."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    port = free_port()
    (tmp_path / "conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
    )
    assert MOSQUITTO is not None
    broker = subprocess.Popen(
        [MOSQUITTO, "-c", str(tmp_path / "conf")], stderr=subprocess.DEVNULL
    )
    source, spool = f"mqtt://127.0.0.1:{port}/floor/#", tmp_path / "spool"
    publisher = Client(CallbackAPIVersion.VERSION2)
    try:
        wait_until(lambda: listens(("127.0.0.1", port)))
        publisher.connect("127.0.0.1", port)
        publisher.loop_start()
        sent = 0
        for kill in range(5):
            with agent(spool, stub.url, source, stderr=subprocess.PIPE) as process:
                assert process.stderr is not None
                while b"connected" not in process.stderr.readline():
                    assert process.poll() is None
                for _ in range(300):
                    publisher.publish("floor/cam", line(sent), qos=1)
                    sent += 1
                wait_until(lambda: received(spool) > 200 * (kill + 1))  # noqa: B023
                process.kill()
                process.stderr.close()
        with agent(spool, stub.url, source) as process:
            wait_until(lambda: len(stub.taken) == sent)
            assert end(process) == 0
    finally:
        publisher.disconnect()
        publisher.loop_stop()
        broker.terminate()
        broker.wait()
    assert set(stub.taken) == {line(n) for n in range(sent)}


def test_a_subscription_that_is_refused_is_told(tmp_path: Path, stub: Stub) -> None:
    """As by a broker whose rules let nobody read the topic."""
    with socket.create_server(("127.0.0.1", 0)) as broker:
        source = f"mqtt://127.0.0.1:{broker.getsockname()[1]}/secret/#"
        with agent(tmp_path, stub.url, source, stderr=subprocess.PIPE) as process:
            connection, _ = broker.accept()
            with connection:
                assert connection.recv(1)[0] >> 4 == 1  # CONNECT
                connection.recv(1000)
                connection.sendall(b"\x20\x02\x00\x00")
                asked = connection.recv(1000)
                assert asked[0] >> 4 == 8  # SUBSCRIBE
                connection.sendall(b"\x90\x03" + asked[2:4] + b"\x80")
                assert process.stderr is not None
                while b"may not be read" not in (said := process.stderr.readline()):
                    assert said
                assert b"secret/#" in said
            assert end(process) == 0
            process.stderr.close()
