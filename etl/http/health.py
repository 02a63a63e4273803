"""What machines ask of the process: is it alive, is it ready; and the API's own 404."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from etl.http.errors import ApiError, json_answer
from etl.http.schema import answer
from sql.errors import FloorpulseError

EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_READY: dict[int | str, dict[str, Any]] = {
    200: answer("Ready", {"status": "ok", "engine": "PostgreSQL 18.6"}),
    503: answer("Not yet", {"status": "not ready", "reason": "No database answers."}),
}


def health_routes(engine: Callable[[], Awaitable[str]]) -> APIRouter:
    """`health` answers as long as the process does, `ready` once the database does.

    engine asks the database what it is, and raises what it raises.
    """
    routes = APIRouter(tags=["health"])

    @routes.get("/health", summary="Alive")
    async def health() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @routes.get("/ready", summary="Ready", responses=_READY)
    async def ready() -> Response:
        """The database answers and is migrated; 503 with the reason while not."""
        try:
            label = await engine()
        except (ApiError, FloorpulseError) as error:
            reason = {"status": "not ready", "reason": error.message}
            return json_answer(reason, 503)
        return json_answer({"status": "ok", "engine": label})

    return routes


def unknown_routes(described: Mapping[str, Mapping[str, Any]]) -> APIRouter:
    """The last of the API's routes: whatever no other one takes.

    described: the paths of OpenAPI. HEAD is what GET answers, without its body: load
    balancers ask so.
    """
    routes = APIRouter(include_in_schema=False)
    known = [
        (compile_path(path)[0], {method.upper() for method in methods})
        for path, methods in described.items()
    ]

    async def unknown(request: Request) -> Response:
        path = request.url.path
        found = (methods for pattern, methods in known if pattern.match(path))
        methods = set[str]().union(*found)
        if not methods:
            text = f"There is nothing at {path}."
            return json_answer({"error": "not_found", "message": text}, 404)
        if request.method == "HEAD" and "GET" in methods:
            return _AsGet()
        heads = {"HEAD"} if "GET" in methods else set()
        allow = {"Allow": ", ".join(sorted({"OPTIONS"} | methods | heads))}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=allow)
        text = f"{path} takes {' and '.join(sorted(methods))}, not {request.method}."
        body = {"error": "method_not_allowed", "message": text}
        return json_answer(body, 405, allow)

    routes.add_api_route("/api", unknown, methods=EVERY_METHOD)
    routes.add_api_route("/api/{rest:path}", unknown, methods=EVERY_METHOD)
    return routes


class _AsGet(Response):
    """What GET answers; the server leaves the body of an answer to HEAD away."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["app"].router({**scope, "method": "GET"}, receive, send)
