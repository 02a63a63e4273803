"""Files through the door: counts, options, dry runs, damage, and what is continued."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import zstandard

from etl.door.admit import Door, Progress
from etl.door.parts import Prepared
from etl.files import load as files
from etl.files.load import LoadError, LoadReport, load_file
from etl.files.reading import Reading
from sql.errors import InputError

HEADER = "time,site_id,worker_id,workstation_id,event_type,confidence\n"
START = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)
SMALL_BLOCK = 100_000
ROWS = 10_000  # several blocks of SMALL_BLOCK


def line(i: int, site: str = "plant", confidence: str = "0.9") -> str:
    time = (START + timedelta(seconds=i)).isoformat()
    return f"{time},{site},W{i % 9},S{i % 4},working,{confidence}\n"


def many(rows: int = ROWS, sites: int = 1) -> str:
    return HEADER + "".join(line(i, f"plant-{i % sites}") for i in range(rows))


def load(dsn: str, path: Path, **options: Any) -> LoadReport:
    said = {n: options.pop(n) for n in ("site", "timezone", "mapping") if n in options}
    report = load_file(dsn, str(path), reading=Reading(**said), **options)
    parked = sum(report.parked.values())
    assert report.read == report.stored + report.duplicates + parked
    return report


def one(conn: psycopg.Connection, query: str) -> Any:
    row = conn.execute(query).fetchone()
    assert row is not None
    return row[0]


def counts(report: LoadReport) -> tuple[int, int, int, dict[str, int]]:
    return report.stored, report.duplicates, report.conflicts, report.parked


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.csv"


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
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[suffix]
    path = tmp_path / f"events.{kind}{suffix}"
    path.write_bytes(pack(text.encode()))
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


class Killed(BaseException):
    """As sudden as a kill."""


def dies_after(
    monkeypatch: pytest.MonkeyPatch, commits: int, *, in_commit: bool = False
) -> None:
    """Let a load die after so many blocks, or after so many sites of one."""
    done = []

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
