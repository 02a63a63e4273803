"""What machines ask of the process: is it alive, is it ready; and the API's own 404."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

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


def unknown_routes() -> APIRouter:
    """The last of the API's routes: whatever no other one knows."""
    routes = APIRouter(include_in_schema=False)

    async def unknown(request: Request) -> Response:
        text = f"There is nothing at {request.url.path}."
        body: dict[str, Any] = {"error": "not_found", "message": text}
        return json_answer(body, 404)

    routes.add_api_route("/api", unknown, methods=EVERY_METHOD)
    routes.add_api_route("/api/{rest:path}", unknown, methods=EVERY_METHOD)
    return routes
