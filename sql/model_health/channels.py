"""Channels that are told of alerts, and the outbox of what they are told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import time
from pathlib import Path
from typing import Any

from psycopg.errors import UniqueViolation

from sql.connect import Connection
from sql.errors import BadSetting, UnknownChannel, UnknownSite
from sql.keys import audit
from sql.plant.sites import rows_of
from sql.queries import load

SEVERITIES = ("warning", "critical", "none")
TRANSITIONS = ("opened", "reopened", "acknowledged", "snoozed", "woken", "resolved")
DIGESTS = ("never", "news", "always")
PIERCES = ("critical", "none")
STATES = ("waiting", "delivered", "failed", "dropped")
DEFAULTS: dict[str, Any] = {
    "url_env": None,
    "url_file": None,
    "sites": None,
    "severity": "warning",
    "transitions": ["opened", "reopened", "woken", "resolved"],
    "digest": "never",
    "pierce": "critical",
    "enabled": True,
}
DAY_MIN = 24 * 60
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# What is refused is not repeated: it may be the secret itself.
NO_URL_HERE = (
    "give the Apprise URL by --url-env VARIABLE or --url-file FILE, never itself: "
    "command lines are seen by others"
)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Quiet hours: the weekdays (from Monday, 0) on which they begin, local minutes."""

    weekdays: tuple[int, ...]
    start_min: int
    length_min: int

    def check(self) -> None:
        """Raise BadSetting for hours that no day has."""
        days = set(self.weekdays)
        if not days or not days <= set(range(7)) or len(days) < len(self.weekdays):
            raise BadSetting("--quiet begins on at least one weekday, mon to sun")
        if not 0 <= self.start_min < DAY_MIN or not 1 <= self.length_min <= DAY_MIN:
            raise BadSetting("--quiet is between one minute and 24 hours long")


@dataclass(frozen=True, slots=True)
class ChannelTerms:
    """What to say of a channel (docs/notifications.md); None leaves a field as it is.

    No sites: all of them. No quiet: none.
    """

    url_env: str | None = None
    url_file: str | None = None
    sites: Sequence[str] | None = None
    severity: str | None = None
    transitions: Sequence[str] | None = None
    digest: str | None = None
    pierce: str | None = None
    enabled: bool | None = None
    quiet: Sequence[Quiet] | None = None

    def check(self) -> None:
        """Raise BadSetting for the first value that cannot be."""
        _check_place(self.url_env, self.url_file)
        _check_choice("--severity", self.severity, SEVERITIES)
        for word in self.transitions or ():
            _check_choice("--on", word, TRANSITIONS)
        _check_choice("--digest", self.digest, DIGESTS)
        _check_choice("--pierce", self.pierce, PIERCES)
        for quiet in self.quiet or ():
            quiet.check()

    def on(self, before: dict[str, Any]) -> dict[str, Any]:
        """All terms: what is said here, and the rest as it was."""
        said = {k: v for k, v in asdict(self).items() if v is not None and k != "quiet"}
        if self.url_env is not None or self.url_file is not None:
            said |= {"url_env": self.url_env, "url_file": _absolute(self.url_file)}
        if self.sites is not None:
            said["sites"] = list(self.sites) or None
        if self.transitions is not None:
            said["transitions"] = list(dict.fromkeys(self.transitions))
        return {name: before[name] for name in DEFAULTS} | said


def add_channel(conn: Connection, name: str, terms: ChannelTerms, who: str) -> None:
    """Make a channel. BadSetting for terms that cannot be or a name that is taken."""
    if not _NAME.fullmatch(name):
        raise BadSetting(
            "A channel's name is letters, digits, '-', '_' and '.', at most 64; "
            + NO_URL_HERE
        )
    terms.check()
    values = terms.on(DEFAULTS)
    if values["url_env"] is None and values["url_file"] is None:
        raise BadSetting(f"Channel {name} has nowhere to go: {NO_URL_HERE}")
    with conn.transaction():
        _check_sites(conn, values["sites"])
        try:
            row = conn.execute(
                load("channels")["add"], values | {"name": name, "who": who}
            ).fetchone()
        except UniqueViolation as error:
            raise BadSetting(
                f"There is a channel {name!r} already: change or remove it, or choose "
                "another name"
            ) from error
        _set_quiet(conn, row[0] if row else None, terms.quiet)
        audit(conn, who, "channel.add", name, _told(values, terms))


