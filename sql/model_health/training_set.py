"""What a trainer gets: events of a request as Parquet, and a manifest."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sql.connect import Connection
from sql.errors import BadSetting, NotExported
from sql.model_health.retraining import refusals, show
from sql.queries import load

FORMAT = 1
FILE, MANIFEST = "events.parquet", "manifest.json"
ROWS_AT_ONCE = 20_000
LONGEST_DAYS = 3_650
_DAY = timedelta(days=1)
_FIRST = datetime(1980, 1, 1, tzinfo=UTC)
# Column, type, and what it is; the manifest says it, too.
COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("time", pa.timestamp("us", tz="UTC"), "when it happened, by the camera's clock"),
    ("worker_id", pa.string(), "the worker"),
    ("workstation_id", pa.string(), "the workstation"),
    ("event_type", pa.string(), "what the model said"),
    ("confidence", pa.float32(), "how sure it was, 0 to 1"),
    ("count", pa.int32(), "products, with product_count"),
    ("duration_s", pa.float64(), "how long the state lasts, where the event said so"),
    ("camera_id", pa.string(), "the camera that saw it"),
    ("selected_as", pa.string(), "misclassified, low_confidence or sample"),
    ("verdict", pa.string(), "right or wrong, by a person; null: nobody looked"),
    ("right_label", pa.string(), "what it should have said, if a person told"),
)
_SCHEMA = pa.schema([(name, kind) for name, kind, _ in COLUMNS])


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events: a window of time as known at an instant, and how the rest is drawn.

    share of the rest, drawn by the seed; low_confidence: below it, all are taken.
    """

    since: datetime
    until: datetime
    known_at: datetime
    seed: int
    share: float
    low_confidence: float

    def check(self) -> None:
        """Raise BadSetting for what cannot be."""
        if not timedelta(0) < self.until - self.since <= LONGEST_DAYS * _DAY:
            said = f"is not between 1 second and {LONGEST_DAYS} days long"
            raise BadSetting(f"the window {said}")
        if not 0 <= self.share <= 1:
            raise BadSetting(f"--share {self.share} is not between 0 and 1")
        if not 0 <= self.low_confidence <= 1:
            raise BadSetting(
                f"--low-confidence {self.low_confidence} is not between 0 and 1"
            )
        if not -(2**63) <= self.seed < 2**63:
            raise BadSetting(f"--seed {self.seed} has more than 64 bits")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person says of an export; None: the default. parent: where it goes."""

    parent: Path = Path()
    days: int = 30
    until: datetime | None = None
    seed: int | None = None
    share: float = 0.2
    low_confidence: float | None = None
    like: Path | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the folder, its manifest, and the manifest's sha256."""

    folder: Path
    manifest: dict[str, Any]
    sha256: str


@dataclass(frozen=True, slots=True)
class _Keys:
    """What a request is in the tables; kept_from: events before it were deleted."""

    site_key: int
    model_key: int
    gate: float
    kept_from: datetime | None


def export(
    conn: Connection, number: int, wish: Wish, who: str, note: str | None = None
) -> Exported:
    """Write the events of a request into a new folder below its `parent`.

    The folder appears when it is complete, and only then is the request `exported`.
    BadSetting for a wish or a state that cannot be, UnknownRequest, NotExported.
    """
    asked = show(conn, number)
    selection = _selection(conn, number, wish)
    selection.check()
    if asked["request_state"] not in ("approved", "exported"):
        raise BadSetting(
            f"Request {number} is {asked['request_state']}: what is exported is "
            "approved first, and not trained yet"
        )
    try:
        wish.parent.mkdir(parents=True, exist_ok=True)
        done = _written(conn, asked, selection, wish.parent, who)
    except OSError as error:
        said = f"{error.filename or wish.parent}: {error.strerror or error}"
        raise NotExported(f"The export could not be written: {said}") from error
    kept = {
        "request": number,
        "folder": str(done.folder),
        "manifest": (done.folder / MANIFEST).read_text("utf-8"),
        "sha256": done.sha256,
        "who": who,
        "note": note,
    }
    try:
        with refusals():
            conn.execute(load("retraining")["keep_export"], kept)
    except BadSetting:
        # Somebody rejected it meanwhile: nobody is to train on this.
        shutil.rmtree(done.folder)
        raise
    return done


def _selection(conn: Connection, number: int, wish: Wish) -> Selection:
    if wish.like is not None:
        return _selection_of(wish.like)
    if not 1 <= wish.days <= LONGEST_DAYS:
        raise BadSetting(f"--days {wish.days} is not between 1 and {LONGEST_DAYS}")
    gate = round(_keys(conn, number).gate, 6)
    clock = conn.execute(load("retraining")["known_at"]).fetchone()
    if clock is None:
        raise LookupError("known_at")
    now: datetime = clock[0].astimezone(UTC)
    until = wish.until or now
    if not _FIRST <= until <= now:
        raise BadSetting(f"--to {until.isoformat()} is not over yet, or before 1980")
    return Selection(
        since=until - wish.days * _DAY,
        until=until,
        known_at=clock[1].astimezone(UTC),
        seed=number if wish.seed is None else wish.seed,
        share=wish.share,
        low_confidence=gate if wish.low_confidence is None else wish.low_confidence,
    )


