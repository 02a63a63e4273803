"""What the API tells: lists by page, metrics as SQL has them, ETags, Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from scheduler.refresh import refresh_site
from sql.plant.registry import set_worker
from tests.support.http import V1, event, serving
from tests.support.wallclock import moment

EXAMPLE = [
    ("10:00", "working", {}),
    ("10:02", "product_count", {"count": 3}),
    ("10:05", "product_count", {"count": 2}),
    ("10:07", "idle", {}),
    ("10:10", "product_count", {"count": 1}),
    ("10:12", "working", {}),
]
DAY = {"from": "2026-11-01", "to": "2026-11-02"}


@pytest.fixture(scope="module")
def api(common_dsn: str) -> Iterator[httpx.Client]:
    """The example of metrics.md, sent and refreshed, and a site of many workers."""
    with serving(common_dsn) as client:
        body = [
            event(time=f"2026-11-01T{time}:00Z", event_type=kind, **more)
            for time, kind, more in EXAMPLE
        ]
        assert client.post(f"{V1}/events", json=body).json()["stored"] == len(EXAMPLE)
        now = moment(1_793_527_920_000_000)
        assert now.isoformat() == "2026-11-01T10:12:00+00:00"
        refresh_site(common_dsn, "plant", now)
        many = [
            event(site_id="many", worker_id=f"W{n}", workstation_id=f"S{n}")
            for n in range(25)
        ]
        client.post(f"{V1}/events", json=many)
        yield client


def pages(api: httpx.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after = None
    while True:
        more: dict[str, str] = {"after": after} if after else {}
        answer = api.get(f"{V1}/{path}", params=params | {"limit": 7} | more)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        rows += said["rows"]
        after = said["next"]
        if after is None:
            return rows
        assert len(said["rows"]) == 7


def test_the_worked_example_of_the_metrics(api: httpx.Client) -> None:
    said = api.get(f"{V1}/metrics/workers", params={"site": "plant", **DAY}).json()
    (row,) = said["rows"]
    assert (row["working_s"], row["idle_s"], row["units"]) == (420, 300, 6)
    assert row["utilization"] == pytest.approx(420 / 720)
    assert row["units_per_hour"] == pytest.approx(42.857, abs=0.001)
    assert said["now"] == "2026-11-01T10:12:00Z"
    by_date = {"site": "plant", "from": "2026-11-01", "by_date": "true"}
    answer = api.get(f"{V1}/metrics/factory", params=by_date | {"to": "2026-11-01"})
    assert answer.json()["rows"][0]["units"] == 6
    default = api.get(f"{V1}/metrics/factory", params={"site": "plant"}).json()
    assert default["to"] == "2026-11-01T11:00:00Z"
    assert default["rows"][0]["working_s"] == 420


def test_benches_and_all_sites_together(api: httpx.Client) -> None:
    params = {"site": "plant", **DAY}
    (row,) = api.get(f"{V1}/metrics/workstations", params=params).json()["rows"]
    assert row["workstation_id"] == "S1"
    assert row["occupied_s"] == 720
    everything = api.get(f"{V1}/metrics/factory", params=DAY).json()
    assert everything["site"] is None
    assert everything["rows"][0]["units"] == 6


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("workers", ("site_id", "worker_id")),
        ("workstations", ("site_id", "workstation_id")),
        ("metrics/workers", ("worker_id",)),
        ("metrics/workstations", ("workstation_id",)),
    ],
)
def test_pages_follow_each_other(
    api: httpx.Client, path: str, keys: tuple[str, ...]
) -> None:
    rows = pages(api, path, site="many", **(DAY if "metrics" in path else {}))
    found = [tuple(row[key] for key in keys) for row in rows]
    assert len(found) == 25
    assert found == sorted(set(found))


def test_recent_events_come_newest_first(
    api: httpx.Client,
) -> None:
    start = datetime.now(UTC) - timedelta(minutes=5)
    body = [
        event(site_id="live", time=(start + timedelta(seconds=n // 3)).isoformat())
        | {"worker_id": f"W{n % 3}"}
        for n in range(30)
    ]
    api.post(f"{V1}/events", json=body)
    rows = pages(api, "events", site="live")
    found = [(row["time"], row["worker_id"]) for row in rows]
    assert len(found) == 30
    assert found == sorted(set(found), reverse=True)
    assert rows[0]["confidence"] == pytest.approx(0.9)


def test_sites(api: httpx.Client) -> None:
    rows = api.get(f"{V1}/sites").json()["rows"]
    plant = next(row for row in rows if row["site_id"] == "plant")
    assert plant["now"] == "2026-11-01T10:12:00Z"
    assert plant["timezone"] == "UTC"


def test_an_answer_that_is_known_is_not_sent_again(
    api: httpx.Client, common_dsn: str
) -> None:
    params = {"site": "plant", **DAY}
    for path in ("metrics/workers", "metrics/factory", "workers", "events"):
        answer = api.get(f"{V1}/{path}", params=params)
        tag = answer.headers["ETag"]
        assert tag.startswith('W/"')
        same = api.get(f"{V1}/{path}", params=params, headers={"If-None-Match": tag})
        assert (same.status_code, same.content) == (304, b"")
        assert same.headers["ETag"] == tag
    tag = api.get(f"{V1}/metrics/workers", params=params).headers["ETag"]
    refresh_site(common_dsn, "plant", moment(1_793_527_920_000_000 + 60_000_000))
    answer = api.get(
        f"{V1}/metrics/workers", params=params, headers={"If-None-Match": tag}
    )
    assert answer.status_code == 200
    refresh_site(common_dsn, "plant", moment(1_793_527_920_000_000))


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("metrics/workers", {}, 400),
        ("metrics/workers", {"site": "nowhere"}, 404),
        ("metrics/factory", {"site": "plant", "shift": "nobody's"}, 404),
        ("metrics/factory", {"from": "2026-11-01T10:30Z"}, 400),
        ("metrics/factory", {"from": "2026-11-02", "to": "2026-11-01"}, 400),
        ("metrics/factory", {"from": "yesterday"}, 400),
        ("metrics/factory", {"from": "10:00", "by_date": "true"}, 400),
        ("metrics/factory", {"by_date": "perhaps"}, 400),
        ("metrics/factory", {"site": "\0"}, 400),
        ("workers", {"after": "nonsense"}, 400),
        ("workers", {"after": "WzFd"}, 400),
        ("workers", {"limit": "0"}, 400),
        ("workers", {"limit": "many"}, 400),
        ("events", {"after": "WyJhIiwiYSIsImEiLCJhIiwiYSJd"}, 400),
    ],
)
def test_what_cannot_be_asked(
    api: httpx.Client, path: str, params: dict[str, str], status: int
) -> None:
    answer = api.get(f"{V1}/{path}", params=params)
    assert answer.status_code == status, answer.text
    assert answer.json()["message"]


def test_prometheus(api: httpx.Client) -> None:
    answer = api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    line = re.compile(r'(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? [-+.\deE]+)')
    lines = answer.text.splitlines()
    assert all(line.fullmatch(one) for one in lines), answer.text
    assert "floorpulse_up 1" in lines
    assert 'floorpulse_events_total{site="plant",outcome="stored"} 6' in lines
    assert 'floorpulse_backlog_touched_hours{site="plant"} 0' in lines
    assert any(
        one.startswith('floorpulse_freshness_lag_seconds{site="plant",stage="cut"}')
        for one in lines
    )


def test_the_page_of_the_api_asks_no_other_host(api: httpx.Client) -> None:
    page = api.get("/api/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text
    for asset in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert api.get(f"/api/{asset}").status_code == 200, asset
    assert api.get("/api/docs/../http.py").status_code == 404


def test_openapi_describes_every_route_with_an_example(api: httpx.Client) -> None:
    openapi = api.get("/api/openapi.json").json()
    assert {f"{V1}/events", f"{V1}/events/file", f"{V1}/rejects", "/metrics"} <= {
        *openapi["paths"]
    }
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            assert operation["description"], path
            if path.startswith(V1) and "health" not in operation["tags"]:
                assert "401" in operation["responses"], (path, method)


def test_the_examples_of_openapi_work_as_they_are(api: httpx.Client) -> None:
    openapi = api.get("/api/openapi.json").json()
    body = openapi["paths"][f"{V1}/events"]["post"]["requestBody"]["content"]
    for example in body["application/json"]["examples"].values():
        answer = api.post(f"{V1}/events", json=example["value"]).json()
        assert [r["code"] for r in answer["parked"]] in ([], ["future_time"] * 2)
    csv = openapi["paths"][f"{V1}/events/file"]["put"]["requestBody"]["content"]
    answer = api.put(f"{V1}/events/file", content=csv["text/csv"]["example"].encode())
    assert answer.status_code == 200
    assert answer.json()["read"] == 1


def test_names_show(api: httpx.Client, common_dsn: str) -> None:
    with psycopg.connect(common_dsn, autocommit=True) as conn:
        set_worker(conn, "plant", "W1", name="Ada")
    (row,) = api.get(f"{V1}/workers", params={"site": "plant"}).json()["rows"]
    assert (row["name"], row["discovered"]) == ("Ada", False)
