"""Retraining over HTTP: requests with their evidence, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from etl.http.access import Access, Caller
from etl.http.errors import ApiError, json_answer
from etl.http.lists import newest_first
from etl.http.pages import ONLY_KNOWN, After, Limit, SiteOf, page, tagged
from etl.http.reader import Reader
from etl.http.schema import CHANGE_ERRORS, READ_ERRORS, answer, page_answers
from etl.http.worker import Worker
from sql.connect import Connection, connect
from sql.errors import BadSetting, NotItsTurn, UnknownRequest, UnknownSite
from sql.model_health import retraining

T = TypeVar("T")
State = Literal[
    "open",
    "requested",
    "approved",
    "exported",
    "trained",
    "deployed",
    "rejected",
    "all",
]
CallState = Literal["pending", "delivered", "given up", "dropped", "all"]
Number = Annotated[int, Path(ge=0, lt=2**63, description="The request's number.")]
_PRINTED = r"^[^\x00-\x1f\x7f]*$"
By = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=64,
        pattern=_PRINTED,
        description="Who does it; without it, the name of the key.",
    ),
]
Note = Annotated[
    str | None,
    Field(max_length=1000, pattern=r"^[^\x00]*$", description="What to say about it."),
]
Version = Annotated[str | None, Field(max_length=64, pattern=_PRINTED)]
_AT = "2026-11-20T10:15:00Z"
_REQUEST: dict[str, Any] = {
    "request_id": 3,
    "site_id": "plant",
    "model_version": "pose-1.4.0",
    "request_state": "exported",
    "reason": "confidence",
    "requested_at": _AT,
    "requested_by": None,
    "state_at": _AT,
    "evidence": {"alerts": [], "accuracy": {"validated": 0}, "confidence": {}},
}
_CALL: dict[str, Any] = {
    "call_id": 5,
    "request_id": 3,
    "site_id": "plant",
    "export_id": 2,
    "exported_at": _AT,
    "target": "webhook",
    "call_state": "given up",
    "attempts": 12,
    "last_error": "the webhook at trainer answered 500: ''",
}
_STEP = {"was": "approved", "request_state": "exported", "at": _AT, "who": "Ann"}
_WHOLE = _REQUEST | {"steps": [_STEP], "calls": [_CALL]}


class Ask(BaseModel):
    """A person's request for a model to be trained anew."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"site_id": "plant", "model_version": "pose-1.4.0"}
        },
    )

    site_id: Annotated[str, Field(min_length=1, max_length=64, pattern=_PRINTED)]
    model_version: Version = None
    by: By = None
    note: Note = None


