"""Loads that were cut off: what they left is continued, and nothing else."""

from __future__ import annotations

import gzip
import io
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from etl.door.admit import Door, Progress
from etl.door.parts import Prepared
from etl.files.load import LoadError, LoadReport, load_file
from tests.support.database import one
from tests.support.files import (
    ROWS,
    SMALL_BLOCK,
    START,
    counts,
    line,
    load,
    many,
)


class Killed(BaseException):
    """As sudden as a kill."""


def dies_after(
    monkeypatch: pytest.MonkeyPatch, commits: int, *, in_commit: bool = False
) -> None:
    """Let a load die after so many blocks, or after so many sites of one."""
    done: list[int] = []

    def commit(
        self: Door,
        prepared: Prepared,
        source: str,
        progress: Progress | None = None,
        after_site: str | None = None,
    ) -> Any:
        found = true_commit(self, prepared, source, progress, after_site)
        done.append(1)
        if len(done) == commits:
            raise Killed
        return found

    def commit_part(self: Door, *arguments: Any) -> Any:
        found = true_part(self, *arguments)
        done.append(1)
        if len(done) == commits:
            raise Killed
        return found

    true_commit, true_part = Door.commit, Door._commit_part
    if in_commit:
        monkeypatch.setattr(Door, "_commit_part", commit_part)
    else:
        monkeypatch.setattr(Door, "commit", commit)


@pytest.mark.plain
def test_what_was_committed_before_the_damage_stays_and_is_told(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    packed = gzip.compress(many().encode())
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(LoadError) as error:
        load(dsn, path, block_bytes=SMALL_BLOCK)
    stored = error.value.report.stored
    assert 0 < stored < ROWS
    assert one(conn, "select count(*) from floor.events") == stored
    assert one(conn, "select state from ingest.loads") == "failed"
    path.write_bytes(packed)
    report = load(dsn, path, block_bytes=SMALL_BLOCK)
    assert report.resumed
    assert counts(report) == (ROWS, 0, 0, {})


@pytest.mark.plain
@pytest.mark.parametrize("kind", ["plain", "gz", "stdin", "gz stdin"])
def test_a_load_that_was_cut_off_is_continued(
    dsn: str,
    conn: psycopg.Connection,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    content = (many() + line(0, "plant-0", "0.5") + line(ROWS, confidence="2")).encode()
    path.write_bytes(gzip.compress(content) if "gz" in kind else content)

    def run() -> LoadReport:
        if "stdin" not in kind:
            return load(dsn, path, block_bytes=SMALL_BLOCK)
        stdin = io.TextIOWrapper(io.BytesIO(path.read_bytes()))
        monkeypatch.setattr(sys, "stdin", stdin)
        return load_file(dsn, "-", block_bytes=SMALL_BLOCK)

    with monkeypatch.context() as patched:
        dies_after(patched, 2)
        with pytest.raises(Killed):
            run()
    assert 0 < one(conn, "select count(*) from floor.events") < ROWS
    report = run()
    assert report.resumed
    assert counts(report) == (ROWS, 1, 1, {"bad_confidence": 1})
    assert one(conn, "select count(*) from ingest.loads") == 1
    assert one(conn, "select array_agg(line order by line) from ingest.rejects") == [
        ROWS + 2,
        ROWS + 3,
    ]
    assert not run().resumed


@pytest.mark.plain
@pytest.mark.parametrize("commits", [1, 2, 4, 5])
def test_a_block_of_several_sites_is_continued_between_them(
    dsn: str,
    conn: psycopg.Connection,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    commits: int,
) -> None:
    path.write_text(many(sites=3))
    with monkeypatch.context() as patched:
        dies_after(patched, commits, in_commit=True)
        with pytest.raises(Killed):
            load(dsn, path, block_bytes=SMALL_BLOCK)
    report = load(dsn, path, block_bytes=SMALL_BLOCK)
    assert report.resumed
    assert counts(report) == (ROWS, 0, 0, {})
    assert one(conn, "select count(*) from floor.events") == ROWS


@pytest.mark.plain
@pytest.mark.parametrize("in_commit", [True, False])
def test_other_content_with_the_same_beginning_is_a_load_of_its_own(
    dsn: str,
    conn: psycopg.Connection,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_commit: bool,
) -> None:
    path.write_text(many(sites=3))
    with monkeypatch.context() as patched:
        dies_after(patched, 1, in_commit=in_commit)
        with pytest.raises(Killed):
            load(dsn, path, block_bytes=SMALL_BLOCK)
    lines = many(sites=3).splitlines(keepends=True)
    lines[1400] = line(-77, "plant-0")
    path.write_text("".join(lines))
    report = load(dsn, path, block_bytes=SMALL_BLOCK)
    assert not (report.resumed and not in_commit)
    assert report.read == ROWS
    times = {row[0] for row in conn.execute("select time from floor.events")}
    expected = {START + timedelta(seconds=i) for i in range(ROWS) if i != 1399}
    assert times >= expected | {START - timedelta(seconds=77)}


@pytest.mark.plain
def test_other_options_are_a_load_of_their_own(
    dsn: str, conn: psycopg.Connection, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(many())
    with monkeypatch.context() as patched:
        dies_after(patched, 2)
        with pytest.raises(Killed):
            load(dsn, path, block_bytes=SMALL_BLOCK)
    assert not load(dsn, path, timezone="Asia/Kolkata").resumed
    assert one(conn, "select count(*) from ingest.loads") == 2
