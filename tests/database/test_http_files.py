"""PUT /api/v1/events/file, and parked events: seen, taken out, sent again."""

from __future__ import annotations

import gzip
import io
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pyarrow.csv
import pyarrow.parquet
import pytest
import zstandard

from etl.http import files as http_files
from sql.keys import KeyTerms, create_key
from sql.plant.sites import SiteChange, set_site
from tests.support.database import stored
from tests.support.http import V1, event
from tests.support.local_server import wait_until

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
pytestmark = pytest.mark.plain

FILE = f"{V1}/events/file"
HEADER = "time,site_id,worker_id,workstation_id,event_type,confidence\n"
START = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)


def lines(rows: int, site: str = "plant") -> str:
    return "".join(
        f"{(START + timedelta(seconds=n)).isoformat()},{site},W{n % 9},S1,working,0.9\n"
        for n in range(rows)
    )


def parquet(rows: int) -> bytes:
    file = io.BytesIO()
    table = pyarrow.csv.read_csv(io.BytesIO((HEADER + lines(rows)).encode()))
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
def test_a_csv_file_is_stored(
    api: httpx.Client, conn: psycopg.Connection, compress: type[bytes]
) -> None:
    content = (HEADER + lines(5000) + "noon,plant,W1,S1,idle,0.9\nbroken\n").encode()
    answer = api.put(FILE, content=compress(content))
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["read"], said["stored"], said["duplicates"]) == (5002, 5000, 0)
    assert said["parked_by_code"] == {"bad_time": 1, "malformed": 1}
    assert [(r["line"], r["code"]) for r in said["parked"]] == [
        (5002, "bad_time"),
        (5003, "malformed"),
    ]
    assert stored(conn) == 5000
    again = api.put(FILE, content=compress(content)).json()
    assert (again["stored"], again["duplicates"]) == (0, 5000)


def test_ndjson_and_the_site_of_rows_that_name_none(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    body = b'{"time":"2026-11-01T06:00:00Z","worker_id":"W1","workstation_id":"S1",'
    body += b'"event_type":"idle","confidence":0.8}\n'
    answer = api.put(FILE, content=body, params={"site": "plant"})
    assert answer.json()["stored"] == 1
    assert stored(conn) == 1


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_parquet_is_stored_and_sent_twice_is_known(
    api: httpx.Client,
    conn: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    compress: type[bytes],
) -> None:
    monkeypatch.setattr(http_files, "BLOCK_BYTES", 100_000)
    content = compress(parquet(5000))
    said = api.put(FILE, content=content).json()
    assert (said["read"], said["stored"], said["parked"]) == (5000, 5000, [])
    again = api.put(FILE, content=content).json()
    assert (again["stored"], again["duplicates"]) == (0, 5000)
    assert stored(conn) == 5000
    monkeypatch.setattr(http_files, "LARGEST_SPOOL", len(content) - 1)
    large = api.put(FILE, content=content)
    assert large.status_code == 400
    assert "go by way of the disk" in large.json()["message"]
    cut = api.put(FILE, content=parquet(3000)[:-20])
    assert (cut.status_code, cut.json()["error"]) == (400, "bad_file")


def test_a_file_is_read_as_its_preset_says(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    asked = {"site": "plant", "preset": "sessions"}
    sent = (EXAMPLES / "sessions.csv").read_bytes()
    assert api.put(FILE, params=asked, content=sent).json()["stored"] == 4
    codes = (EXAMPLES / "machine-states.toml").read_text()
    asked = {"site": "other", "preset": "machine-states", "codes": codes}
    sent = (EXAMPLES / "machine-states.csv").read_bytes()
    assert api.put(FILE, params=asked, content=sent).json()["stored"] == 9
    asked = {"site": "third", "preset": "mtconnect"}
    sent = (EXAMPLES / "mtconnect.xml").read_bytes()
    assert api.put(FILE, params=asked, content=sent).json()["stored"] > 0
    renamed = (HEADER + lines(3)).replace("worker_id", "person").replace("+00:00", "")
    zoned = {"map": "person=worker_id", "timezone": "Asia/Kolkata"}
    assert api.put(FILE, params=zoned, content=renamed.encode()).json()["stored"] == 3
    early = START - timedelta(hours=5, minutes=30)
    found = conn.execute("select count(*) from floor.events where time = %s", (early,))
    assert found.fetchone() == (1,)


@pytest.mark.parametrize(
    "asked",
    [
        {"preset": "nonsense"},
        {"timezone": "Mars/Olympus"},
        {"map": "a"},
        {"codes": "states = 1"},
        {"preset": "mtconnect", "codes": "states = ["},
        {"preset": "mtconnect", "codes": "states = 7"},
    ],
)
def test_what_a_file_cannot_be_read_as_is_a_sentence(
    api: httpx.Client, asked: dict[str, str]
) -> None:
    answer = api.put(FILE, params=asked, content=HEADER.encode())
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"a,b\n1,2\n", 400),
        (b"\x1f\x8bnonsense", 400),
        (gzip.compress(HEADER.encode() + lines(100).encode())[:-9], 400),
        (b"\xff\xfe\0", 400),
        (b"", 200),
        (HEADER.encode(), 200),
    ],
)
def test_what_is_no_event_file_is_refused(
    api: httpx.Client, content: bytes, status: int
) -> None:
    answer = api.put(FILE, content=content)
    assert answer.status_code == status, answer.text
    assert status == 200 or answer.json()["error"] == "bad_file"


