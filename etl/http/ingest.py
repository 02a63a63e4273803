"""POST /api/v1/events: a body becomes elements, elements go through the door."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from etl.http.access import Access
from etl.http.body import Budget, read_body
from etl.http.errors import ApiError, json_answer
from etl.http.events import Events, read_events
from etl.http.gather import Gatherer
from etl.http.schema import ANSWER, ERRORS, POST_BODY, SITE_OF_ALL
from etl.http.scope import Limits, breach

# Smaller bodies are read in less time than a thread takes to be asked.
_AT_ONCE_BYTES = 16 << 10


def ingest_routes(
    prefix: str, access: Access, gatherer: Gatherer, budget: Budget
) -> APIRouter:
    """The route that takes events."""
    routes = APIRouter(prefix=prefix, tags=["events in"])

    @routes.post(
        "/events",
        summary="Send events",
        responses={200: ANSWER, **ERRORS},
        openapi_extra={"requestBody": POST_BODY, "parameters": [SITE_OF_ALL]},
    )
    async def post_events(request: Request) -> Response:
        """One event, an array or NDJSON, up to 10,000 events and 16 MB; gzip or zstd.

        Answered when the events are durable. Sending anything twice changes nothing: an
        event is known by site, worker, workstation, type and time.
        """
        caller = await access.caller(request, "ingest")
        access.admit(caller)
        with budget.held() as hold:
            body = await read_body(request, hold)
            media_type = request.headers.get("content-type", "")
            # As a parameter of the function it would cost more than all of this.
            site = request.query_params.get("site")
            work = (body, media_type, caller.source, site)
            if len(body) <= _AT_ONCE_BYTES:
                events = read_events(*work)
            else:
                events = await asyncio.to_thread(read_events, *work)
            del body, work
            access.charge(caller, events.size)
            refuse_foreign(caller.limits(), events)
            answer = await gatherer.admit(events)
        return json_answer(answer.body())

    return routes


def refuse_foreign(limits: Limits, events: Events) -> None:
    """A post that holds anything its key may not send is refused as a whole."""
    for field, known in limits.items():
        if known is not None:
            _require(field, known, events)


def _require(field: str, known: Collection[str], events: Events) -> None:
    documents: Sequence[dict[str, Any]] = events.documents
    for row, document in zip(events.rows, documents, strict=True):
        said = breach(field, document.get(field), known)
        if said is not None:
            text = f"Element {row} has {said}. Nothing of this post was stored."
            raise ApiError(403, "not_allowed", text)
