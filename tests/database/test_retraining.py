"""Requests to train anew: what raises them, and the states they may go through."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from scheduler.job import Work
from scheduler.jobs import retraining as job
from sql.connect import Connection, connect
from sql.errors import BadSetting, UnknownRequest
from sql.model_health.retraining import STATES, move, request
from tests.support.cli import floorpulse, json_of

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Plant:
    """A site with a model, whose alerts and verdicts are put in by hand."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.site = self.value("select floor.register_site('plant', false)")
        names = "floor.register_models(%s, '{v1}')"
        self.model = self.value(f"select key from {names}", self.site)  # noqa: S608
        self.said = 0

    def value(self, query: str, *values: Any) -> Any:
        row = self.conn.execute(query.encode(), values).fetchone()
        return row[0] if row else None

    def alert(self, since: datetime, last_bad: datetime, signal: str = "") -> int:
        """An open alert of a signal on the model."""
        signal = signal or "confidence_drop"
        self.conn.execute(
            "insert into ops.drift_checks (site_key, signal, model_key, camera_key,"
            " span, verdict, events, baseline_events, since, checked_now)"
            " values (%s, %s, %s, -1, 'day', 'drifting', 1, 1, %s, %s)"
            " on conflict do nothing",
            (self.site, signal, self.model, since, last_bad),
        )
        self.conn.execute(
            "select ops.raise_alert(%s, %s, 'v1', 'warning', '{}', %s)",
            (self.site, signal, since),
        )
        self.conn.execute("update ops.alerts set last_bad_at = %s", (last_bad,))
        return int(self.value("select max(alert_key) from ops.alerts"))

    def verdicts(self, right: int, wrong: int, at: datetime = NOW) -> None:
        for verdict in ["right"] * right + ["wrong"] * wrong:
            self.said += 1
            self.conn.execute(
                "insert into ops.validations (site_key, worker_key, time,"
                " workstation_key, event_type, model_key, camera_key, confidence,"
                " verdict, validated_by, validated_at, stands, source)"
                " values (%s, %s, %s, 1, 0, %s, 0, 0.9, %s, 'Ann', %s, true, 'test')",
                (self.site, self.said, NOW, self.model, verdict, at),
            )

    def look(self, now: datetime = NOW) -> list[tuple[Any, ...]]:
        """Raise what is to be raised; the open requests."""
        self.conn.execute("select ops.raise_retraining(%s, %s)", (self.site, now))
        return self.conn.execute(
            "select request_id, reason from analytics.retraining_requests"
            " where request_state not in ('deployed', 'rejected')"
        ).fetchall()


@pytest.fixture
def plant(conn: Connection) -> Plant:
    return Plant(conn)


def test_a_signal_that_holds_for_48_hours(plant: Plant, conn: Connection) -> None:
    began = NOW - 60 * HOUR
    plant.alert(began, began + 47 * HOUR)
    assert plant.look() == []
    conn.execute("update ops.alerts set last_bad_at = %s", (began + 48 * HOUR,))
    assert plant.look() == [(1, "confidence")]
    assert plant.look() == [(1, "confidence")]
    (alert,) = plant.value("select evidence->'alerts' from ops.retraining_requests")
    assert (alert["signal"], alert["held"]) == ("confidence_drop", True)
    move(conn, 1, "rejected", "Ann", "lamps were changed")
    assert plant.look() == [], "what was decided on is no evidence again"
    later = plant.value("select state_at from ops.retraining_requests") + HOUR
    conn.execute("select ops.resolve_alert(1, %s, null, null)", (later,))
    plant.alert(later, later + 50 * HOUR)
    assert plant.look(later + 51 * HOUR) == [(2, "confidence")]


@pytest.mark.plain
def test_an_alert_that_came_back_has_held_since_then(plant: Plant) -> None:
    number = plant.alert(NOW - 100 * HOUR, NOW)
    close = "select ops.resolve_alert(%s, %s, null, null)"
    plant.conn.execute(close, (number, NOW - 40 * HOUR))
    assert plant.look() == [], "resolved"
    plant.alert(NOW - 30 * HOUR, NOW)
    assert plant.look() == []
    assert plant.look(NOW + 100 * HOUR) == [], "nobody found it since"
    plant.conn.execute("update ops.alerts set last_bad_at = %s", (NOW + 18 * HOUR,))
    assert plant.look(NOW + 100 * HOUR) == [(1, "confidence")]


@pytest.mark.plain
def test_other_signals_raise_nothing(plant: Plant) -> None:
    for signal in ("state_mix", "rate_shift", "parked"):
        plant.alert(NOW - 100 * HOUR, NOW, signal)
    assert plant.look() == []


@pytest.mark.plain
@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [(41, 8, []), (43, 7, []), (51, 9, []), (42, 8, [(1, "accuracy")])],
)
def test_accuracy_below_85_percent_of_50(
    plant: Plant, right: int, wrong: int, expected: list[tuple[int, str]]
) -> None:
    old = NOW - timedelta(days=14)
    plant.verdicts(0, 30, old)
    plant.verdicts(right, wrong)
    assert plant.look() == expected


