"""Keys of the API: shown once, scoped, limited, ended at once; strangers stay out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from etl.http.access import KEEP_S
from etl.http.limits import Bucket, Buckets
from etl.http.scope import Cameras
from sql.errors import BadSetting
from sql.keys import KeyTerms, create_key, list_keys, revoke_key
from tests.support.cli import floorpulse, json_of
from tests.support.http import V1, event, serving

pytestmark = pytest.mark.plain

EVENTS = f"{V1}/events"
EVERYTHING = ("ingest", "files", "read", "rejects")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def post(api: httpx.Client, key: str, *events: dict[str, Any]) -> httpx.Response:
    return api.post(EVENTS, json=list(events), headers=bearer(key))


def test_a_key_is_shown_once_and_stored_hashed(conn: psycopg.Connection) -> None:
    key = create_key(
        conn, "line-3", KeyTerms(cameras=["h3-*"], camera_group="hall 3"), "ada"
    )
    prefix, key_id, secret = key.split("_", 2)
    assert (prefix, len(key_id)) == ("fp", 12)
    assert len(secret) == 43
    stored = conn.execute("select k::text from ingest.api_keys k").fetchone()
    assert stored is not None
    assert secret not in stored[0]
    (listed,) = list_keys(conn)
    assert listed["name"] == "line-3"
    assert listed["camera_group"] == "hall 3"
    assert "secret_sha256" not in listed


def test_who_made_and_revoked_a_key_is_written_down(conn: psycopg.Connection) -> None:
    create_key(conn, "line-3", KeyTerms(), "ada")
    revoke_key(conn, "line-3", "bob")
    query = "select who, action, subject from ops.audit_log order by audit_id"
    rows = conn.execute(query).fetchall()
    assert rows == [("ada", "key.create", "line-3"), ("bob", "key.revoke", "line-3")]


def test_a_name_is_taken_until_its_key_is_revoked(conn: psycopg.Connection) -> None:
    create_key(conn, "line-3", KeyTerms(), "ada")
    with pytest.raises(BadSetting, match="already"):
        create_key(conn, "line-3", KeyTerms(), "ada")
    revoke_key(conn, "line-3", "ada")
    create_key(conn, "line-3", KeyTerms(), "ada")
    assert [key["state"] for key in list_keys(conn, revoked=True)] == [
        "revoked",
        "valid",
    ]
    with pytest.raises(BadSetting, match="No key"):
        revoke_key(conn, "line-4", "ada")


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("line 3", KeyTerms()),
        ("", KeyTerms()),
        ("a", KeyTerms(allows=())),
        ("a", KeyTerms(allows=("everything",))),
        ("a", KeyTerms(event_types=("sleeping",))),
        ("a", KeyTerms(sites=("",))),
        ("a", KeyTerms(cameras=("",))),
        ("a", KeyTerms(camera_group="hall 3")),
        ("a", KeyTerms(events_per_s=0)),
        ("a", KeyTerms(events_per_s=float("nan"))),
    ],
)
def test_terms_that_cannot_be(
    conn: psycopg.Connection, name: str, terms: KeyTerms
) -> None:
    with pytest.raises(BadSetting):
        create_key(conn, name, terms, "ada")


def test_the_commands(dsn: str) -> None:
    made = json_of(
        dsn, "key", "create", "line-3", "--site", "plant", "--allow", "ingest"
    )
    assert made["key"].startswith("fp_")
    (listed,) = json_of(dsn, "key", "list")["keys"]
    assert (listed["sites"], listed["state"]) == (["plant"], "valid")
    assert "line-3" in floorpulse(dsn, "key", "list").stdout
    floorpulse(dsn, "key", "revoke", "line-3")
    assert json_of(dsn, "key", "list")["keys"] == []
    floorpulse(dsn, "key", "revoke", "line-3", exit_code=2)


def test_a_key_lets_in_until_it_is_revoked(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    key = create_key(conn, "line-3", KeyTerms(), "ada")
    time.sleep(KEEP_S)
    assert post(api, key, event()).status_code == 200
    as_header = api.post(EVENTS, json=event(), headers={"X-API-Key": key})
    assert as_header.json()["duplicates"] == 1
    revoke_key(conn, "line-3", "ada")
    time.sleep(KEEP_S)
    assert post(api, key, event()).status_code == 401


def test_a_key_ends_when_it_expires(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    later, ago = (datetime.now(UTC) + timedelta(hours=n) for n in (1, -1))
    with pytest.raises(BadSetting, match="has passed"):
        create_key(conn, "line-2", KeyTerms(expires_at=ago), "ada")
    key = create_key(conn, "line-3", KeyTerms(expires_at=later), "ada")
    assert post(api, key, event()).status_code == 200
    conn.execute("update ingest.api_keys set expires_at = clock_timestamp()")
    time.sleep(KEEP_S)
    assert post(api, key, event()).status_code == 401


def test_wrong_keys_are_refused_and_soon_cheaply(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    key = create_key(conn, "line-3", KeyTerms(), "ada")
    wrong = [
        key[:-1] + ("A" if key[-1] != "A" else "B"),
        "fp_000000000000_" + "x" * 43,
        "nonsense",
        "\N{LATIN SMALL LETTER E WITH ACUTE}",
    ]
    for guess in wrong:
        headers = {"Authorization": f"Bearer {guess}".encode()}
        assert api.get(f"{V1}/sites", headers=headers).status_code == 401  # type: ignore[arg-type]
    statuses = [post(api, wrong[0], event()).status_code for _ in range(60)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    # Whoever holds a key is not kept out by a guesser behind the same address.
    assert post(api, key, event()).status_code == 200


def test_a_key_sends_what_it_is_for_and_nothing_else(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    terms = KeyTerms(sites=("plant", "5"), event_types=("working", "idle"))
    key = create_key(conn, "line-3", terms, "ada")
    assert post(api, key, event()).json()["stored"] == 1
    for foreign in (
        event(site_id="other"),
        event(site_id=6),
        event(event_type="absent"),
    ):
        answer = post(api, key, event(time="2026-11-01T07:00:00Z"), foreign)
        assert answer.status_code == 403
        assert "Element 1" in answer.json()["message"]
    assert conn.execute("select count(*) from floor.events").fetchone() == (1,)
    parked = post(api, key, event(site_id=["other"]), {"site_id": None})
    codes = [reject["code"] for reject in parked.json()["parked"]]
    assert codes == ["bad_identifier", "malformed"]


def test_a_group_of_cameras_is_ids_and_patterns() -> None:
    group = Cameras(["h3-*", "gate", "*.left", "a*z"])
    assert all(camera in group for camera in ("h3-", "h3-7", "gate", "x.left", "abz"))
    strangers = ("h3", "H3-7", "gate2", "xgate", "x-left", "az\n", "", None)
    assert not any(camera in group for camera in strangers)


def test_a_key_of_a_camera_group_sends_for_its_cameras(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    terms = KeyTerms(cameras=("h3-*", "7"), allows=("ingest", "files"))
    key = create_key(conn, "hall-3", terms, "ada")
    theirs = (event(camera_id="h3-1"), event(camera_id=7, worker_id="W2"))
    assert post(api, key, *theirs).json()["stored"] == 2
    for foreign in (event(camera_id="h4-1"), event(), event(camera_id="")):
        answer = post(api, key, theirs[0], foreign)
        assert answer.status_code == 403
        assert "Element 1" in answer.json()["message"]
        assert "7, h3-*" in answer.json()["message"]
        body = "\n".join(json.dumps(each) for each in (theirs[0], foreign))
        answer = api.put(f"{EVENTS}/file", content=body, headers=bearer(key))
        assert answer.status_code == 403, answer.text
    line = json.dumps(event()).encode()
    answer = api.put(f"{EVENTS}/file", content=line, headers=bearer(key))
    assert answer.status_code == 403
    assert "no camera_id" in answer.json()["message"]
    # What no id can be is the door's to judge.
    (told,) = post(api, key, event(camera_id=["h4"])).json()["parked"]
    assert told["code"] == "bad_identifier"
    assert conn.execute("select count(*) from floor.events").fetchone() == (2,)


def test_a_key_has_the_rights_it_was_given(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    keys = {
        right: create_key(conn, right, KeyTerms(allows=(right,)), "ada")
        for right in EVERYTHING
    }
    asked: dict[str, Callable[[dict[str, str]], httpx.Response]] = {
        "ingest": lambda headers: api.post(EVENTS, json=[], headers=headers),
        "files": lambda headers: api.put(
            f"{EVENTS}/file", content=b"", headers=headers
        ),
        "read": lambda headers: api.get(f"{V1}/sites", headers=headers),
        "rejects": lambda headers: api.get(f"{V1}/rejects", headers=headers),
    }
    for needed, ask in asked.items():
        for right, key in keys.items():
            status = ask(bearer(key)).status_code
            assert (status == 403) == (right != needed), (needed, right, status)


def test_a_key_of_one_site_reads_that_site(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    for site in ("plant", "other"):
        api.post(EVENTS, json=event(site_id=site))
    key = create_key(conn, "a", KeyTerms(allows=("read",), sites=("plant",)), "ada")
    headers = bearer(key)
    for path in ("sites", "workers", "workstations"):
        rows = api.get(f"{V1}/{path}", headers=headers).json()["rows"]
        assert {row["site_id"] for row in rows} == {"plant"}
    for path in ("events", "workers", "metrics/factory", "metrics/workers"):
        answer = api.get(f"{V1}/{path}", params={"site": "other"}, headers=headers)
        assert answer.status_code == 403
    assert api.get(f"{V1}/metrics/factory", headers=headers).status_code == 403
    assert api.get("/metrics", headers=headers).status_code == 403


def test_a_key_that_sends_too_fast_is_told_when_to_go_on(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    key = create_key(conn, "line-3", KeyTerms(events_per_s=10), "ada")
    body = [event(time=f"2026-11-01T06:00:00.{n:03d}Z") for n in range(300)]
    assert post(api, key, *body).status_code == 200
    answer = post(api, key, event())
    assert answer.status_code == 429
    assert 15 <= int(answer.headers["Retry-After"]) <= 21
    # Others are not kept waiting.
    assert api.post(EVENTS, json=event()).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"Origin": "http://evil.example"},
        {"Host": "evil.example"},
        {"Host": "["},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_without_a_key_only_this_machine_gets_in(
    common_dsn: str, headers: dict[str, str]
) -> None:
    with serving(common_dsn) as api:
        answer = api.post(EVENTS, json=event(), headers=headers)
        assert answer.status_code in (401, 403)
        assert answer.json()["message"]
        assert api.post(EVENTS, json=event()).status_code == 200


def test_a_bucket_holds_ten_seconds_and_may_run_into_debt_once() -> None:
    bucket = Bucket(10, now=0)
    assert bucket.wait_s(0) == 0
    bucket.take(150)
    assert bucket.wait_s(0) == pytest.approx(5.1)
    assert bucket.wait_s(5) == pytest.approx(0.1)
    assert bucket.wait_s(5.2) == 0
    assert bucket.wait_s(1000) == 0
    bucket.take(100)
    assert bucket.wait_s(1000) > 0


def test_a_slow_bucket_fills_as_well() -> None:
    bucket = Bucket(0.01, now=0)
    bucket.take(1)
    assert bucket.wait_s(0) == pytest.approx(100)
    assert bucket.wait_s(101) == 0


def test_buckets_forget_the_least_used() -> None:
    buckets = Buckets(clock=lambda: 0.0)
    for owner in range(20_000):
        buckets.take(owner, 1.0, 100)
    assert buckets.wait_s(19_999, 1.0) > 0
    assert buckets.wait_s(0, 1.0) == 0
