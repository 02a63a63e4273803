"""Sites: what a statement about one changes, from when on, and what is restated."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from sql.errors import BadSetting, UnknownSite
from sql.plant.calendar_store import ensure_calendar
from sql.plant.moments import MINUS_INFINITY
from sql.plant.sites import SiteChange, list_sites, register_site, set_site, show_site

pytestmark = pytest.mark.plain

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
Connection = psycopg.Connection[Any]


def add_event(conn: Connection, site_id: str, at: datetime) -> None:
    """One event, past the door: nothing but the rows that settings look at."""
    conn.execute("select floor.ensure_chunks(%s, %s, 1)", (at, at))
    site_key = register_site(conn, site_id)
    worker = conn.execute(
        "insert into floor.workers (site_key, worker_id) values (%s, 'W1') "
        "on conflict (site_key, worker_id) do update set worker_id = 'W1' "
        "returning worker_key",
        (site_key,),
    ).fetchone()
    assert worker
    conn.execute(
        "insert into floor.events (site_key, worker_key, time, workstation_key, "
        "confidence, event_type) values (%s, %s, %s, 1, 0.9, 0)",
        (site_key, worker[0], at),
    )


def spans(conn: Connection, *fields: str) -> list[tuple[Any, ...]]:
    rows = conn.execute(
        "select floor.micros(valid_from), floor.micros(valid_to), timezone, "
        "min_confidence::text, max_state_s, gap_state, count_breaks "
        "from floor.settings_spans order by valid_from"
    ).fetchall()
    names = ("from", "to", "timezone", "gate", "cap", "gap", "breaks")
    return [tuple(r[names.index(f)] for f in fields) for r in rows]


def restatements(conn: Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "select from_time, to_time, done_from, reason from floor.restatements "
        "order by restatement_key"
    ).fetchall()


def test_a_new_site_has_the_defaults(conn: Connection) -> None:
    assert not set_site(conn, "plant", SiteChange()).changed
    (site,) = list_sites(conn)
    assert site["site_id"] == "plant"
    assert site["timezone"] == "UTC"
    assert site["min_confidence"] == 0.7
    assert site["max_state_s"] == 600
    assert site["gap_state"] == "none"
    assert site["count_breaks"] is False
    assert site["registration"] == "open"
    assert site["retention_days"] is None


def test_settings_before_the_first_event_hold_from_the_beginning(
    conn: Connection,
) -> None:
    change = SiteChange(timezone="Asia/Kolkata", min_confidence=0.8)
    done = set_site(conn, "plant", change)
    assert done.changed
    assert done.restatement_key is None
    assert spans(conn, "from", "to", "timezone", "gate") == [
        (None, None, "Asia/Kolkata", "0.8")
    ]


def test_later_settings_hold_from_now(conn: Connection) -> None:
    add_event(conn, "plant", NOON)
    before = datetime.now(UTC)
    done = set_site(conn, "plant", SiteChange(max_state_s=60))
    assert [cap for (cap,) in spans(conn, "cap")] == [600, 60]
    ((since, until, done_from, reason),) = restatements(conn)
    assert done.restatement_key is not None
    assert before - timedelta(seconds=5) < since < until == done_from
    assert reason == "settings: max_state_s=60"


def test_a_change_of_the_past_restates_from_the_oldest_event(conn: Connection) -> None:
    add_event(conn, "plant", NOON)
    change = SiteChange(gap_state="idle", count_breaks=True)
    set_site(conn, "plant", change, MINUS_INFINITY)
    assert spans(conn, "gap", "breaks") == [("idle", True)]
    ((since, until, _, _),) = restatements(conn)
    assert since == NOON
    assert until > datetime.now(UTC)


def test_a_change_of_the_future_restates_nothing_yet(conn: Connection) -> None:
    add_event(conn, "plant", NOON)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert set_site(conn, "plant", SiteChange(max_state_s=60), tomorrow).changed
    assert restatements(conn) == []


def test_what_changes_nothing_restates_nothing(conn: Connection) -> None:
    add_event(conn, "plant", NOON)
    done = set_site(conn, "plant", SiteChange(min_confidence=0.7), MINUS_INFINITY)
    assert not done.changed
    assert restatements(conn) == []


def test_the_statement_recorded_last_decides(conn: Connection) -> None:
    march, june = NOON, NOON + timedelta(days=90)
    set_site(conn, "plant", SiteChange(max_state_s=60), june)
    set_site(conn, "plant", SiteChange(max_state_s=300, gap_state="idle"), march)
    set_site(conn, "plant", SiteChange(min_confidence=0.5), MINUS_INFINITY)
    assert spans(conn, "cap", "gap", "gate") == [
        (600, "none", "0.5"),
        (300, "idle", "0.5"),
    ]
    set_site(conn, "plant", SiteChange(max_state_s=60), june)
    assert spans(conn, "cap", "gap") == [(600, "none"), (300, "idle"), (60, "idle")]


def test_the_calendar_follows_the_zone(conn: Connection) -> None:
    site_key = register_site(conn, "plant")
    ensure_calendar(conn, site_key, NOON, NOON)
    set_site(conn, "plant", SiteChange(timezone="Asia/Kolkata"), NOON)
    cut = conn.execute(
        "select starts_at, ends_at, production_date::text from floor.calendar_slices "
        "where hour = timestamptz '2026-03-02 18:00+00' order by starts_at"
    ).fetchall()
    half_past = datetime(2026, 3, 2, 18, 30, tzinfo=UTC)
    assert cut == [
        (half_past - timedelta(minutes=30), half_past, "2026-03-02"),
        (half_past, half_past + timedelta(minutes=30), "2026-03-03"),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (SiteChange(timezone="Berlin"), "did you mean Europe/Berlin"),
        (SiteChange(timezone="../etc/passwd"), "no IANA time zone"),
        (SiteChange(min_confidence=1.5), "--min-confidence 1.5 is not between 0 and 1"),
        (SiteChange(max_state_s=0), "--max-state-s 0 is not between 1 and 86400"),
        (SiteChange(gap_state="busy"), "neither none nor idle"),
        (SiteChange(registration="shut"), "neither open nor strict"),
    ],
)
def test_a_value_that_cannot_be_is_refused(
    conn: Connection, change: SiteChange, said: str
) -> None:
    with pytest.raises(BadSetting, match=said):
        set_site(conn, "plant", change)
    assert list_sites(conn) == []


@pytest.mark.parametrize("site_id", ["", "x" * 65, "a\nb"])
def test_an_id_that_no_event_could_carry_is_refused(
    conn: Connection, site_id: str
) -> None:
    with pytest.raises(BadSetting, match="no site id"):
        set_site(conn, site_id, SiteChange())


def test_showing_a_site_tells_what_was_said(conn: Connection) -> None:
    set_site(conn, "plant", SiteChange(timezone="Europe/Berlin", retention_days=30))
    set_site(conn, "plant", SiteChange(max_state_s=60, retention_days=0), NOON)
    shown = show_site(conn, "plant")
    assert shown["retention_days"] is None
    assert [s["valid_from"] for s in shown["statements"]] == [None, NOON]
    assert shown["restating"] == []
    with pytest.raises(UnknownSite, match="no site 'plan'"):
        show_site(conn, "plan")
