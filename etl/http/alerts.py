"""GET /alerts: what is wrong, page by page."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response

from etl.http.access import Access
from etl.http.lists import newest_first
from etl.http.pages import ONLY_KNOWN, After, Limit, SiteOf, page, tagged
from etl.http.reader import Reader
from etl.http.schema import page_answers

State = Literal["unresolved", "open", "acknowledged", "snoozed", "resolved", "all"]
_AT = "2026-11-20T10:15:00Z"
_ALERT: dict[str, Any] = {
    "alert_id": 12,
    "site_id": "plant",
    "signal": "confidence_shape",
    "subject": "pose-1.4.0 cam-02",
    "severity": "warning",
    "alert_state": "acknowledged",
    "opened_at": _AT,
    "last_bad_at": _AT,
    "reopened": 0,
    "acknowledged_by": "Ann",
    "note": "lens is being cleaned",
    "snoozed_until": None,
    "resolved_at": None,
    "detail": {
        "span": "day",
        "current": 0.41,
        "baseline": 0,
        "threshold": 0.25,
        "events": 812,
    },
}


def alert_routes(access: Access, reader: Reader) -> APIRouter:
    """The route that lists alerts."""
    routes = APIRouter(tags=["alerts"], dependencies=[ONLY_KNOWN])

    @routes.get("/alerts", summary="Alerts", responses=page_answers("Alerts", _ALERT))
    async def alerts(
        request: Request,
        site: SiteOf = None,
        state: State = "unresolved",
        after: After = None,
        limit: Limit = 100,
    ) -> Response:
        """Alerts, the newest first; without `state`, whatever is not resolved."""
        caller = await access.caller(request, "read")
        values = newest_first(caller, site, state, after, limit)
        rows = await reader.rows("page", values, file="alerts")
        return tagged(request, page(rows, limit, ["alert_id"]))

    return routes
