"""Sites and their settings: versioned statements, and what a change sets off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from sql.errors import BadSetting, UnknownSite
from sql.plant.calendar_store import Connection, lock_site, rebuild_calendar
from sql.plant.moments import MINUS_INFINITY, Since
from sql.plant.zones import zone
from sql.queries import load

LONGEST_ID = 64
DEFAULT_TIMEZONE = "UTC"


@dataclass(frozen=True, slots=True)
class SiteChange:
    """What to say of a site; None leaves a field as it is.

    `registration` is 'open' or 'strict', `gap_state` 'none' or 'idle'; 0 retention days
    keep events for good.
    """

    timezone: str | None = None
    min_confidence: float | None = None
    max_state_s: int | None = None
    gap_state: str | None = None
    count_breaks: bool | None = None
    name: str | None = None
    registration: str | None = None
    retention_days: int | None = None

    def statement(self) -> dict[str, object]:
        """The fields that are versioned, whether said or not."""
        return {
            "timezone": self.timezone,
            "min_confidence": self.min_confidence,
            "max_state_s": self.max_state_s,
            "gap_state": self.gap_state,
            "count_breaks": self.count_breaks,
        }

    def check(self) -> None:
        """Raise BadSetting for the first value that cannot be."""
        if self.timezone is not None:
            zone(self.timezone)
        _check_range("min-confidence", self.min_confidence, 0, 1)
        _check_range("max-state-s", self.max_state_s, 1, 86_400)
        _check_range("retention-days", self.retention_days, 0, 36_500)
        _check_choice("gap-state", self.gap_state, ("none", "idle"))
        _check_choice("registration", self.registration, ("open", "strict"))


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did: whether metrics may differ, and the restatement it set off."""

    changed: bool
    restatement_key: int | None


def register_site(conn: Connection, site_id: str) -> int:
    """The key of a site, which is made with default settings where there is none."""
    check_identifier("site", site_id)
    query = load("sites")["register_site"]
    return int(_value(conn, query, {"site_id": site_id}))


def site_key_of(conn: Connection, site_id: str) -> int:
    """The key of a site that exists; UnknownSite where it does not."""
    query = load("sites")["site_key"]
    row = conn.execute(query, {"site_id": site_id}).fetchone()
    if row is None:
        raise UnknownSite(
            f"There is no site {site_id!r}; `floorpulse site list` shows all"
        )
    return int(row[0])


def require_site(conn: Connection, site_id: str | None) -> None:
    """UnknownSite where a site is named (None: all are meant) that does not exist."""
    if site_id is not None:
        site_key_of(conn, site_id)


def set_site(
    conn: Connection, site_id: str, change: SiteChange, since: Since | None = None
) -> Changed:
    """Register the site if need be and state new settings, in one transaction.

    `since` None: from the beginning where the site has no events, else from now. What
    the change touches is restated in the background. BadSetting, before anything is
    written, for a value that cannot be.
    """
    change.check()
    with conn.transaction():
        site_key = register_site(conn, site_id)
        lock_site(conn, site_key)
        conn.execute(
            load("sites")["set_site"],
            {
                "site_key": site_key,
                "name": change.name,
                "registration": change.registration,
            },
        )
        if change.retention_days is not None:
            conn.execute(
                load("sites")["set_retention"],
                {"site_key": site_key, "retention_days": change.retention_days},
            )
        said = {k: v for k, v in change.statement().items() if v is not None}
        if not said:
            return Changed(False, None)
        return _state(conn, site_key, change, said, since)


def _state(
    conn: Connection,
    site_key: int,
    change: SiteChange,
    said: Mapping[str, object],
    since: Since | None,
) -> Changed:
    queries = load("sites")
    _check_server_zone(conn, change.timezone)
    valid_from = resolve_since(conn, site_key, since)
    statement = change.statement() | {"site_key": site_key, "valid_from": valid_from}
    conn.execute(queries["add_statement"], statement)
    if not _value(conn, queries["lay_settings"], {"site_key": site_key}):
        return Changed(False, None)
    words = ", ".join(f"{field}={value}" for field, value in said.items())
    return Changed(True, apply_from(conn, site_key, valid_from, f"settings: {words}"))


def resolve_since(conn: Connection, site_key: int, since: Since | None) -> Since:
    """From when a statement holds that is made now; the caller has locked the site."""
    if since is not None:
        return since
    queries = load("sites")
    if not _value(conn, queries["has_events"], {"site_key": site_key}):
        return MINUS_INFINITY
    clock: datetime = _value(conn, queries["clock"], {})
    return clock


def apply_from(
    conn: Connection, site_key: int, valid_from: Since, reason: str
) -> int | None:
    """Rebuild the calendar from an instant on and have its events cut again.

    Returns the restatement's key, or None where no event is touched.
    """
    since = valid_from if isinstance(valid_from, datetime) else None
    rebuild_calendar(conn, site_key, since)
    key: int | None = _value(
        conn,
        load("sites")["restate"],
        {"site_key": site_key, "valid_from": valid_from, "reason": reason},
    )
    return key


def list_sites(conn: Connection) -> list[dict[str, Any]]:
    """Every site with the settings in force now."""
    return rows_of(conn, load("sites")["sites"], {"site_id": None})


def show_site(conn: Connection, site_id: str) -> dict[str, Any]:
    """One site: settings in force, the statements behind them, what is restating."""
    rows = rows_of(conn, load("sites")["sites"], {"site_id": site_id})
    if not rows:
        site_key_of(conn, site_id)
    site = {"site_id": site_id}
    return rows[0] | {
        "statements": rows_of(conn, load("sites")["statements"], site),
        "restating": rows_of(conn, load("sites")["restating"], site),
    }


def timezone_of(conn: Connection, site_id: str | None) -> str:
    """The zone in force now at a site; UTC for None and for a site not yet there."""
    if site_id is None:
        return DEFAULT_TIMEZONE
    rows = rows_of(conn, load("sites")["sites"], {"site_id": site_id})
    return str(rows[0]["timezone"]) if rows else DEFAULT_TIMEZONE


def rows_of(
    conn: Connection, query: str, values: Mapping[str, object]
) -> list[dict[str, Any]]:
    """The rows of a named query, each as a dict by column."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, values).fetchall()


def check_identifier(what: str, text: str) -> None:
    """Raise BadSetting for an id that no event could carry (metrics.md, Events)."""
    if not 1 <= len(text) <= LONGEST_ID or not text.isprintable():
        raise BadSetting(
            f"{text!r} is no {what} id: 1 to {LONGEST_ID} characters, none of them "
            "a control character"
        )


def _value(conn: Connection, query: str, values: Mapping[str, object]) -> Any:
    row = conn.execute(query, values).fetchone()
    return row[0] if row else None


def _check_range(option: str, value: float | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise BadSetting(f"--{option} {value} is not between {low} and {high}")


def _check_choice(option: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise BadSetting(f"--{option} {value!r} is neither {' nor '.join(known)}")


def _check_server_zone(conn: Connection, timezone: str | None) -> None:
    """Views show local time by the server's own zone tables: it must know the name."""
    if timezone is None:
        return
    try:
        with conn.transaction():
            conn.execute(load("sites")["knows_zone"], {"timezone": timezone})
    except psycopg.errors.InvalidParameterValue as error:
        raise BadSetting(
            f"This PostgreSQL server does not know the time zone {timezone!r}; its "
            "zone tables are older than ours: name another zone or update the server"
        ) from error
