"""`floorpulse drift`, its job, and the stage that says how far it is."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.job import Work
from scheduler.jobs import drift
from sql.connect import Connection
from tests.support.cli import floorpulse, json_of

pytestmark = pytest.mark.plain


def test_thresholds_are_set_shown_and_noted(dsn: str, conn: Connection) -> None:
    shown = json_of(dsn, "drift", "set", "plant", "--confidence-drop", "0.1")
    assert (shown["confidence_drop"], shown["confidence_low"]) == (0.1, 0.75)
    shown = json_of(dsn, "drift", "set", "plant", "--silent-after-s", "600")
    assert (shown["confidence_drop"], shown["silent_after_s"]) == (0.1, 600)
    assert "confidence_shape" in floorpulse(dsn, "drift", "set", "plant").stdout
    notes = conn.execute("select subject, detail from ops.audit_log").fetchall()
    assert notes == [
        ("plant", {"confidence_drop": 0.1}),
        ("plant", {"silent_after_s": 600}),
    ]


def test_showing_thresholds_makes_no_site(dsn: str, conn: Connection) -> None:
    result = floorpulse(dsn, "drift", "set", "plnat", exit_code=1)
    assert "no site 'plnat'" in result.stderr
    assert conn.execute("select count(*) from floor.sites").fetchone() == (0,)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--confidence-drop", "0"),
        ("--confidence-drop", "1.5"),
        ("--confidence-low", "nan"),
        ("--confidence-spread", "-1"),
        ("--confidence-shape", "0"),
        ("--rolling-low", "2"),
        ("--rolling-hold-s", "-1"),
        ("--state-mix", "100"),
        ("--rate-shift", "0.5"),
        ("--rate-share", "-0.1"),
        ("--silent-after-s", "5"),
        ("--parked-share", "0"),
    ],
)
def test_a_threshold_out_of_range_is_refused(
    dsn: str, conn: Connection, option: str, value: str
) -> None:
    result = floorpulse(dsn, "drift", "set", "plant", option, value, exit_code=2)
    assert f"{option} {float(value):g}" in result.stderr.replace(".0 ", " ")
    assert "between" in result.stderr
    assert conn.execute("select count(*) from ops.drift_settings").fetchone() == (0,)


def test_the_table_refuses_what_the_command_refuses(conn: Connection) -> None:
    """Lowest and highest value are said twice: here they are held together."""
    import psycopg

    from sql.model_health.drift import RANGES

    conn.execute("select floor.register_site('plant', false)")
    conn.execute("select ops.drift_settings_of(site_key) from floor.sites")
    for name, (low, high) in RANGES.items():
        step = 1 if name.endswith(("_s", "_h", "_events")) else 1e-6
        change = f"update ops.drift_settings set {name} = %s"  # noqa: S608
        conn.execute(change.encode(), (low,))
        conn.execute(change.encode(), (high,))
        for beyond in (low - step, high + step):
            with pytest.raises(psycopg.errors.CheckViolation):
                conn.execute(change.encode(), (beyond,))


def test_a_check_by_hand_is_recorded(dsn: str, conn: Connection) -> None:
    floorpulse(dsn, "site", "set", "plant")
    told = json_of(dsn, "drift", "check")
    assert told == {"sites_checked": 1, "verdicts": []}
    assert "Nothing drifts." in floorpulse(dsn, "drift", "check").stderr
    runs = conn.execute("select ok, detail from ops.job_runs where job = 'drift'")
    assert runs.fetchall() == [(True, {"sites": 1})] * 2


def test_now_is_not_ahead_of_the_clock_nor_before_the_last(dsn: str) -> None:
    floorpulse(dsn, "site", "set", "plant")
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    result = floorpulse(dsn, "drift", "check", "--now", ahead, exit_code=2)
    assert "not over yet" in result.stderr
    floorpulse(dsn, "drift", "check")
    result = floorpulse(dsn, "drift", "check", "--now", "2026-01-01", exit_code=2)
    assert "only go forward" in result.stderr
    result = floorpulse(dsn, "drift", "check", "--site", "nowhere", exit_code=1)
    assert "no site 'nowhere'" in result.stderr


def test_the_job_checks_every_site_and_freshness_tells(
    dsn: str, conn: Connection
) -> None:
    conn.execute("select floor.register_site(s, false) from unnest('{a,b}'::text[]) s")
    stage = (
        "select ok, last_at > now() - interval '1 minute' from analytics.freshness"
        " where stage = 'drift_checked' order by site_id"
    )
    conn.execute("insert into ops.jobs (job, interval_s) values ('drift', 900)")
    assert conn.execute(stage).fetchall() == [(True, None), (True, None)]
    work = Work(dsn, conn, None, threading.Event())
    assert drift.run(work) == {"sites": 2}
    assert conn.execute(stage).fetchall() == [(True, True), (True, True)]
    conn.execute("update ops.drift_state set checked_now = now() - interval '46 min'")
    assert conn.execute(stage).fetchall() == [(False, False), (False, False)]


def test_a_stopped_job_stops(dsn: str, conn: Connection) -> None:
    conn.execute("select floor.register_site('a', false)")
    stop = threading.Event()
    stop.set()
    assert drift.run(Work(dsn, conn, None, stop)) == {"sites": 0}
