"""Sessions that can do no harm and keep nobody waiting for ever, in a pool."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from sql.connect import session_conninfo

LONGEST_QUERY_S = 20


def read_pool(
    dsn: str, *, name: str, size: int, wait_s: float
) -> AsyncConnectionPool[AsyncConnection[Any]]:
    """A pool of read-only sessions, still to be opened (`wait=False`: no database yet).

    At most `size` of them; who gets none for `wait_s` is told PoolTimeout, and a query
    that takes longer than LONGEST_QUERY_S QueryCanceled.
    """
    return AsyncConnectionPool(
        session_conninfo(dsn),
        kwargs={"autocommit": True},
        min_size=1,
        max_size=size,
        open=False,
        timeout=wait_s,
        reconnect_timeout=wait_s,
        configure=_make_reader,
        check=AsyncConnectionPool.check_connection,
        name=name,
    )


async def _make_reader(connection: AsyncConnection[Any]) -> None:
    await connection.execute("set default_transaction_read_only = on")
    limit = f"set statement_timeout = '{LONGEST_QUERY_S}s'"
    await connection.execute(limit.encode())
    await connection.execute("set jit = off")
