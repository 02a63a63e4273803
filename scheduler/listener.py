"""Hears the door say that events came, and has their sites refreshed at once."""

import json
import logging
import time
from collections.abc import Callable
from threading import Event, Thread

import psycopg

from scheduler.leader import RECONNECT_S, watched
from sql.connect import Connection, connect
from sql.errors import DsnError
from sql.queries import load

# What is heard within this time after a refresh began goes into one more.
AT_MOST_EVERY_S = 1.0
HEAR_FOR_S = 0.5

_log = logging.getLogger(__name__)


class Listener:
    """A thread with a LISTEN connection; what comes while it refreshes is coalesced."""

    def __init__(self, dsn: str, refresh: Callable[[frozenset[str]], None]) -> None:
        self._dsn, self._refresh = watched(dsn), refresh
        self._stop = Event()
        self._thread = Thread(target=self._listen, name="listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def lives(self) -> bool:
        """Whether it still listens, or tries to."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Hear no more; call join to wait for a refresh under way."""
        self._stop.set()

    def join(self) -> None:
        """Wait for the end of the thread."""
        self._thread.join()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                with connect(self._dsn) as conn:
                    conn.execute(load("scheduler")["listen"])
                    self._hear(conn)
            except (
                psycopg.OperationalError,
                psycopg.InterfaceError,
                DsnError,
            ) as error:
                # What was said meanwhile is found by the next slot.
                fields = {"action": "listener_reconnects", "error": str(error).strip()}
                _log.warning("not listening", extra=fields)
                self._stop.wait(RECONNECT_S[1])

    def _hear(self, conn: Connection) -> None:
        while not self._stop.is_set():
            first = list(conn.notifies(timeout=HEAR_FOR_S, stop_after=1))
            if not first:
                continue
            rest = list(conn.notifies(timeout=0))
            sites = frozenset(site_of(note.payload) for note in first + rest)
            started_s = time.monotonic()
            self._refresh(sites)
            self._stop.wait(max(0.0, started_s + AT_MOST_EVERY_S - time.monotonic()))


def site_of(payload: str) -> str:
    """The site that a notification names ('' where it names none)."""
    try:
        said = json.loads(payload)
    except ValueError:
        return ""
    return str(said.get("site", "")) if isinstance(said, dict) else ""
