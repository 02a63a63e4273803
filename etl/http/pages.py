"""Pages of rows: keyset cursors, ETags, and what every reading route shares."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.responses import Response

from etl.http.errors import ApiError, json_answer

MOST_ROWS = 10_000
_WORDS = ("site", "from", "to", "shift", "by_date", "state", "limit", "after")
Limit = Annotated[
    int, Query(ge=1, le=MOST_ROWS, description="Rows of a page, at the most.")
]
After = Annotated[
    str | None,
    Query(max_length=1024, description="`next` of the page before; opaque."),
]
SiteOf = Annotated[
    str | None, Query(max_length=64, description="The site; all of them without it.")
]


def _only_known(request: Request) -> None:
    """Refuse a parameter that nobody knows: its answer would be to another question.

    One client may ask all routes in the same words: those of others are let pass.
    """
    known = list(_parameters(request.scope["route"].dependant))
    for name in request.query_params:
        if name not in known and name not in _WORDS:
            there = f"there are {', '.join(known)}" if known else "there is none"
            said = f"{name[:64]}: no parameter is called so here; {there}."
            raise ApiError(400, "bad_request", said)


def _parameters(of: Dependant) -> Iterator[str]:
    """The names in a query string that a route reads."""
    yield from (parameter.alias for parameter in of.query_params)
    for inner in of.dependencies:
        yield from _parameters(inner)


# What every route takes that is asked by a query string.
ONLY_KNOWN = Depends(_only_known)


def cursor_of(keys: Sequence[Any]) -> str:
    """Where the next page begins: behind the row with these keys."""
    return base64.urlsafe_b64encode(orjson.dumps(list(keys))).decode().rstrip("=")


def keys_of(after: str | None, count: int) -> list[str | None]:
    """The keys of a cursor, Nones where there is none. ApiError for another text."""
    if after is None:
        return [None] * count
    try:
        padded = after.encode() + b"=" * (-len(after) % 4)
        keys = orjson.loads(base64.urlsafe_b64decode(padded))
    except ValueError as error:
        raise no_cursor() from error
    known = isinstance(keys, list) and len(keys) == count
    if not known or not all(isinstance(k, str) and "\0" not in k for k in keys):
        raise no_cursor()
    return list(keys)


def page(
    rows: list[dict[str, Any]], limit: int, by: Sequence[str], **more: Any
) -> dict[str, Any]:
    """A page as the API tells it. `rows` holds one more where there is a next page."""
    has_next = len(rows) > limit
    rows = rows[:limit]
    cursor = cursor_of([_plain(rows[-1][key]) for key in by]) if has_next else None
    return {**more, "rows": rows, "next": cursor}


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def tag_of(*parts: Any) -> str:
    """A weak ETag: equal parts, equal answer."""
    text = orjson.dumps(parts, default=str)
    return f'W/"{hashlib.sha256(text).hexdigest()[:24]}"'


def unchanged(request: Request, tag: str) -> Response | None:
    """304 where the client has this answer already."""
    given = [t.strip() for t in request.headers.get("if-none-match", "").split(",")]
    if tag in given or "*" in given:
        return Response(status_code=304, headers=_headers(tag))
    return None


def tagged(request: Request, body: Any, tag: str | None = None) -> Response:
    """An answer with its ETag, that of its content unless another one is given."""
    tag = tag or tag_of(body)
    return unchanged(request, tag) or json_answer(body, headers=_headers(tag))


def _headers(tag: str) -> dict[str, str]:
    return {"ETag": tag, "Cache-Control": "private, no-cache"}


def checked(site: str | None) -> str | None:
    """A site id that a query can ask for; ApiError where no site can have it."""
    if site is not None and "\0" in site:
        raise ApiError(400, "bad_request", "site: no site id holds a NUL.")
    return site


def number_of(key: str | None) -> int | None:
    """A key that is a number; ApiError for another one."""
    if key is None:
        return None
    if not key.isascii() or not key.isdigit() or len(key) > 18:
        raise no_cursor()
    return int(key)


def no_cursor() -> ApiError:
    """The refusal of a text that is no cursor."""
    said = "after: this is no cursor; take `next` of the page before."
    return ApiError(400, "bad_request", said)
