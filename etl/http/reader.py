"""What the API reads: named queries in short, read-only sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import PoolTimeout

from etl.http.errors import ApiError, unavailable
from sql.queries import load
from sql.read_pool import LONGEST_QUERY_S, read_pool

POOL_SIZE = 6
WAIT_S = 3.0


class Reader:
    """A pool of sessions that can do no harm; open it with `running`."""

    def __init__(self, dsn: str) -> None:
        self._pool = read_pool(dsn, name="api", size=POOL_SIZE, wait_s=WAIT_S)

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
