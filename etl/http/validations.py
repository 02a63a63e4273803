"""POST /api/v1/validations: what people say of events."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import polars as pl
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from etl.batch import BROKEN_SCHEMA, ORIGIN_SCHEMA, Batch
from etl.http.access import Access
from etl.http.body import Budget, read_body
from etl.http.errors import json_answer
from etl.http.events import Events, read_events
from etl.http.ingest import refuse_foreign
from etl.http.schema import ERRORS, EVENT, answer
from etl.http.worker import Worker
from etl.readers.lines import numbered
from etl.readers.ndjson import texts_of
from etl.validations.load import Sender, ValidationReport, admit
from etl.validations.rules import FIELDS, LABELS, REQUIRED, VERDICTS
from sql.connect import connect

_NAMES = {name: name for name in FIELDS}
_VERDICT = {name: EVENT[name] for name in REQUIRED if name in EVENT} | {
    "verdict": "wrong",
    "right_label": "idle",
    "validated_by": "Ann",
}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": list(REQUIRED),
    "properties": {
        **{name: {"type": "string"} for name in FIELDS},
        "verdict": {"enum": list(VERDICTS)},
        "right_label": {"enum": list(LABELS)},
    },
}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [
                    _SCHEMA,
                    {"type": "array", "maxItems": 10_000, "items": _SCHEMA},
                ]
            },
            "example": [_VERDICT],
        },
        "application/x-ndjson": {"schema": {"type": "string"}},
    },
}
_ANSWER = answer(
    "What became of each verdict; also where some were parked",
    {
        "stored": 1,
        "duplicates": 0,
        "unanswered": 0,
        "parked": [
            {
                "index": 1,
                "code": "unknown_event",
                "message": "no event has this site, worker, workstation, event_type "
                "and time",
            }
        ],
    },
)


def validation_routes(access: Access, dsn: str) -> APIRouter:
    """The route that takes verdicts."""
    routes = APIRouter(tags=["validations"])
    worker, budget = Worker("validations"), Budget()

    @routes.post(
        "/validations",
        summary="Say whether events are right",
        responses={200: _ANSWER, **ERRORS},
        openapi_extra={"requestBody": _BODY},
    )
    async def post_validations(
        request: Request,
        site: Annotated[
            str | None, Query(description="The site of verdicts that name none.")
        ] = None,
    ) -> Response:
        """One verdict, an array or NDJSON, up to 10,000; on events that are stored.

        A later verdict on the same event supersedes the one before. Without
        validated_at it was said now; without validated_by the key says it.
        """
        caller = await access.caller(request, "validate")
        access.admit(caller)
        with budget.held() as hold:
            body = await read_body(request, hold)
            media_type = request.headers.get("content-type", "")
            events = read_events(body, media_type, caller.source, site)
        access.charge(caller, events.size)
        # A verdict names no camera: who may send them for a site may for all of it.
        of_events = {name: caller.limits()[name] for name in ("site_id", "event_type")}
        refuse_foreign(of_events, events)
        sender = Sender(caller.source, caller.name)
        told = await worker.outcome(lambda: _admit(dsn, events, sender))
        return json_answer(told)

    return routes


def _admit(dsn: str, events: Events, sender: Sender) -> dict[str, Any]:
    report = ValidationReport()
    with connect(dsn) as conn:
        refused = admit(conn, _batch(events), sender, report)
    return {
        "stored": report.stored,
        "duplicates": report.duplicates,
        "unanswered": report.unanswered,
        "parked": [
            {"index": item.row, "code": item.code, "message": item.message}
            for item in refused
        ],
    }


def _batch(events: Events) -> Batch:
    rows = np.asarray(events.rows, dtype=np.int64)
    texts = numbered(texts_of(events.documents, _NAMES), rows, None)
    broken = pl.DataFrame(
        {"row": list(events.broken), "message": list(events.broken.values())},
        schema=BROKEN_SCHEMA,
    )

    def origin(wanted: pl.Series) -> pl.DataFrame:
        found = [(row, row + 1, events.raw(row)) for row in wanted]
        return pl.DataFrame(found, schema=ORIGIN_SCHEMA, orient="row")

    return Batch(texts, origin, broken)
