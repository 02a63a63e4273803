"""What a spool says of itself: for people, as JSON and for Prometheus."""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from etl.edge.clock import wall_us
from etl.edge.errors import EdgeError
from etl.edge.spool_rows import DROPPED, held
from etl.edge.store import owner, read_only

COUNTERS = (
    "received",
    "stored",
    "duplicates",
    "conflicts",
    "parked",
    "refused",
    *DROPPED.values(),
)
# A reader without the right to write needs the agent's own files to be there.
_UNREADABLE = "The spool {} cannot be read ({}): read it as the agent's own user."


def status(folder: Path) -> dict[str, Any]:
    """Everything there is to know of a spool, also while its agent runs."""
    try:
        with closing(read_only(folder)) as db:
            told = _told(db)
    except sqlite3.DatabaseError as error:
        raise EdgeError(_UNREADABLE.format(folder, error)) from error
    return {"spool": str(folder), "process": owner(folder), **told}


def refused(folder: Path) -> Iterator[dict[str, Any]]:
    """What the server refused, the oldest first, with the line as it came."""
    try:
        with closing(read_only(folder)) as db:
            for row in db.execute("select * from refused order by id"):
                yield _refused(row)
    except sqlite3.DatabaseError as error:
        raise EdgeError(_UNREADABLE.format(folder, error)) from error


def prometheus(told: dict[str, Any]) -> str:
    """Metrics in the text format, for a collector that reads files or runs commands."""
    lines = []
    for name in COUNTERS:
        lines += _metric(f"{name}_events_total", "counter", told["counters"][name])
    gauges = {
        "up": int(told["process"] is not None),
        "waiting_events": told["waiting"],
        "waiting_bytes": told["waiting_bytes"],
        "oldest_waiting_seconds": told["oldest_waiting_s"] or 0,
        "set_aside_events": told["set_aside"],
        "sending": int(not told["trouble"]),
        "clock_error_seconds": told["clock_error_s"] or 0,
    }
    if told["last_taken_at"]:
        moment = datetime.fromisoformat(told["last_taken_at"])
        gauges["last_taken_timestamp_seconds"] = moment.timestamp()
    for name, value in gauges.items():
        lines += _metric(name, "gauge", value)
    return "\n".join(lines) + "\n"


def as_text(told: dict[str, Any]) -> str:
    """A line a fact."""
    running = told["process"]
    facts = {
        "spool": told["spool"],
        "agent": "not running" if running is None else f"process {running}",
        "server": told["server"] or "-",
        "sending": told["trouble"] or "well",
        "last taken": told["last_taken_at"] or "never",
        "waiting": f"{told['waiting']} events, {told['waiting_bytes'] / 1e6:.1f} MB",
        "oldest waits": _duration(told["oldest_waiting_s"]),
        "set aside": told["set_aside"],
        "clock error": f"{told['clock_error_s'] or 0:+.1f} s",
        **told["counters"],
    }
    width = max(map(len, facts))
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in facts.items())


def _told(db: sqlite3.Connection) -> dict[str, Any]:
    now = held(db)
    counted = dict(db.execute("select name, value from counters"))
    notes = dict(db.execute("select name, value from notes"))
    (oldest_us,) = db.execute("select min(arrived_us) from events").fetchone()
    shift = db.execute("select shift_us from clocks order by epoch desc limit 1")
    (shift_us,) = shift.fetchone() or (None,)
    waits_s = None if oldest_us is None else max(0.0, (wall_us() - oldest_us) / 1e6)
    taken_us = notes.get("last_taken_us")
    return {
        "server": notes.get("server"),
        "trouble": notes.get("trouble") or None,
        "last_taken_at": _time(int(taken_us)) if taken_us else None,
        "waiting": now.waiting.events,
        "waiting_bytes": int(now.waiting.bytes),
        "oldest_waiting_s": waits_s,
        "set_aside": now.refused.events,
        "clock_error_s": None if shift_us is None else -shift_us / 1e6,
        "counters": {name: counted.get(name, 0) for name in COUNTERS},
    }


def _refused(row: tuple[Any, ...]) -> dict[str, Any]:
    _, at_us, code, message, _, _, arrived_us, body = row
    try:
        line = {"line": body.decode()}
    except UnicodeDecodeError:
        line = {"line_base64": base64.b64encode(body).decode()}
    return {
        "refused_at": _time(at_us),
        "status": code,
        "message": message,
        "arrived_at": _time(arrived_us),
        **line,
    }


def _metric(name: str, kind: str, value: float) -> list[str]:
    name = f"floorpulse_edge_{name}"
    return [f"# TYPE {name} {kind}", f"{name} {value}"]


def _time(micros: int) -> str:
    moment = datetime.fromtimestamp(micros / 1e6, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return time.strftime("%H:%M:%S", time.gmtime(seconds % 86_400)) + (
        f" and {int(seconds // 86_400)} days" if seconds >= 86_400 else ""
    )


def as_json(told: dict[str, Any]) -> str:
    """One JSON object."""
    return json.dumps(told, ensure_ascii=False)
