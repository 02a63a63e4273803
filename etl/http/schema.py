"""What OpenAPI says of bodies and answers, with examples that work as they are."""

from __future__ import annotations

from typing import Any

EVENT: dict[str, Any] = {
    "time": "2026-11-20T10:00:00Z",
    "site_id": "plant",
    "worker_id": "W1",
    "workstation_id": "S1",
    "event_type": "working",
    "confidence": 0.93,
}
UNITS = EVENT | {"time": "2026-11-20T10:02:00Z", "event_type": "product_count"}
UNITS = UNITS | {"count": 3}
_FIELDS: dict[str, Any] = {
    "time": {"type": "string", "description": "ISO 8601"},
    "site_id": {"type": "string", "maxLength": 64},
    "worker_id": {"type": "string", "maxLength": 64},
    "workstation_id": {"type": "string", "maxLength": 64},
    "event_type": {"enum": ["working", "idle", "absent", "product_count"]},
    "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    "count": {"type": "integer", "description": "With product_count: 1 to 1,000,000"},
    "duration_s": {"type": "number", "description": "The state ends by then"},
    "model_version": {"type": "string", "maxLength": 64},
    "camera_id": {"type": "string", "maxLength": 64},
}
_EVENT_SCHEMA = {"type": "object", "properties": _FIELDS, "required": list(EVENT)}
POST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [
                    _EVENT_SCHEMA,
                    {"type": "array", "maxItems": 10_000, "items": _EVENT_SCHEMA},
                ]
            },
            "examples": {
                "one": {"summary": "One event", "value": EVENT},
                "several": {"summary": "An array", "value": [EVENT, UNITS]},
            },
        },
        "application/x-ndjson": {"schema": {"type": "string"}},
    },
}
SITE_OF_ALL: dict[str, Any] = {
    "name": "site",
    "in": "query",
    "description": "The site of events that name none.",
    "schema": {"type": "string"},
}
FILE_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "text/csv": {
            "schema": {"type": "string"},
            "example": ",".join(EVENT)
            + "\n"
            + ",".join(map(str, EVENT.values()))
            + "\n",
        },
        "application/x-ndjson": {"schema": {"type": "string"}},
        "application/vnd.apache.parquet": {
            "schema": {"type": "string", "format": "binary"}
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}


def answer(description: str, example: Any) -> dict[str, Any]:
    """A JSON answer of OpenAPI, with an example."""
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"description": description, "content": content}


_PARKED = {
    "code": "bad_time",
    "message": "time 'noon' is no ISO 8601 time",
}
ANSWER = answer(
    "What became of each event; also where some were parked",
    {
        "stored": 1,
        "duplicates": 0,
        "conflicts": 0,
        "parked": [{"index": 1, **_PARKED}],
    },
)
FILE_ANSWER = answer(
    "What became of the file",
    {
        "load_id": 7,
        "resumed": False,
        "read": 2,
        "stored": 1,
        "duplicates": 0,
        "conflicts": 0,
        "parked": [{"line": 3, **_PARKED}],
        "parked_by_code": {"bad_time": 1},
        "notices": [],
        "warnings": [],
    },
)
_SAID = {
    400: "The request or its body cannot be read",
    401: "A key is missing, unknown, expired or revoked",
    403: "The key may not do this",
    404: "There is no such thing",
    409: "What it is about is in no state for that",
    413: "The body is too large",
    429: "Too fast: wait as long as Retry-After says",
    503: "The database does not answer; nothing is accepted that is not durable. "
    "Wait as long as Retry-After says, then send it again",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of OpenAPI to what goes wrong."""
    example = {"error": "code_for_programs", "message": "A sentence for people."}
    return {status: answer(_SAID[status], example) for status in statuses}


ERRORS = errors(400, 401, 403, 413, 429, 503)
READ_ERRORS = errors(400, 401, 403, 404, 503)
CHANGE_ERRORS = errors(400, 401, 403, 404, 409, 503)


def page_answers(description: str, row: dict[str, Any]) -> dict[int | str, Any]:
    """The answers of OpenAPI to what is told page by page."""
    return {200: answer(description, {"rows": [row], "next": None}), **READ_ERRORS}
