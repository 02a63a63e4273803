"""Requests to train a model anew, as people answer them; the rules are SQL's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from threading import Event
from typing import Any

import psycopg

from sql.connect import Connection
from sql.errors import BadSetting, NotItsTurn, UnknownRequest
from sql.model_health.drift import add_up
from sql.plant.sites import require_site, rows_of, site_key_of
from sql.queries import load

STATES = ("requested", "approved", "exported", "trained", "deployed", "rejected")
ANSWERS = ("approved", "trained", "deployed", "rejected")


def raise_requests(
    conn: Connection, site_id: str | None = None, stop: Event | None = None
) -> int:
    """Requests for models whose signals held, or that people found wrong too often.

    A site is a transaction of its own. Returns how many are new. Raises UnknownSite.
    """
    require_site(conn, site_id)
    raised = 0
    for site_key, *_ in conn.execute(load("drift")["sites"], {"site": site_id}):
        if stop is not None and stop.is_set():
            break
        at = {"site_key": site_key, "now": _value(conn, load("drift")["clock"], {})}
        raised += _value(conn, load("retraining")["raise"], at)
    return raised


def request(
    conn: Connection, site_id: str, model: str | None, who: str, note: str | None
) -> dict[str, Any]:
    """A person's request; returns it. NotItsTurn where one is open already.

    model None: events that name no version. Raises UnknownSite, and BadSetting for a
    version that nobody has seen, or where every event names one.
    """
    site_key = site_key_of(conn, site_id)
    queries = load("retraining")
    named = {"site_key": site_key, "model": model}
    try:
        model_key = _value(conn, queries["model_key"], named)
    except psycopg.errors.NoDataFound as error:
        raise BadSetting(_said(error)) from error
    add_up(conn, site_id)
    if not model_key and (
        named_ones := _value(conn, queries["versions_without_unnamed"], named)
    ):
        raise BadSetting(
            f"Every event of {site_id} names its model version: say which, of "
            f"{named_ones}"
        )
    of = {"site_key": site_key, "model_key": model_key}
    now: datetime = _value(conn, load("drift")["clock"], {})
    said = of | {"who": who, "note": note, "now": now}
    key = _value(conn, queries["request"], said)
    if key is None:
        row = conn.execute(queries["open_of"], of).fetchone()
        which = f"request {row[0]}, {row[1]}," if row else "a request"
        raise NotItsTurn(
            f"There is {which} for {model or 'events without a version'} at {site_id} "
            "already: only one of a site and model is open at a time"
        )
    return show(conn, int(key))


def list_requests(
    conn: Connection, site_id: str | None, state: str | None, limit: int = 100
) -> list[dict[str, Any]]:
    """Requests of a site (None: all); state None: whatever has not ended."""
    if state not in (None, "all", *STATES):
        raise BadSetting(f"--state {state!r} is none of {', '.join(STATES)}, all")
    require_site(conn, site_id)
    asked = {"site": site_id, "state": state, "limit": limit}
    return rows_of(conn, load("retraining")["list"], asked)


def show(conn: Connection, number: int) -> dict[str, Any]:
    """A request with its evidence, steps and calls. Raises UnknownRequest."""
    asked = {"request": number}
    found = rows_of(conn, load("retraining")["one"], asked)
    if not found:
        raise UnknownRequest(
            f"There is no retraining request {number}; `floorpulse retraining list "
            "--state all` shows all there are"
        )
    return found[0] | {
        "steps": rows_of(conn, load("retraining")["steps"], asked),
        "calls": rows_of(conn, load("retraining")["calls"], asked),
    }


def move(
    conn: Connection,
    number: int,
    state: str,
    who: str,
    note: str | None = None,
    *,
    detail: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Bring a request into one of ANSWERS; returns it.

    NotItsTurn where it cannot come there, UnknownRequest where there is none.
    """
    if state not in ANSWERS:
        raise BadSetting(f"{state!r} is none of {', '.join(ANSWERS)}")
    said = {"request": number, "state": state, "who": who, "note": note}
    said["detail"] = json.dumps(dict(detail or {}))
    with refusals():
        conn.execute(load("retraining")["move"], said)
    return show(conn, number)


def retry_calls(conn: Connection, number: int) -> int:
    """Have calls of a request that wait, or were given up, made at once; how many.

    The scheduler, or `scheduler.pipeline.deliver`, makes them. Raises UnknownRequest.
    """
    show(conn, number)
    query = load("retraining")["retry_calls"]
    return int(_value(conn, query, {"request": number}))


@contextmanager
def refusals() -> Iterator[None]:
    """What SQL refuses, as our errors."""
    try:
        yield
    except psycopg.errors.NoDataFound as error:
        raise UnknownRequest(_said(error)) from error
    except psycopg.errors.RaiseException as error:
        raise NotItsTurn(_said(error)) from error


def _said(error: psycopg.Error) -> str:
    hint = error.diag.message_hint
    return ". ".join(p for p in (error.diag.message_primary, hint) if p)


def _value(conn: Connection, query: str, values: Mapping[str, Any]) -> Any:
    row = conn.execute(query, values).fetchone()
    return row[0] if row else None
