"""GET /metrics: what Prometheus asks, in its text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from etl.http.access import Access
from etl.http.errors import ApiError
from etl.http.gather import Gatherer
from etl.http.reader import Reader

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_Value = tuple[dict[str, str], float]
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_BACKLOG = {
    "dirty_events": "Events not cut into activity yet",
    "touched_hours": "Hours not aggregated yet",
}
_ENDED = ("stored", "duplicates", "conflicts", "parked")
_RECEIVED = {
    "posts": "Posts answered by this process",
    "groups": "Transactions that held them",
    "small_groups": "Of these, those of a few plain events",
    "refused": "Posts answered 503",
    "stored": "Events stored",
    "duplicates": "Events that were there already",
    "parked": "Events parked",
    "seconds": "Seconds that posts waited for their commit",
}


def prometheus_routes(access: Access, reader: Reader, gatherer: Gatherer) -> APIRouter:
    """The route at the root; it answers also while the database does not."""
    routes = APIRouter(tags=["health"])

    @routes.get("/metrics", response_class=PlainTextResponse, summary="For Prometheus")
    async def metrics(request: Request) -> PlainTextResponse:
        """Freshness, backlog, what came in and what is parked."""
        caller = await access.caller(request, "read")
        caller.require_site(None)
        lines = [*_own(gatherer)]
        try:
            lines += await _database(reader)
        except ApiError:
            lines += _family("up", "gauge", "The database answers", [({}, 0)])
        return PlainTextResponse("\n".join(lines) + "\n", media_type=_TYPE)

    return routes


def _own(gatherer: Gatherer) -> Iterator[str]:
    for name, value in asdict(gatherer.received).items():
        told: list[_Value] = [({}, value)]
        yield from _family(f"http_{name}_total", "counter", _RECEIVED[name], told)
    waiting: list[_Value] = [({}, gatherer.waiting)]
    yield from _family("http_waiting_events", "gauge", "Wait for the door", waiting)


async def _database(reader: Reader) -> list[str]:
    stages = await reader.rows("freshness")
    backlog = await reader.rows("backlog")
    ingested = await reader.rows("ingested")
    codes = await reader.rows("parked_codes")
    consumers = await reader.rows("consumers")
    lines = _family("up", "gauge", "The database answers", [({}, 1)])
    lags = [
        (_labels(row, "stage"), row["lag_s"])
        for row in stages
        if row["lag_s"] is not None
    ]
    lines += _family("freshness_lag_seconds", "gauge", "How far a stage is", lags)
    well = [(_labels(row, "stage"), int(row["ok"])) for row in stages]
    lines += _family("freshness_ok", "gauge", "Whether that is well", well)
    for name, said in _BACKLOG.items():
        told = [(_labels(row), row[name]) for row in backlog]
        lines += _family(f"backlog_{name}", "gauge", said, told)
    ended = [
        (_labels(row) | {"outcome": name}, row[name])
        for row in ingested
        for name in _ENDED
    ]
    lines += _family("events_total", "counter", "What came in, by outcome", ended)
    lines += _consumers(consumers)
    parked = [({"code": row["code"]}, row["parked"]) for row in codes]
    return lines + _family("parked_events", "gauge", "What stands parked", parked)


def _consumers(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What brokers hold, and what was taken of it, by consumer."""
    said = {"lag": "The broker holds for it", "messages": "Acknowledged since it began"}
    for column, (name, kind) in {
        "lag": ("consumer_lag_messages", "gauge"),
        "messages": ("consumer_messages_total", "counter"),
    }.items():
        told = [
            ({"source": row["source"], "name": row["name"]}, row[column])
            for row in rows
            if row[column] is not None
        ]
        yield from _family(name, kind, said[column], told)


def _labels(row: dict[str, Any], *more: str) -> dict[str, str]:
    return {"site": row["site_id"]} | {name: row[name] for name in more}


def _family(name: str, kind: str, said: str, values: Iterable[_Value]) -> list[str]:
    """One metric with its help, its type and its values."""
    name = f"floorpulse_{name}"
    lines = [f"# HELP {name} {said}", f"# TYPE {name} {kind}"]
    for labels, value in values:
        pairs = (f'{k}="{v.translate(_ESCAPED)}"' for k, v in labels.items())
        told = ",".join(pairs)
        lines.append(f"{name}{{{told}}} {value}" if told else f"{name} {value}")
    return lines
