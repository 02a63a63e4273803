"""Tells the channels of alerts and shift changes: every 30 s."""

from scheduler.job import Detail, Job, Work
from scheduler.notify import run_pass
from sql.queries import load


def run(work: Work) -> Detail:
    """A channel that fails is on record with itself; the run is well."""
    told = run_pass(work.conn, work.stop)
    row = work.conn.execute(load("channels")["waiting"]).fetchone()
    failed = {"failed": told.failed} if told.failed else {}
    return {"delivered": told.delivered, "waiting": row[0] if row else 0, **failed}


JOB = Job("notify", 30, run)
