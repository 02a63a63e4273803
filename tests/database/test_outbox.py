"""The outbox: queued for whom, claimed once, tried again, given up, overtaken."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from sql.connect import Connection, connect
from sql.model_health.channels import Quiet
from sql.plant.calendar import Break
from sql.plant.calendar_store import ensure_calendar
from sql.plant.shifts import Pattern, add_shift
from sql.plant.sites import site_key_of
from tests.support.alerting import Alerting

pytestmark = pytest.mark.plain
NIGHT = Quiet(tuple(range(7)), 22 * 60, 8 * 60)


@pytest.fixture
def house(conn: Connection) -> Alerting:
    return Alerting(conn)


def test_a_message_is_written_with_its_transition(
    dsn: str, house: Alerting, conn: Connection
) -> None:
    house.channel()
    with connect(dsn) as other, conn.transaction(force_rollback=True):
        house.raise_alert()
        assert house.messages() == [("team", "opened", "waiting")]
        seen = other.execute("select count(*) from ops.outbox").fetchone()
        assert seen == (0,)
    assert house.messages() == []


def test_channels_hear_of_their_sites_severities_and_transitions(
    house: Alerting,
) -> None:
    house.site("north", "UTC")
    house.channel("all", transitions=["opened", "acknowledged", "resolved"])
    house.channel("critical", severity="critical")
    house.channel("north", sites=["north"])
    house.channel("digests", severity="none", digest="always")
    house.channel("off", enabled=False)
    alert = house.raise_alert()
    house.resolve(alert)
    house.raise_alert("other", "critical", site="north")
    assert sorted(house.messages()) == [
        ("all", "opened", "waiting"),
        ("all", "opened", "waiting"),
        ("all", "resolved", "waiting"),
        ("critical", "opened", "waiting"),
        ("north", "opened", "waiting"),
    ]


def test_a_check_of_the_past_tells_nobody(house: Alerting) -> None:
    house.channel()
    house.raise_alert(at=datetime.now(UTC) - timedelta(days=2))
    assert house.messages() == []


def test_a_channel_is_one_senders_until_it_settles_or_its_lease_ends(
    house: Alerting,
) -> None:
    house.channel()
    house.raise_alert()
    claimed = house.claim("a")
    assert claimed is not None
    house.raise_alert("others")
    assert house.claim("b") is None
    again = house.claim("b", later_s=61)
    assert again == ("team", [claimed[1][0], claimed[1][0] + 1])
    # a is slower than its lease, but it did tell: nothing of it is told a third time
    house.settle("delivered", claimed[1], "a")
    house.settle("failed", again[1], "b")
    assert [state for _, _, state in house.messages()] == ["delivered", "waiting"]


def test_two_senders_never_have_the_same_channel(dsn: str, house: Alerting) -> None:
    for number in range(12):
        house.channel(f"c{number}")
    house.raise_alert()

    def take(sender: int) -> list[str]:
        got = []
        with connect(dsn) as own:
            while row := own.execute(
                "select name from ops.claim_messages(%s, '60 s')", (str(sender),)
            ).fetchone():
                got.append(str(row[0]))
        return got

    with ThreadPoolExecutor(4) as pool:
        taken = [name for names in pool.map(take, range(4)) for name in names]
    # A sender that finds only locked channels ends; the next pass takes what it left.
    assert len(taken) == len(set(taken)) == 12


def test_a_failing_channel_waits_longer_and_longer(house: Alerting) -> None:
    house.channel()
    house.raise_alert()
    waits, at_s = [], 0.0
    for _ in range(9):
        claimed = house.claim_at(datetime.now(UTC) + timedelta(seconds=at_s))
        assert claimed is not None
        house.conn.execute(
            "select ops.messages_failed(channel_key, 'me', %s, 'no', clock_timestamp()"
            " + %s * interval '1 s') from ops.channels",
            (claimed[1], at_s),
        )
        row = house.conn.execute(
            "select extract(epoch from retry_at - last_error_at)::int from ops.channels"
        ).fetchone()
        waits.append(row[0] if row else 0)
        at_s += waits[-1] + 1
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_what_failed_for_three_days_is_given_up_and_sent_again_when_asked(
    house: Alerting,
) -> None:
    from sql.model_health.channels import send_again

    house.channel()
    house.raise_alert()
    claimed = house.claim()
    assert claimed is not None
    house.conn.execute(
        "update ops.outbox set first_tried_at = first_tried_at - interval '3 days'"
    )
    house.settle("failed", claimed[1])
    assert house.messages() == [("team", "opened", "failed")]
    assert house.claim(later_s=9999) is None
    assert send_again(house.conn, "team") == 1
    assert house.claim() is not None


def test_one_message_that_is_refused_holds_up_no_other(house: Alerting) -> None:
    house.channel()
    for number in range(8):
        house.raise_alert(f"camera {number}")
    poison, now = 3, datetime.now(UTC)

    def tell_until(left: int, tries: int) -> None:
        nonlocal now
        while [state for _, _, state in house.messages()].count("waiting") > left:
            now, tries = now + timedelta(seconds=301), tries - 1
            assert tries >= 0
            claimed = house.claim_at(now)
            assert claimed is not None
            how = "failed" if poison in claimed[1] else "delivered"
            house.settle(how, claimed[1], now=now)

    tell_until(left=1, tries=20)
    house.raise_alert("new")
    tell_until(left=1, tries=1)
    tell_until(left=0, tries=10)
    states = [state for _, _, state in house.messages()]
    assert states.count("failed") == 1
    assert states[poison - 1] == "failed"


def test_a_word_that_was_overtaken_is_not_told(house: Alerting) -> None:
    house.channel()
    house.resolve(house.raise_alert())
    house.conn.execute("update ops.outbox set attempts = 6 where message_key = 1")
    claimed = house.claim()
    assert claimed == ("team", [2])
    house.settle("delivered", [2])
    assert house.messages() == [
        ("team", "opened", "dropped"),
        ("team", "resolved", "delivered"),
    ]


def test_a_removed_channel_is_told_nothing_more(house: Alerting) -> None:
    from sql.model_health.channels import remove_channel

    house.channel()
    house.raise_alert()
    assert remove_channel(house.conn, "team", "a test") == 1
    assert house.messages() == [("team", "opened", "dropped")]
    house.channel("team")
    house.raise_alert("other")
    assert len(house.messages()) == 2


@pytest.mark.parametrize(
    ("at", "quiet"),
    [
        ("2026-03-27 20:59Z", False),  # 21:59 in Berlin
        ("2026-03-27 21:00Z", True),
        ("2026-03-28 04:59Z", True),
        ("2026-03-28 05:00Z", False),
        # the clocks go forward that night: 6 o'clock comes an hour earlier
        ("2026-03-29 03:59Z", True),
        ("2026-03-29 04:00Z", False),
    ],
)
def test_quiet_hours_hold_by_the_clock_of_the_site(
    house: Alerting, at: str, quiet: bool
) -> None:
    house.channel(quiet=[NIGHT])
    house.raise_alert()
    house.raise_alert("line", "critical")
    due = house.conn.execute(
        "select severity from ops.due_messages("
        " (select channel_key from ops.channels), %s::timestamptz) order by 1",
        (at,),
    ).fetchall()
    assert due == ([("critical",)] if quiet else [("critical",), ("warning",)])


def test_nothing_pierces_where_nothing_may_and_weekends_have_their_days(
    house: Alerting,
) -> None:
    house.channel(quiet=[Quiet((5, 6), 0, 1440)], pierce="none")
    house.raise_alert("line", "critical")
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    assert house.claim_at(monday - timedelta(hours=1, minutes=1)) is None
    assert house.claim_at(monday - timedelta(hours=1)) is not None  # 00:00 in Berlin


def ended_shift(conn: Connection) -> datetime:
    """A shift of two hours that ended a few minutes ago; when."""
    local = datetime.now(UTC) - timedelta(hours=2, minutes=5)
    start = local.hour * 60 + local.minute
    add_shift(
        conn, "utc", "early", Pattern(tuple(range(7)), start, 120, (Break(start, 1),))
    )
    now = datetime.now(UTC)
    ensure_calendar(conn, site_key_of(conn, "utc"), now - timedelta(days=2), now)
    return local.replace(second=0, microsecond=0) + timedelta(hours=2)


def test_a_shift_that_ends_is_summed_up_once(house: Alerting) -> None:
    house.site("utc", "UTC")
    ends_at = ended_shift(house.conn)
    house.channel("always", digest="always", severity="none")
    house.channel("news", digest="news")
    house.channel("never")
    house.conn.execute("update ops.channels set created_at = '2026-01-01'")
    queue = "select ops.queue_digests(%s)"
    before = ends_at - timedelta(seconds=1)
    assert house.conn.execute(queue, (before,)).fetchone() == (0,)
    now = ends_at + timedelta(minutes=1)
    assert house.conn.execute(queue, (now,)).fetchone() == (1,)
    assert house.conn.execute(queue, (now,)).fetchone() == (0,)
    house.raise_alert(site="utc", at=ends_at - timedelta(minutes=30))
    assert house.conn.execute(queue, (now,)).fetchone() == (1,)
    digests = [row for row in house.messages() if row[1] == "digest"]
    assert digests == [("always", "digest", "waiting"), ("news", "digest", "waiting")]
    late = ends_at + timedelta(hours=3)
    house.conn.execute("delete from ops.outbox")
    assert house.conn.execute(queue, (late,)).fetchone() == (0,)


def test_old_messages_go_and_late_ones_are_given_up(house: Alerting) -> None:
    house.channel()
    house.raise_alert()
    later = datetime.now(UTC) + timedelta(days=7, hours=1)
    give_up, prune = "select ops.give_up_messages(%s)", "select ops.prune_outbox(%s)"
    assert house.conn.execute(give_up, (later,)).fetchone() == (1,)
    assert house.messages() == [("team", "opened", "failed")]
    assert house.conn.execute(prune, (later,)).fetchone() == (0,)
    later += timedelta(days=31, hours=1)
    assert house.conn.execute(prune, (later,)).fetchone() == (1,)


def test_freshness_tells_of_a_channel_that_fails(house: Alerting) -> None:
    stage = "select ok from analytics.freshness where stage = 'notified'"
    assert house.conn.execute(stage).fetchone() is None
    house.channel()
    house.raise_alert()
    assert house.conn.execute(stage).fetchone() == (True,)
    claimed = house.claim()
    assert claimed is not None
    house.settle("failed", claimed[1])
    house.conn.execute(
        "update ops.outbox set first_tried_at = now() - interval '16 minutes'"
    )
    assert house.conn.execute(stage).fetchone() == (False,)


def test_readers_see_the_outbox_and_no_secret_is_kept(house: Alerting) -> None:
    house.channel()
    house.raise_alert()
    house.conn.execute("set role floorpulse_dashboard")
    try:
        for view in ("notifications", "notification_channels", "freshness"):
            query = f"select * from analytics.{view}"  # noqa: S608
            assert house.conn.execute(query.encode()).fetchall()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            house.conn.execute("select * from ops.channels")
    finally:
        house.conn.execute("reset role")
