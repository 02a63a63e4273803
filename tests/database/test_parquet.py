"""Parquet files through the door: every type a writer may have chosen, and resuming."""

from __future__ import annotations

import gzip
import io
import json
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.door.admit import Door
from etl.files.load import LoadError, LoadReport, load_file
from etl.files.reading import Reading
from sql.connect import connect
from sql.errors import InputError
from tests.support.cli import floorpulse, json_of
from tests.support.database import one

START = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)
ROWS = 10_000
SMALL_BLOCK = 100_000  # 1,250 rows


def table(rows: int = ROWS, **columns: Any) -> pa.Table:
    """Events as pyarrow would write them; columns replace or add."""
    sites = [f"plant-{i % 2}" for i in range(rows)]
    standard = {
        "time": [START + timedelta(seconds=i) for i in range(rows)],
        "site_id": pa.array(sites).dictionary_encode(),
        "worker_id": [i % 9 for i in range(rows)],
        "workstation_id": ["S1"] * rows,
        "event_type": ["working"] * rows,
        "confidence": pa.array([0.9] * rows, pa.float32()),
    }
    return pa.table({**standard, **columns})


def written(folder: Path, content: pa.Table, **options: Any) -> Path:
    path = folder / "events.parquet"
    pq.write_table(content, path, **options)
    return path


