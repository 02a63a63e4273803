"""POST /api/v1/events: a body becomes elements, elements go through the door."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from etl.http.access import Access, Caller
from etl.http.body import Budget, read_body
from etl.http.errors import ApiError, json_answer
from etl.http.events import Events, read_events
from etl.http.gather import Gatherer
from etl.http.schema import ANSWER, ERRORS, POST_BODY, SITE_OF_ALL

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
            refuse_foreign(caller, events)
            answer = await gatherer.admit(events)
        return json_answer(answer.body())

    return routes


def refuse_foreign(caller: Caller, events: Events) -> None:
    """A post that holds anything its key may not send is refused as a whole."""
    _require(caller.sites, "site_id", events)
    _require(caller.event_types, "event_type", events)


def _require(known: frozenset[str] | None, field: str, events: Events) -> None:
    if known is None:
        return
    documents: Sequence[dict[str, Any]] = events.documents
    for row, document in zip(events.rows, documents, strict=True):
        value = document.get(field)
        # The door reads a number as its digits. What else is no text is parked.
        text = str(value) if type(value) is int else value
        if isinstance(text, str) and text not in known:
            raise ApiError(
                403,
                "not_allowed",
                f"Element {row} has {field} {text[:64]!r}; this key is for "
                f"{', '.join(sorted(known))}. Nothing of this post was stored.",
            )
