"""Folds the door's tallies: one row per batch becomes one row per site and hour."""

from scheduler.job import Detail, Job, Work
from sql.queries import load


def run(work: Work) -> Detail:
    """One statement: whoever reads sees either the many rows or the one."""
    row = work.conn.execute(load("scheduler")["fold_tallies"]).fetchone()
    return {"folded": row[0] if row else 0}


JOB = Job("tallies", 300, run)
