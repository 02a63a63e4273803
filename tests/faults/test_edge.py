"""The edge agent and the real server, both killed, and the agent as one file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from sql.keys import KeyTerms, create_key
from tests.support.database import stored
from tests.support.edge import QUICK, START, agent, end, line, lines, told
from tests.support.http import bound_socket, served_by_a_process, serving
from tests.support.local_server import ROOT, wait_until


@pytest.mark.plain
def test_poison_of_every_kind_and_its_neighbours(
    tmp_path: Path, dsn: str, conn: psycopg.Connection
) -> None:
    """By the command that people type; the key is for one site."""
    key = create_key(conn, "edge", KeyTerms(sites=["plant"]), "test")
    poison = [
        line(1, site_id="elsewhere"),
        b'{"deep": ' + b"[" * 40 + b"]" * 40 + b"}",
    ]
    parked = [line(2, confidence=7), b"garbage", line(3, x="y" * 70_000)]
    rows = [line(n) for n in range(100, 400)]
    for position, row in zip((0, 50, 150, 151, 230), parked + poison, strict=True):
        rows.insert(position, row)
    with serving(dsn) as api:
        command = ["edge", "run", "-", "--server", str(api.base_url), *QUICK]
        done = subprocess.run(
            [sys.executable, "-m", "cli", *command, "--spool", str(tmp_path)],
            check=False,
            input=b"\n".join(rows),
            cwd=ROOT,
            env=os.environ | {"FLOORPULSE_KEY": key},
            timeout=60,
        )
    assert done.returncode == 3
    counted = told(tmp_path)["counters"]
    assert (counted["stored"], counted["parked"], counted["refused"]) == (300, 3, 2)
    assert stored(conn) == 300
    kept = conn.execute("select code from ingest.rejects order by code").fetchall()
    assert [code for (code,) in kept] == ["bad_confidence", "malformed", "malformed"]


@pytest.mark.plain
def test_agent_and_server_are_killed_and_each_event_arrives_once(
    tmp_path: Path, dsn: str, conn: psycopg.Connection
) -> None:
    folder, spool = tmp_path / "in", tmp_path / "spool"
    folder.mkdir()
    (folder / "a.ndjson").write_bytes(lines(3_000))
    for kill in range(2):
        with (
            served_by_a_process(dsn) as (address, server),
            agent(spool, address, folder) as process,
        ):
            before = stored(conn)
            wait_until(lambda: stored(conn) > before)  # noqa: B023
            (process if kill % 2 else server).kill()
            time.sleep(0.2)
    with (
        served_by_a_process(dsn) as (address, _),
        agent(spool, address, folder) as last,
    ):
        wait_until(lambda: stored(conn) == 3_000, 60)
        wait_until(lambda: told(spool)["waiting"] == 0)
        assert end(last) == 0
    row = conn.execute(
        "select min(time), max(time), count(distinct time) from floor.events"
    ).fetchone()
    assert row is not None
    assert (row[0], (row[1] - row[0]).total_seconds(), row[2]) == (START, 2_999, 3_000)


def test_one_file_runs_where_nothing_is_installed(tmp_path: Path) -> None:
    file = tmp_path / "edge.pyz"
    packs = [sys.executable, "-m", "etl.edge", "pack"]
    subprocess.run([*packs, str(file)], check=True, cwd=ROOT, capture_output=True)
    again = tmp_path / "again.pyz"
    subprocess.run([sys.executable, str(file), "pack", str(again)], check=True)
    assert again.read_bytes() == file.read_bytes()
    # Nothing but the standard library: no site packages, no PYTHONPATH.
    bare = [sys.executable, "-I", "-S", str(file)]
    bound = bound_socket()
    address = f"http://127.0.0.1:{bound.getsockname()[1]}"
    options = ["--server", address, "--spool", str(tmp_path / "s")]
    process = subprocess.Popen(
        [*bare, "run", "-", *options], stdin=subprocess.PIPE, cwd=tmp_path
    )
    try:
        assert process.stdin is not None
        process.stdin.write(lines(50))
        process.stdin.flush()
        wait_until(lambda: told(tmp_path / "s")["waiting"] == 50)
        status = Path(f"/proc/{process.pid}/status").read_text()
        resident = next(row for row in status.splitlines() if "VmRSS" in row)
        assert int(resident.split()[1]) < 60_000
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.kill()
        process.wait()
        bound.close()
    said = subprocess.run(
        [*bare, "status", "--json", *options[2:]], check=True, capture_output=True
    )
    assert json.loads(said.stdout)["waiting"] == 50
