"""The scheduler in one process: rows for every run, slots, failures, notifications."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.job import Detail, Job, Work
from scheduler.jobs import JOBS, REFRESH
from scheduler.leader import Leader
from scheduler.service import run, take_over
from sql.connect import Connection, connect
from sql.errors import DsnError
from tests.support.database import one
from tests.support.local_server import wait_until

NAMES = {job.name for job in JOBS}


@contextmanager
def scheduling(dsn: str, jobs: tuple[Job, ...] = JOBS) -> Iterator[None]:
    """The scheduler in a thread, ended (within 5 s) afterwards."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(dsn, stop, jobs))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
        assert not thread.is_alive()


def ok_jobs(conn: Connection) -> set[object]:
    found = conn.execute("select job from ops.jobs where last_ok_at is not null")
    return {job for (job,) in found.fetchall()}


def nothing(work: Work) -> Detail:
    del work
    return {}


def test_every_job_runs_at_once_and_is_recorded(dsn: str, conn: Connection) -> None:
    conn.execute("select floor.register_site('plant', false)")
    with scheduling(dsn):
        wait_until(lambda: ok_jobs(conn) == NAMES)
    rows = conn.execute(
        "select job, ok, error, finished_at >= started_at, detail from ops.job_runs"
        " where detail ? 'slot'"
    ).fetchall()
    assert {row[0] for row in rows} == NAMES
    assert all(row[1] and row[2] is None and row[3] for row in rows)
    now = datetime.now(UTC)
    covered = one(conn, "select covered_to from floor.calendar_coverage")
    assert isinstance(covered, datetime)
    assert covered >= now + timedelta(days=34)
    ahead = one(conn, "select max(ends_at) from floor.partitions")
    assert isinstance(ahead, datetime)
    assert ahead > now + timedelta(days=3)
    assert one(conn, "select count(*) from ops.job_runs where finished_at is null") == 0


@pytest.mark.plain
def test_a_site_is_fresh_while_the_scheduler_runs(dsn: str, conn: Connection) -> None:
    conn.execute("select floor.register_site('plant', false)")
    fresh = "select bool_and(ok) from analytics.freshness where site_id = 'plant'"
    assert one(conn, fresh) is False
    with scheduling(dsn):
        wait_until(lambda: one(conn, fresh) is True)


@pytest.mark.plain
def test_a_notification_refreshes_its_site_at_once(dsn: str, conn: Connection) -> None:
    seen: list[tuple[float, frozenset[str] | None]] = []

    def note(work: Work) -> Detail:
        seen.append((time.monotonic(), work.sites))
        return {}

    monkey = pytest.MonkeyPatch()
    job = Job("refresh", 3_600, note)
    monkey.setattr("scheduler.service.REFRESH", job)
    with monkey.context(), scheduling(dsn, (job,)):
        wait_until(lambda: len(seen) == 1)
        wait_until(lambda: one(conn, LISTENERS) == 1)
        sent_s = time.monotonic()
        for site in ("a", "b", "b"):
            payload = json.dumps({"site": site, "stored": 1})
            conn.execute("select pg_notify('floorpulse_events', %s)", (payload,))
        wait_until(
            lambda: {s for _, sites in seen[1:] for s in sites or ()} == {"a", "b"}
        )
        assert seen[1][0] - sent_s < 1
        time.sleep(1.5)
        assert len(seen) <= 3, "notifications are coalesced"
    monkey.undo()


LISTENERS = (
    "select count(*) from pg_stat_activity where query like '%listen floorpulse_events'"
    " and datname = current_database() and state = 'idle'"
)


@pytest.mark.plain
def test_events_are_refreshed_when_the_door_says_so(dsn: str, conn: Connection) -> None:
    site_key = one(conn, "select floor.register_site('plant', false)")
    with scheduling(dsn):
        wait_until(lambda: ok_jobs(conn) == NAMES and one(conn, LISTENERS) == 1)
        before = one(conn, "select max(run_id) from ops.job_runs")
        conn.execute(
            "select pg_notify('floorpulse_events', %s)",
            (json.dumps({"site": "plant"}),),
        )
        wait_until(
            lambda: one(
                conn,
                "select count(*) from ops.job_runs"
                " where run_id > %s and detail ->> 'notified' = '[\"plant\"]' and ok",
                before,
            )
        )
    now = "select aggregated_now from floor.refresh_state where site_key = %s"
    assert one(conn, now, site_key) is not None


