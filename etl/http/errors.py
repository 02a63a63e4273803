"""Errors of the API: one JSON shape, whatever went wrong and wherever."""

from __future__ import annotations

import math
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

RETRY_S = 2


class ApiError(Exception):
    """A request that is refused: status, a code for programs, a sentence for people."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_s: float | None = None,
        **headers: str,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}
        if retry_s is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_s)))

    def response(self) -> Response:
        """The answer that says so."""
        body = {"error": self.code, "message": self.message}
        return json_answer(body, self.status, self.headers)


def unavailable(message: str, retry_s: float = RETRY_S) -> ApiError:
    """503: nothing was accepted that is not durable; send it again."""
    return ApiError(503, "unavailable", message, retry_s=retry_s)


def json_answer(
    body: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """An object as a JSON answer; times are ISO 8601 in UTC."""
    return Response(
        orjson.dumps(body, option=orjson.OPT_UTC_Z),
        status,
        headers,
        media_type="application/json",
    )


def add_handlers(app: FastAPI) -> None:
    """Have the app answer errors of the API's paths in JSON, and only those."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)  # noqa: S101 - what it is registered for
        return error.response()

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        if any(e["type"] == "json_invalid" for e in error.errors()):
            return ApiError(400, "bad_json", "The body is no JSON.").response()
        said = "; ".join(
            f"{'.'.join(map(str, e['loc'][1:])) or 'request'}: {e['msg']}"
            for e in error.errors()
        )
        if isinstance(error.body, bytes):
            said = "The body is JSON: say so with Content-Type: application/json."
        return ApiError(400, "bad_request", said).response()

    async def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        if not request.url.path.startswith("/api"):
            return await http_exception_handler(request, error)
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
        said = ApiError(error.status_code, code or "bad_request", str(error.detail))
        said.headers.update(error.headers or {})
        return said.response()

    app.add_exception_handler(ApiError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, failed)
