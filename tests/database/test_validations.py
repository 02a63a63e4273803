"""What people say of events: taken, superseded, parked; and how right models are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from scipy.stats import binomtest

from etl.batch import batch_of
from etl.validations.load import Sender, ValidationReport, admit, load_validations
from sql.connect import Connection, connect
from sql.keys import KeyTerms, create_key
from tests.support.cli import floorpulse, json_of
from tests.support.database import put
from tests.support.http import V1, serving

BEGIN = datetime(2026, 3, 2, 6, tzinfo=UTC)
HEADER = "time,site_id,worker_id,workstation_id,event_type,verdict,right_label"
NOT_FOUND = "no event has this site"


def event(minute: int, **more: Any) -> dict[str, Any]:
    """An event of W1, a minute after another one, as text."""
    time = (BEGIN + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "time": time,
        "site_id": "plant",
        "worker_id": "W1",
        "workstation_id": "S1",
        "event_type": "working",
        "confidence": "0.9",
        "model_version": "v1",
        "camera_id": "cam",
    } | more


def store(dsn: str, *events: dict[str, Any]) -> None:
    put(dsn, pl.DataFrame(list(events)))


def line(minute: int, verdict: str, label: str = "", **more: Any) -> str:
    said = event(minute, **more)
    fields = [said[name] for name in HEADER.split(",")[:5]]
    return ",".join([*fields, verdict, label])


def file_of(folder: Path, *lines: str, header: str = HEADER) -> str:
    path = folder / "verdicts.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return str(path)


def standing(conn: Connection) -> list[tuple[Any, ...]]:
    """Verdicts that stand: minute, verdict, label, who."""
    rows = conn.execute(
        "select extract(epoch from time - %s)::int / 60, verdict, right_label,"
        " validated_by from analytics.validations where stands order by time",
        (BEGIN,),
    )
    return rows.fetchall()


def test_a_file_of_verdicts(dsn: str, conn: Connection, tmp_path: Path) -> None:
    store(dsn, *[event(m) for m in range(4)], event(9, model_version="v2"))
    file = file_of(
        tmp_path,
        line(0, "right"),
        line(1, "wrong", "idle"),
        line(2, ""),
        line(77, "right"),
        line(3, "perhaps"),
        "nonsense",
        line(9, "right"),
    )
    told = json_of(dsn, "validations", "load", file, "--by", "Ann", exit_code=3)
    assert [told[k] for k in ("read", "stored", "duplicates", "unanswered")] == [
        *(7, 3, 0, 1)
    ]
    assert told["parked"] == {"unknown_event": 1, "bad_verdict": 1, "malformed": 1}
    assert [t["line"] for t in told["told"]] == [5, 6, 7]
    assert NOT_FOUND in told["told"][0]["message"]
    first = [(0, "right", None, "Ann"), (1, "wrong", "idle", "Ann")]
    assert standing(conn) == [*first, (9, "right", None, "Ann")]
    again = json_of(dsn, "validations", "load", file, "--by", "Ann", exit_code=3)
    assert (again["stored"], again["duplicates"]) == (0, 3)
    (v1, v2) = json_of(dsn, "validations", "accuracy")["models"][::-1]
    assert (v1["model_version"], v1["validated"], v1["accuracy"]) == ("v1", 2, 0.5)
    assert (v2["model_version"], v2["accuracy"]) == ("v2", 1.0)
    parked = json_of(dsn, "validations", "parked")["parked"]
    assert [p["seen"] for p in parked] == [2, 2, 2]
    # The event that came late: what was parked for it is taken now.
    store(dsn, event(77))
    told = json_of(dsn, "validations", "retry", exit_code=3)
    assert (told["read"], told["stored"]) == (2, 1)
    assert (77, "right", None, "Ann") in standing(conn)
    assert len(json_of(dsn, "validations", "parked")["parked"]) == 2


def said(conn: Connection, *rows: dict[str, Any]) -> ValidationReport:
    """Verdicts as a batch of their own."""
    report = ValidationReport()
    frame = pl.DataFrame([{"verdict": "right"} | row for row in rows])
    frame = frame.drop("confidence", "model_version", "camera_id")
    admit(conn, batch_of(frame), Sender("test", "Ann"), report)
    return report


@pytest.mark.plain
def test_the_last_word_counts_whatever_came_first(dsn: str, conn: Connection) -> None:
    store(dsn, event(0))
    at = ["2026-03-03T08:00:00Z", "2026-03-03T09:00:00Z", "2026-03-03T10:00:00Z"]
    said(conn, event(0, validated_at=at[1], verdict="wrong"))
    said(conn, event(0, validated_at=at[0], validated_by="Bob"))
    assert standing(conn) == [(0, "wrong", None, "Ann")]
    said(conn, event(0, validated_at=at[2], validated_by="Cem"))
    assert standing(conn) == [(0, "right", None, "Cem")]
    said(conn, event(0, verdict="wrong", right_label="absent"))
    assert standing(conn) == [(0, "wrong", "absent", "Ann")]
    history = json_of(dsn, "validations", "list", "--history")["validations"]
    assert [row["stands"] for row in history] == [True, False, False, False]
    told = said(conn, event(0, validated_at=at[1], verdict="wrong"))
    assert (told.stored, told.duplicates) == (0, 1)


@pytest.mark.plain
def test_an_event_said_of_twice_in_a_file(dsn: str, conn: Connection) -> None:
    store(dsn, event(0))
    for expected in (1, 0):
        told = said(conn, event(0), event(0, verdict="wrong"))
        assert (told.stored, told.duplicates) == (expected, 2 - expected)
        assert standing(conn) == [(0, "wrong", None, "Ann")]


@pytest.mark.plain
@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"site_id": "moon"}, "unknown_site", "no site 'moon'"),
        ({"worker_id": "W9"}, "unknown_event", NOT_FOUND),
        ({"workstation_id": "S9"}, "unknown_event", NOT_FOUND),
        ({"event_type": "idle"}, "unknown_event", NOT_FOUND),
        ({"time": "2026-03-02T06:00:00.3Z"}, "unknown_event", "nearest is at"),
        ({"worker_id": ""}, "bad_identifier", "worker_id ''"),
        ({"worker_id": "x" * 65}, "bad_identifier", "1 to 64"),
        ({"validated_by": "a\x00b"}, "bad_identifier", "validated_by"),
        ({"time": "noon"}, "bad_time", "'noon'"),
        ({"validated_at": "noon"}, "bad_time", "validated_at 'noon'"),
        ({"validated_at": "2999-01-01T00:00:00Z"}, "future_time", "clock"),
        ({"time": "9999-12-31T23:59:59-12:00"}, "future_time", "time '9999"),
        ({"event_type": "dancing"}, "bad_event_type", "'dancing'"),
        ({"verdict": "RIGHT"}, "bad_verdict", "'RIGHT'"),
        ({"verdict": "wrong", "right_label": "dog"}, "bad_label", "'dog'"),
        ({"right_label": "idle"}, "bad_label", "contradicts"),
        ({"verdict": "wrong", "right_label": "working"}, "bad_label", "contradicts"),
        ({"note": "x" * 1001}, "bad_note", "1000"),
        ({"verdict": None}, "malformed", "missing: verdict"),
    ],
)
def test_what_is_refused_and_its_neighbours(
    common_dsn: str, more: dict[str, Any], code: str, words: str
) -> None:
    with connect(common_dsn) as conn, conn.transaction(force_rollback=True):
        conn.execute("delete from ops.validations")
        store(common_dsn, event(0), event(1), event(2))
        told = said(conn, event(0), event(1, **more), event(2))
        assert (told.stored, told.parked) == (2, {code: 1})
        assert words in told.told[0]["message"]
        kept = conn.execute("select raw, site_id from ops.validations_parked")
        assert kept.fetchall()


@pytest.mark.plain
def test_times_without_offset_are_the_sites(dsn: str, conn: Connection) -> None:
    floorpulse(dsn, "site", "set", "plant", "--timezone", "Europe/Berlin")
    store(dsn, event(0))
    assert said(conn, event(0, time="2026-03-02T07:00:00")).stored == 1


@pytest.mark.plain
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"time,worker_id\n", "no column"),
        (b"", "no column"),
        (HEADER.replace("site_id,", "").encode(), "--site"),
        (HEADER.replace("verdict", "verdikt").encode(), "'verdikt'"),
        (f"{HEADER},time\n".encode(), "two columns time"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_a_file_that_is_none_of_verdicts(
    common_dsn: str, tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(content)
    result = floorpulse(common_dsn, "validations", "load", str(path), exit_code=1)
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_one_stands_however_many_say_so_at_once(dsn: str, tmp_path: Path) -> None:
    store(dsn, *[event(m) for m in range(50)])
    files = []
    for n, verdict in enumerate(("right", "wrong", "right", "wrong")):
        (tmp_path / str(n)).mkdir()
        lines = [line(m, verdict) for m in range(50)]
        files.append(file_of(tmp_path / str(n), *lines))

    def load(number: int) -> ValidationReport:
        with connect(dsn) as own:
            return load_validations(own, files[number], f"P{number}")

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(load, range(4)))
    assert sum(report.stored for report in told) == 200
    with connect(dsn) as conn:
        verdicts = {row[3] for row in standing(conn)}
        assert len(standing(conn)) == 50
    assert len(verdicts) == 1, "whoever was last in, for all of them"


@pytest.mark.plain
@pytest.mark.parametrize("what", ["accuracy", "list"])
def test_a_site_that_is_not_there(common_dsn: str, what: str) -> None:
    result = floorpulse(common_dsn, "validations", what, "--site", "moon", exit_code=1)
    assert "no site 'moon'" in result.stderr


@pytest.mark.plain
def test_wilson_is_scipys(conn: Connection) -> None:
    for hits, trials in ((0, 1), (1, 1), (3, 7), (49, 50), (850, 1000), (0, 300)):
        row = conn.execute("select * from floor.wilson(%s, %s)", (hits, trials))
        expected = binomtest(hits, trials).proportion_ci(0.95, "wilson")
        assert row.fetchone() == pytest.approx((expected.low, expected.high), abs=1e-14)
    assert conn.execute("select * from floor.wilson(0, 0)").fetchone() == (None, None)


@pytest.mark.plain
def test_verdicts_over_http(dsn: str, conn: Connection) -> None:
    store(dsn, event(0), event(1))
    terms = KeyTerms(allows=("validate",), sites=("plant",))
    key = create_key(conn, "lab", terms, "me")
    other = create_key(conn, "camera", KeyTerms(), "me")
    body = [event(0) | {"verdict": "right"}, event(5) | {"verdict": "right"}, 7]
    with serving(dsn) as client:
        headers = {"Authorization": f"Bearer {key}"}
        answer = client.post(f"{V1}/validations", json=body, headers=headers)
        told = answer.json()
        assert (answer.status_code, told["stored"]) == (200, 1)
        assert [(p["index"], p["code"]) for p in told["parked"]] == [
            (1, "unknown_event"),
            (2, "malformed"),
        ]
        assert standing(conn) == [(0, "right", None, "lab")]
        foreign = [event(1, site_id="moon") | {"verdict": "right"}]
        answer = client.post(f"{V1}/validations", json=foreign, headers=headers)
        assert answer.status_code == 403
        headers = {"Authorization": f"Bearer {other}"}
        answer = client.post(f"{V1}/validations", json=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (403, "not_allowed")
        local = event(1) | {"verdict": "wrong", "right_label": "nothing"}
        answer = client.post(f"{V1}/validations", json=local)
        assert answer.json()["stored"] == 1
        assert client.post(f"{V1}/validations", content=b"no").status_code == 400


@pytest.mark.plain
def test_a_sample_is_filled_in_and_loaded(dsn: str, conn: Connection) -> None:
    recent = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    minutes = (recent - BEGIN) // timedelta(minutes=1)
    store(dsn, *[event(minutes + m) for m in range(60)], event(minutes - 20_000))
    drawn = ("validations", "sample", "plant", "--count", "10", "--seed", "3")
    sheet = floorpulse(dsn, *drawn).stdout
    assert floorpulse(dsn, *drawn).stdout == sheet
    assert len(sheet.splitlines()) == 11
    filled = sheet.replace(",,,\n", ",right,,\n", 4)
    told = json_of(dsn, "validations", "load", "-", stdin=filled)
    assert (told["stored"], told["unanswered"]) == (4, 6)
    known = {time for (time,) in conn.execute("select time from analytics.validations")}
    next_sheet = floorpulse(dsn, *drawn[:3], "--count", "100").stdout
    assert len(next_sheet.splitlines()) == 57
    assert not any(time.isoformat() in next_sheet for time in known)
    assert "No event" in floorpulse(dsn, *drawn, "--model", "v9").stderr
