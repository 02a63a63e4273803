"""Runs a job once: a row in the ledger before and after it, and no way to go unseen."""

import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Lock
from types import TracebackType
from typing import Self

import psycopg

from scheduler.job import Detail, Job, Work
from scheduler.leader import Leader, LeadershipLostError, watched
from sql.connect import Connection, connect

RETRY_S = (5.0, 300.0)
# Jobs that run more often than this keep their connection.
KEEP_CONNECTION_S = 60
STOP_WITHIN_S = 20.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class State:
    """How one job is doing in this process."""

    turn: Lock = field(default_factory=Lock)
    conn: Connection | None = None
    failures: int = 0
    retry_at_s: float = 0.0
    done_slot: int | None = None


class Run:
    """One run of a job as its two ledger entries; what the job raises ends here."""

    def __init__(self, leader: Leader, job: Job, begin: Detail, stopped: Event) -> None:
        self._leader, self._job = leader, job
        self._begin, self._stopped = dict(begin), stopped
        self._run_id: object = None
        self._started_s = 0.0
        self.done: Detail = {}
        self.error: str | None = None

    def __enter__(self) -> Self:
        """Write the row of the run; LeadershipLostError keeps the job from starting."""
        self._started_s = time.monotonic()
        row = {"job": self._job.name, "detail": json.dumps(self._begin)}
        self._run_id = self._leader.execute("job_started", row)[0][0]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Log and record how it ended; what the job raised goes no further."""
        if error is not None and not isinstance(error, Exception):
            return False
        fields: dict[str, object] = {
            "job": self._job.name,
            "seconds": round(time.monotonic() - self._started_s, 3),
        }
        if isinstance(error, psycopg.errors.QueryCanceled) and self._stopped.is_set():
            # The next leader sees that this slot is still to be done.
            self.error, self.done = "the scheduler was stopped", {"abandoned": True}
        elif error is not None:
            self.error = f"{type(error).__name__}: {error}".strip()
            fields |= {"action": "job_failed", "error": self.error}
            _log.error("job failed", extra=fields, exc_info=error)
        else:
            _log.debug("job done", extra=fields | {"action": "job_done"})
        self._leader.execute(
            "job_finished",
            {
                "run_id": self._run_id,
                "job": self._job.name,
                "error": self.error,
                "detail": json.dumps(dict(self.done), default=str),
            },
        )
        return True


class Runner:
    """Runs jobs for a leader, one run of a job at a time, each on its connection."""

    def __init__(
        self,
        leader: Leader,
        dsn: str,
        on_failure: Callable[[Job, float], None],
    ) -> None:
        self._leader, self._dsn = leader, watched(dsn)
        self._on_failure = on_failure
        self._states: dict[str, State] = {}
        self.stopped = Event()

    def run_slot(self, job: Job) -> None:
        """The run of the slot we are in, once the run before it has ended."""
        state = self._state(job)
        failures = state.failures
        with state.turn:
            slot = job.slot_of(time.time())
            # What was waited for may have done it, or will be tried again.
            if slot == state.done_slot or state.failures > failures:
                return
            attempt = {"attempt": state.failures + 1} if state.failures else {}
            self._run(job, {"slot": slot, **attempt}, None)
            if not state.failures:
                state.done_slot = slot

    def run_now(self, job: Job, sites: frozenset[str]) -> None:
        """A run between slots, for some sites; none while a retry is waited for."""
        state = self._state(job)
        with state.turn:
            if time.monotonic() >= state.retry_at_s:
                self._run(job, {"notified": sorted(sites)}, sites)

    def stop(self) -> None:
        """Start nothing more, and cancel what runs, again and again until it ends."""
        self.stopped.set()
        give_up_s = time.monotonic() + STOP_WITHIN_S
        states = list(self._states.values())
        while any(state.turn.locked() for state in states):
            for state in states:
                if state.conn is not None and not state.conn.closed:
                    # A server that is gone has nothing to cancel.
                    with suppress(psycopg.Error):
                        state.conn.cancel_safe(timeout=2)
            if time.monotonic() > give_up_s:
                return
            time.sleep(0.1)

    def close(self) -> None:
        """Close the connections that were kept."""
        for state in self._states.values():
            if state.conn is not None:
                state.conn.close()

    def _state(self, job: Job) -> State:
        return self._states.setdefault(job.name, State())

    def _run(self, job: Job, detail: Detail, sites: frozenset[str] | None) -> None:
        if self.stopped.is_set():
            return
        state = self._state(job)
        try:
            with Run(self._leader, job, detail, self.stopped) as run:
                conn = self._connection(state)
                run.done = job.run(Work(self._dsn, conn, sites, self.stopped))
        except LeadershipLostError:
            _log.warning(
                "run not recorded", extra={"action": "leadership_lost", "job": job.name}
            )
            return
        if state.conn is not None and job.interval_s > KEEP_CONNECTION_S:
            state.conn.close()
        self._plan_retry(job, state, failed=run.error is not None)

    def _connection(self, state: State) -> Connection:
        if state.conn is None or state.conn.closed:
            state.conn = connect(self._dsn)
        if state.conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            state.conn.close()
            state.conn = connect(self._dsn)
        return state.conn

    def _plan_retry(self, job: Job, state: State, *, failed: bool) -> None:
        """After the n-th failure in a row in 5 s * 2^(n-1), at most 300 s."""
        if not failed or self.stopped.is_set():
            state.failures, state.retry_at_s = 0, 0.0
            return
        retry_in_s = min(RETRY_S[0] * 2**state.failures, RETRY_S[1])
        state.failures += 1
        state.retry_at_s = time.monotonic() + retry_in_s
        self._on_failure(job, retry_in_s)
