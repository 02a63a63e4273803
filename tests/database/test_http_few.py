"""Small posts past the frames: the same tables, and nobody notices which way."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from sql.plant.registry import set_worker
from sql.plant.sites import SiteChange, set_site
from tests.support.http import V1, event, serving

START = datetime(2026, 11, 1, 6, tzinfo=UTC)
EVENTS = (
    "select e.worker_key, e.time, e.workstation_key, e.event_type, e.confidence,"
    " e.count, e.duration_s, e.model_key, e.camera_key"
    " from floor.events e order by 1, 2, 3, 4"
)
DIRTY = "select worker_key, from_time, to_time, events from floor.dirty order by 1, 2"
TALLIES = (
    "select sum(stored), sum(duplicates), sum(late), sum(unzoned),"
    " sum((select sum(n) from unnest(latency_histogram) n)) from ingest.tallies"
)


def some(count: int, seconds: float = 0) -> list[dict[str, Any]]:
    """Events of one worker, ten seconds apart."""
    return [
        event(
            time=(START + timedelta(seconds=seconds + 10 * at)).isoformat(),
            event_type=("working", "idle", "product_count")[at % 3],
            count=5 if at % 3 == 2 else None,
            duration_s=9.5 if at % 3 == 1 else None,
            camera_id="c1" if at % 2 else None,
            model_version="v1",
            confidence=0.1 + at % 9 / 10,
        )
        for at in range(count)
    ]


def posted(api: httpx.Client, events: Any) -> dict[str, Any]:
    answer = api.post(f"{V1}/events", content=json.dumps(events).encode())
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def groups(api: httpx.Client, way: str) -> int:
    name = f"floorpulse_http_{way}_total "
    lines = api.get("/metrics").text.splitlines()
    (line,) = (line for line in lines if line.startswith(name))
    return int(line.removeprefix(name))


def test_both_ways_leave_the_same_tables(dsn: str, conn: psycopg.Connection) -> None:
    """Known ids go past the frames; 40 events at once do not."""
    with serving(dsn) as api:
        posted(api, some(40))
        by_frames = [conn.execute(q).fetchall() for q in (EVENTS, DIRTY, TALLIES)]
        conn.execute("truncate floor.events, floor.dirty, ingest.tallies")
        before = groups(api, "groups"), groups(api, "small_groups")
        for part in (slice(0, 20), slice(20, 40)):
            assert posted(api, some(40)[part])["stored"] == 20
        assert groups(api, "groups") == before[0] + 2
        assert groups(api, "small_groups") == before[1] + 2
    found = [conn.execute(q).fetchall() for q in (EVENTS, DIRTY, TALLIES)]
    assert found[0] == by_frames[0]
    assert found[2] == by_frames[2]
    (worker, first, last, count), *more = by_frames[1]
    assert not more
    middle = START + timedelta(seconds=190), START + timedelta(seconds=200)
    assert found[1] == [(worker, first, middle[0], 20), (worker, middle[1], last, 20)]
    assert count == 40


@pytest.mark.plain
def test_what_is_stored_already_is_told_as_ever(dsn: str) -> None:
    with serving(dsn) as api:
        posted(api, some(9))
        one, *others = some(9)
        assert posted(api, one)["duplicates"] == 1
        (new,) = some(1, seconds=900)
        said = posted(api, [*others, new, new | {"confidence": 0.5}])
        counts = (said["stored"], said["duplicates"], said["conflicts"])
        assert (counts, said["parked"]) == ((1, 9, 1), [])


@pytest.mark.plain
def test_one_bad_event_leaves_its_neighbours_alone(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The posts come at once: plain and not, of two sites, of a new worker."""
    posts: list[Any] = [[one] for one in some(30)]
    posts[3] = posts[3][0] | {"time": "noon"}
    posts[7] = [posts[7][0], some(1, seconds=901)[0] | {"site_id": "other"}]
    posts[9] = posts[9][0] | {"worker_id": "W2"}
    posts[11] = [posts[11][0], 17]
    posts[13] = posts[13][0] | {"site_id": "\0"}
    posts[15] = posts[15][0] | {"site_id": "\ud800"}
    with serving(dsn) as api:
        posted(api, some(3, seconds=1000))
        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(lambda post: posted(api, post), posts))
    assert "failed" not in caplog.text
    parked = [len(said["parked"]) for said in told]
    assert parked == [int(at in (3, 11, 13, 15)) for at in range(30)]
    stored = [said["stored"] for said in told]
    assert stored == [{3: 0, 7: 2, 13: 0, 15: 0}.get(at, 1) for at in range(30)]


def test_a_chunk_that_went_is_made_again(dsn: str, conn: psycopg.Connection) -> None:
    with serving(dsn) as api:
        posted(api, some(3))
        hypertable = conn.execute("select i.hypertables from floor.installation i")
        if hypertable.fetchall() == [(True,)]:
            chunks = "select drop_chunks('floor.%s', older_than => now())"
            for table in ("events", "activity"):
                conn.execute(chunks % table)
        else:
            conn.execute("drop table floor.events_20261101, floor.activity_20261101")
        assert posted(api, some(3))["stored"] == 3
    assert conn.execute("select count(*) from floor.events").fetchall() == [(3,)]


@pytest.mark.plain
def test_an_event_of_the_future_is_parked_also_when_all_is_known(dsn: str) -> None:
    late = (datetime.now(UTC) + timedelta(minutes=6)).isoformat()
    now = datetime.now(UTC).isoformat()
    with serving(dsn) as api:
        posted(api, [event(time=now), event(time=now, event_type="idle")])
        said = posted(api, event(time=late))
    assert [reject["code"] for reject in said["parked"]] == ["future_time"]


@pytest.mark.plain
def test_new_ids_are_registered_on_sight_where_the_site_allows_it(
    dsn: str, conn: psycopg.Connection
) -> None:
    workers = "select worker_id, discovered from floor.workers order by 1"
    with serving(dsn) as api:
        posted(api, some(1))
        assert posted(api, some(1, 60)[0] | {"worker_id": "W2"})["stored"] == 1
        bad = some(1, 70)[0] | {"worker_id": "W3", "confidence": 7}
        assert posted(api, bad)["parked"][0]["code"] == "bad_confidence"
        set_site(conn, "plant", SiteChange(registration="strict"))
        set_worker(conn, "plant", "W5")
        said = posted(api, some(1, 80)[0] | {"worker_id": "W4"})
        assert said["parked"][0]["code"] == "unknown_worker"
        assert posted(api, some(1, 90)[0] | {"worker_id": "W5"})["stored"] == 1
        assert groups(api, "small_groups") == 2
    assert conn.execute(workers).fetchall() == [
        ("W1", True),
        ("W2", True),
        ("W5", False),
    ]
