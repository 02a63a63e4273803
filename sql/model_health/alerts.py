"""Alerts as people see and answer them; when they come and go is SQL's affair."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sql.connect import Connection
from sql.errors import BadSetting, UnknownAlert
from sql.plant.sites import require_site, rows_of
from sql.queries import load

STATES = ("open", "acknowledged", "snoozed", "resolved", "all")
LONGEST_SNOOZE = timedelta(days=30)


def list_alerts(
    conn: Connection, site_id: str | None, state: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Alerts of a site (None: all); state None: whatever is not resolved."""
    if state is not None and state not in STATES:
        raise BadSetting(f"--state {state!r} is none of {', '.join(STATES)}")
    require_site(conn, site_id)
    asked = {"site": site_id, "state": state, "limit": limit}
    return rows_of(conn, load("alerts")["list"], asked)


def acknowledge(
    conn: Connection, alert: int, who: str, note: str | None
) -> dict[str, Any]:
    """Somebody is at it; returns the alert. Raises UnknownAlert, BadSetting."""
    said = {"alert": alert, "who": who, "note": note}
    return _answer(conn, "acknowledge", said)


def snooze(
    conn: Connection, alert: int, until: datetime, who: str, note: str | None
) -> dict[str, Any]:
    """Quiet until an instant, 30 days ahead at the most; returns the alert."""
    row = conn.execute(load("drift")["clock"]).fetchone()
    now: datetime = row[0] if row else until
    if not now < until <= now + LONGEST_SNOOZE:
        raise BadSetting(
            "an alert is snoozed for more than 0 minutes and 30 days at most"
        )
    said = {"alert": alert, "who": who, "note": note, "until": until}
    return _answer(conn, "snooze", said)


def resolve(conn: Connection, alert: int, who: str, note: str | None) -> dict[str, Any]:
    """Done with it; it comes back if a check still finds it. Returns the alert."""
    said = {"alert": alert, "who": who, "note": note}
    return _answer(conn, "resolve", said)


def _answer(conn: Connection, query: str, said: dict[str, Any]) -> dict[str, Any]:
    row = conn.execute(load("alerts")[query], said).fetchone()
    found = rows_of(conn, load("alerts")["one"], said)
    if not found:
        raise UnknownAlert(
            f"There is no alert {said['alert']}; `floorpulse alerts list` shows them"
        )
    if row is None or not row[0]:
        state = found[0]["alert_state"]
        raise BadSetting(
            f"Alert {said['alert']} is {state} already; nothing was changed"
        )
    return found[0]
