"""The HTTP API: events in, numbers out; mounted in the web server or run alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI

from etl.http.access import Access
from etl.http.alerts import alert_routes
from etl.http.body import Budget
from etl.http.docs import docs_routes, openapi_of
from etl.http.errors import add_handlers
from etl.http.files import file_routes
from etl.http.gather import Gatherer
from etl.http.health import health_routes, unknown_routes
from etl.http.ingest import ingest_routes
from etl.http.lists import list_routes
from etl.http.metrics import metric_routes
from etl.http.prometheus import prometheus_routes
from etl.http.reader import Reader
from etl.http.rejects import reject_routes
from etl.http.retraining import retraining_routes
from etl.http.validations import validation_routes
from sql.connect import resolve_dsn
from sql.errors import NotMigrated

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

    def mount(
        self, app: FastAPI, engine: Callable[[], Awaitable[str]] | None = None
    ) -> None:
        """Add the routes, and answers in JSON to what goes wrong below /api.

        engine asks the database what it is, for `ready`.
        """
        access, reader, gatherer = self._access, self._reader, self._gatherer
        add_handlers(app)
        # Not included but laid open: each level of routers is walked for every post.
        ingest = ingest_routes(PREFIX, access, gatherer, Budget())
        app.router.routes.extend(ingest.routes)
        routes = APIRouter()
        for part in (
            file_routes(access, self._dsn),
            list_routes(access, reader),
            alert_routes(access, reader),
            metric_routes(access, reader),
            reject_routes(access, reader, self._dsn),
            validation_routes(access, self._dsn),
            retraining_routes(access, reader, self._dsn),
            health_routes(engine or self._engine),
        ):
            routes.include_router(part, prefix=PREFIX)
        routes.include_router(prometheus_routes(access, reader, gatherer))
        app.include_router(routes)
        openapi = openapi_of([*ingest.routes, *routes.routes])
        app.include_router(docs_routes(openapi))
        page: dict[str, Any] = {"get": None}
        pages = {"/api/docs": page, "/api/docs/{name}": page, "/api/openapi.json": page}
        app.include_router(unknown_routes(openapi["paths"] | pages))

    async def _engine(self) -> str:
        rows = await self._reader.rows("engine")
        if not rows:
            raise NotMigrated
        return f"PostgreSQL {rows[0]['server_version']}"


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
