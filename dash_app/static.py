"""Scripts, styles and fonts: read and compressed once, then served from memory.

A compressor in front of every request would hold up the event loop for each of them.
"""

import asyncio
import gzip
import hashlib
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIXES = ("/_dash-component-suites/", "/assets/")
MOST_FILES = 256
FOR_EVER = "public, max-age=31536000, immutable"
ASK_FIRST = "no-cache"
COMPRESSED_ALREADY = ("font/", "image/png", "image/x-icon")


@dataclass(frozen=True)
class _File:
    content: bytes
    compressed: bytes | None
    media_type: str
    etag: str


class StaticFromMemory:
    """Keeps what the app behind it answers under PREFIXES."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._files: dict[str, _File] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["method"] not in ("GET", "HEAD")
            or not scope["path"].startswith(PREFIXES)
        ):
            await self._app(scope, receive, send)
            return
        file = self._files.get(scope["path"])
        if file is None:
            file = await self._read(scope, receive)
        if file is None:
            await self._app(scope, receive, send)
            return
        await _answer(file, scope)(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive) -> _File | None:
        """What the app answers to a plain request for the file; None unless 200."""
        start: Message = {}
        chunks: list[bytes] = []

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                chunks.append(message.get("body", b""))

        plain = {**scope, "method": "GET", "headers": _plain_headers(scope)}
        await self._app(plain, receive, collect)
        if start.get("status") != 200:
            return None
        media_type = Headers(raw=start["headers"]).get("content-type", "")
        file = await asyncio.to_thread(_kept, b"".join(chunks), media_type)
        if len(self._files) < MOST_FILES:
            self._files[scope["path"]] = file
        return file


def _plain_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    unwanted = {b"accept-encoding", b"if-none-match", b"if-modified-since", b"range"}
    return [(name, value) for name, value in scope["headers"] if name not in unwanted]


def _kept(content: bytes, media_type: str) -> _File:
    compressed = None
    if not media_type.startswith(COMPRESSED_ALREADY):
        compressed = gzip.compress(content, 9, mtime=0)
    digest = hashlib.sha256(content).hexdigest()[:24]
    return _File(content, compressed, media_type, f'"{digest}"')


def _answer(file: _File, scope: Scope) -> Response:
    headers = Headers(scope=scope)
    zipped = file.compressed is not None and "gzip" in headers.get(
        "accept-encoding", ""
    )
    if headers.get("if-none-match") == file.etag:
        response = Response(status_code=304)
    else:
        content = file.compressed if zipped else file.content
        response = Response(content, media_type=file.media_type)
        if zipped:
            response.headers["Content-Encoding"] = "gzip"
    _describe(response.headers, file, scope)
    return response


def _describe(headers: MutableHeaders, file: _File, scope: Scope) -> None:
    """An address that changes with its file (fingerprint, ?m=) is good for ever."""
    versioned = b"m=" in scope["query_string"] or ".v" in scope["path"]
    headers["Cache-Control"] = FOR_EVER if versioned else ASK_FIRST
    headers["ETag"] = file.etag
    headers["Vary"] = "Accept-Encoding"
