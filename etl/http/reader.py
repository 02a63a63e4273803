"""What the API reads: named queries in short, read-only sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from etl.http.errors import ApiError, unavailable
from sql.connect import session_conninfo
from sql.queries import load

POOL_SIZE = 6
WAIT_S = 3.0
LONGEST_QUERY_S = 20


class Reader:
    """A pool of sessions that can do no harm; open it with `running`."""

    def __init__(self, dsn: str) -> None:
        self._pool = AsyncConnectionPool(
            session_conninfo(dsn),
            kwargs={"autocommit": True},
            min_size=1,
            max_size=POOL_SIZE,
            open=False,
            timeout=WAIT_S,
            reconnect_timeout=WAIT_S,
            configure=_make_reader,
            check=AsyncConnectionPool.check_connection,
            name="api",
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect in the background, also when there is no database yet."""
        await self._pool.open(wait=False)
        try:
            yield
        finally:
            await self._pool.close()

    async def rows(
        self, query: str, values: Mapping[str, Any] | None = None, *, file: str = "http"
    ) -> list[dict[str, Any]]:
        """The rows of a named query. ApiError where the database has none to give."""
        text = load(file)[query].encode()
        with _told_plainly():
            async with self._pool.connection() as connection:
                cursor = connection.cursor(row_factory=dict_row)
                await cursor.execute(text, values or {})
                return await cursor.fetchall()


async def _make_reader(connection: AsyncConnection[Any]) -> None:
    await connection.execute("set default_transaction_read_only = on")
    limit = f"set statement_timeout = '{LONGEST_QUERY_S}s'"
    await connection.execute(limit.encode())
    await connection.execute("set jit = off")


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        said = f"This took longer than {LONGEST_QUERY_S} s; ask for less at once."
        raise unavailable(said) from error
    except psycopg.errors.NoDataFound as error:
        raise ApiError(404, "unknown", _sentence(error)) from error
    except (psycopg.errors.RaiseException, psycopg.DataError) as error:
        raise ApiError(400, "bad_request", _sentence(error)) from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        said = "The database has no schema of this version; `floorpulse db migrate`."
        raise unavailable(said) from error
    except psycopg.errors.UndefinedFunction as error:
        said = "The database has no schema of this version; `floorpulse db migrate`."
        raise unavailable(said) from error
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise unavailable("The database does not answer.") from error


def _sentence(error: psycopg.Error) -> str:
    said = error.diag.message_primary or "That cannot be asked"
    return f"{said[:1].upper()}{said[1:]}."
