"""Parked events over HTTP: see them, take them out to mend, send them again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, TypeVar

import psycopg
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from etl.http_access import Access
from etl.http_errors import ApiError, json_answer, unavailable
from etl.http_pages import After, SiteOf, checked, keys_of, number_of, page, tagged
from etl.http_reader import Reader
from etl.http_schema import READ_ERRORS, answer
from etl.retry import Filter, exported, parked_rows, retry
from sql.connect import connect
from sql.errors import DsnError, FloorpulseError
from sql.keys import audit

T = TypeVar("T")

_MOST_EXPORTED = 100_000
_REJECT = {
    "reject_id": 12,
    "code": "bad_time",
    "message": "time 'noon' is no ISO 8601 time",
    "source": "http:line-3",
    "site_id": "plant",
    "seen": 1,
    "state": "parked",
    "raw": '{"time": "noon"}',
}
_LISTED = {"codes": [{"code": "bad_time", "seen": 1}], "rows": [_REJECT], "next": None}
_RETRIED = {
    "read": 1,
    "stored": 1,
    "duplicates": 0,
    "conflicts": 0,
    "parked": {},
}


@dataclass(frozen=True)
class Which:
    """Which parked events, as the query string has it."""

    site: SiteOf = None
    code: Annotated[
        str | None, Query(max_length=64, description="Only those parked as this.")
    ] = None
    source: Annotated[
        str | None, Query(max_length=1024, description="Only those of this source.")
    ] = None

    def filter(self) -> Filter:
        """As the engine of retries takes it."""
        return Filter(checked(self.site), checked(self.code), checked(self.source))


Asked = Annotated[Which, Depends()]
State = Literal["parked", "retried", "dismissed", "all"]


def reject_routes(access: Access, reader: Reader, dsn: str) -> APIRouter:
    """The routes of parked events."""
    routes = APIRouter(prefix="/rejects", tags=["parked events"])
    worker = ThreadPoolExecutor(1, "rejects")

    @routes.get(
        "",
        summary="See them",
        responses={200: answer("Parked events", _LISTED), **READ_ERRORS},
    )
    async def listed(
        request: Request,
        which: Asked,
        state: State = "parked",
        after: After = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """The newest first, and how many there are by code."""
        await allowed(request, which)
        (before,) = keys_of(after, 1)
        values = {
            **asdict(which.filter()),
            "state": None if state == "all" else state,
            "before": number_of(before),
            "limit": limit + 1,
        }
        codes = await reader.rows("codes", values, file="rejects")
        rows = await reader.rows("page", values, file="rejects")
        for row in rows:
            row["raw"] = row["raw"].decode("utf-8", "replace")
        return tagged(request, page(rows, limit, ["reject_id"], codes=codes))

    @routes.get(
        "/export",
        summary="Take them out",
        responses={
            200: {
                "description": "Lines as they came",
                "content": {"application/octet-stream": {}},
            },
            **READ_ERRORS,
        },
    )
    async def export(request: Request, which: Asked) -> Response:
        """Lines as they came, a CSV's header included: mend them and send them."""
        who = await allowed(request, which)
        content = await in_thread(lambda: _export(dsn, which.filter(), who))
        return Response(content, media_type="application/octet-stream")

    @routes.post(
        "/retry",
        summary="Send them again",
        responses={200: answer("What became of them", _RETRIED), **READ_ERRORS},
    )
    async def retried(request: Request, which: Asked) -> Response:
        """Through the door again, after what was wrong is mended.

        What breaks a rule again stays parked; what comes in is marked, with who did it.
        """
        who = await allowed(request, which)
        report = await in_thread(lambda: _retry(dsn, which.filter(), who))
        return json_answer(report)

    async def allowed(request: Request, which: Which) -> str:
        caller = await access.caller(request, "rejects")
        caller.require_site(which.site)
        return caller.source

    async def in_thread(work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(worker, work)
        except (psycopg.OperationalError, DsnError) as error:
            raise unavailable("The database does not answer.") from error
        except FloorpulseError as error:
            raise ApiError(400, "bad_request", f"{error.message}.") from error

    return routes


def _export(dsn: str, which: Filter, who: str) -> bytes:
    with connect(dsn) as conn:
        rows = parked_rows(conn, which, limit=_MOST_EXPORTED + 1)
        if len(rows) > _MOST_EXPORTED:
            said = f"These are more than {_MOST_EXPORTED:,}: name a code or a source"
            raise FloorpulseError(said)
        content = exported(rows)
        told = asdict(which) | {"rows": len(rows)}
        audit(conn, who, "rejects.export", which.site or "all sites", told)
    return content


def _retry(dsn: str, which: Filter, who: str) -> dict[str, Any]:
    report = asdict(retry(dsn, which, who))
    with connect(dsn) as conn:
        told = asdict(which) | report
        audit(conn, who, "rejects.retry", which.site or "all sites", told)
    return report
