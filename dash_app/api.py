"""What machines ask of the web process: is it alive, is it ready; and its own 404."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from dash_app.data import Data
from sql.errors import FloorpulseError

PREFIX = "/api/v1"
EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def health_routes(data: Data) -> APIRouter:
    """`health` answers as long as the process does, `ready` once the database does."""
    routes = APIRouter(prefix=PREFIX, tags=["health"])

    @routes.get("/health")
    async def health() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @routes.get("/ready")
    async def ready() -> JSONResponse:
        """The database answers and is migrated; 503 with the reason while not."""
        try:
            await data.ready()
            engine = await data.engine()
        except FloorpulseError as error:
            return JSONResponse(
                {"status": "not ready", "reason": error.message}, status_code=503
            )
        return JSONResponse({"status": "ok", "engine": engine.label})

    return routes


def unknown_routes() -> APIRouter:
    """The last of the API's routes: whatever no other one knows."""
    routes = APIRouter(include_in_schema=False)

    async def unknown(request: Request) -> JSONResponse:
        text = f"There is nothing at {request.url.path}."
        answer: dict[str, Any] = {"error": "not_found", "message": text}
        return JSONResponse(answer, status_code=404)

    routes.add_api_route("/api", unknown, methods=EVERY_METHOD)
    routes.add_api_route("/api/{rest:path}", unknown, methods=EVERY_METHOD)
    return routes
