"""Makes chunks (partitions) ahead, so that no event waits for one."""

from scheduler.job import Detail, Job, Work
from sql.queries import load


def run(work: Work) -> Detail:
    """From now to three days ahead, in a transaction of its own."""
    row = work.conn.execute(load("scheduler")["chunks_ahead"]).fetchone()
    return {"made": row[0] if row else 0}


JOB = Job("chunks", 3_600, run)