@pytest.mark.plain
def test_types_that_writers_choose(
    dsn: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    at = START.replace(tzinfo=None, microsecond=123456)
    naive = [at, at + timedelta(minutes=1), None]
    kinds = {
        "time": pa.array(naive, pa.timestamp("ns")),
        "time_2": pa.array(naive, pa.timestamp("ms", tz="+05:30")),
        "time_3": pa.array(["2026-11-01T06:00:00Z"] * 3).dictionary_encode(),
        "time_4": pa.array([date(2026, 11, 1)] * 3),
        "time_5": pa.array([1_793_512_800] * 3),
    }
    for name, values in kinds.items():
        content = table(
            3,
            time=values,
            site_id=[name] * 3,
            worker_id=pa.array([1, 2, 3], pa.uint8()),
            workstation_id=pa.array([b"S1", b"S2", b"S\xff"]),
            event_type=pa.array(["product_count"] * 3).dictionary_encode(),
            confidence=pa.array([Decimal("0.90"), None, Decimal("0.90")]),
            count=pa.array([3.0, 1.0, 1.0]),
            shoe_size=[44] * 3,
        )
        path = written(tmp_path, content)
        report = load_file(dsn, str(path), reading=Reading(timezone="Europe/Berlin"))
        assert report.notices == ["columns ignored: shoe_size"]
        expected = {"bad_time": 1} if name in ("time_4", "time_5") else {}
        expected |= {"malformed": 2 if name in ("time", "time_2") else 1}
        expected |= {"bad_identifier": 1} if name not in ("time", "time_2") else {}
        assert (name, report.parked) == (name, expected)
    stored = conn.execute(
        "select s.site_id, w.worker_id, e.time, e.confidence::text, e.count "
        "from floor.events e join floor.sites s using (site_key) "
        "join floor.workers w using (worker_key) order by 1"
    ).fetchall()
    assert stored == [
        ("time", "1", (at - timedelta(hours=1)).replace(tzinfo=UTC), "0.9", 3),
        ("time_2", "1", at.replace(microsecond=123000, tzinfo=UTC), "0.9", 3),
        ("time_3", "1", START, "0.9", 3),
    ]


@pytest.mark.plain
def test_values_of_types_that_cannot_be(
    dsn: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    content = table(
        2,
        worker_id=[True, None],
        workstation_id=pa.array([1.0, 2.0]),
        confidence=pa.array([[1], [2]]),
    )
    report = load_file(dsn, str(written(tmp_path, content)))
    assert report.parked == {"bad_identifier": 1, "malformed": 1}
    told = conn.execute(
        "select line, message, convert_from(raw, 'UTF8') from ingest.rejects order by 1"
    ).fetchall()
    assert [line for line, _, _ in told] == [1, 2]
    assert told[0][1].startswith("worker_id 'true' must be")
    assert json.loads(told[1][2])["worker_id"] is None


@pytest.mark.plain
def test_parked_rows_are_mended_by_what_was_wrong_with_the_site(
    dsn: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    json_of(dsn, "site", "set", "plant-0", "--registration", "strict")
    content = table(2, worker_id=[1, 2]).rename_columns(
        ["when", "site_id", "who", "workstation_id", "event_type", "confidence"]
    )
    path = written(tmp_path, content)
    maps = ("--map", "when=time", "--map", "who=worker_id")
    told = json_of(dsn, "load", str(path), *maps, exit_code=3)
    assert told["parked"] == {"unknown_worker": 1}
    json_of(dsn, "site", "set", "plant-0", "--registration", "open")
    assert json_of(dsn, "rejects", "retry")["stored"] == 1
    assert one(conn, "select count(*) from floor.events") == 2


class Killed(Exception):  # noqa: N818 - nothing went wrong with the load
    """Stands for a kill between two commits."""


@pytest.mark.plain
@pytest.mark.parametrize(
    ("kind", "row_group_size"), [("file", 400), ("gz", 7_001), ("stdin", ROWS)]
)
def test_a_load_that_was_cut_off_is_continued(
    dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    row_group_size: int,
) -> None:
    content = table(confidence=[0.9] * (ROWS - 1) + [2.0])
    path = written(tmp_path, content, row_group_size=row_group_size)
    if kind == "gz":
        path.write_bytes(gzip.compress(path.read_bytes()))

    def run() -> LoadReport:
        stdin = io.TextIOWrapper(io.BytesIO(path.read_bytes()))
        monkeypatch.setattr(sys, "stdin", stdin)
        name = "-" if kind == "stdin" else str(path)
        return load_file(dsn, name, block_bytes=SMALL_BLOCK)

    commits = 0
    commit_part = Door._commit_part

    def dies(self: Door, *arguments: Any) -> Any:
        nonlocal commits
        commits += 1
        if commits > 5:
            raise Killed
        return commit_part(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Door, "_commit_part", dies)
        with pytest.raises(Killed):
            run()
    report = run()
    assert report.resumed
    assert (report.stored, report.duplicates) == (ROWS - 1, 0)
    assert report.parked == {"bad_confidence": 1}
    with connect(dsn) as conn:
        assert one(conn, "select line from ingest.rejects") == ROWS
    again = run()
    assert (again.resumed, again.stored, again.duplicates) == (False, 0, ROWS - 1)


@pytest.mark.plain
def test_files_that_are_none(dsn: str, tmp_path: Path) -> None:
    path = written(tmp_path, table(10).drop_columns(["worker_id"]))
    with pytest.raises(InputError, match="no column worker_id"):
        load_file(dsn, str(path))
    whole = written(tmp_path, table()).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="no Parquet that can be read"):
        load_file(dsn, str(path))
    path.write_bytes(whole[:2_000] + bytes(4_000) + whole[6_000:])
    with pytest.raises(LoadError, match="no Parquet that can be read"):
        load_file(dsn, str(path))
    path.write_text("time,worker_id\n")
    with pytest.raises(InputError, match="whatever its name says"):
        load_file(dsn, str(path))
    assert load_file(dsn, str(written(tmp_path, table(0)))).read == 0


@pytest.mark.plain
def test_a_folder_and_a_pattern(dsn: str, tmp_path: Path) -> None:
    folder = tmp_path / "2026" / "11"
    folder.mkdir(parents=True)
    written(folder, table(10))
    names = "time,site_id,worker_id,workstation_id,event_type,confidence\n"
    (tmp_path / "a.csv").write_text(names)
    (tmp_path / "readme.md").write_text("none of it")
    (tmp_path / ".hidden.csv").write_text("none of it")
    told = json_of(dsn, "load", str(tmp_path))
    assert [Path(file["source"]).name for file in told["files"]] == [
        "events.parquet",
        "a.csv",
    ]
    assert told["stored"] == 10
    pattern = str(tmp_path / "**" / "*.parquet")
    assert json_of(dsn, "load", pattern)["duplicates"] == 10
    floorpulse(dsn, "load", str(tmp_path / "*.parquet"), exit_code=1)
