"""Model health: hours into sums, sums into verdicts, and the thresholds of a site."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from threading import Event
from typing import Any

import psycopg

from sql.connect import Connection
from sql.errors import BadSetting
from sql.plant.sites import register_site, require_site, rows_of, site_key_of
from sql.queries import load

#: What model health is judged by (docs/drift.md), in the order in which it is told.
SIGNALS = (
    "confidence_drop",
    "confidence_low",
    "confidence_spread",
    "confidence_shape",
    "rolling_low",
    "state_mix",
    "rate_shift",
)

#: Lowest and highest value of every threshold; the table's checks are the last line.
RANGES: dict[str, tuple[float, float]] = {
    "confidence_drop": (0.01, 0.9),
    "confidence_low": (0.05, 0.99),
    "confidence_spread": (0.02, 0.5),
    "confidence_shape": (0.05, 10),
    "rolling_low": (0.05, 0.99),
    "rolling_hold_s": (0, 86_400),
    "state_mix": (0.05, 10),
    "rate_shift": (2, 100),
    "rate_share": (0, 1),
    "silent_after_s": (60, 86_400),
    "parked_share": (0.0001, 1),
    "retrain_after_h": (1, 720),
    "accuracy_low": (0.05, 0.999),
    "accuracy_events": (5, 100_000),
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What to say of a site's thresholds (docs/drift.md); None leaves one as it is."""

    confidence_drop: float | None = None
    confidence_low: float | None = None
    confidence_spread: float | None = None
    confidence_shape: float | None = None
    rolling_low: float | None = None
    rolling_hold_s: int | None = None
    state_mix: float | None = None
    rate_shift: float | None = None
    rate_share: float | None = None
    silent_after_s: int | None = None
    parked_share: float | None = None
    retrain_after_h: int | None = None
    accuracy_low: float | None = None
    accuracy_events: int | None = None

    def check(self) -> None:
        """Raise BadSetting for the first value that cannot be."""
        for name, value in asdict(self).items():
            low, high = RANGES[name]
            # Written so that NaN is refused too.
            if value is not None and not low <= value <= high:
                option = "--" + name.replace("_", "-")
                raise BadSetting(f"{option} {value} is not between {low} and {high}")


def check_drift(
    conn: Connection,
    site_id: str | None = None,
    now: datetime | None = None,
    stop: Event | None = None,
    *,
    whole: bool = False,
) -> int:
    """Bring sums, verdicts and alerts of a site (None: every one) up to `now`.

    whole: learn every baseline that is due first, not only as many as a check does.
    conn is in autocommit; a site is its own transactions. Returns how many sites were
    checked. A site that was checked at a later instant is left as it is, and named in a
    BadSetting where `now` was asked for. Raises UnknownSite.
    """
    queries = load("drift")
    require_site(conn, site_id)
    clock: datetime = _value(conn, queries["clock"], {})
    if now is not None and now > clock:
        raise BadSetting(f"--now {now.isoformat()} is not over yet; drift looks back")
    checked = 0
    sites = conn.execute(queries["sites"], {"site": site_id}).fetchall()
    for site_key, name, last_now in sites:
        if stop is not None and stop.is_set():
            break
        if now is not None and last_now is not None and last_now > now:
            raise BadSetting(
                f"Site {name} was checked at {last_now.isoformat()}; --now cannot be "
                "earlier than that, for alerts only go forward"
            )
        _add_up_site(conn, site_key)
        at = {"site_key": site_key, "now": now or _value(conn, queries["clock"], {})}
        if whole:
            conn.execute(queries["learn_all"], at)
        checked += _value(conn, queries["check"], at)
    return checked


def add_up(conn: Connection, site_id: str | None) -> None:
    """Bring the hourly sums of a site (None: every one) up to its last refresh."""
    for site_key, *_ in conn.execute(load("drift")["sites"], {"site": site_id}):
        _add_up_site(conn, site_key)


def _add_up_site(conn: Connection, site_key: int) -> None:
    while _value(conn, load("drift")["roll_up"], {"site_key": site_key}):
        pass


def recorded_check(
    conn: Connection, site_id: str | None, now: datetime | None = None
) -> int:
    """`check_drift` by hand: of everything, with a row of its own in ops.job_runs."""
    queries = load("drift")
    require_site(conn, site_id)
    run_id = _value(conn, queries["run_started"], {"site": site_id})
    said: dict[str, Any] = {"run_id": run_id, "error": None, "detail": "{}"}
    try:
        checked = check_drift(conn, site_id, now, whole=True)
    except (psycopg.Error, BadSetting) as error:
        if not conn.closed:
            failed = said | {"error": str(error).strip()}
            conn.execute(queries["run_finished"], failed)
        raise
    done = said | {"detail": json.dumps({"sites": checked})}
    conn.execute(queries["run_finished"], done)
    return checked


def verdicts(conn: Connection, site_id: str | None) -> list[dict[str, Any]]:
    """The last verdict of every signal; what drifts first."""
    return rows_of(conn, load("drift")["verdicts"], {"site": site_id})


def thresholds_of(conn: Connection, site_id: str) -> dict[str, Any]:
    """The thresholds in force at a site; UnknownSite."""
    site = {"site_key": site_key_of(conn, site_id)}
    return rows_of(conn, load("drift")["settings"], site)[0]


def set_thresholds(
    conn: Connection, site_id: str, change: Thresholds, who: str
) -> dict[str, Any]:
    """Change a site's thresholds, from the next check on; returns all of them.

    Registers the site if need be; with nothing to change it only shows them, and
    raises UnknownSite. BadSetting, before anything is written, for a value that cannot
    be.
    """
    change.check()
    said = {name: value for name, value in asdict(change).items() if value is not None}
    if not said:
        return thresholds_of(conn, site_id)
    queries = load("drift")
    with conn.transaction():
        site = {"site_key": register_site(conn, site_id)}
        rows_of(conn, queries["settings"], site)
        conn.execute(queries["change_settings"], asdict(change) | site)
        note = {"who": who, "site": site_id, "said": json.dumps(said)}
        conn.execute(queries["note_change"], note)
        return rows_of(conn, queries["settings"], site)[0]


def _value(conn: Connection, query: str, values: dict[str, Any]) -> Any:
    row = conn.execute(query, values).fetchone()
    return row[0] if row else None
