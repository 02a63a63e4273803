"""Tells channels what the outbox holds for them: claimed, sent, settled.

A channel is one sender's until that has settled, so that its messages keep their order;
channels beside each other do not wait for one another. What a sender did not live to
settle is told again by whoever claims it once the lease has ended: at least once.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import time
import uuid
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from scheduler.messages import Digest, compose
from scheduler.post import Message, Outcome, Place, post
from sql.connect import Connection
from sql.plant.sites import rows_of
from sql.queries import load

#: Longer than a message may take, or it would be told twice.
LEASE_S = 60.0
#: After so long a pass begins nothing more: the next one goes on.
PASS_S = 20.0
LOOK_EVERY_S = 0.5
AT_ONCE = 16
BASE_URL = "FLOORPULSE_BASE_URL"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A channel and what it is told next; `by` is the sender that it belongs to."""

    by: str
    channel_key: int
    channel: str
    place: Place
    messages: list[int]


@dataclass(slots=True)
class Told:
    """What a pass did."""

    delivered: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def base_url() -> str | None:
    """Where people find the dashboard, as FLOORPULSE_BASE_URL says; None: not said."""
    said = os.environ.get(BASE_URL, "").strip()
    return said if re.fullmatch(r"https?://[^\s]+", said) else None


def run_pass(conn: Connection, stop: Event) -> Told:
    """Queue the digests that are due, then tell until nothing is due or time is up.

    conn is in autocommit and is shared by the threads. A channel that fails is on
    record and waits for its next try; it is no failure of the pass.
    """
    conn.execute(load("channels")["prepare"])
    told, by = Told(), f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    until = time.monotonic() + PASS_S
    running: set[Future[None]] = set()
    with ThreadPoolExecutor(AT_ONCE, "notify") as pool:
        while not stop.is_set() and time.monotonic() < until:
            claimed = None
            if len(running) < AT_ONCE:
                claimed = claim(conn, by)
            if claimed is not None:
                running.add(pool.submit(_tell, conn, claimed, stop, told))
                continue
            if not running:
                break
            done, running = wait(running, LOOK_EVERY_S, FIRST_COMPLETED)
            for future in done:
                future.result()
        for future in running:
            future.result()
    return told


def claim(conn: Connection, by: str) -> Claim | None:
    """Take a channel that something is due for and that nobody is at."""
    row = conn.execute(
        load("channels")["claim"], {"by": by, "lease_s": LEASE_S}
    ).fetchone()
    if row is None:
        return None
    key, name, url_env, url_file, messages = row
    return Claim(by, key, name, Place(url_env, url_file), messages)


def message_of(conn: Connection, messages: list[int]) -> Message:
    """What these messages of the outbox say, in one."""
    queries = load("channels")
    rows = rows_of(conn, queries["contents"], {"messages": messages})
    digests = []
    for row in (r for r in rows if r["severity"] == "digest"):
        window: dict[str, Any] = {
            "site_key": row["site_key"],
            "from": row["digest_from"],
            "to": row["digest_to"],
        }
        alerts = rows_of(conn, queries["digest"], window)
        digests.append(Digest(row, alerts, rows_of(conn, queries["counts"], window)[0]))
    alerts = [row for row in rows if row["severity"] != "digest"]
    return compose(alerts, digests, base_url())


def settle(conn: Connection, claimed: Claim, outcome: Outcome) -> None:
    """Write down how it went; the channel is free again."""
    queries = load("channels")
    settled = {
        "channel_key": claimed.channel_key,
        "by": claimed.by,
        "messages": claimed.messages,
        "error": outcome.error,
    }
    name = {"delivered": "delivered", "failed": "failed", "unknown": "release"}
    conn.execute(queries[name[outcome.state]], settled)


def _tell(conn: Connection, claimed: Claim, stop: Event, told: Told) -> None:
    outcome = post(claimed.place, message_of(conn, claimed.messages), stop)
    settle(conn, claimed, outcome)
    fields = {"channel": claimed.channel, "messages": len(claimed.messages)}
    if outcome.state == "delivered":
        told.delivered += len(claimed.messages)
        _log.info("told", extra=fields | {"action": "notified"})
    elif outcome.state == "failed":
        told.failed[claimed.channel] = str(outcome.error)
        extra = fields | {"action": "notify_failed", "error": outcome.error}
        _log.warning("a channel failed", extra=extra)
