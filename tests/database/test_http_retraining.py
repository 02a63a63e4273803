"""Retraining over HTTP: pages, a request's whole way, keys, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sql.connect import Connection, connect
from sql.keys import KeyTerms, create_key
from sql.model_health.retraining import request
from sql.plant.sites import register_site
from tests.support.http import V1, serving

pytestmark = pytest.mark.parametrize("engine", ["plain"], indirect=True)
PATH = f"{V1}/retraining"


@pytest.fixture(scope="module")
def api(common_dsn: str) -> Iterator[httpx.Client]:
    """Nine versions at each of two sites, a request for each; one of b is rejected."""
    with connect(common_dsn) as conn:
        for site in ("a", "b"):
            key = register_site(conn, site)
            names = [f"v{n}" for n in range(12)]
            conn.execute("select floor.register_models(%s, %s)", (key, names))
            for name in names[:9]:
                request(conn, site, name, "Ann", None)
        with serving(common_dsn) as client:
            done = client.post(f"{PATH}/18/state", json={"state": "rejected"})
            assert done.status_code == 200, done.text
            yield client


def exported(conn: Connection, number: int) -> None:
    """As `retraining export` leaves it, a failed webhook that was given up."""
    conn.execute(
        "select ops.keep_export(%s, '/data', '{}', 'ab', now(), 'Ann', null)", (number,)
    )
    conn.execute(
        "update ops.retraining_calls c set attempts = 12, gave_up_at = now(),"
        " last_error = 'answered 500' from ops.retraining_exports e"
        " where e.export_key = c.export_key and e.request_key = %s"
        " and c.target = 'webhook'",
        (number,),
    )


def pages(api: httpx.Client, path: str, **params: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    asked = {**params, "limit": "4"}
    while True:
        found = api.get(path, params=asked)
        assert found.status_code == 200, found.text
        rows += found.json()["rows"]
        if found.json()["next"] is None:
            return rows
        asked["after"] = found.json()["next"]


def test_pages_hold_what_has_not_ended_the_newest_first(api: httpx.Client) -> None:
    assert [r["request_id"] for r in pages(api, PATH)] == list(range(17, 0, -1))
    every = pages(api, PATH, state="all")
    assert [r["request_id"] for r in every] == list(range(18, 0, -1))
    (rejected,) = pages(api, PATH, state="rejected")
    assert (rejected["site_id"], rejected["model_version"]) == ("b", "v8")
    assert {r["site_id"] for r in pages(api, PATH, site="a", state="all")} == {"a"}
    first = api.get(PATH)
    again = api.get(PATH, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_way_of_a_request(api: httpx.Client, common_dsn: str) -> None:
    """Asked, approved, exported, its call given up and made due again, trained."""
    said = {"site_id": "a", "model_version": "v9", "by": "Ben", "note": "new lamps"}
    made = api.post(PATH, json=said)
    assert made.status_code == 201, made.text
    number = made.json()["request_id"]
    assert made.json()["requested_by"] == "Ben"
    assert api.post(PATH, json=said).status_code == 409
    early = api.post(f"{PATH}/{number}/state", json={"state": "trained"})
    assert early.status_code == 409
    assert "It can become approved or rejected" in early.json()["message"]
    api.post(f"{PATH}/{number}/state", json={"state": "approved"})
    with connect(common_dsn) as conn:
        exported(conn, number)
    (call,) = pages(api, f"{PATH}/calls", state="given up")
    assert (call["request_id"], call["last_error"]) == (number, "answered 500")
    due = api.post(f"{PATH}/{number}/calls/retry")
    assert due.json() == {"due": 2}
    assert pages(api, f"{PATH}/calls", state="given up") == []
    trained = {"state": "trained", "model_version": "v10", "note": "pipeline 7"}
    whole = api.post(f"{PATH}/{number}/state", json=trained).json()
    assert whole == api.get(f"{PATH}/{number}").json()
    states = ["requested", "approved", "exported", "trained"]
    assert [step["request_state"] for step in whole["steps"]] == states
    last = whole["steps"][-1]
    assert (last["who"], last["note"]) == ("local", "pipeline 7")
    assert last["detail"] == {"model_version": "v10"}
    told = {call["target"]: call["call_state"] for call in whole["calls"]}
    assert told == {"webhook": "dropped", "mlflow": "pending"}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("", {"site_id": "nowhere"}, 404),
        ("", {"site_id": "a", "model_version": "v99"}, 400),
        ("", {"site_id": "a", "model_version": "v\0"}, 400),
        ("", {"site_id": "a", "note": "x" * 1001}, 400),
        ("", {"site_id": "a", "why": "x"}, 400),
        ("/999/state", {"state": "approved"}, 404),
        ("/1/state", {"state": "exported"}, 400),
        ("/1/state", {"state": "approved", "note": "\0"}, 400),
        ("/x/state", {"state": "approved"}, 400),
        (f"/{2**63}/state", {"state": "approved"}, 400),
        ("/999/calls/retry", None, 404),
    ],
)
def test_what_cannot_be_is_refused(
    api: httpx.Client, path: str, body: Any, status: int
) -> None:
    found = api.post(f"{PATH}{path}", json=body)
    assert found.status_code == status, found.text
    assert {"error", "message"} <= found.json().keys()


def test_a_body_that_is_no_json(api: httpx.Client) -> None:
    found = api.post(PATH, content=b"{", headers={"content-type": "application/json"})
    assert (found.status_code, found.json()["error"]) == (400, "bad_json")


def test_a_key_may_what_it_says_and_of_its_sites(
    common_dsn: str, api: httpx.Client
) -> None:
    with connect(common_dsn) as conn:
        reader = create_key(conn, "reader", KeyTerms(("read",), ("a",)), "test")
        trainer = create_key(conn, "trainer", KeyTerms(("retrain",), ("a",)), "test")
        try:
            reads = {"Authorization": f"Bearer {reader}"}
            trains = {"Authorization": f"Bearer {trainer}"}
            rows = api.get(PATH, headers=reads).json()["rows"]
            assert {row["site_id"] for row in rows} == {"a"}
            assert api.get(PATH, headers=trains).status_code == 403
            assert api.get(f"{PATH}/10", headers=reads).status_code == 404
            answer = {"state": "approved"}
            url = f"{PATH}/1/state"
            assert api.post(url, json=answer, headers=reads).status_code == 403
            moved = api.post(url, json=answer, headers=trains).json()
            assert moved["steps"][-1]["who"] == "trainer"
            url = f"{PATH}/10/state"
            assert api.post(url, json=answer, headers=trains).status_code == 404
            asked = {"site_id": "b", "model_version": "v10"}
            assert api.post(PATH, json=asked, headers=trains).status_code == 403
        finally:
            conn.execute("delete from ingest.api_keys")
