"""Deletes what sites keep no longer; what was counted of it stays."""

from scheduler.job import Detail, Job, Work
from scheduler.retention import forget


def run(work: Work) -> Detail:
    """Every site that has a retention, in short transactions."""
    return forget(work).detail()


JOB = Job("retention", 3_600, run)
