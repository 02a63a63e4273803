"""Sites whose alerts tests open and end, and channels that are told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sql.connect import Connection
from sql.model_health.channels import ChannelTerms, add_channel
from sql.plant.sites import SiteChange, set_site, site_key_of

PARKED = {"current": 0.05, "threshold": 0.01, "events": 50}


class Alerting:
    """A site `plant`; alerts go through the routines that checks call."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.site("plant", "Europe/Berlin")

    def site(self, name: str, timezone: str) -> None:
        set_site(self.conn, name, SiteChange(timezone=timezone))

    def channel(self, name: str = "team", **terms: Any) -> None:
        places = {"url_env": "FLOORPULSE_NO_SUCH"} if "url_file" not in terms else {}
        add_channel(self.conn, name, ChannelTerms(**places | terms), "a test")

    def raise_alert(
        self,
        subject: str = "events",
        severity: str = "warning",
        *,
        site: str = "plant",
        at: datetime | None = None,
    ) -> int:
        """Open (or reopen) an alert; its number."""
        at = at or datetime.now(UTC)
        self.conn.execute(
            "select ops.raise_alert(%s, 'parked', %s, %s, %s, %s)",
            (site_key_of(self.conn, site), subject, severity, json.dumps(PARKED), at),
        )
        row = self.conn.execute("select max(alert_key) from ops.alerts").fetchone()
        return int(row[0]) if row else 0

    def resolve(self, alert: int) -> None:
        self.conn.execute(
            "select ops.resolve_alert(%s, clock_timestamp(), 'Ann', 'cleaned')",
            (alert,),
        )

    def messages(self) -> list[tuple[str, str, str]]:
        """Channel, transition and state of every message, in order."""
        rows = self.conn.execute(
            "select channel, transition, message_state from analytics.notifications"
            " order by message_id"
        ).fetchall()
        return [(str(a), str(b), str(c)) for a, b, c in rows]

    def claim(self, by: str = "me", *, later_s: float = 0) -> tuple[Any, ...] | None:
        """Channel, messages: what a sender is given, some time from now."""
        row = self.conn.execute(
            "select name, messages from ops.claim_messages(%s, '60 s',"
            " clock_timestamp() + %s * interval '1 second')",
            (by, later_s),
        ).fetchone()
        return tuple(row) if row else None

    def claim_at(self, now: datetime, by: str = "me") -> tuple[Any, ...] | None:
        row = self.conn.execute(
            "select name, messages from ops.claim_messages(%s, '60 s', %s)", (by, now)
        ).fetchone()
        return tuple(row) if row else None

    def settle(
        self,
        what: str,
        messages: list[int],
        by: str = "me",
        now: datetime | None = None,
    ) -> None:
        """`delivered` or `failed`, as a sender says it."""
        error = b", 'no reason'" if what == "failed" else b""
        self.conn.execute(
            b"select ops.messages_%b(m.channel_key, %%s, %%s%b, %%s)"
            b" from ops.outbox m where m.message_key = %%s" % (what.encode(), error),
            (by, messages, now or datetime.now(UTC), messages[0]),
        )
