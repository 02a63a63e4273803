"""A scheduler process for the fault tests: `python -m tests.faults.scheduler_process`.

Its jobs are a tick every few seconds, which leaves a row behind, and one that raises.
"""

import os
import sys
import time

from scheduler.job import Detail, Job, Work
from scheduler.jobs import JOBS
from scheduler.service import serve

TICK_S = 3


def tick(work: Work) -> Detail:
    """Long enough to be killed in the middle."""
    insert = "insert into public.ticks (pid, phase) values (%s, %s)"
    work.conn.execute(insert, (os.getpid(), "begin"))
    time.sleep(0.4)
    work.conn.execute(insert, (os.getpid(), "end"))
    return {"pid": os.getpid()}


def fail(work: Work) -> Detail:
    """Never ends well."""
    raise ValueError(f"no such bench in {work.conn.info.dbname}")


TEST_JOBS = (Job("tick", TICK_S, tick), Job("fail", 2, fail))


if __name__ == "__main__":
    serve(sys.argv[1], TEST_JOBS if sys.argv[2] == "test" else JOBS)
