"""GET /api/docs: the API described, on a page that asks no other host for anything."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from starlette.routing import BaseRoute

_ABOUT = (
    "Events in, numbers out. Programs on this machine need no key; all others send "
    "theirs as `Authorization: Bearer fp_...` (`floorpulse key create`). Errors are "
    "JSON: a code for programs, a sentence for people."
)
_TYPES = {"docs.css": "text/css", "docs.js": "text/javascript"}


def docs_routes(openapi: dict[str, Any]) -> APIRouter:
    """The page, its script and style, and the description it shows."""
    routes = APIRouter(prefix="/api", include_in_schema=False)

    @routes.get("/openapi.json")
    async def description() -> JSONResponse:
        return JSONResponse(openapi)

    @routes.get("/docs")
    async def page() -> Response:
        return _asset("docs.html", "text/html")

    @routes.get("/docs/{name}")
    async def asset(name: str) -> Response:
        if name not in _TYPES:
            return JSONResponse({"error": "not_found", "message": "No such file."}, 404)
        return _asset(name, _TYPES[name])

    return routes


def _asset(name: str, media_type: str) -> Response:
    content = files("etl.http").joinpath("assets", name).read_bytes()
    return Response(content, media_type=media_type)


def openapi_of(described: Sequence[BaseRoute]) -> dict[str, Any]:
    """OpenAPI of the routes; with keys as its security scheme."""
    openapi = get_openapi(
        title="floorpulse", version="1", description=_ABOUT, routes=described
    )
    schemes = openapi.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["key"] = {"type": "http", "scheme": "bearer"}
    for methods in openapi["paths"].values():
        for operation in methods.values():
            # FastAPI's own; what cannot be asked is answered 400 here.
            operation["responses"].pop("422", None)
    openapi["security"] = [{"key": []}, {}]
    return openapi