def _keys(conn: Connection, number: int) -> _Keys:
    row = conn.execute(load("retraining")["keys"], {"request": number}).fetchone()
    if row is None:
        raise BadSetting(f"The site of request {number} has no settings now")
    return _Keys(*row)


def _selection_of(manifest: Path) -> Selection:
    """The selection of an earlier export, to be made again."""
    try:
        said = json.loads(manifest.read_text("utf-8"))["selection"]
        return Selection(
            since=_instant(said["since"]),
            until=_instant(said["until"]),
            known_at=_instant(said["known_at"]),
            seed=int(said["seed"]),
            share=float(said["share"]),
            low_confidence=float(said["low_confidence"]),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise BadSetting(f"{manifest} is no manifest of an export: {error}") from error


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _written(
    conn: Connection,
    asked: dict[str, Any],
    selection: Selection,
    parent: Path,
    who: str,
) -> Exported:
    """The folder, complete: under another name until then."""
    made_at = datetime.now(UTC)
    words = f"{asked['site_id']}-{asked['model_version'] or 'none'}"
    name = f"request-{asked['request_id']}-{re.sub(r'[^A-Za-z0-9._-]+', '_', words)}"
    stamp = f"{made_at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    folder = (parent / f"{name}-{stamp}").absolute()
    building = folder.with_name(f".{folder.name}.part")
    building.mkdir()
    try:
        counts, kept_from = _write_events(conn, asked, selection, building / FILE)
        manifest = _manifest(asked, selection, counts, building / FILE)
        manifest |= {
            "events_kept_from": kept_from,
            "created_at": made_at,
            "created_by": who,
        }
        text = json.dumps(manifest, default=_plain, indent=2, ensure_ascii=False) + "\n"
        (building / MANIFEST).write_text(text, "utf-8")
        _make_durable(building / MANIFEST)
        building.rename(folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Exported(folder, json.loads(text), digest)


def _write_events(
    conn: Connection, asked: dict[str, Any], selection: Selection, path: Path
) -> tuple[dict[str, int], datetime | None]:
    """The Parquet file, a UTC day at a time; how many events were taken as what, and
    from when on the site still had them (None: all).
    """
    counts: Counter[str] = Counter()
    metadata = {"site_id": asked["site_id"], "model_version": asked["model_version"]}
    schema = _SCHEMA.with_metadata({k: v or "" for k, v in metadata.items()})
    with (
        conn.transaction(),
        path.open("wb") as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        conn.execute("set transaction isolation level repeatable read, read only")
        # All rows are read, not the first few; and fresh verdicts, of which the planner
        # knows nothing yet, are not gone through once an event.
        conn.execute("set local cursor_tuple_fraction = 1")
        conn.execute("set local enable_nestloop = off")
        keys = _keys(conn, asked["request_id"])
        for values in _days(keys, asked, selection):
            row = conn.execute(load("retraining")["counts"], values).fetchone()
            counts["events"] += row[0] if row else 0
            with conn.cursor("training_rows", binary=True) as cursor:
                cursor.execute(load("retraining")["training_rows"], values)
                while rows := cursor.fetchmany(ROWS_AT_ONCE):
                    columns = list(zip(*rows, strict=True))
                    counts.update(columns[_SCHEMA.names.index("selected_as")])
                    arrays = [
                        pa.array(column, kind)
                        for column, (_, kind, _) in zip(columns, COLUMNS, strict=True)
                    ]
                    writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    _make_durable(path)
    kinds = ("misclassified", "low_confidence", "sample")
    return {name: counts[name] for name in ("events", *kinds)}, keys.kept_from


def _days(
    keys: _Keys, asked: dict[str, Any], selection: Selection
) -> Iterator[dict[str, Any]]:
    """What the queries ask for, one UTC day of the window after the other."""
    whole = asdict(selection) | {
        "site": asked["site_id"],
        "site_key": keys.site_key,
        "model_key": keys.model_key,
    }
    start = selection.since
    while start < selection.until:
        midnight = datetime.combine(start.astimezone(UTC).date(), datetime.min.time())
        end = min(midnight.replace(tzinfo=UTC) + _DAY, selection.until)
        yield whole | {"from": start, "to": end}
        start = end


def _manifest(
    asked: dict[str, Any], selection: Selection, counts: dict[str, int], path: Path
) -> dict[str, Any]:
    taken = sum(counts.values()) - counts["events"]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "format": FORMAT,
        "request_id": asked["request_id"],
        "site_id": asked["site_id"],
        "model_version": asked["model_version"],
        "selection": asdict(selection),
        "counts": counts | {"exported": taken},
        "files": [
            {
                "name": FILE,
                "rows": taken,
                "bytes": path.stat().st_size,
                "sha256": digest,
            }
        ],
        "schema": [
            {"name": name, "type": str(kind), "description": said}
            for name, kind, said in COLUMNS
        ],
        "reason": asked["reason"],
        "evidence": asked["evidence"],
    }


def _make_durable(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)
