"""GET /alerts: pages, states, sites of a key, ETag."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from sql.connect import connect
from sql.keys import KeyTerms, create_key
from sql.plant.sites import register_site
from tests.support.http import V1, serving

pytestmark = pytest.mark.plain


@pytest.fixture(scope="module")
def api(common_dsn: str) -> Iterator[httpx.Client]:
    """25 alerts at two sites; every fifth is resolved, one is snoozed."""
    with connect(common_dsn) as conn:
        keys = {register_site(conn, site): site for site in ("a", "b")}
        for number in range(25):
            site_key = sorted(keys)[number % 2]
            conn.execute(
                "select ops.raise_alert(%s, 'parked', %s, 'warning',"
                " '{\"current\": 1}', now())",
                (site_key, f"events {number}"),
            )
        conn.execute(
            "select ops.resolve_alert(alert_key, now(), 'Ann', null) from ops.alerts"
            " where alert_key % 5 = 0"
        )
        conn.execute(
            "select ops.snooze_alert(1, now(), now() + interval '1 h', 'Ann', 'later')"
        )
        with serving(common_dsn) as client:
            yield client


def alerts(api: httpx.Client, **params: object) -> list[dict[str, object]]:
    """All pages."""
    rows: list[dict[str, object]] = []
    asked = {name: str(value) for name, value in params.items()} | {"limit": "7"}
    while True:
        answer = api.get(f"{V1}/alerts", params=asked)
        assert answer.status_code == 200, answer.text
        rows += answer.json()["rows"]
        if answer.json()["next"] is None:
            return rows
        asked["after"] = answer.json()["next"]


def test_pages_are_newest_first_and_hold_what_is_not_resolved(
    api: httpx.Client,
) -> None:
    found = [row["alert_id"] for row in alerts(api)]
    assert found == [n for n in range(25, 0, -1) if n % 5]
    everything = [row["alert_id"] for row in alerts(api, state="all")]
    assert everything == list(range(25, 0, -1))
    assert {row["alert_state"] for row in alerts(api, state="resolved")} == {"resolved"}
    (snoozed,) = alerts(api, state="snoozed")
    assert (snoozed["note"], snoozed["detail"]) == ("later", {"current": 1})


def test_a_site_has_its_own(api: httpx.Client) -> None:
    rows = alerts(api, site="a", state="all")
    assert len(rows) == 13
    assert {row["site_id"] for row in rows} == {"a"}


def test_the_same_answer_is_not_sent_twice(api: httpx.Client) -> None:
    first = api.get(f"{V1}/alerts")
    again = api.get(f"{V1}/alerts", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "params",
    [
        {"state": "closed"},
        {"after": "x"},
        {"after": "WyJ4Il0"},
        {"limit": "0"},
        {"site": "a\0"},
    ],
)
def test_what_cannot_be_asked_is_refused(
    api: httpx.Client, params: dict[str, str]
) -> None:
    answer = api.get(f"{V1}/alerts", params=params)
    assert answer.status_code == 400
    assert answer.json()["error"] == "bad_request"


def test_a_key_of_one_site_sees_its_alerts_only(
    common_dsn: str, api: httpx.Client
) -> None:
    with connect(common_dsn) as conn:
        key = create_key(conn, "reader", KeyTerms(("read",), ("a",)), "test")
        try:
            headers = {"Authorization": f"Bearer {key}"}
            rows = api.get(f"{V1}/alerts", headers=headers).json()["rows"]
            assert {row["site_id"] for row in rows} == {"a"}
            other = api.get(f"{V1}/alerts", params={"site": "b"}, headers=headers)
            assert other.status_code == 403
        finally:
            conn.execute("delete from ingest.api_keys")
