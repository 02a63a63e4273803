"""What a trainer gets: the events of a request as Parquet, and a manifest."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sql.connect import Connection, connect
from sql.errors import FloorpulseError
from sql.model_health.retraining import request
from sql.model_health.training_set import MANIFEST, Exported, Wish, export
from tests.support.cli import json_of
from tests.support.database import put
from tests.support.training import BEGIN, TYPES, approve, events, wrong


@pytest.fixture
def approved(dsn: str, conn: Connection) -> pl.DataFrame:
    """Request 1 and its events."""
    return approve(dsn, conn)


def draw(seed: int, row: dict[str, Any]) -> float:
    """As docs/retraining.md tells it."""
    time = datetime.fromisoformat(row["time"])
    micros = (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    kind = TYPES.index(row["event_type"])
    words = ["plant", row["worker_id"], "S1", str(kind), str(micros)]
    text = f"{seed}\n" + "\x1f".join(words)
    first = hashlib.sha256(text.encode()).digest()[:6]
    return int.from_bytes(first) / 2**48


def expected(mine: pl.DataFrame, seed: int, share: float) -> list[tuple[str, str]]:
    """Time and reason of what is to be taken."""
    mistaken = set(mine.gather_every(25)["time"])
    taken = []
    for row in mine.iter_rows(named=True):
        if row["time"] in mistaken:
            taken.append((row["time"], "misclassified"))
        elif row["confidence"] == "0.5":
            taken.append((row["time"], "low_confidence"))
        elif draw(seed, row) < share:
            taken.append((row["time"], "sample"))
    return sorted(taken)


def read(done: Exported) -> pl.DataFrame:
    return pl.read_parquet(done.folder / "events.parquet")


def test_what_a_trainer_gets(
    dsn: str, conn: Connection, approved: pl.DataFrame, tmp_path: Path
) -> None:
    told = json_of(
        dsn, "retraining", "export", "1", "--output", str(tmp_path), "--seed", "7"
    )
    folder = Path(told["folder"])
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]
    manifest = json.loads((folder / MANIFEST).read_text())
    frame = pl.read_parquet(folder / "events.parquet")
    times = frame["time"].dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    wanted = expected(approved, 7, 0.2)
    assert list(zip(times, frame["selected_as"], strict=True)) == wanted
    assert 0.1 < manifest["counts"]["sample"] / approved.height < 0.3
    assert manifest["counts"]["events"] == approved.height
    assert manifest["counts"]["exported"] == frame.height
    assert manifest["events_kept_from"] is None
    (file,) = manifest["files"]
    content = (folder / file["name"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == file["sha256"]
    assert (file["rows"], file["bytes"]) == (frame.height, len(content))
    assert [c["name"] for c in manifest["schema"]] == frame.columns
    labels = frame.filter(pl.col("selected_as") == "misclassified")["right_label"]
    assert set(labels) == {"nothing"}
    digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    assert told["manifest_sha256"] == digest
    shown = json_of(dsn, "retraining", "show", "1")
    assert shown["request_state"] == "exported"
    assert shown["steps"][-1]["detail"]["folder"] == str(folder)
    # Later events and verdicts change nothing of the same selection.
    put(dsn, events(2))
    wrong(conn, approved.gather_every(25, offset=3))
    like = str(folder / MANIFEST)
    again = json_of(
        dsn, "retraining", "export", "1", "--output", str(tmp_path), "--like", like
    )
    assert (Path(again["folder"]) / file["name"]).read_bytes() == content
    anew = json_of(dsn, "retraining", "export", "1", "--output", str(tmp_path))
    assert anew["counts"]["events"] > manifest["counts"]["events"]


@pytest.mark.plain
@pytest.mark.usefixtures("approved")
def test_it_tells_from_when_on_events_were_kept(
    conn: Connection, tmp_path: Path
) -> None:
    midnight = datetime(2026, 11, 9, tzinfo=UTC)
    conn.execute(
        "insert into floor.retention (site_key, kept_from)"
        " select site_key, %s from floor.sites",
        (midnight,),
    )
    done = export(conn, 1, Wish(tmp_path), "ann")
    kept_from = midnight - timedelta(days=3)
    assert done.manifest["events_kept_from"] == kept_from.isoformat()


@pytest.mark.plain
def test_the_seed_draws_and_nothing_else(
    conn: Connection, approved: pl.DataFrame, tmp_path: Path
) -> None:
    none = export(conn, 1, Wish(tmp_path, share=0), "Ann")
    assert set(read(none)["selected_as"]) == {"misclassified", "low_confidence"}
    everything = export(conn, 1, Wish(tmp_path, share=1, low_confidence=0), "Ann")
    assert read(everything).height == approved.height
    one, two = (export(conn, 1, Wish(tmp_path, seed=s), "Ann") for s in (1, 2))
    assert set(read(one)["time"]) != set(read(two)["time"])
    empty = export(conn, 1, Wish(tmp_path, until=BEGIN), "Ann")
    assert (read(empty).height, empty.manifest["counts"]["events"]) == (0, 0)


@pytest.mark.plain
@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish(days=0), "--days 0"),
        (Wish(share=1.5), "--share 1.5"),
        (Wish(share=float("nan")), "--share nan"),
        (Wish(low_confidence=-1), "--low-confidence"),
        (Wish(seed=2**63), "64 bits"),
        (Wish(until=datetime(9999, 12, 31, tzinfo=UTC)), "not over yet"),
        (Wish(until=datetime(1, 1, 2, tzinfo=UTC)), "before 1980"),
        (Wish(like=Path("nowhere")), "no manifest"),
        (Wish(like=Path(__file__)), "no manifest"),
        (Wish(Path(__file__)), "could not be written"),
    ],
)
def test_what_cannot_be_exported(common_dsn: str, wish: Wish, words: str) -> None:
    with connect(common_dsn) as conn, conn.transaction(force_rollback=True):
        conn.execute("select floor.register_site('plant', false)")
        request(conn, "plant", None, "Ann", None)
        conn.execute("update ops.retraining_requests set state = 'approved'")
        number = conn.execute("select request_key from ops.retraining_requests")
        (key,) = number.fetchone() or (0,)
        with pytest.raises(FloorpulseError, match=words):
            export(conn, key, wish, "Ann")