@pytest.mark.plain
def test_thresholds_are_the_sites(dsn: str, plant: Plant) -> None:
    plant.verdicts(9, 1)
    plant.alert(NOW - 30 * HOUR, NOW)
    said = ("--accuracy-low", "0.95", "--accuracy-events", "10")
    json_of(dsn, "drift", "set", "plant", *said)
    assert plant.look() == [(1, "accuracy")]
    move(plant.conn, 1, "rejected", "Ann")
    json_of(dsn, "drift", "set", "plant", "--retrain-after-h", "24")
    plant.conn.execute("update ops.retraining_requests set state_at = %s", (NOW,))
    plant.alert(NOW + HOUR, NOW + 25 * HOUR, "rolling_low")
    assert plant.look(NOW + 26 * HOUR) == [(2, "confidence")]


def test_one_is_open_however_many_ask_at_once(dsn: str, plant: Plant) -> None:
    start = threading.Barrier(4)

    def ask(number: int) -> bool:
        with connect(dsn) as own:
            start.wait()
            try:
                request(own, "plant", "v1", f"P{number}", None)
            except BadSetting as error:
                assert "request 1" in error.message or "a request" in error.message  # noqa: PT017
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(ask, range(4))) == [False, False, False, True]
    with pytest.raises(psycopg.errors.UniqueViolation):
        plant.conn.execute(
            "insert into ops.retraining_requests (site_key, model_key, reason,"
            " requested_at, state_at) values (%s, %s, 'accuracy', now(), now())",
            (plant.site, plant.model),
        )


@pytest.mark.plain
def test_only_what_may_follow_follows(plant: Plant) -> None:
    follows = {
        "requested": {"approved", "rejected"},
        "approved": {"exported", "rejected"},
        "exported": {"exported", "trained", "rejected"},
        "trained": {"deployed", "rejected"},
    }
    request(plant.conn, "plant", "v1", "Ann", None)
    step = "select ops.move_retraining(1, %s, now(), 'Ann', null, null)"
    for state in STATES:
        for wanted in STATES:
            with plant.conn.transaction(force_rollback=True):
                plant.conn.execute(
                    "update ops.retraining_requests set state = %s", (state,)
                )
                if wanted in follows.get(state, set()):
                    plant.conn.execute(step, (wanted,))
                    continue
                with pytest.raises(psycopg.errors.RaiseException) as raised:
                    plant.conn.execute(step, (wanted,))
                assert f"is {state}: it cannot become {wanted}" in str(raised.value)


@pytest.mark.plain
def test_the_way_of_a_request(dsn: str, plant: Plant) -> None:
    told = json_of(dsn, "retraining", "request", "plant", "--model", "v1", "--by", "A")
    assert (told["request_state"], told["reason"]) == ("requested", "person")
    (listed,) = json_of(dsn, "retraining", "list")["requests"]
    assert listed["requested_by"] == "A"
    result = floorpulse(dsn, "retraining", "mark", "1", "trained", exit_code=2)
    assert "It can become approved or rejected" in result.stderr
    result = floorpulse(dsn, "retraining", "export", "1", exit_code=2)
    assert "approved first" in result.stderr
    floorpulse(dsn, "retraining", "approve", "1", "--by", "B", "--note", "do it")
    plant.conn.execute("update ops.retraining_requests set state = 'exported'")
    floorpulse(dsn, "retraining", "mark", "1", "trained", "--model", "v2")
    told = json_of(dsn, "retraining", "mark", "1", "deployed", "--by", "C")
    steps = [(s["request_state"], s["who"]) for s in told["steps"]]
    assert [steps[at] for at in (0, 1, 3)] == [
        ("requested", "A"),
        ("approved", "B"),
        ("deployed", "C"),
    ]
    assert told["steps"][2]["detail"] == {"model_version": "v2"}
    result = floorpulse(dsn, "retraining", "reject", "1", exit_code=2)
    assert "That is its end" in result.stderr
    assert json_of(dsn, "retraining", "list")["requests"] == []
    assert "deployed" in floorpulse(dsn, "retraining", "show", "1").stdout
    json_of(dsn, "retraining", "request", "plant", "--model", "v1")


@pytest.mark.plain
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "9"), 1, "no retraining request 9"),
        (("approve", "9"), 1, "no retraining request 9"),
        (("export", "9"), 1, "no retraining request 9"),
        (("request", "moon"), 1, "no site 'moon'"),
        (("list", "--state", "lost"), 2, "none of requested"),
        (("mark", "1", "approved"), 2, "neither trained nor deployed"),
    ],
)
def test_what_is_not_there(
    common_dsn: str, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = floorpulse(common_dsn, "retraining", *arguments, exit_code=code)
    assert words in result.stderr


@pytest.mark.plain
def test_a_version_that_nobody_sent(dsn: str, plant: Plant) -> None:
    said = ("request", "plant", "--model", "v9")
    result = floorpulse(dsn, "retraining", *said, exit_code=2)
    assert "no model version 'v9'. It has v1" in result.stderr
    result = floorpulse(dsn, "retraining", "request", "plant", exit_code=2)
    assert "names its model version: say which, of v1" in result.stderr
    assert plant.look() == []
    with pytest.raises(UnknownRequest):
        move(plant.conn, 5, "approved", "Ann")


@pytest.mark.plain
def test_the_job_raises_requests(dsn: str, plant: Plant) -> None:
    plant.verdicts(0, 50, datetime.now(UTC))
    work = Work(dsn, plant.conn, None, threading.Event())
    assert job.run(work) == {"raised": 1, "delivered": 0, "not_delivered": 0}
    assert json_of(dsn, "retraining", "check") == {"raised": 0}
