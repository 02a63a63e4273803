"""GET /metrics/factory, /metrics/workers, /metrics/workstations: what SQL says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from etl.http.access import Access
from etl.http.errors import ApiError
from etl.http.pages import (
    ONLY_KNOWN,
    After,
    Limit,
    SiteOf,
    checked,
    keys_of,
    page,
    tag_of,
    tagged,
    unchanged,
)
from etl.http.reader import Reader
from etl.http.schema import READ_ERRORS, answer
from sql.errors import BadSetting
from sql.plant.moments import read_time
from sql.plant.zones import zone

_LOST_PLUS = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)\Z")
_HOUR, _DAY = timedelta(hours=1), timedelta(hours=24)
_FOUND = {
    "site": "plant",
    "from": "2026-11-20T10:00:00Z",
    "to": "2026-11-20T11:00:00Z",
    "shift": None,
    "now": "2026-11-20T10:12:00Z",
    "rows": [{"working_s": 420.0, "idle_s": 300.0, "weighted_utilization": 0.5833}],
    "next": None,
}
_ANSWERS = {200: answer("Metrics", _FOUND), **READ_ERRORS}


@dataclass(frozen=True)
class Window:
    """What is asked for, as the query string has it."""

    site: SiteOf = None
    from_: Annotated[
        str | None,
        Query(
            alias="from",
            max_length=64,
            description="Begin, on a UTC hour: a time or a date, local without offset. "
            "Default: 24 hours before its end.",
        ),
    ] = None
    to: Annotated[
        str | None,
        Query(
            max_length=64,
            description="End. Default: the UTC hour after the site's last refresh.",
        ),
    ] = None
    shift: Annotated[
        str | None, Query(max_length=64, description="One shift; all without it.")
    ] = None
    by_date: Annotated[
        bool,
        Query(description="from and to are production dates, both included."),
    ] = False


Asked = Annotated[Window, Depends()]


def metric_routes(access: Access, reader: Reader) -> APIRouter:
    """The routes that tell metrics."""
    metrics = _Metrics(access, reader)
    routes = APIRouter(prefix="/metrics", tags=["metrics"], dependencies=[ONLY_KNOWN])
    for path, summary, handler in (
        ("/factory", "A site, or all sites", metrics.factory),
        ("/workers", "Workers of a site", metrics.workers),
        ("/workstations", "Workstations of a site", metrics.workstations),
    ):
        routes.add_api_route(path, handler, summary=summary, responses=_ANSWERS)
    return routes


class _Metrics:
    """Asks SQL for the metrics of a window, and says up to when they count."""

    def __init__(self, access: Access, reader: Reader) -> None:
        self._access, self._reader = access, reader

    async def factory(self, request: Request, window: Asked) -> Response:
        """One row. Ratios are fractions of 1, null without denominator."""
        return await self._tell(request, "factory", window)

    async def workers(
        self, request: Request, window: Asked, after: After = None, limit: Limit = 1000
    ) -> Response:
        """A row per worker that is registered, in order of their ids."""
        return await self._tell(request, "worker", window, after, limit)

    async def workstations(
        self, request: Request, window: Asked, after: After = None, limit: Limit = 1000
    ) -> Response:
        """A row per workstation that is registered, in order of their ids."""
        return await self._tell(request, "workstation", window, after, limit)

    async def _tell(
        self,
        request: Request,
        level: str,
        window: Window,
        after: str | None = None,
        limit: int = 1,
    ) -> Response:
        caller = await self._access.caller(request, "read")
        key = None if level == "factory" else f"{level}_id"
        site = checked(window.site)
        if site is None and key is not None:
            raise ApiError(400, "bad_request", "site: say which one.")
        caller.require_site(site)
        states = await self._reader.rows("refreshed", {"site": site})
        if site is not None and not states:
            raise ApiError(404, "unknown", f"There is no site {site!r}.")
        bounds = _bounds(window, states)
        query = f"{level}_metrics_by_date" if window.by_date else f"{level}_metrics"
        # What was said for this now stays so until the next refresh.
        tag = tag_of(query, site, bounds, window.shift, after, limit, states)
        if same := unchanged(request, tag):
            return same
        values = {"site": site, **bounds, "shift": checked(window.shift)}
        (last,) = keys_of(after, 1)
        part = {"after": last, "limit": limit + 1}
        rows = await self._reader.rows(query, values | part)
        told = values | {"now": _now(states)}
        return tagged(request, page(rows, limit, [key] if key else [], **told), tag)


def _now(states: list[dict[str, Any]]) -> datetime | None:
    return max((s["now"] for s in states if s["now"] is not None), default=None)


def _bounds(window: Window, states: list[dict[str, Any]]) -> dict[str, Any]:
    """The window's begin and end; ApiError for what is no time."""
    zones = {state["timezone"] for state in states}
    timezone = zones.pop() if len(zones) == 1 else "UTC"
    now = _now(states) or datetime.now(UTC)
    try:
        if window.by_date:
            today = now.astimezone(zone(timezone)).date()
            last = date.fromisoformat(window.to) if window.to else today
            first = date.fromisoformat(window.from_) if window.from_ else last
            return {"from": first, "to": last}
        end = _time(window.to, timezone) if window.to else _next_hour(now)
        start = _time(window.from_, timezone) if window.from_ else end - _DAY
    except BadSetting as error:
        raise ApiError(400, "bad_request", f"{error.message}.") from error
    except (ValueError, OverflowError) as error:
        said = "from and to: with by_date, dates such as 2026-03-01."
        raise ApiError(400, "bad_request", said) from error
    return {"from": start, "to": end}


def _time(text: str, timezone: str) -> datetime:
    """A time of a query string, where a + that is not written %2B comes as a space."""
    return read_time(_LOST_PLUS.sub(r"\1+\2", text), timezone)


def _next_hour(at: datetime) -> datetime:
    """The UTC hour that ends at or after an instant."""
    return at + (datetime(1970, 1, 1, tzinfo=UTC) - at) % _HOUR
