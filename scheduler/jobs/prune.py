"""Keeps the ledger of runs short, and the outbox of what was told."""

from scheduler.job import Detail, Job, Work
from sql.queries import load


def run(work: Work) -> Detail:
    """Good runs of frequent jobs go after hours, all others after a month."""
    work.conn.execute(load("scheduler")["close_runs"])
    row = work.conn.execute(load("scheduler")["prune_runs"]).fetchone()
    told = work.conn.execute(load("channels")["prune"]).fetchone()
    return {"pruned": row[0] if row else 0, "messages": told[0] if told else 0}


JOB = Job("prune", 3_600, run)
