"""Materializes hours and days that have closed (continuous aggregates only)."""

from scheduler.job import Detail, Job, Work
from scheduler.refresh import materialize_closed_hours


def run(work: Work) -> Detail:
    """On a server without continuous aggregates there is nothing to call."""
    return {"calls": materialize_closed_hours(work.dsn)}


JOB = Job("materialize", 3_600, run)
