"""The edge agent and servers that are busy, gone, wrong, or die before they answer."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.edge import (
    DIES,
    OK,
    Behaviour,
    Reply,
    Stub,
    agent,
    distinct,
    edge,
    end,
    first,
    give,
    line,
    lines,
    refuses,
    told,
    unused_address,
    well,
)
from tests.support.local_server import wait_until

LOGIN = Reply(200, b"<html>Welcome to the guest network</html>")
OTHER_COUNT = Reply(200, b'{"stored":1,"duplicates":0,"conflicts":0,"parked":[]}')


def sent_all(spool: Path, behaviour: Behaviour, data: bytes) -> tuple[Stub, int]:
    """A server after the agent has read this and ended by itself, and its exit code."""
    with Stub(behaviour).running() as stub, agent(spool, stub.url, "-") as process:
        give(process, data)
        assert process.stdin is not None
        process.stdin.close()
        code = process.wait(30)
        process.stdin = None
    return stub, code


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param([Reply(503, headers={"Retry-After": "0"})] * 3, id="busy"),
        pytest.param([Reply(429, headers={"Retry-After": "1"})], id="too fast"),
        pytest.param([Reply(500), Reply(502), Reply(504), Reply(408)], id="faults"),
        pytest.param([DIES, DIES, DIES], id="accepts and dies"),
        pytest.param([LOGIN], id="a log-in page"),
        pytest.param([OTHER_COUNT], id="counts of something else"),
        pytest.param([Reply(401), Reply(404), Reply(405)], id="wrong address or key"),
        pytest.param([Reply(301, headers={"Location": "http://x"})], id="moved"),
    ],
)
def test_what_passes_is_waited_for(tmp_path: Path, replies: list[Reply]) -> None:
    stub, code = sent_all(tmp_path, first(*replies), lines(250))
    assert code == 0
    assert stub.taken == lines(250).splitlines()
    assert len(stub.posts) == 3 + len(replies)
    counts = told(tmp_path)
    assert counts["waiting"] == counts["set_aside"] == 0
    assert counts["trouble"] is None


def test_stored_before_it_died_is_a_duplicate_and_nothing_else(tmp_path: Path) -> None:
    stub, code = sent_all(tmp_path, first(DIES), lines(150))
    assert code == 0
    assert stub.taken == lines(150).splitlines()
    assert told(tmp_path)["counters"]["duplicates"] == 100


@pytest.mark.parametrize("status", [400, 403, 413])
def test_a_poison_event_is_set_aside_alone(tmp_path: Path, status: int) -> None:
    bad = [line(17, x="bad"), line(180, x="bad"), line(181, x="bad")]
    good = [line(n) for n in range(240)]
    mixed = [*good[:17], bad[0], *good[17:180], *bad[1:], *good[180:]]
    stub, code = sent_all(tmp_path, refuses(status, *bad), b"\n".join(mixed) + b"\n")
    assert code == 3
    assert stub.taken == good
    told_of = edge("refused", "--spool", tmp_path)
    refused = [json.loads(text) for text in told_of.stdout.splitlines()]
    assert [r["line"].encode() for r in refused] == bad
    assert {(r["status"], r["message"]) for r in refused} == {(status, "bad")}
    assert told(tmp_path)["set_aside"] == 3


def test_what_the_server_says_need_not_be_text(tmp_path: Path) -> None:
    stub, code = sent_all(tmp_path, refuses(400, line(1), message="\ud800"), lines(3))
    assert (code, len(stub.taken)) == (3, 2)
    assert "ud800" in edge("refused", "--spool", tmp_path).stdout


def test_what_was_set_aside_is_sent_again_once_mended(tmp_path: Path) -> None:
    sent_all(tmp_path, refuses(403, line(1)), lines(3))
    assert "1 events wait" in edge("refused", "--retry", "--spool", tmp_path).stdout
    assert told(tmp_path)["waiting"] == 1
    stub, code = sent_all(tmp_path, well, b"")
    assert (code, stub.taken) == (0, [line(1)])


@pytest.mark.parametrize("status", [400, 403])
def test_a_server_that_refuses_everything_is_to_blame_itself(
    tmp_path: Path, status: int
) -> None:
    """A key that was revoked must not turn a backlog into rubbish."""
    behaviour: dict[str, Reply] = {"now": Reply(status)}
    server = Stub(lambda _, __: behaviour["now"])
    with server.running() as stub, agent(tmp_path, stub.url, "-") as process:
        give(process, lines(120))
        wait_until(lambda: any(not post.events for post in stub.posts[3:]))
        assert told(tmp_path)["waiting"] == 120
        assert told(tmp_path)["set_aside"] == 0
        behaviour["now"] = OK
        wait_until(lambda: len(stub.taken) == 120)
        assert end(process) == 0
    assert stub.taken == lines(120).splitlines()


def test_one_event_that_makes_the_server_fail_does_not_block_others(
    tmp_path: Path,
) -> None:
    stub, code = sent_all(tmp_path, refuses(500, line(60)), lines(150))
    assert code == 3
    assert stub.taken == [line(n) for n in range(150) if n != 60]


def test_a_dead_server_is_waited_for_and_the_spool_outlives_the_agent(
    tmp_path: Path,
) -> None:
    with agent(tmp_path, unused_address(), "-", stderr=subprocess.PIPE) as process:
        give(process, lines(30))
        wait_until(lambda: told(tmp_path)["waiting"] == 30)
        wait_until(lambda: told(tmp_path)["trouble"])
        assert end(process) == 0
        assert process.stderr is not None
        assert b"Connection refused" in process.stderr.read()
        process.stderr.close()
    stub, code = sent_all(tmp_path, well, lines(5, 30))
    assert (code, stub.taken) == (0, lines(35).splitlines())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_stores_what_it_has_read(tmp_path: Path, number: int) -> None:
    with Stub(well).running() as stub, agent(tmp_path, stub.url, "-") as process:
        give(process, lines(1))
        wait_until(lambda: stub.taken)
        give(process, lines(500, 1))
        wait_until(lambda: len(stub.taken) > 1)
        assert end(process, number) == 0
        waiting: dict[str, Any] = told(tmp_path)
        assert waiting["process"] is None
        assert waiting["waiting"] + len(distinct(stub.taken)) == 501


def test_the_key_is_sent_and_is_on_no_command_line(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("fp_secret\n")
    with (
        Stub(well).running() as stub,
        agent(tmp_path, stub.url, "-", "--key-file", key) as process,
    ):
        give(process, lines(1))
        wait_until(lambda: stub.posts)
        assert b"secret" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert {post.key for post in stub.posts} == {"Bearer fp_secret"}


def test_two_agents_on_one_spool(tmp_path: Path) -> None:
    with agent(tmp_path, unused_address(), "-") as process:
        wait_until(lambda: told(tmp_path)["process"] == process.pid)
        second = edge("run", "-", "--server", "http://x", "--spool", tmp_path)
        assert second.returncode == 1
        assert f"in use by another agent (process {process.pid})" in second.stderr
        assert "--spool" in second.stderr
        assert process.poll() is None
