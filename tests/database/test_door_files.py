"""Files through the door: counts, options, dry runs, damage, two at once."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import zstandard

from etl.files import load as files
from etl.files.load import load_file
from sql.errors import InputError
from tests.support.database import one
from tests.support.files import (
    HEADER,
    ROWS,
    SMALL_BLOCK,
    START,
    counts,
    line,
    load,
    many,
)


def test_a_file_of_many_blocks_and_the_same_again(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    path.write_text(many() + line(0, "plant-0", "0.5") + line(ROWS, confidence="2"))
    first = load(dsn, path, block_bytes=SMALL_BLOCK)
    assert counts(first) == (ROWS, 1, 1, {"bad_confidence": 1})
    again = load(dsn, path, block_bytes=SMALL_BLOCK)
    assert counts(again) == (0, ROWS + 1, 1, {"bad_confidence": 1})
    assert not again.resumed
    assert one(conn, "select count(*) from floor.events") == ROWS
    assert one(conn, "select sum(stored) from ingest.tallies") == ROWS
    loads = conn.execute(
        "select state, read, bytes_done, lines_done from ingest.loads order by load_id"
    ).fetchall()
    size, lines = path.stat().st_size, ROWS + 3
    assert loads == [("done", ROWS + 2, size, lines)] * 2
    parked = conn.execute(
        "select code, line, seen from ingest.rejects order by line"
    ).fetchall()
    assert parked == [
        ("conflict", ROWS + 2, 2),
        ("bad_confidence", ROWS + 3, 2),
    ]


@pytest.mark.plain
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_every_kind_of_file(dsn: str, tmp_path: Path, suffix: str, kind: str) -> None:
    text = many(100) if kind == "csv" else as_ndjson(many(100))
    packs: dict[str, Callable[[bytes], bytes]]
    packs = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}
    path = tmp_path / f"events.{kind}{suffix}"
    path.write_bytes(packs[suffix](text.encode()))
    assert counts(load(dsn, path)) == (100, 0, 0, {})


def as_ndjson(text: str) -> str:
    names, *rows = [row.split(",") for row in text.splitlines()]
    return "".join(json.dumps(dict(zip(names, r, strict=True))) + "\n" for r in rows)


@pytest.mark.plain
def test_stdin(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO(gzip.compress(many(100).encode()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
    report = load_file(dsn, "-")
    assert (report.source, report.stored) == ("stdin", 100)


@pytest.mark.plain
def test_options_of_a_load(dsn: str, conn: psycopg.Connection, path: Path) -> None:
    path.write_text(
        "when,who,workstation_id,event_type,confidence,shoe_size\n"
        "2026-03-29 02:30:00,W1,S1,idle,1,44\n"
        "2026-10-25 02:30:00,W1,S1,idle,1,44\n"
        "2026-11-01T06:00:00Z,W1,S1,idle,1,44\n"
    )
    report = load(
        dsn,
        path,
        site="plant",
        timezone="Europe/Berlin",
        mapping={"when": "time", "who": "worker_id"},
    )
    assert report.stored == 3
    assert report.notices == ["columns ignored: shoe_size"]
    assert [text.split(" ")[0] for text in report.warnings] == ["1", "1"]
    times = conn.execute("select time from floor.events order by time").fetchall()
    assert times == [
        (datetime(2026, 3, 29, 1, 30, tzinfo=UTC),),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC),),
        (START,),
    ]


def test_a_dry_run_stores_nothing_and_says_what_would_be_parked(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    path.write_text(many(50) + "a,b\n" + line(50, confidence="2") + line(51))
    report = load(dsn, path, dry_run=True)
    assert counts(report) == (51, 0, 0, {"malformed": 1, "bad_confidence": 1})
    assert report.examples == [
        {
            "line": 52,
            "code": "malformed",
            "message": "the line has 2 fields, the header has 6",
        },
        {
            "line": 53,
            "code": "bad_confidence",
            "message": "confidence '2' must be a number from 0 to 1",
        },
    ]
    tables = ("floor.sites", "floor.events", "ingest.loads", "ingest.rejects")
    assert [one(conn, f"select count(*) from {t}") for t in tables] == [0] * 4  # noqa: S608


@pytest.mark.plain
def test_a_dry_run_knows_strict_sites(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    path.write_text(HEADER + line(0))
    load(dsn, path)
    conn.execute("update floor.sites set registration = 'strict'")
    path.write_text(HEADER + line(0) + line(1))
    assert load(dsn, path, dry_run=True).parked == {"unknown_worker": 1}


@pytest.mark.plain
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89PNG\r\n\x1a\n", "not UTF-8"),
        (b"time,worker_id\n", "no column site_id"),
        (many(3).encode("utf-16"), "UTF-16"),
        ((many(3) + line(3, "Zürich")).encode("latin-1"), "line 5, byte 28"),
        (gzip.compress(many().encode())[:-20], "damaged or cut short"),
        (zstandard.compress(many().encode())[:-20], "damaged or cut short"),
    ],
)
def test_of_what_cannot_be_understood_nothing_is_stored(
    dsn: str, conn: psycopg.Connection, path: Path, content: bytes, said: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"events\.csv") as error:
        load(dsn, path)
    assert said in error.value.message
    assert one(conn, "select count(*) from floor.events") == 0
    assert one(conn, "select count(*) from ingest.rejects") == 0


@pytest.mark.plain
def test_a_missing_file(dsn: str, path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read: No such file"):
        load(dsn, path)
    with pytest.raises(InputError, match=r"cannot be read: Is a directory"):
        load(dsn, path.parent)


@pytest.mark.plain
@pytest.mark.parametrize("content", [b"", b"\n\n", HEADER.encode()])
def test_an_empty_file_is_fine(dsn: str, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert counts(load(dsn, path)) == (0, 0, 0, {})


@pytest.mark.plain
def test_lines_without_end_and_their_neighbours(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    endless = "x" * (3 * SMALL_BLOCK)
    path.write_text(HEADER + line(0) + endless + "\n" + line(1) + '"' + endless)
    report = load(dsn, path, block_bytes=SMALL_BLOCK)
    assert counts(report) == (2, 0, 0, {"malformed": 2})
    parked = conn.execute(
        "select line, length(raw) from ingest.rejects order by line"
    ).fetchall()
    assert parked == [(3, 65_536), (5, 65_536)]


def test_two_loads_of_one_file_at_once(
    dsn: str, conn: psycopg.Connection, path: Path
) -> None:
    path.write_text(many())
    code = (
        "import sys; from etl.files.load import load_file; "
        f"r = load_file(sys.argv[1], sys.argv[2], block_bytes={SMALL_BLOCK}); "
        "print(r.read, r.stored, r.duplicates)"
    )
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, dsn, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0].split() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert [int(read) for read, _, _ in said] == [ROWS, ROWS]
    assert sum(int(stored) for _, stored, _ in said) == ROWS
    assert sum(int(duplicates) for _, _, duplicates in said) == ROWS
    assert one(conn, "select count(*) from floor.events") == ROWS
    assert one(conn, "select sum(events) from floor.dirty") == ROWS


@pytest.mark.plain
def test_progress_is_told_block_by_block(dsn: str, path: Path) -> None:
    path.write_text(many())
    told: list[files.LoadProgress] = []
    load(dsn, path, block_bytes=SMALL_BLOCK, progress=told.append)
    assert len(told) > 3
    assert told[-1].bytes_done == told[-1].bytes_total == path.stat().st_size
