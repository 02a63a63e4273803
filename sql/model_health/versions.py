"""Model versions: when they were seen, and two of them side by side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sql.connect import Connection
from sql.model_health.drift import add_up
from sql.plant.sites import require_site, rows_of, site_key_of
from sql.queries import load


def list_models(conn: Connection, site_id: str | None) -> list[dict[str, Any]]:
    """Versions of a site (None: of all), brought up to the last refresh."""
    require_site(conn, site_id)
    add_up(conn, site_id)
    return rows_of(conn, load("models")["list"], {"site": site_id})


def compare(
    conn: Connection,
    site_id: str,
    versions: tuple[str | None, str | None],
    since: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, Any]:
    """Two versions over [since, until), by default the last seven days of either.

    None as a version: events that name none. Returns from, to and rows, one a measure:
    a, b, difference (b less a) with its 95 % interval, sample sizes. UnknownSite.
    """
    site_key_of(conn, site_id)
    add_up(conn, site_id)
    asked = {"site": site_id, "a": versions[0], "b": versions[1]}
    (seen,) = rows_of(conn, load("models")["window"], asked)
    hour = timedelta(hours=1)
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + hour
    end = until or seen["to_time"] or now
    start = since or end - timedelta(days=7)
    window = {"from": start, "to": end}
    rows = rows_of(conn, load("models")["compare"], asked | window)
    for row in rows:
        low, high = row["difference_low"], row["difference_high"]
        row["differs"] = None if low is None else bool(low > 0 or high < 0)
    return window | {"rows": rows}
