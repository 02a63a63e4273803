"""What an export for a trainer costs, and what verdicts cost on their way in."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.load import fresh, timed
from etl.validations.load import load_validations
from sql.connect import Connection, connect
from sql.model_health.retraining import move, request
from sql.model_health.training_set import Wish, export
from sql.plant.sites import register_site

DAYS, WORKERS, VERDICTS = 30, 200, 10_000
MAKE_KEYS = (
    "insert into floor.workers (site_key, worker_id)"
    " select %(site)s, 'W' || n from generate_series(1, %(workers)s) n",
    "insert into floor.workstations (site_key, workstation_id) values (%(site)s, 'S1')",
    "select floor.register_models(%(site)s, '{v1}')",
    "select floor.ensure_chunks(%(from)s, %(to)s, 0)",
)
# A tenth of them below the gate of 0.7.
MAKE_EVENTS = """
    insert into floor.events
        (site_key, worker_key, time, workstation_key, confidence, event_type, model_key)
    select %(site)s, w.worker_keys[1 + i %% %(workers)s],
        %(from)s::timestamptz + i * (%(to)s - %(from)s::timestamptz) / %(events)s,
        b.workstation_key, (case when i %% 10 = 0 then 0.6 else 0.9 end)::real, 0,
        m.model_key
    from generate_series(0, %(events)s - 1) i
    cross join (select array_agg(worker_key) as worker_keys from floor.workers) w
    cross join floor.workstations b
    cross join floor.models m
"""
SOME = """
    select w.worker_id, e.time
    from floor.events e
    join floor.workers w on w.worker_key = e.worker_key
    order by e.time
    limit %(verdicts)s
"""


def costs(server: str, events: int) -> list[tuple[str, str]]:
    """What was done, and what it took."""
    with fresh(server) as dsn, connect(dsn) as conn:
        fill(conn, events)
        with tempfile.TemporaryDirectory() as name:
            return [*verdicts(conn, Path(name)), *exports(conn, Path(name), events)]


def fill(conn: Connection, events: int) -> None:
    """A site with 30 days of events of one version."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    part = {
        "site": register_site(conn, "plant"),
        "workers": WORKERS,
        "events": events,
        "from": now - timedelta(days=DAYS),
        "to": now,
    }
    for statement in (*MAKE_KEYS, MAKE_EVENTS):
        conn.execute(statement, part)
    conn.execute("vacuum analyze")


def verdicts(conn: Connection, folder: Path) -> list[tuple[str, str]]:
    """A file of verdicts, loaded; and loaded once more."""
    path = folder / "verdicts.csv"
    rows = conn.execute(SOME, {"verdicts": VERDICTS}).fetchall()
    heads = "site_id,time,worker_id,workstation_id,event_type,verdict,validated_at"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(heads.split(","))
        for number, (worker, at) in enumerate(rows):
            verdict = "wrong" if number % 10 == 0 else "right"
            line = ["plant", at.isoformat(), worker, "S1", "working", verdict]
            lines.writerow([*line, at.isoformat()])
    found = []
    for what in ("verdicts loaded, all new", "the same once more, all duplicates"):
        seconds = timed(lambda: load_validations(conn, str(path), "Ann", None))
        found.append((f"{VERDICTS:,} {what}", rate(VERDICTS, seconds)))
    return found


def exports(conn: Connection, folder: Path, events: int) -> list[tuple[str, str]]:
    """An export of everything there is, and the same selection again."""
    number = request(conn, "plant", "v1", "Ann", None)["request_id"]
    move(conn, number, "approved", "Ann")
    first = export(conn, number, Wish(folder), "Ann")
    told = []
    for what, wish in (
        ("export", Wish(folder)),
        ("export --like", Wish(folder, like=first.folder / "manifest.json")),
    ):
        seconds = timed(_again(conn, number, wish))
        told.append((f"{what} of {events:,} events", rate(events, seconds)))
    size = (first.folder / "events.parquet").stat().st_size
    counts = ", ".join(f"{name} {n:,}" for name, n in first.manifest["counts"].items())
    return [*told, ("in it", f"{counts}; {size / 1e6:.1f} MB")]


def _again(conn: Connection, number: int, wish: Wish) -> Callable[[], object]:
    return lambda: export(conn, number, wish, "Ann")


def rate(rows: int, seconds: float) -> str:
    """As the table has it."""
    return f"{seconds:.1f} s, {rows / seconds:,.0f} rows/s"
