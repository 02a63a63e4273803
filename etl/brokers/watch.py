"""How a consumer fares: a row in ops.job_runs, a line in the log, and its lag."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import psycopg

from etl.brokers.consume import Consumer
from sql import queries
from sql.connect import Connection, connect
from sql.errors import FloorpulseError

log = logging.getLogger(__name__)

EVERY_S = 10.0
LOG_EVERY_S = 60.0
# A row of the ledger is ended and begun anew: it is kept for a month, not for ever.
NEW_ROW_S = 12 * 3600.0
_GONE = (FloorpulseError, OSError, psycopg.Error)


class Watch:
    """Tells of one consumer, until `end`; says nothing where the database is gone."""

    def __init__(self, dsn: str, consumer: Consumer, source: str, name: str) -> None:
        self._dsn, self._consumer = dsn, consumer
        self._about = {"source": source, "name": name}
        self._queries = queries.load("consume")
        self._conn: Connection | None = None
        self._run_id: int | None = None
        self._began_at = self._logged_at = time.monotonic()
        self._logged = 0
        self._lag: int | None = None

    async def run(self) -> None:
        """Until cancelled: look at the lag, and write down how things are."""
        while True:
            await self._look()
            await asyncio.to_thread(self._write)
            self._log()
            await asyncio.sleep(EVERY_S)

    async def end(self, error: str | None) -> None:
        """The last word."""
        await asyncio.to_thread(self._finish, error)
        with suppress(psycopg.Error):
            if self._conn is not None:
                self._conn.close()

    def _said(self) -> dict[str, Any]:
        """What the row tells; at: when."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        said = self._about | asdict(self._consumer.consumed)
        return said | {"lag": self._lag, "at": at}

    async def _look(self) -> None:
        """The lag stays what it was last where the broker does not answer."""
        stream = self._consumer.stream
        if stream is not None:
            with suppress(*_GONE):
                self._lag = await stream.lag()

    def _write(self) -> None:
        try:
            if time.monotonic() > self._began_at + NEW_ROW_S:
                self._ended(None)
            if self._run_id is None:
                self._begin()
            else:
                self._execute("going", {"run_id": self._run_id})
        except _GONE as error:
            self._let_go(error)

    def _begin(self) -> None:
        row = self._execute("began", {})
        self._run_id, self._began_at = row, time.monotonic()

    def _finish(self, error: str | None) -> None:
        try:
            if self._run_id is None:
                self._begin()
            self._ended(error)
        except _GONE as gone:
            self._let_go(gone)

    def _ended(self, error: str | None) -> None:
        if self._run_id is not None:
            self._execute("ended", {"run_id": self._run_id, "error": error})
        self._run_id = None

    def _execute(self, query: str, values: dict[str, Any]) -> int | None:
        if self._conn is None:
            self._conn = connect(self._dsn)
        told = values | {"detail": json.dumps(self._said())}
        cursor = self._conn.execute(self._queries[query], told)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def _let_go(self, error: Exception) -> None:
        log.debug("not written down: %s", error, extra={"action": "watch"})
        with suppress(psycopg.Error):
            if self._conn is not None:
                self._conn.close()
        self._conn = None

    def _log(self) -> None:
        now, done = time.monotonic(), self._consumer.consumed
        if now < self._logged_at + LOG_EVERY_S:
            return
        rate = (done.messages - self._logged) / (now - self._logged_at)
        fields: dict[str, object] = {
            k: v for k, v in asdict(done).items() if isinstance(v, int)
        }
        fields |= {"action": "consumed", "lag": self._lag, "per_s": round(rate, 1)}
        log.info("consuming", extra=fields)
        self._logged_at, self._logged = now, done.messages
