"""What a stranger tries: other methods, misspelt parameters, bodies by other names."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.support.http import V1, event, serving

pytestmark = pytest.mark.plain
EVENTS = f"{V1}/events"
NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def api(dsn: str) -> Iterator[httpx.Client]:
    with serving(dsn) as client:
        yield client


def test_another_method_is_told_which_ones_there_are(api: httpx.Client) -> None:
    for method, path, allow in (
        ("POST", f"{EVENTS}/file", "OPTIONS, PUT"),
        ("DELETE", EVENTS, "GET, HEAD, OPTIONS, POST"),
        ("POST", "/api/docs", "GET, HEAD, OPTIONS"),
        ("GET", f"{V1}/retraining/3/state", "OPTIONS, POST"),
        ("HEAD", f"{EVENTS}/file", "OPTIONS, PUT"),
    ):
        answer = api.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allow), path
        if method != "HEAD":
            assert answer.json()["error"] == "method_not_allowed"
            assert path in answer.json()["message"]
    assert api.options(EVENTS).status_code == 204
    assert api.get(f"{EVENTS}/nowhere").json()["error"] == "not_found"


def test_head_is_what_get_answers_without_its_body(api: httpx.Client) -> None:
    for path in (f"{V1}/health", f"{V1}/sites", EVENTS, "/api/docs"):
        head, got = api.head(path), api.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(got.content))
        assert head.headers.get("etag") == got.headers.get("etag")
    assert api.head(f"{V1}/metrics/workers").status_code == 400
    assert api.head(EVENTS, headers={"X-Real-IP": "10.0.0.1"}).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        f"{EVENTS}?site_id=plant",
        f"{V1}/sites?stat=open",
        f"{V1}/metrics/factory?FROM=2026-11-01T00:00Z",
        f"{V1}/alerts?sites=plant",
        f"{V1}/rejects?codes=bad_time",
        f"{V1}/retraining?limt=1",
    ],
)
def test_a_parameter_that_nobody_knows_is_refused(api: httpx.Client, path: str) -> None:
    """`?site_id=plant` would be answered with the numbers of all sites."""
    answer = api.get(path)
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert "there are " in answer.json()["message"]


def test_a_file_with_a_misspelt_parameter_is_not_stored(api: httpx.Client) -> None:
    body = "time,worker_id,workstation_id,event_type,confidence\n"
    answer = api.put(f"{EVENTS}/file?site=plant&timezon=Europe/Berlin", content=body)
    assert answer.status_code == 400
    said = answer.json()["message"]
    assert said.startswith("timezon: ")
    assert "timezone" in said


@pytest.mark.parametrize("kind", [JSON, NDJSON, {}], ids=["json", "ndjson", "none"])
def test_a_body_is_what_it_is_whatever_it_is_called(
    api: httpx.Client, kind: dict[str, str]
) -> None:
    one = event()
    for body, outcome in (
        (json.dumps([one, event(time="2026-11-01T06:01:00Z")]), (2, 0)),
        (json.dumps([one], indent=1), (1, 0)),
        (json.dumps(one, indent=1), (1, 0)),
        ("1\n2\n", (0, 2)),
        ("null\nnull", (0, 2)),
        ("[]\n" + json.dumps(one), (1, 1)),
        ("7", (0, 1)),
    ):
        answer = api.post(EVENTS, content=body, headers=kind).json()
        taken = answer["stored"] + answer["duplicates"]
        assert (taken, len(answer["parked"])) == outcome, body
    for body in ('{"a":\n{"b":', "1\nx", "", "\n\n"):
        answer = api.post(EVENTS, content=body, headers=kind)
        assert (answer.status_code, answer.json()["error"]) == (400, "bad_json")


def test_blank_lines_are_no_events_however_many(api: httpx.Client) -> None:
    lines = [json.dumps(event(worker_id=f"W{n}")) for n in range(2)]
    body = ("\n" * 60_000).join(lines)
    assert api.post(EVENTS, content=body, headers=NDJSON).json()["stored"] == 2
    many = api.post(EVENTS, content="{}\n" * 50_000, headers=NDJSON)
    assert (many.status_code, many.json()["error"]) == (413, "too_many")


def test_who_sends_all_before_reading_still_reads_why_not(api: httpx.Client) -> None:
    """urllib and requests do so: they saw a connection that was reset."""
    head = (
        f"POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {18 << 20}\r\n"
    )
    for more, status in (("", b" 413 "), ("X-Real-IP: 10.0.0.1\r\n", b" 401 ")):
        address = (api.base_url.host, api.base_url.port or 0)
        with socket.create_connection(address, timeout=30) as line:
            line.sendall(f"{head}{more}\r\n".encode())
            line.sendall(b" " * (18 << 20))
            assert status in line.recv(100)


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Host", "X-Forwarded-Proto", "CF-Connecting-IP", "X-Client-IP"]
)
def test_whatever_a_proxy_adds_makes_nobody_local(api: httpx.Client, name: str) -> None:
    assert api.get(f"{V1}/sites", headers={name: "x"}).status_code == 401


def test_a_retry_says_that_it_takes_json(api: httpx.Client) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = api.post(f"{V1}/rejects/retry", content='{"dry_run":true}', headers=form)
    assert answer.status_code == 400
    assert "Content-Type: application/json" in answer.json()["message"]
    answer = api.post(f"{V1}/rejects/retry", content="{", headers=JSON)
    assert "body is no JSON" in answer.json()["message"]


def test_a_plus_that_was_not_escaped_is_read_as_one(api: httpx.Client) -> None:
    assert api.post(EVENTS, json=event()).json()["stored"] == 1
    asked = "site=plant&from=2026-11-01T06:00+00:00&to=2026-11-01T08:00:00+01:00"
    told = api.get(f"{V1}/metrics/workers?{asked}").json()
    assert (told["from"], told["to"]) == (
        "2026-11-01T06:00:00Z",
        "2026-11-01T07:00:00Z",
    )
