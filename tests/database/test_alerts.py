"""The life of an alert: opened, answered, damped, resolved, and told once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from sql.connect import Connection, connect
from sql.plant.sites import register_site
from tests.support.cli import floorpulse, json_of

pytestmark = pytest.mark.plain

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


class House:
    """A site whose one condition, parked events, tests turn on and off."""

    def __init__(self, conn: Connection) -> None:
        self.conn, self.now = conn, NOW
        self.site_key = register_site(conn, "plant")

    def check(
        self, parked: int, *, read: int = 1000, after: timedelta = QUARTER
    ) -> None:
        """A check after a while, with so many events parked in its hour."""
        self.now += after
        self.conn.execute("delete from ingest.tallies")
        self.conn.execute(
            "insert into ingest.tallies (site_id, hour, stored, duplicates, conflicts,"
            " parked, late) values ('plant', %s, %s, 0, 0, %s, 0)",
            (self.now.replace(minute=0), read - parked, parked),
        )
        self.conn.execute("select ops.check_drift(%s, %s)", (self.now, self.site_key))

    def state(self) -> tuple[object, ...]:
        """Number of alerts; state, reopened and clean checks of the last."""
        row = self.conn.execute(
            "select count(*) over (), state, reopened, clean_checks from ops.alerts"
            " order by alert_key desc"
        ).fetchone()
        return tuple(row) if row else ()

    def transitions(self) -> list[str]:
        rows = self.conn.execute(
            "select transition from ops.alert_events order by event_key"
        ).fetchall()
        return [str(transition) for (transition,) in rows]


@pytest.fixture
def house(conn: Connection) -> House:
    return House(conn)


def test_one_alert_however_often_it_is_found(house: House) -> None:
    for _ in range(3):
        house.check(50)
    assert house.state() == (1, "open", 0, 0)
    assert house.transitions() == ["opened"]


def test_under_a_percent_or_of_few_events_is_no_alert(house: House) -> None:
    house.check(10)
    house.check(50, read=99)
    assert house.state() == ()


def test_two_clean_checks_in_a_row_resolve(house: House) -> None:
    for parked in (50, 0, 50, 0):
        house.check(parked)
    assert house.state() == (1, "open", 0, 1)
    house.check(0)
    assert house.state()[:2] == (1, "resolved")
    assert house.transitions() == ["opened", "resolved"]


def test_back_within_a_day_is_the_old_alert_and_flapping_is_damped(
    house: House,
) -> None:
    for parked in (50, 0, 0, 50):
        house.check(parked)
    assert house.state() == (1, "open", 1, 0)
    for _ in range(3):
        house.check(0)
    assert house.state()[1] == "open", "twice as many clean checks the second time"
    house.check(0)
    assert house.state()[1] == "resolved"
    house.check(50)
    for _ in range(7):
        house.check(0)
    assert house.state()[1:] == ("open", 2, 7)
    house.check(0)
    back = ["reopened", "resolved"]
    assert house.transitions() == ["opened", "resolved", *back, *back]


def test_back_after_a_day_is_a_new_alert(house: House) -> None:
    for parked in (50, 0, 0):
        house.check(parked)
    house.check(50, after=timedelta(days=1))
    assert house.state() == (2, "open", 0, 0)


def test_what_nobody_knows_of_for_a_week_ends(house: House) -> None:
    house.check(50)
    house.check(0, read=5, after=timedelta(days=6))
    assert house.state()[1] == "open"
    house.check(0, read=5, after=timedelta(days=2))
    assert house.state()[1] == "resolved"


def test_a_check_of_the_past_changes_nothing(house: House) -> None:
    house.check(50)
    house.check(0, after=-timedelta(hours=2))
    assert house.state() == (1, "open", 0, 0)


def test_metrics_that_stand_still_are_an_alert(house: House) -> None:
    house.conn.execute(
        "update floor.refresh_state set first_event_at = %(now)s, cut_now = %(now)s,"
        " aggregated_now = %(now)s",
        {"now": NOW},
    )
    house.check(0, after=timedelta(minutes=4))
    assert house.state() == ()
    house.check(0, after=timedelta(minutes=2))
    row = house.conn.execute("select signal, severity from ops.alerts").fetchall()
    assert row == [("freshness", "critical")]


def test_answers_and_their_rows(dsn: str, conn: Connection, house: House) -> None:
    house.check(50)
    (alert,) = json_of(dsn, "alerts", "list")["alerts"]
    number = str(alert["alert_id"])
    assert (alert["signal"], alert["alert_state"]) == ("parked", "open")
    said = json_of(dsn, "alerts", "ack", number, "--note", "at it", "--by", "Ann")
    assert (said["alert_state"], said["acknowledged_by"]) == ("acknowledged", "Ann")
    again = floorpulse(dsn, "alerts", "ack", number, exit_code=2)
    assert "acknowledged already" in again.stderr
    said = json_of(dsn, "alerts", "snooze", number, "--for", "90m", "--by", "Ann")
    assert said["alert_state"] == "snoozed"
    until = datetime.fromisoformat(said["snoozed_until"])
    left = until - datetime.now(UTC)
    assert timedelta(minutes=88) < left <= timedelta(minutes=90)
    for length, refusal in (("31d", "30 days at most"), ("0m", "more than 0 minutes")):
        result = floorpulse(
            dsn, "alerts", "snooze", number, "--for", length, exit_code=2
        )
        assert refusal in result.stderr
    json_of(dsn, "alerts", "snooze", number, "--for", "30d", "--by", "Ann")
    said = json_of(dsn, "alerts", "resolve", number, "--by", "Ann")
    assert said["alert_state"] == "resolved"
    floorpulse(dsn, "alerts", "resolve", number, exit_code=2)
    floorpulse(dsn, "alerts", "snooze", number, exit_code=2)
    assert json_of(dsn, "alerts", "list")["alerts"] == []
    assert len(json_of(dsn, "alerts", "list", "--state", "all")["alerts"]) == 1
    assert house.transitions() == [
        "opened",
        "acknowledged",
        "snoozed",
        "snoozed",
        "resolved",
    ]
    who = conn.execute("select who from ops.alert_events order by event_key").fetchall()
    assert who == [(None,), *[("Ann",)] * 4]


def test_a_snoozed_alert_wakes(house: House) -> None:
    house.check(50)
    house.conn.execute(
        "select ops.snooze_alert(alert_key, %s, %s, 'Ann', null) from ops.alerts",
        (house.now, house.now + timedelta(minutes=40)),
    )
    house.check(50)
    assert house.state()[1] == "snoozed"
    for _ in range(2):
        house.check(50)
    assert house.state()[1] == "open"
    assert house.transitions() == ["opened", "snoozed", "woken"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("alerts", "ack", "77"), "no alert 77"),
        (("alerts", "list", "--site", "nowhere"), "no site 'nowhere'"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    dsn: str, arguments: tuple[str, ...], said: str
) -> None:
    result = floorpulse(dsn, *arguments, exit_code=1)
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_transition_is_claimed_by_one_sender_only(
    dsn: str, conn: Connection, house: House
) -> None:
    house.check(50)
    conn.execute(
        "insert into ops.alert_events (alert_key, transition, at)"
        " select alert_key, 'snoozed', now() from ops.alerts, generate_series(1, 199)"
    )

    def claim(sender: int) -> list[int]:
        got: list[int] = []
        with connect(dsn) as own:
            while rows := own.execute(
                "select event_key from ops.claim_alert_events(%s, 7)", (str(sender),)
            ).fetchall():
                got += [int(key) for (key,) in rows]
        return got

    with ThreadPoolExecutor(4) as pool:
        claimed = [key for keys in pool.map(claim, range(4)) for key in keys]
    assert len(claimed) == len(set(claimed)) == 200