def test_a_file_that_was_cut_off_goes_on_where_it_was(
    api: httpx.Client, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_files, "BLOCK_BYTES", 100_000)
    content = (HEADER + lines(60_000)).encode()
    half = content[: len(content) // 2]
    address = (api.base_url.host, api.base_url.port or 0)
    with socket.create_connection(address) as line:
        head = f"PUT {FILE} HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Length: {len(content)}\r\n\r\n"
        line.sendall(head.encode() + half)
        wait_until(lambda: stored(conn) > 5000)
    state = "select state from ingest.loads"
    wait_until(lambda: conn.execute(state).fetchone() == ("failed",))
    answer = api.put(FILE, content=content)
    assert answer.json()["resumed"] is True
    assert answer.json()["stored"] == 60_000
    assert stored(conn) == 60_000


def test_no_more_than_two_files_at_once(api: httpx.Client) -> None:
    released = threading.Event()

    def slow() -> Iterator[bytes]:
        yield HEADER.encode()
        released.wait(30)

    answers: list[int] = []

    def put() -> None:
        with httpx.Client(base_url=api.base_url, trust_env=False) as client:
            answers.append(client.put(FILE, content=slow(), timeout=60).status_code)

    threads = [threading.Thread(target=put) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    third = api.put(FILE, content=HEADER.encode())
    released.set()
    for thread in threads:
        thread.join()
    assert third.status_code == 503
    assert int(third.headers["Retry-After"]) > 0
    assert answers == [200, 200]


def test_a_file_of_another_site_is_refused(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    terms = KeyTerms(allows=("files",), sites=("plant",), event_types=("working",))
    headers = {"Authorization": f"Bearer {create_key(conn, 'a', terms, 'ada')}"}
    fits = api.put(FILE, content=(HEADER + lines(10)).encode(), headers=headers)
    assert fits.json()["stored"] == 10
    for content in (lines(1, site="other"), lines(1).replace("working", "idle")):
        answer = api.put(FILE, content=(HEADER + content).encode(), headers=headers)
        assert answer.status_code == 403
        assert answer.json()["error"] == "not_allowed"
    assert stored(conn) == 10


def test_parked_events_are_seen_taken_out_and_sent_again(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    set_site(conn, "plant", SiteChange(registration="strict"))
    body = [event(), event(time="noon"), event(worker_id="W2")]
    said = api.post(f"{V1}/events", json=body).json()
    assert [r["code"] for r in said["parked"]] == [
        "unknown_worker",
        "bad_time",
        "unknown_worker",
    ]
    listed = api.get(f"{V1}/rejects", params={"limit": 2}).json()
    assert {c["code"]: c["seen"] for c in listed["codes"]} == {
        "bad_time": 1,
        "unknown_worker": 2,
    }
    rest = api.get(f"{V1}/rejects", params={"limit": 2, "after": listed["next"]}).json()
    rows = listed["rows"] + rest["rows"]
    assert len({row["reject_id"] for row in rows}) == 3
    assert rest["next"] is None
    exported = api.get(f"{V1}/rejects/export", params={"code": "bad_time"})
    assert b'"noon"' in exported.content
    assert exported.content.count(b"\n") == 1

    set_site(conn, "plant", SiteChange(registration="open"))
    retried = api.post(f"{V1}/rejects/retry", params={"site": "plant"}).json()
    assert (retried["read"], retried["stored"]) == (3, 2)
    assert retried["parked"] == {"bad_time": 1}
    left = api.get(f"{V1}/rejects").json()["rows"]
    assert [row["code"] for row in left] == ["bad_time"]
    gone = api.get(f"{V1}/rejects", params={"state": "retried"}).json()["rows"]
    assert {row["state_by"] for row in gone} == {"http"}
    audit = conn.execute("select action, who from ops.audit_log order by audit_id")
    assert audit.fetchall() == [("rejects.export", "http"), ("rejects.retry", "http")]
    assert stored(conn) == 2


def test_a_key_of_one_site_sees_the_parked_events_of_that_site(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    terms = KeyTerms(allows=("rejects",), sites=("plant",))
    headers = {"Authorization": f"Bearer {create_key(conn, 'a', terms, 'ada')}"}
    for site in ("plant", "other"):
        api.post(f"{V1}/events", json=event(site_id=site, time="noon"))
    assert api.get(f"{V1}/rejects", headers=headers).status_code == 403
    assert api.post(f"{V1}/rejects/retry", headers=headers).status_code == 403
    answer = api.get(f"{V1}/rejects", params={"site": "plant"}, headers=headers)
    assert [row["site_id"] for row in answer.json()["rows"]] == ["plant"]
