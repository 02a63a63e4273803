"""GET /sites, /workers, /workstations and /events: what there is, page by page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from etl.http.access import Access, Caller
from etl.http.pages import (
    ONLY_KNOWN,
    After,
    Limit,
    SiteOf,
    checked,
    keys_of,
    no_cursor,
    number_of,
    page,
    tagged,
)
from etl.http.reader import Reader
from etl.http.schema import EVENT, page_answers
from etl.shape.codes import IDENTITY

_NOW = "2026-11-20T10:12:00Z"
_WORKER = {"site_id": "plant", "worker_id": "W1", "name": "Ada", "pseudonym": "P-17"}
_REGISTERED = {"discovered": False, "created_at": _NOW}
_BENCH = {"site_id": "plant", "workstation_id": "S1", "name": "Press 4"}
_SITE = {
    "site_id": "plant",
    "name": "Plant 1",
    "timezone": "Europe/Berlin",
    "shifts": ["early"],
    "now": _NOW,
    "refreshed_at": _NOW,
}
_MORE = {"count": 0, "duration_s": None, "model_version": None, "camera_id": None}
_STORED = EVENT | _MORE | {"ingested_at": _NOW, "latency_s": 0.4}


def list_routes(access: Access, reader: Reader) -> APIRouter:
    """The routes that list."""
    lists = _Lists(access, reader)
    routes = APIRouter(tags=["what there is"], dependencies=[ONLY_KNOWN])
    routes.get("/sites", summary="Sites", responses=page_answers("Sites", _SITE))(
        lists.sites
    )
    routes.get(
        "/workers", summary="Workers", responses=page_answers("Workers", _WORKER)
    )(lists.workers)
    routes.get(
        "/workstations",
        summary="Workstations",
        responses=page_answers("Workstations", _BENCH | _REGISTERED),
    )(lists.workstations)
    routes.get(
        "/events", summary="Recent events", responses=page_answers("Events", _STORED)
    )(lists.events)
    return routes


class _Lists:
    """Pages of what a caller may see."""

    def __init__(self, access: Access, reader: Reader) -> None:
        self._access, self._reader = access, reader

    async def sites(
        self,
        request: Request,
        site: SiteOf = None,
        after: After = None,
        limit: Limit = 1000,
    ) -> Response:
        """Sites in order of their ids; `now`: up to when their metrics count."""
        caller = await self._access.caller(request, "read")
        (key,) = keys_of(after, 1)
        values = {"sites": asked(caller, site), "after": key, "limit": limit + 1}
        rows = await self._reader.rows("sites", values)
        return tagged(request, page(rows, limit, ["site_id"]))

    async def workers(
        self,
        request: Request,
        site: SiteOf = None,
        after: After = None,
        limit: Limit = 1000,
    ) -> Response:
        """Workers, those that events made known included."""
        rows = await self._registered(request, "workers", site, after, limit)
        return tagged(request, page(rows, limit, ["site_id", "worker_id"]))

    async def workstations(
        self,
        request: Request,
        site: SiteOf = None,
        after: After = None,
        limit: Limit = 1000,
    ) -> Response:
        """Workstations, those that events made known included."""
        rows = await self._registered(request, "workstations", site, after, limit)
        return tagged(request, page(rows, limit, ["site_id", "workstation_id"]))

    async def events(
        self,
        request: Request,
        site: SiteOf = None,
        after: After = None,
        limit: Limit = 100,
    ) -> Response:
        """Events of the last 24 hours, the newest first."""
        caller = await self._access.caller(request, "read")
        time, site_id, worker, bench, kind = keys_of(after, len(IDENTITY))
        values = {
            "sites": asked(caller, site),
            "after_time": instant(time),
            "after_site": site_id,
            "after_worker": worker,
            "after_workstation": bench,
            "after_type": kind,
            "limit": limit + 1,
        }
        rows = await self._reader.rows("recent_events", values)
        return tagged(request, page(rows, limit, IDENTITY))

    async def _registered(
        self,
        request: Request,
        query: str,
        site: str | None,
        after: str | None,
        limit: int,
    ) -> list[dict[str, Any]]:
        caller = await self._access.caller(request, "read")
        after_site, after_id = keys_of(after, 2)
        values = {
            "sites": asked(caller, site),
            "after_site": after_site,
            "after_id": after_id,
            "limit": limit + 1,
        }
        return await self._reader.rows(query, values)


def asked(caller: Caller, site: str | None) -> list[str] | None:
    """The sites to list: the one asked for, else all that the caller may see."""
    if site is None:
        return caller.only()
    caller.require_site(site)
    return [str(checked(site))]


def instant(text: str | None) -> datetime | None:
    """A time of a cursor."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise no_cursor() from error


def newest_first(
    caller: Caller, site: str | None, state: str, after: str | None, limit: int
) -> dict[str, Any]:
    """What a query takes that lists by number and state, the newest first."""
    (key,) = keys_of(after, 1)
    return {
        "sites": asked(caller, site),
        "state": state,
        "after": number_of(key),
        "limit": limit + 1,
    }
