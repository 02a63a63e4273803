"""POST /api/v1/events: every row gets its answer, whatever the body is."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
import zstandard

from etl.elements import DEEPEST
from etl.http.events import MOST_EVENTS
from tests.support.http import V1, event, serving

pytestmark = pytest.mark.plain

EVENTS = f"{V1}/events"


@pytest.fixture(scope="module")
def shared(common_dsn: str) -> Iterator[httpx.Client]:
    """For tests that do not ask what is stored."""
    with serving(common_dsn) as client:
        yield client


def told(answer: httpx.Response) -> tuple[int, int, int, list[tuple[int, str]]]:
    """Stored, duplicates, conflicts, and index and code of what was parked."""
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert list(said) == ["stored", "duplicates", "conflicts", "parked"]
    assert all(reject["message"] for reject in said["parked"])
    parked = [(reject["index"], reject["code"]) for reject in said["parked"]]
    return said["stored"], said["duplicates"], said["conflicts"], parked


def ndjson(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def at(second: int, **more: Any) -> dict[str, Any]:
    minutes, seconds = divmod(second, 60)
    return event(time=f"2026-11-01T06:{minutes:02d}:{seconds:02d}Z", **more)


def test_one_object_is_stored(api: httpx.Client, conn: psycopg.Connection) -> None:
    assert told(api.post(EVENTS, json=event())) == (1, 0, 0, [])
    row = conn.execute("select worker_id, confidence from analytics.recent_events")
    stored = conn.execute("select count(*), max(confidence) from floor.events")
    assert row is not None
    assert stored.fetchone() == (1, pytest.approx(0.9))


def test_an_array_is_answered_row_by_row(api: httpx.Client) -> None:
    api.post(EVENTS, json=at(1))
    body = [
        at(0),
        at(1),
        at(1, confidence=0.8),
        event(time="noon"),
        5,
        at(2),
        at(2),
        [at(3)],
        None,
    ]
    assert told(api.post(EVENTS, json=body)) == (
        2,
        3,
        1,
        [(3, "bad_time"), (4, "malformed"), (7, "malformed"), (8, "malformed")],
    )


def test_sending_it_again_changes_nothing(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    body = [at(second) for second in range(100)]
    assert told(api.post(EVENTS, json=body)) == (100, 0, 0, [])
    assert told(api.post(EVENTS, json=body)) == (0, 100, 0, [])
    assert conn.execute("select count(*) from floor.events").fetchone() == (100,)


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "", "application/json"])
def test_ndjson(api: httpx.Client, media_type: str) -> None:
    body = ndjson(at(0), at(1)) + b"\n{broken\n" + ndjson(at(2), "text")
    answer = api.post(EVENTS, content=body, headers={"Content-Type": media_type})
    assert told(answer) == (3, 0, 0, [(2, "malformed"), (4, "malformed")])


@pytest.mark.parametrize("value", [5, "text", None, True])
def test_a_body_that_is_no_object_is_parked(shared: httpx.Client, value: Any) -> None:
    answer = shared.post(EVENTS, content=json.dumps(value).encode())
    assert told(answer) == (0, 0, 0, [(0, "malformed")])


def test_an_empty_array_is_nothing(shared: httpx.Client) -> None:
    assert told(shared.post(EVENTS, json=[])) == (0, 0, 0, [])


@pytest.mark.parametrize(
    "body", [b"", b"\n\n", b"{", b"time,site_id\n1,2\n", b"\xff\xfe", b"[1,", b"[{}"]
)
def test_what_is_no_json_is_refused(shared: httpx.Client, body: bytes) -> None:
    answer = shared.post(EVENTS, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"] == "bad_json"


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("zstd", zstandard.compress), ("identity", bytes)],
)
def test_compressed_bodies(api: httpx.Client, encoding: str, compress: Any) -> None:
    body = compress(ndjson(at(0))) + compress(ndjson(at(1)))
    answer = api.post(EVENTS, content=body, headers={"Content-Encoding": encoding})
    assert told(answer) == (2, 0, 0, [])


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", b"no gzip", 400),
        ("zstd", b"no zstd", 400),
        ("gzip", gzip.compress(ndjson(event()))[:-9], 400),
        ("zstd", zstandard.compress(ndjson(event()))[:-3], 400),
        ("br", b"", 415),
        ("gzip, gzip", b"", 415),
    ],
)
def test_what_cannot_be_decompressed_is_refused(
    shared: httpx.Client, encoding: str, body: bytes, status: int
) -> None:
    answer = shared.post(EVENTS, content=body, headers={"Content-Encoding": encoding})
    assert answer.status_code == status
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", gzip.compress(b" " * (200 << 20), 9)),
        ("zstd", zstandard.compress(b" " * (200 << 20))),
    ],
    ids=["gzip", "zstd"],
)
def test_bombs_are_refused_cheaply(
    shared: httpx.Client, encoding: str, bomb: bytes
) -> None:
    assert len(bomb) < 300_000
    began = time.process_time()
    answer = shared.post(EVENTS, content=bomb, headers={"Content-Encoding": encoding})
    assert answer.status_code == 413
    # Of this process, which is client and server: a busy machine changes nothing.
    assert time.process_time() - began < 1


def test_a_body_that_says_it_is_too_large_is_not_read(shared: httpx.Client) -> None:
    with socket.create_connection(
        (shared.base_url.host, shared.base_url.port or 0)
    ) as line:
        line.sendall(
            f"POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Length: {2 << 30}\r\n\r\n[".encode()
        )
        assert line.recv(100).startswith(b"HTTP/1.1 413")


def test_ten_thousand_events_and_no_more(api: httpx.Client) -> None:
    body = [event(time=f"2026-11-01T06:00:00.{n:06d}Z") for n in range(MOST_EVENTS)]
    assert told(api.post(EVENTS, json=body)) == (MOST_EVENTS, 0, 0, [])
    for more in (
        api.post(EVENTS, json=[*body, event()]),
        api.post(EVENTS, content=ndjson(*body, event())),
    ):
        assert more.status_code == 413
        assert more.json()["error"] == "too_many"


@pytest.mark.parametrize("depth", [DEEPEST + 1, 900, 100_000])
def test_what_nests_too_deep_is_refused(shared: httpx.Client, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    for body in (f'[{json.dumps(event())[:-1]}, "x": {deep}}}]', f"[{deep}]"):
        answer = shared.post(EVENTS, content=body.encode())
        assert answer.status_code == 400


def test_an_event_longer_than_64_kb_is_parked(api: httpx.Client) -> None:
    body = [at(0), at(1, note="x" * 70_000), at(2)]
    assert told(api.post(EVENTS, json=body)) == (2, 0, 0, [(1, "malformed")])
    assert told(api.post(EVENTS, content=ndjson(*body))) == (
        0,
        2,
        0,
        [(1, "malformed")],
    )


def test_the_site_of_events_that_name_none(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    body = [at(0), {k: v for k, v in at(1).items() if k != "site_id"}]
    answer = api.post(EVENTS, json=body, params={"site": "other"})
    assert told(answer) == (2, 0, 0, [])
    sites = conn.execute("select site_id from floor.sites order by 1").fetchall()
    assert sites == [("other",), ("plant",)]


def test_parked_rows_keep_what_was_sent_and_by_whom(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    line = b'{"time": "noon",   "odd": true}'
    headers = {"Content-Type": "application/x-ndjson"}
    api.post(EVENTS, content=line + b"\n" + ndjson(at(0)), headers=headers)
    row = conn.execute("select raw, source, line, code from ingest.rejects").fetchone()
    assert row == (line, "http", 1, "malformed")


def test_many_posts_share_commits_and_each_gets_its_own_answer(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    """The same event in many posts at once: stored in one, a duplicate in the rest."""

    def post(number: int) -> tuple[int, int, int, list[tuple[int, str]]]:
        body = [at(number), at(59, site_id=f"p{number % 3}"), event(time="noon")]
        return told(api.post(EVENTS, json=body))

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(post, range(48)))
    assert all(parked == [(2, "bad_time")] for *_, parked in answers)
    assert all(stored + duplicates == 2 for stored, duplicates, *_ in answers)
    assert sum(stored for stored, *_ in answers) == 48 + 3
    assert conn.execute("select count(*) from floor.events").fetchone() == (51,)


def test_an_unknown_path_is_a_json_404(shared: httpx.Client) -> None:
    for path in ("/api", "/api/v1/nothing", "/api/v2/events"):
        answer = shared.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"] == "not_found"