class Answer(BaseModel):
    """What becomes of a request."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"state": "trained", "model_version": "pose-1.5.0"}
        },
    )

    state: Literal["approved", "trained", "deployed", "rejected"]
    model_version: Annotated[
        Version, Field(description="With trained, deployed: the version that came.")
    ] = None
    by: By = None
    note: Note = None


def retraining_routes(access: Access, reader: Reader, dsn: str) -> APIRouter:
    """The routes of retraining requests and of the calls their exports make."""
    desk = _Desk(access, reader, dsn)
    routes = APIRouter(
        prefix="/retraining", tags=["retraining"], dependencies=[ONLY_KNOWN]
    )
    whole = answer("The request", _WHOLE)
    routes.get("", summary="Requests", responses=page_answers("Requests", _REQUEST))(
        desk.listed
    )
    # Before `/{number}`, which would take `calls` for one.
    routes.get(
        "/calls", summary="Calls of exports", responses=page_answers("Calls", _CALL)
    )(desk.calls)
    routes.get("/{number}", summary="A request", responses={200: whole, **READ_ERRORS})(
        desk.one
    )
    routes.post(
        "",
        summary="Ask for a model to be trained anew",
        status_code=201,
        responses={201: whole, **CHANGE_ERRORS},
    )(desk.ask)
    routes.post(
        "/{number}/state",
        summary="Answer a request",
        responses={200: whole, **CHANGE_ERRORS},
    )(desk.move)
    routes.post(
        "/{number}/calls/retry",
        summary="Tell the pipeline again",
        responses={200: answer("How many calls are due", {"due": 1}), **CHANGE_ERRORS},
    )(desk.retry)
    return routes


class _Desk:
    """Answers what is asked about retraining; a thread does what changes it."""

    def __init__(self, access: Access, reader: Reader, dsn: str) -> None:
        self._access, self._reader, self._dsn = access, reader, dsn
        self._worker = Worker("retraining")

    async def listed(
        self,
        request: Request,
        site: SiteOf = None,
        state: State = "open",
        after: After = None,
        limit: Limit = 100,
    ) -> Response:
        """Requests, the newest first; without `state`, whatever has not ended."""
        caller = await self._access.caller(request, "read")
        values = newest_first(caller, site, state, after, limit)
        rows = await self._reader.rows("page", values, file="retraining")
        return tagged(request, page(rows, limit, ["request_id"]))

    async def calls(
        self,
        request: Request,
        site: SiteOf = None,
        state: CallState = "all",
        after: After = None,
        limit: Limit = 100,
    ) -> Response:
        """Whom exports were told to, or are still to be; the newest first."""
        caller = await self._access.caller(request, "read")
        values = newest_first(caller, site, state, after, limit)
        rows = await self._reader.rows("page_of_calls", values, file="retraining")
        return tagged(request, page(rows, limit, ["call_id"]))

    async def one(self, request: Request, number: Number) -> Response:
        """A request with its evidence, its steps, and who was told of its exports."""
        caller = await self._access.caller(request, "read")
        return tagged(request, await self._whole(caller, number))

    async def ask(self, request: Request, said: Ask) -> Response:
        """One request of a site and version is open at a time: else 409."""
        caller = await self._access.caller(request, "retrain")
        caller.require_site(said.site_id)
        who = said.by or caller.name

        def work(conn: Connection) -> dict[str, Any]:
            site, version = said.site_id, said.model_version or None
            return retraining.request(conn, site, version, who, said.note)

        return json_answer(await self._done(work), 201)

    async def move(self, request: Request, number: Number, said: Answer) -> Response:
        """Approve or reject it, or say that it is trained or deployed.

        409 where it is in no state for that.
        """
        caller = await self._access.caller(request, "retrain")
        await self._whole(caller, number)
        who = said.by or caller.name
        detail = {"model_version": said.model_version} if said.model_version else {}

        def work(conn: Connection) -> dict[str, Any]:
            state, note = said.state, said.note
            return retraining.move(conn, number, state, who, note, detail=detail)

        return json_answer(await self._done(work))

    async def retry(self, request: Request, number: Number) -> Response:
        """Calls that wait or were given up are made by the scheduler's next turn."""
        caller = await self._access.caller(request, "retrain")
        await self._whole(caller, number)
        due = await self._done(lambda conn: retraining.retry_calls(conn, number))
        return json_answer({"due": due})

    async def _whole(self, caller: Caller, number: int) -> dict[str, Any]:
        """A request, its steps and calls; 404 also where it is of a foreign site."""
        values = {"request": number}
        found = await self._reader.rows("one", values, file="retraining")
        sites = caller.only()
        if not found or (sites is not None and found[0]["site_id"] not in sites):
            raise ApiError(404, "unknown", f"There is no retraining request {number}.")
        steps = await self._reader.rows("steps", values, file="retraining")
        calls = await self._reader.rows("calls", values, file="retraining")
        return found[0] | {"steps": steps, "calls": calls}

    async def _done(self, work: Callable[[Connection], T]) -> T:
        """The outcome; what cannot be done as an answer of the API."""

        def connected() -> T:
            with connect(self._dsn) as conn:
                return work(conn)

        try:
            return await self._worker.outcome(connected)
        except (UnknownSite, UnknownRequest) as error:
            raise ApiError(404, "unknown", _sentence(error.message)) from error
        except NotItsTurn as error:
            raise ApiError(409, "not_its_turn", _sentence(error.message)) from error
        except BadSetting as error:
            raise ApiError(400, "bad_request", _sentence(error.message)) from error


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