def change_channel(conn: Connection, name: str, terms: ChannelTerms, who: str) -> None:
    """Change a channel, from the next message on. UnknownChannel, BadSetting."""
    terms.check()
    with conn.transaction():
        before = channel_of(conn, name)
        values = terms.on(before)
        _check_sites(conn, terms.sites)
        key = before["channel_key"]
        conn.execute(load("channels")["change"], values | {"channel_key": key})
        _set_quiet(conn, key, terms.quiet)
        audit(conn, who, "channel.change", name, _told(values, terms))


def remove_channel(conn: Connection, name: str, who: str) -> int:
    """End a channel; returns how many messages were dropped. UnknownChannel."""
    with conn.transaction():
        said = {"name": name, "who": who}
        row = conn.execute(load("channels")["remove"], said).fetchone()
        if row is None:
            raise _unknown(name)
        audit(conn, who, "channel.remove", name, {"dropped": row[1]})
    return int(row[1])


def channel_of(conn: Connection, name: str) -> dict[str, Any]:
    """One channel and how it does. UnknownChannel."""
    rows = rows_of(conn, load("channels")["list"], {"name": name})
    if not rows:
        raise _unknown(name)
    return rows[0]


def list_channels(conn: Connection) -> list[dict[str, Any]]:
    """Every channel and how it does."""
    return rows_of(conn, load("channels")["list"], {"name": None})


def list_outbox(
    conn: Connection, channel: str | None, state: str | None, limit: int = 100
) -> list[dict[str, Any]]:
    """Messages (None: of every channel, in any state): what waits first."""
    _check_choice("--state", state, STATES)
    if channel is not None:
        channel_of(conn, channel)
    asked = {"channel": channel, "state": state, "limit": limit}
    return rows_of(conn, load("channels")["outbox"], asked)


def send_again(conn: Connection, channel: str | None) -> int:
    """Have what failed told again, at once; returns how many messages."""
    if channel is not None:
        channel_of(conn, channel)
    row = conn.execute(load("channels")["send_again"], {"channel": channel}).fetchone()
    return int(row[0]) if row else 0


def _unknown(name: str) -> UnknownChannel:
    if not _NAME.fullmatch(name):
        return UnknownChannel()
    return UnknownChannel(
        f"There is no channel {name!r}; `floorpulse alerts channel list` shows all"
    )


def _check_place(url_env: str | None, url_file: str | None) -> None:
    if url_env is not None and url_file is not None:
        raise BadSetting("A URL is in a variable or in a file: give one of the two")
    if url_env is not None and not _VARIABLE.fullmatch(url_env):
        raise BadSetting(f"That is no name of a variable: {NO_URL_HERE}")
    if url_file is not None and ("://" in url_file or not url_file.isprintable()):
        raise BadSetting(f"That is no name of a file: {NO_URL_HERE}")


def _absolute(path: str | None) -> str | None:
    """The scheduler reads it from another folder than ours."""
    return None if path is None else str(Path(path).absolute())


def _check_choice(flag: str, word: str | None, known: tuple[str, ...]) -> None:
    if word is not None and word not in known:
        raise BadSetting(f"{flag} {word!r}: it is one of {', '.join(known)}")


def _check_sites(conn: Connection, sites: Sequence[str] | None) -> None:
    asked = {"sites": list(sites or ())}
    unknown = conn.execute(load("channels")["unknown_sites"], asked).fetchall()
    if unknown:
        names = ", ".join(repr(site) for (site,) in unknown)
        raise UnknownSite(f"There is no site {names}; `floorpulse site list` shows all")


def _set_quiet(
    conn: Connection, channel_key: int | None, quiet: Sequence[Quiet] | None
) -> None:
    if quiet is None:
        return
    conn.execute(load("channels")["forget_quiet"], {"channel_key": channel_key})
    for hours in quiet:
        values = {
            "channel_key": channel_key,
            "weekdays": sorted(hours.weekdays),
            "start_local": time(hours.start_min // 60, hours.start_min % 60),
            "length_min": hours.length_min,
        }
        conn.execute(load("channels")["add_quiet"], values)


def _told(values: dict[str, Any], terms: ChannelTerms) -> dict[str, Any]:
    quiet = None if terms.quiet is None else [asdict(hours) for hours in terms.quiet]
    return values | {"quiet": quiet}
