"""Keys of the HTTP API: made, listed and revoked; every act is in the audit log."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from sql.connect import Connection
from sql.errors import BadSetting
from sql.plant.sites import check_identifier, rows_of
from sql.queries import load

RIGHTS = ("ingest", "files", "read", "rejects", "validate", "retrain")
EVENT_TYPES = ("working", "idle", "absent", "product_count")
PREFIX = "fp"
DEFAULT_EVENTS_PER_S = 5_000.0
_SECRET_BYTES = 32
_TOLD = ("key_id", "allows", "sites", "event_types", "cameras", "camera_group")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class KeyTerms:
    """What a key may: rights of RIGHTS; sites, event types, cameras, None for all.

    cameras are ids, or patterns of them (`hall-3-*`); camera_group is what people call
    them. events_per_s is the rate that it may send for long.
    """

    allows: Sequence[str] = ("ingest",)
    sites: Sequence[str] | None = None
    event_types: Sequence[str] | None = None
    cameras: Sequence[str] | None = None
    camera_group: str | None = None
    events_per_s: float = DEFAULT_EVENTS_PER_S
    expires_at: datetime | None = None


def create_key(conn: Connection, name: str, terms: KeyTerms, who: str) -> str:
    """Make a key and return it: the only time that anybody sees it. BadSetting."""
    _check(name, terms)
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(_SECRET_BYTES)
    values = {
        "key_id": key_id,
        "name": name,
        "secret_sha256": digest(secret),
        "allows": list(terms.allows),
        "sites": terms.sites and list(terms.sites),
        "event_types": terms.event_types and list(terms.event_types),
        "cameras": terms.cameras and list(terms.cameras),
        "camera_group": terms.camera_group,
        "events_per_s": terms.events_per_s,
        "expires_at": terms.expires_at,
        "who": who,
    }
    told = {name: values[name] for name in _TOLD}
    with conn.transaction():
        try:
            conn.execute(load("keys")["create"], values)
        except UniqueViolation as error:
            raise BadSetting(
                f"There is a key {name!r} already: revoke it first, or choose another "
                "name"
            ) from error
        audit(conn, who, "key.create", name, told)
    return f"{PREFIX}_{key_id}_{secret}"


def list_keys(conn: Connection, *, revoked: bool = False) -> list[dict[str, Any]]:
    """Keys and their terms, never the keys themselves."""
    return rows_of(conn, load("keys")["list"], {"all": revoked})


def revoke_key(conn: Connection, key: str, who: str) -> str:
    """Revoke a key by name or id; returns its name. BadSetting where there is none."""
    with conn.transaction():
        values = {"key": key, "who": who}
        row = conn.execute(load("keys")["revoke"], values).fetchone()
        if row is None:
            raise BadSetting(
                f"No key {key!r} holds: `floorpulse key list` shows those that do"
            )
        audit(conn, who, "key.revoke", row[1], {"key_id": row[0]})
    return str(row[1])


def audit(
    conn: Connection, who: str, action: str, subject: str, detail: dict[str, Any]
) -> None:
    """Write down who did what; in the transaction of what was done."""
    values = {"who": who, "action": action, "subject": subject}
    conn.execute(load("keys")["audit"], values | {"detail": Jsonb(detail)})


def digest(secret: str) -> bytes:
    """What is stored of a secret. Slow hashes are for secrets that people choose."""
    return hashlib.sha256(secret.encode()).digest()


def _check(name: str, terms: KeyTerms) -> None:
    if not _NAME.fullmatch(name):
        raise BadSetting(
            f"{name!r} is no name for a key: letters, digits, - and _, at most 64"
        )
    _one_of("--allow", terms.allows, RIGHTS)
    _one_of("--event-type", terms.event_types or EVENT_TYPES, EVENT_TYPES)
    for site in terms.sites or ():
        check_identifier("site", site)
    for camera in terms.cameras or ():
        check_identifier("camera", camera)
    if terms.camera_group and not terms.cameras:
        raise BadSetting(
            "--camera-group is a name for cameras: say with --camera which they are, "
            "such as --camera 'hall-3-*'"
        )
    if not terms.allows:
        raise BadSetting(f"--allow says what the key may: {', '.join(RIGHTS)}")
    if terms.expires_at is not None and terms.expires_at <= datetime.now(UTC):
        raise BadSetting(f"--expires {terms.expires_at:%Y-%m-%d %H:%M}Z has passed")
    if not 0 < terms.events_per_s < 1e9:
        raise BadSetting("--events-per-s is a number above 0")


def _one_of(flag: str, said: Sequence[str], known: Sequence[str]) -> None:
    for word in said:
        if word not in known:
            raise BadSetting(f"{flag} {word!r}: it is one of {', '.join(known)}")
