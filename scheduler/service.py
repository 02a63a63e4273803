"""The scheduler process: waits to lead, then runs every job on its slots."""

import logging
import signal
import time
from concurrent import futures
from datetime import UTC, datetime, timedelta
from threading import Event

import psycopg
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from scheduler.job import Job
from scheduler.jobs import JOBS, REFRESH
from scheduler.leader import Leader, LeadershipLostError
from scheduler.listener import Listener
from scheduler.runner import Runner

WATCH_EVERY_S = 1.0
LOOK_EVERY_S = 0.2
UNMIGRATED_WAIT_S = 5.0
AGAIN_AFTER_S = 1.0
# Of one job: one that runs, and one that waits for its turn.
_INSTANCES = 2

_log = logging.getLogger(__name__)


class Slots(BaseTrigger):  # type: ignore[misc]
    """Every multiple of interval_s since 1970, whoever leads: slots have one grid."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime:
        """The first slot after now."""
        del previous_fire_time
        following = self._job.slot_of(now.timestamp()) + self._job.interval_s
        return datetime.fromtimestamp(following, UTC)


def serve(dsn: str, jobs: tuple[Job, ...] = JOBS) -> None:
    """Run until SIGTERM or SIGINT; for the main thread of a process."""
    stop = Event()
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        # A handler may take no lock: it could interrupt whoever holds it.
        signal.signal(number, lambda number, _: asked.append(number))
    with futures.ThreadPoolExecutor(1, "scheduler") as pool:
        running = pool.submit(run, dsn, stop, jobs)
        while not asked and not running.done():
            futures.wait([running], timeout=LOOK_EVERY_S)
        _log.info("ending", extra={"action": "scheduler_ends", "signals": asked})
        stop.set()
        running.result()


def run(dsn: str, stop: Event, jobs: tuple[Job, ...] = JOBS) -> None:
    """Stand by, lead, step down when the lock's session is lost, stand by again, until
    stop is set. A database that goes away is waited for; one that cannot be reached at
    the start is an error at once (DsnError and its like).
    """
    # APScheduler's warning that a slot is still busy repeats with every slot.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    with Leader(dsn) as first:
        first.connect()
    while not stop.is_set():
        with Leader(dsn) as leader:
            if leader.wait(stop):
                try:
                    lead(dsn, leader, stop, jobs)
                except LeadershipLostError:
                    _log.warning("lost", extra={"action": "leadership_lost"})
                    stop.wait(AGAIN_AFTER_S)
                except (
                    psycopg.errors.UndefinedTable,
                    psycopg.errors.InvalidSchemaName,
                ):
                    _log.error(
                        "no schema yet: run 'floorpulse db migrate'",
                        extra={"action": "not_migrated"},
                    )
                    stop.wait(UNMIGRATED_WAIT_S)


def lead(dsn: str, leader: Leader, stop: Event, jobs: tuple[Job, ...]) -> None:
    """Run the jobs until stop is set or the lock's session is gone."""
    due = take_over(leader, jobs)
    pool = ThreadPoolExecutor(_INSTANCES * len(jobs))
    scheduler = BackgroundScheduler(timezone=UTC, executors={"default": pool})

    def retry(job: Job, retry_in_s: float) -> None:
        again = datetime.now(UTC) + timedelta(seconds=retry_in_s)
        scheduler.modify_job(job.name, next_run_time=again)

    runner = Runner(leader, dsn, retry)
    for job in jobs:
        # A slot that comes late is run, once, however late it is; one that comes while
        # the run before it has not ended waits for that.
        scheduler.add_job(
            runner.run_slot,
            Slots(job),
            args=[job],
            id=job.name,
            coalesce=True,
            max_instances=_INSTANCES,
            misfire_grace_time=None,
            next_run_time=due[job.name],
        )
    listener = Listener(dsn, lambda sites: runner.run_now(REFRESH, sites))
    scheduler.start()
    listener.start()
    try:
        while leader.leads() and listener.lives() and not stop.wait(WATCH_EVERY_S):
            pass
    finally:
        listener.stop()
        runner.stop()
        scheduler.shutdown(wait=True)
        listener.join()
        runner.close()
    _log.info("stepped down", extra={"action": "scheduler_stepped_down"})


def take_over(leader: Leader, jobs: tuple[Job, ...]) -> dict[str, datetime]:
    """Close what the leader before left open; when each job is due first.

    At once, if the slot we are in has not come to its end under any leader; else with
    the next slot: none is lost, and none is done twice.
    """
    leader.execute("abandon_runs", {})
    leader.execute("forget_jobs", {"jobs": [job.name for job in jobs]})
    now = datetime.now(UTC)
    due = {}
    for job in jobs:
        leader.execute("declare_job", {"job": job.name, "interval_s": job.interval_s})
        last = leader.execute("last_slot", {"job": job.name})
        done = bool(last) and last[0][0] >= job.slot_of(time.time())
        due[job.name] = Slots(job).get_next_fire_time(None, now) if done else now
    return due
