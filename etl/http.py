"""The HTTP API: events in, numbers out; mounted in the web server or run alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from etl.http_access import Access
from etl.http_body import Budget
from etl.http_errors import add_handlers
from etl.http_gather import Gatherer
from etl.http_ingest import ingest_routes
from etl.http_reader import Reader
from sql.connect import resolve_dsn

PREFIX = "/api/v1"


class Api:
    """Everything the API needs in one process: mount it, and hold `running` open."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._reader = Reader(dsn)
        self._gatherer = Gatherer(dsn)
        self._access = Access(self._reader)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connections and threads, for as long as requests are answered."""
        async with self._reader.running(), self._gatherer.running():
            yield

    def mount(self, app: FastAPI) -> None:
        """Add the routes, and answers in JSON to what goes wrong below /api."""
        add_handlers(app)
        routes = APIRouter(prefix=PREFIX)
        routes.include_router(ingest_routes(self._access, self._gatherer, Budget()))
        app.include_router(routes)


def create_app(dsn: str | None = None) -> FastAPI:
    """The API alone. `dsn` None: as `resolve_dsn` says (the local server may start)."""
    api = Api(dsn or resolve_dsn())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with api.running():
            yield

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    api.mount(app)
    return app
