"""The web process: one FastAPI app with the pages, the live channel and the API."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from dash import Dash
from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.middleware.gzip import GZipMiddleware

from dash_app import download
from dash_app.data import Data
from dash_app.live import Live
from dash_app.pages import frame
from dash_app.security import SecurityHeaders, content_policy
from dash_app.static import StaticFromMemory
from etl.http.app import Api
from sql.connect import resolve_dsn

log = logging.getLogger(__name__)

ASSETS = Path(__file__).parent / "assets"
PLOTLY_AT = "/_dash-component-suites/plotly/package_data/plotly.min.js"
PLOTLY = ASSETS / "vendor" / "plotly-cartesian-4.1.1.min.js"


def create_app(dsn: str | None = None) -> FastAPI:
    """The ASGI app. `dsn` None: as `resolve_dsn` says (the local server may start)."""
    dsn = dsn or resolve_dsn()
    data = Data(dsn)
    live = Live(dsn, data.forget)
    api = Api(dsn)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await data.open()
        try:
            async with live.running(), api.running():
                yield
        finally:
            await data.close()

    async def engine() -> str:
        await data.ready()
        return (await data.engine()).label

    # No /docs: FastAPI's page loads its scripts from another host.
    server = FastAPI(
        title="floorpulse",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    api.mount(server, engine)
    server.add_api_websocket_route("/live", live.serve)
    server.add_api_route(PLOTLY_AT, _plotly, include_in_schema=False)
    server.add_route(download.PATH, download.Download(data).answer)
    pages = _dash(server, data)
    server.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    server.add_middleware(StaticFromMemory)
    server.add_middleware(
        SecurityHeaders, policy=content_policy(list(pages.csp_hashes()))
    )
    return server


async def _plotly() -> FileResponse:
    """The part of plotly.js that draws our figures, where Dash looks for all of it."""
    return FileResponse(PLOTLY, media_type="text/javascript")


def _dash(server: FastAPI, data: Data) -> Dash:
    app = Dash(
        "dash_app",
        server=cast(Any, server),
        title="floorpulse",
        update_title="",
        assets_folder=str(ASSETS),
        assets_path_ignore=["head", "vendor"],
        index_string=(ASSETS / "head" / "index.html").read_text("utf-8"),
        use_pages=False,
        compress=False,
        serve_locally=True,
        enable_mcp=False,
        on_error=_report,
    )
    app.layout = frame.layout
    frame.register(app, data)
    # Dash does this with the first request for "/": one for another page, in a process
    # just started, would be answered without scripts and styles.
    app._setup_server()  # type: ignore[no-untyped-call]
    return app


def _report(error: Exception) -> None:
    """A callback failed in a way nobody foresaw: the log says how, the page goes on."""
    log.error("callback failed", exc_info=error, extra={"action": "callback"})