@pytest.mark.plain
def test_a_job_that_raises_is_seen_logged_and_tried_again(
    dsn: str, conn: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[float] = []

    def fail_twice(work: Work) -> Detail:
        del work
        tries.append(time.monotonic())
        if len(tries) <= 2:
            raise RuntimeError("the plant is on fire")
        return {"put_out": True}

    monkey = pytest.MonkeyPatch()
    monkey.setattr("scheduler.runner.RETRY_S", (0.3, 5.0))
    job = Job("failing", 3_600, fail_twice)
    with monkey.context(), scheduling(dsn, (job, Job("well", 3_600, nothing))):
        wait_until(lambda: len(tries) >= 1)
        wait_until(
            lambda: one(conn, "select last_error from ops.jobs where job='failing'")
        )
        wait_until(lambda: ok_jobs(conn) == {"failing", "well"})
    monkey.undo()
    runs = conn.execute(
        "select ok, error, detail from ops.job_runs where job = 'failing'"
        " order by run_id"
    ).fetchall()
    assert [ok for ok, _, _ in runs] == [False, False, True]
    assert runs[0][1] == "RuntimeError: the plant is on fire"
    assert [detail.get("attempt") for _, _, detail in runs] == [None, 2, 3]
    assert tries[2] - tries[1] >= 2 * 0.3
    assert one(conn, "select last_error from ops.jobs where job = 'failing'") is None
    logged = [r for r in caplog.records if getattr(r, "action", "") == "job_failed"]
    assert len(logged) == 2
    assert logged[0].levelno == logging.ERROR
    assert getattr(logged[0], "job", "") == "failing"


@pytest.mark.plain
def test_one_site_that_fails_keeps_no_other_from_its_refresh(
    dsn: str, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn.execute(
        "select floor.register_site(s, false) from unnest('{a,b,c}'::text[]) s"
    )
    from scheduler.jobs import refresh
    from scheduler.refresh import refresh_with as real
    from sql.errors import RefreshError

    def broken(conn: Connection, site_id: str) -> object:
        if site_id == "b":
            raise RefreshError("b cannot be cut")
        return real(conn, site_id)

    monkeypatch.setattr(refresh, "refresh_with", broken)
    with pytest.raises(RefreshError, match="1 of 3 sites failed: b: b cannot be cut"):
        refresh.run(Work(dsn, conn, None, threading.Event()))
    counted = "select count(aggregated_now) from floor.refresh_state"
    assert one(conn, counted) == 2


@pytest.mark.plain
def test_the_slot_of_a_dead_leader_is_done_once(dsn: str) -> None:
    job = Job("tick", 3_600, nothing)
    slot = job.slot_of(time.time())
    with Leader(dsn) as leader:
        leader.connect()
        assert leader.wait(threading.Event())
        assert take_over(leader, (job,))["tick"] <= datetime.now(UTC)
        begun = {"job": "tick", "detail": json.dumps({"slot": slot})}
        run_id = leader.execute("job_started", begun)[0][0]
        # Begun and not ended: the next leader does it again, at once.
        assert take_over(leader, (job,))["tick"] <= datetime.now(UTC)
        assert take_over(leader, (job,))["tick"] <= datetime.now(UTC)
        begun_again = leader.execute("job_started", begun)[0][0]
        ended = {"run_id": begun_again, "job": "tick", "error": None, "detail": "{}"}
        leader.execute("job_finished", ended)
        assert take_over(leader, (job,))["tick"].timestamp() == slot + 3_600
        rows = leader.execute("last_slot", {"job": "tick"})
        assert rows == [(float(slot),)]
        assert begun_again > run_id


@pytest.mark.plain
def test_a_slot_that_begins_during_a_run_is_done_after_it(
    dsn: str, conn: Connection
) -> None:
    """Else a leader that began late in an hour would leave out the next."""
    begins_during = iter([1, 2])

    def slow_at_first(work: Work) -> Detail:
        del work
        if slots := next(begins_during, 0):
            time.sleep(slots - time.time() % 1 + 0.3)
        return {}

    query = (
        "select (detail ->> 'slot')::int from ops.job_runs where ok order by started_at"
    )
    with scheduling(dsn, (Job("slow", 1, slow_at_first),)):
        wait_until(lambda: len(conn.execute(query).fetchall()) >= 5)
    first, *then = [slot for (slot,) in conn.execute(query).fetchall()]
    # The second lasts until the third is over: late slots are one run, and none two.
    assert [slot - first for slot in then[:4]] == [1, 3, 4, 5]


@pytest.mark.plain
def test_only_one_leads_and_the_next_one_follows(dsn: str) -> None:
    stop, led = threading.Event(), threading.Event()
    with Leader(dsn) as first, Leader(dsn) as second:
        assert first.wait(stop)

        def stand_by() -> None:
            if second.wait(stop):
                led.set()

        thread = threading.Thread(target=stand_by)
        thread.start()
        assert not led.wait(1.5)
        first.__exit__(None, None, None)
        assert not first.leads()
        assert led.wait(3)
        thread.join()


@pytest.mark.plain
def test_a_leader_whose_session_is_ended_steps_down_and_leads_again(
    dsn: str, conn: Connection
) -> None:
    leading = (
        "select l.pid from pg_locks l join pg_database d on d.oid = l.database"
        " where l.locktype = 'advisory' and d.datname = current_database()"
        " and l.classid = hashtext('floorpulse.scheduler')::oid and l.granted"
    )
    with scheduling(dsn, (Job("tick", 1, nothing),)):
        wait_until(lambda: one(conn, leading))
        pid = one(conn, leading)
        conn.execute("select pg_terminate_backend(%s)", (pid,))
        wait_until(lambda: one(conn, leading) not in (None, pid))
        runs = "select count(*) from ops.job_runs where ok"
        before = one(conn, runs)
        assert isinstance(before, int)
        wait_until(lambda: one(conn, runs) >= before + 2)


@pytest.mark.plain
def test_a_long_query_is_cancelled_when_the_scheduler_ends(
    dsn: str, conn: Connection
) -> None:
    def sleep(work: Work) -> Detail:
        work.conn.execute("select pg_sleep(60)")
        return {}

    running = "select count(*) from ops.job_runs where finished_at is null"
    with scheduling(dsn, (Job("long", 3_600, sleep),)):
        wait_until(lambda: one(conn, running) == 1)
        time.sleep(0.3)
    row = conn.execute("select ok, error, detail ? 'abandoned' from ops.job_runs")
    assert row.fetchall() == [(False, "the scheduler was stopped", True)]


@pytest.mark.plain
def test_a_refresh_that_is_cancelled_is_told_in_a_line(
    dsn: str, conn: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    conn.execute("select floor.register_site('plant', false)")
    running = (
        "select count(*) from ops.job_runs where job = 'refresh' and site_id = 'plant'"
        " and finished_at is null"
    )
    waiting = (
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock'"
    )
    with connect(dsn) as other, other.transaction():
        other.execute("lock table floor.dirty in access exclusive mode")
        with scheduling(dsn, (REFRESH,)):
            wait_until(lambda: one(conn, running) == 1 and one(conn, waiting))
    errors = "select string_agg(error, ';') from ops.job_runs where site_id = 'plant'"
    assert one(conn, errors) == (
        "cancelled; what is committed stays, the rest is for the next refresh"
    )
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.plain
def test_jobs_of_another_version_are_forgotten(dsn: str, conn: Connection) -> None:
    conn.execute("insert into ops.jobs (job, interval_s) values ('old', 5)")
    with scheduling(dsn, (Job("new", 3_600, nothing),)):
        wait_until(lambda: ok_jobs(conn) == {"new"})
    assert one(conn, "select count(*) from ops.jobs") == 1


@pytest.mark.plain
def test_without_a_schema_it_says_so_and_waits(
    fresh_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    with scheduling(fresh_dsn):
        wait_until(lambda: "floorpulse db migrate" in caplog.text)


def test_a_wrong_dsn_is_an_error_at_once() -> None:
    with pytest.raises(DsnError):
        run("postgresql://nobody@127.0.0.1:1/none", threading.Event())


@pytest.mark.plain
def test_connections_end_with_the_scheduler(dsn: str, conn: Connection) -> None:
    others = (
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    with scheduling(dsn):
        wait_until(lambda: ok_jobs(conn) == NAMES)
    wait_until(lambda: one(conn, others) == 0)
    with connect(dsn) as other:
        assert one(
            other, "select pg_try_advisory_lock(hashtext('floorpulse.scheduler'), 0)"
        )


@pytest.mark.plain
def test_a_ledger_that_cannot_be_written_is_tried_again(
    dsn: str, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.service.AGAIN_AFTER_S", 0.1)
    conn.execute(
        "create function full_disk() returns trigger language plpgsql as"
        " $$ begin raise exception 'no space' using errcode = '53100'; end $$"
    )
    conn.execute(
        "create trigger full_disk before insert on ops.job_runs"
        " for each row execute function full_disk()"
    )
    with scheduling(dsn, (Job("tick", 1, nothing),)):
        wait_until(lambda: one(conn, "select count(*) from ops.jobs") == 1)
        time.sleep(1)
        assert one(conn, "select count(*) from ops.job_runs") == 0
        conn.execute("drop trigger full_disk on ops.job_runs")
        wait_until(lambda: ok_jobs(conn) == {"tick"})
