"""Parked events are mended on their way back, and the books say who did what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from sql.keys import KeyTerms, create_key
from tests.support.cli import floorpulse
from tests.support.http import V1, event, serving

pytestmark = pytest.mark.plain
RETRY = f"{V1}/rejects/retry"


@pytest.fixture
def api(dsn: str) -> Iterator[httpx.Client]:
    with serving(dsn) as client:
        yield client


def parked(api: httpx.Client, *events: dict[str, Any]) -> None:
    said = api.post(f"{V1}/events", json=[*events]).json()
    assert len(said["parked"]) == len(events)


def test_over_http(api: httpx.Client, conn: psycopg.Connection) -> None:
    bad = event(event_type="Working", confidence=93)
    parked(api, bad, event(time="noon"))
    how = {
        "replace": {"event_type": {"Working": "working"}},
        "shift_s": -60,
        "scale": {"confidence": 0.01},
    }
    foreseen = api.post(RETRY, json=how | {"dry_run": True}).json()
    assert (foreseen["stored"], foreseen["parked"]) == (1, {"bad_time": 1})
    assert conn.execute("select count(*) from floor.events").fetchone() == (0,)
    done = api.post(RETRY, json=how).json()
    assert (done["stored"], done["parked"]) == (1, {"bad_time": 1})
    stored = conn.execute("select time::text, confidence from floor.events").fetchall()
    assert stored == [("2026-11-01 05:59:00+00", pytest.approx(0.93))]
    rows = api.get(f"{V1}/rejects", params={"state": "all"}).json()["rows"]
    states = {
        row["code"]: (row["state"], row["state_by"], row["mended"]) for row in rows
    }
    assert states == {
        "bad_time": ("parked", None, None),
        "bad_event_type": ("retried", "http", how),
    }
    assert {json.loads(row["raw"])["confidence"] for row in rows} == {93, 0.9}
    ((who, detail),) = conn.execute("select who, detail from ops.audit_log").fetchall()
    assert (who, detail["mended"], detail["stored"]) == ("http", how, 1)


def test_only_some_of_them(api: httpx.Client) -> None:
    parked(api, *(event(worker_id=f"W{at}", confidence=93) for at in range(3)))
    rows = api.get(f"{V1}/rejects").json()["rows"]
    ids = {"id": [rows[0]["reject_id"], rows[2]["reject_id"]]}
    how = {"scale": {"confidence": 0.01}}
    assert api.post(RETRY, json=how, params=ids).json()["stored"] == 2
    left = api.get(f"{V1}/rejects").json()["rows"]
    assert [row["reject_id"] for row in left] == [rows[1]["reject_id"]]


@pytest.mark.parametrize(
    "how",
    [
        {"replace": {"time": {"a": "b"}}},
        {"scale": {"confidence": -1}},
        {"shift": 5},
        {"shift_s": "soon"},
        [],
    ],
    ids=str,
)
def test_what_cannot_be_asked(api: httpx.Client, how: Any) -> None:
    answer = api.post(RETRY, json=how)
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


def test_a_key_mends_nothing_into_another_site(
    api: httpx.Client, conn: psycopg.Connection
) -> None:
    terms = KeyTerms(allows=("rejects",), sites=("plant",), event_types=("idle",))
    headers = {"Authorization": f"Bearer {create_key(conn, 'a', terms, 'ada')}"}
    params = {"site": "plant"}
    for field, word in (("site_id", "other"), ("event_type", "working")):
        how = {"replace": {field: {"x": word}}}
        answer = api.post(RETRY, json=how, params=params, headers=headers)
        assert answer.status_code == 403
    how = {"replace": {"event_type": {"x": "idle"}}}
    answer = api.post(RETRY, json=how, params=params, headers=headers)
    assert answer.status_code == 200


def test_on_the_command_line(
    dsn: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """A CSV whose clock was an hour ahead and whose confidence is in percent."""
    path = tmp_path / "events.csv"
    path.write_text(
        "time,worker_id,workstation_id,event_type,confidence\n"
        "2026-11-01T07:00:00Z,cam-1,S1,working,93\n"
        '2026-11-01T07:05:00Z,"cam-1",S1,idle,88\n'
    )
    floorpulse(dsn, "load", str(path), "--site", "plant", exit_code=3)
    how = ["--replace", "worker_id:cam-1=W1", "--shift", "-1h"]
    how += ["--scale", "confidence=0.01", "--json"]
    tried = floorpulse(dsn, "rejects", "retry", "--dry-run", *how)
    assert json.loads(tried.stdout)["stored"] == 2
    done = floorpulse(dsn, "rejects", "retry", *how)
    assert json.loads(done.stdout)["stored"] == 2
    stored = conn.execute(
        """select e.time::text, w.worker_id, e.confidence
        from floor.events e join floor.workers w using (site_key, worker_key)
        order by e.time"""
    ).fetchall()
    assert stored == [
        ("2026-11-01 06:00:00+00", "W1", pytest.approx(0.93)),
        ("2026-11-01 06:05:00+00", "W1", pytest.approx(0.88)),
    ]
    action = conn.execute("select action from ops.audit_log").fetchall()
    assert action == [("rejects.retry",)]


@pytest.mark.parametrize(
    "option",
    [
        ["--replace", "worker_id"],
        ["--replace", "count:1=2"],
        ["--shift", "soon"],
        ["--scale", "confidence"],
        ["--scale", "worker_id=2"],
    ],
    ids=str,
)
def test_options_that_cannot_be(dsn: str, option: list[str]) -> None:
    result = floorpulse(dsn, "rejects", "retry", *option, exit_code=2)
    assert "Traceback" not in result.output
