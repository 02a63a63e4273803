"""Parked events over HTTP: see them, take them out to mend, send them again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from etl.http.access import Access, Caller
from etl.http.errors import ApiError, json_answer
from etl.http.pages import (
    ONLY_KNOWN,
    After,
    SiteOf,
    checked,
    keys_of,
    number_of,
    page,
    tagged,
)
from etl.http.reader import Reader
from etl.http.schema import CHANGE_ERRORS, READ_ERRORS, answer
from etl.http.scope import breach
from etl.http.worker import Worker
from etl.retry import Filter, Orders, RetryReport, retry, taken_out
from etl.shape.mend import Mend
from sql.connect import connect
from sql.errors import FloorpulseError, RetryRunning

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
_LINES: dict[str, Any] = {
    "description": "Lines as they came",
    "content": {"application/octet-stream": {}},
}
_LISTED = {"codes": [{"code": "bad_time", "seen": 1}], "rows": [_REJECT], "next": None}
_MEND = {
    "replace": {"worker_id": {"cam-7": "W7"}},
    "shift_s": -3600,
    "scale": {"confidence": 0.01},
    "dry_run": True,
}
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

    ids: Annotated[
        list[Annotated[int, Field(ge=0, lt=2**63)]] | None,
        Query(alias="id", max_length=1000, description="Only these; several times."),
    ] = None

    def filter(self) -> Filter:
        """As the engine of retries takes it."""
        return Filter(
            checked(self.site), checked(self.code), checked(self.source), self.ids
        )


class MendOf(BaseModel):
    """How to mend them on their way: an id, a clock, a unit."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra=lambda schema: schema.update(example=_MEND)
    )

    replace: Annotated[
        dict[str, dict[str, str]],
        Field(description="Of a field: what stands there ('': nothing), what should."),
    ] = {}
    shift_s: Annotated[float, Field(description="Added to every time.")] = 0.0
    scale: Annotated[
        dict[str, float],
        Field(description="What a number is multiplied by: 0.01 for percent."),
    ] = {}
    dry_run: Annotated[
        bool, Field(description="Only say what would become of them.")
    ] = False

    def mend(self) -> Mend:
        """As the engine of retries takes it; BadSetting for what cannot be."""
        return Mend(self.replace, self.shift_s, self.scale)


Asked = Annotated[Which, Depends()]
State = Literal["parked", "retried", "dismissed", "all"]


def reject_routes(access: Access, reader: Reader, dsn: str) -> APIRouter:
    """The routes of parked events."""
    desk = _Desk(access, reader, dsn)
    routes = APIRouter(
        prefix="/rejects", tags=["parked events"], dependencies=[ONLY_KNOWN]
    )
    routes.get(
        "",
        summary="See them",
        responses={200: answer("Parked events", _LISTED), **READ_ERRORS},
    )(desk.listed)
    routes.get(
        "/export", summary="Take them out", responses={200: _LINES, **READ_ERRORS}
    )(desk.export)
    routes.post(
        "/retry",
        summary="Send them again",
        responses={200: answer("What became of them", _RETRIED), **CHANGE_ERRORS},
    )(desk.retried)
    return routes


class _Desk:
    """Answers what is asked about parked events; a thread does what takes long."""

    def __init__(self, access: Access, reader: Reader, dsn: str) -> None:
        self._access, self._reader, self._dsn = access, reader, dsn
        self._worker = Worker("rejects")

    async def listed(
        self,
        request: Request,
        which: Asked,
        state: State = "parked",
        after: After = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """The newest first, and how many there are by code."""
        await self._caller(request, which)
        (before,) = keys_of(after, 1)
        values = {
            **which.filter().values(),
            "state": None if state == "all" else state,
            "before": number_of(before),
            "limit": limit + 1,
        }
        codes = await self._reader.rows("codes", values, file="rejects")
        rows = await self._reader.rows("page", values, file="rejects")
        for row in rows:
            row["raw"] = row["raw"].decode("utf-8", "replace")
        return tagged(request, page(rows, limit, ["reject_id"], codes=codes))

    async def export(self, request: Request, which: Asked) -> Response:
        """Lines as they came, a CSV's header included: mend them and send them."""
        who = (await self._caller(request, which)).source
        content = await self._done(lambda: _export(self._dsn, which.filter(), who))
        return Response(content, media_type="application/octet-stream")

    async def retried(
        self, request: Request, which: Asked, how: MendOf | None = None
    ) -> Response:
        """Through the door again, after what was wrong is mended; or mending them.

        What breaks a rule again stays parked as it came; what comes in is marked, with
        who did it and how it was mended.
        """
        caller = await self._caller(request, which)
        how = how or MendOf()
        _refuse_foreign(caller, how)

        def send() -> RetryReport:
            orders = Orders(caller.source, how.mend(), how.dry_run)
            return retry(self._dsn, which.filter(), orders)

        return json_answer(asdict(await self._done(send)))

    async def _caller(self, request: Request, which: Which) -> Caller:
        caller = await self._access.caller(request, "rejects")
        caller.require_site(which.site)
        return caller

    async def _done(self, work: Callable[[], T]) -> T:
        try:
            return await self._worker.outcome(work)
        except RetryRunning as error:
            raise ApiError(409, "busy", error.message, retry_s=60) from error
        except FloorpulseError as error:
            raise ApiError(400, "bad_request", f"{error.message}.") from error


def _export(dsn: str, which: Filter, who: str) -> bytes:
    with connect(dsn) as conn:
        return taken_out(conn, which, who, most=_MOST_EXPORTED)[0]


def _refuse_foreign(caller: Caller, how: MendOf) -> None:
    """A key mends nothing into what it may not send."""
    for name, allowed in caller.limits().items():
        if allowed is None:
            continue
        for word in how.replace.get(name, {}).values():
            if said := breach(name, word, allowed):
                raise ApiError(403, "not_allowed", f"replace: {said}.")
