"""Says that a scheduler leads, and which one."""

import os
import socket

from scheduler.job import Detail, Job, Work


def run(work: Work) -> Detail:
    """The row of the run is the heartbeat; it names the process."""
    del work
    return {"host": socket.gethostname(), "pid": os.getpid()}


JOB = Job("heartbeat", 10, run)
