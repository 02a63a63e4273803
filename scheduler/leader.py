"""One scheduler leads: the one whose session holds the lock, while it lives."""

import logging
from threading import Event, Lock
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sql.connect import Connection, connect
from sql.errors import DsnError, FloorpulseError
from sql.queries import load

TRY_EVERY_S = 1.0
RECONNECT_S = (0.5, 5.0)
# A leader that hears nothing from the server for this long takes it for gone.
KEEPALIVE = {
    "application_name": "floorpulse-scheduler",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}

_log = logging.getLogger(__name__)


class LeadershipLostError(FloorpulseError):
    """The session that holds the scheduler's lock is gone; another may lead by now."""


def watched(dsn: str) -> str:
    """The DSN with our name and a client that notices a server that has vanished."""
    return make_conninfo("", **KEEPALIVE | dict(conninfo_to_dict(dsn)))


class Leader:
    """The session that holds the lock. The ledger is written through it and nothing
    else: who has lost the lock cannot start a run.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = watched(dsn)
        self._conn: Connection | None = None
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Resign: the lock goes with the session."""
        self._close()

    def connect(self) -> None:
        """Open the session; raises what sql.connect.connect raises."""
        conn = connect(self._dsn)
        conn.execute(load("scheduler")["notice_death"])
        self._conn = conn

    def wait(self, stop: Event) -> bool:
        """Stand by until this session leads (True) or stop is set (False).

        A database that is gone is waited for.
        """
        delay_s, said = RECONNECT_S[0], False
        while not stop.is_set():
            try:
                if self._conn is None:
                    self.connect()
                delay_s = RECONNECT_S[0]
                if self._try():
                    _log.info("leading", extra={"action": "scheduler_leads"})
                    return True
                if not said:
                    _log.info("standing by", extra={"action": "scheduler_stands_by"})
                    said = True
                stop.wait(TRY_EVERY_S)
            except (psycopg.Error, DsnError, LeadershipLostError) as error:
                self._close()
                fields = {"action": "scheduler_reconnects", "error": str(error).strip()}
                _log.warning("no database", extra=fields)
                stop.wait(delay_s)
                delay_s = min(delay_s * 2, RECONNECT_S[1])
        return False

    def execute(self, name: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run one query of scheduler.sql; LeadershipLostError if the lock is lost."""
        with self._lock:
            if self._conn is None or self._conn.closed:
                raise LeadershipLostError
            try:
                cursor = self._conn.execute(load("scheduler")[name], parameters)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                raise LeadershipLostError from error
            return cursor.fetchall() if cursor.description else []

    def leads(self) -> bool:
        """Whether the session with the lock still answers."""
        try:
            self.execute("still_leading", {})
        except LeadershipLostError:
            return False
        return True

    def _close(self) -> None:
        with self._lock:
            if self._conn is not None:
                self._conn.close()
            self._conn = None

    def _try(self) -> bool:
        return bool(self.execute("try_lead", {})[0][0])
